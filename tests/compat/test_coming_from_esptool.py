"""The page for those who come from esptool names all that it has, and says what is so."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.commands.parser import command_parser, common_parser
from esploader.commands.table import HOMES, command
from programs import run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-esptool.md"

ROW = re.compile(r"^\| `?([\w-]+)`? \|(.*?)\| (\w+) \|", re.MULTILINE)
WORD = re.compile(r"`(-[\w-]+)`")

ALL = "all"
"""What the page calls the options in front of the command."""

STATES = {"same", "accepted", "different", "missing"}

# As the help draws its panels: a name at the beginning of a line, perhaps with a short one.
OPTION = re.compile(r"^│ (?:[* ]  )?(--[\w-]+)(?: +(-\w+))?\s", re.MULTILINE)
COMMAND = re.compile(r"^│ ([a-z][a-z0-9-]+)  +\S", re.MULTILINE)


@attrs.frozen
class Row:
    """One row of the table."""

    command: str
    options: tuple[str, ...]
    state: str


def rows() -> list[Row]:
    """Return what stands below the head of the table."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("## Command by command")
    table, _, _ = rest.partition("\n## ")
    return [
        Row(name, tuple(WORD.findall(cell)), state) for name, cell, state in ROW.findall(table)[1:]
    ]


def option_pairs(row: Row) -> Iterator[tuple[str, ...]]:
    """Return the spellings of each option of a row: the long one first."""
    found: list[list[str]] = []
    for word in row.options:
        if word.startswith("--"):
            found.append([word])
        else:
            found[-1].append(word)
    return (tuple(pair) for pair in found)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else the help breaks long names.
    monkeypatch.setenv("COLUMNS", "200")


@functools.cache
def help_of(*words: str) -> str:
    done = run(sys.executable, "-m", "esptool", *words, "--help")
    assert done.exit_code == 0, done.stderr
    return done.stdout


def esptool_commands() -> list[str]:
    return COMMAND.findall(help_of())


def test_states_are_known_and_no_option_has_two() -> None:
    table = rows()
    assert {row.state for row in table} == STATES
    seen = [(row.command, pair) for row in table for pair in option_pairs(row)]
    assert len(seen) == len(set(seen))


@pytest.mark.peer
def test_every_command_of_the_installed_esptool_is_in_the_table() -> None:
    found = set(esptool_commands())
    assert {"write-flash", "elf2image", "run"} <= found
    named = {row.command for row in rows()} - {ALL}
    assert found - named == set()
    assert named - found == set()


@pytest.mark.peer
def test_every_option_of_the_installed_esptool_is_in_the_table() -> None:
    table = {(row.command, pair) for row in rows() for pair in option_pairs(row)}
    of_all = {pair for name, pair in table if name == ALL}
    found = {(ALL, pair) for pair in options_in(help_of())}
    assert (ALL, ("--port", "-p")) in found
    for name in esptool_commands():
        found |= {(name, pair) for pair in options_in(help_of(name))}
    found -= {(name, ("--help", "-h")) for name in esptool_commands()}
    assert ("write-flash", ("--compress", "-z")) in found
    assert ("--help", "-h") in of_all
    assert found - table == set()
    assert table - found == set()


def options_in(text: str) -> set[tuple[str, ...]]:
    return {tuple(filter(None, pair)) for pair in OPTION.findall(text)}


def knows(parser: argparse.ArgumentParser, pair: tuple[str, ...]) -> bool:
    """Tell whether all spellings are one option of ours."""
    known = parser._option_string_actions  # noqa: SLF001 - argparse tells nowhere else
    actions = [known.get(name) for name in pair]
    return None not in actions and len({id(action) for action in actions}) == 1


def test_what_the_table_says_of_options_is_so() -> None:
    wrong = set()
    for row in rows():
        if row.command == ALL:
            parser: argparse.ArgumentParser = common_parser()
        elif row.command in HOMES:
            parser = command_parser(command(row.command), row.command)
        else:
            assert row.state == "missing", row
            continue
        wrong |= {
            (row.command, pair[0])
            for pair in option_pairs(row)
            if knows(parser, pair) is (row.state == "missing")
        }
    assert not wrong


def test_what_the_table_says_of_commands_is_so() -> None:
    for row in rows():
        if not row.options and row.command != ALL:
            assert (row.command in HOMES) is (row.state != "missing"), row
