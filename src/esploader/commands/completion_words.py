"""Which words may stand where on a command line, for shells that complete them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from esploader.chips.registry import CHIPS
from esploader.classes import frozen
from esploader.commands.parser import Parser, command_parser, common_parser
from esploader.commands.table import commands
from esploader.commands.values import OneOf

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHIP: Final = "CHIP"
"""What the value of an option is called that is the name of a chip."""


@frozen
class Option:
    """An option, in all its spellings with hyphens."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...]
    """Those that it takes; none where a file, or anything else, may stand there."""


@frozen
class Place:
    """What may stand behind some words: none, a command, or a command and its action."""

    path: tuple[str, ...]
    """These words."""
    options: tuple[Option, ...]
    words: tuple[tuple[str, str], ...]
    """Names of commands, of actions, or values, with what the help says of each."""


def places() -> list[Place]:
    """Return every place: that of the commands first, then each with those of its actions."""
    top = common_parser()
    names = tuple((command.name, command.help) for command in commands())
    found = [Place((), tuple(_options(top)), names)]
    for command in commands():
        found += _places((command.name,), command_parser(command, command.name))
    return found


def _places(path: tuple[str, ...], parser: Parser) -> Iterator[Place]:
    words: list[tuple[str, str]] = []
    actions: dict[str, Parser] = {}
    for action in parser.known_actions():
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - its only name
            actions = dict(action.choices)
            words += [(name, each.description or "") for name, each in actions.items()]
        elif not action.option_strings:
            words += [(str(value), "") for value in action.choices or ()]
    yield Place(path, tuple(_options(parser)), tuple(words))
    for name, each in actions.items():
        yield from _places((*path, name), each)


def _options(parser: Parser) -> Iterator[Option]:
    for action in parser.known_actions():
        names = tuple(name for name in action.option_strings if "_" not in name)
        if names:
            values: tuple[str, ...] = tuple(str(value) for value in action.choices or ())
            if isinstance(action.type, OneOf):
                values = action.type.names
            if action.metavar == _CHIP:
                values = tuple(chip.name.lower().replace("-", "") for chip in CHIPS)
            yield Option(names, _short(action.help or ""), action.nargs != 0, values)


def _short(text: str) -> str:
    """Return the help without what stands in brackets at its end."""
    return text.partition(" (")[0]
