"""From the words of a command line to a command and its arguments.

The command is found first, so that only it has to be known: its module is the only one that
is loaded. What is wrong is blamed on the word that is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import os
from typing import TYPE_CHECKING, Final, NoReturn, cast

from esploader.commands.defaults import SettingError, defaults
from esploader.commands.options import PROGRAM, add_common_options
from esploader.commands.table import HOMES, command, commands
from esploader.commands.values import hyphened
from esploader.commands.words import is_option, one_value_each, options_first, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from esploader.commands.command import Command

SERVER_PROGRAM: Final = "esploader-rfc2217-server"
"""The program that is nothing but ``esploader serve``."""

_USAGE: Final = f"{PROGRAM} [options] COMMAND ..."
_DESCRIPTION: Final = "Talk to the boot loaders of Espressif chips."
_EXAMPLES: Final = ("--port /dev/ttyUSB0 flash-id", "--port sim://esp32c3 write-flash 0 app.bin")
_PORT: Final = "-p"
"""Has been what suppresses progress, behind some commands of esptool, from the beginning."""

_ANY_WIDTH: Final = 1000
"""Columns of a terminal on which nothing is shown."""

_SHORT: Final = 2
"""Characters of an option whose value may stand right behind it."""


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and blames the word that is wrong."""

    def __init__(self, **options: object) -> None:
        self._is_shown = False
        options.setdefault("formatter_class", self._formatter)
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]
        self._has_actions = False
        self._hint = ""

    # `override` of esploader.classes loads attrs, which takes longer than all else here.
    def add_subparsers(  # type: ignore[explicit-override, override]
        self, **options: object
    ) -> argparse._SubParsersAction[Parser]:
        """Add actions, each with options of its own."""
        self._has_actions = True
        found = super().add_subparsers(**options)  # type: ignore[call-overload]
        return cast("argparse._SubParsersAction[Parser]", found)  # noqa: SLF001 - its only name

    def parse_known_args(  # type: ignore[explicit-override, override]
        self, args: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse words in any order, of which all that look like options must be some."""
        if not self._has_actions:
            args = options_first(args, self._option_string_actions)
            self._check_options(args)
            if _PORT in args and not self.takes_value(_PORT):
                self._hint = f"; {_PORT} stands for --no-progress here, and not for --port"
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:  # type: ignore[explicit-override]
        """Print how the command is used, and what is wrong, and exit."""
        super().error(f"{message}{self._hint}")

    def format_help(self) -> str:  # type: ignore[explicit-override]
        """Return what ``--help`` prints, for the terminal that is there."""
        self._is_shown = True
        return super().format_help()

    def format_usage(self) -> str:  # type: ignore[explicit-override]
        """Return how the command is used, for the terminal that is there."""
        self._is_shown = True
        return super().format_usage()

    def _formatter(self, prog: str) -> argparse.HelpFormatter:
        # argparse checks arguments with one, too. To measure the terminal it loads shutil, and
        # that all it takes for archives.
        width = None if self._is_shown else _ANY_WIDTH
        return argparse.RawDescriptionHelpFormatter(prog, width=width)

    def shorten_usage(self) -> None:
        """Have the usage name what stands without an option, and no option."""
        words = [_usage_of(action) for action in self._get_positional_actions()]
        self.usage = self.usage or " ".join(["%(prog)s [options]", *words])

    def known_actions(self) -> list[argparse.Action]:
        """Return what it was told to take, in that order."""
        return self._actions

    def takes_value(self, option: str) -> bool:
        """Tell whether the word behind ``option`` belongs to it."""
        name, equals, _ = option.partition("=")
        action = self._option_string_actions.get(spelled(name, self._option_string_actions))
        return action is not None and action.nargs != 0 and not equals

    def _check_options(self, words: Iterable[str]) -> None:
        for word in itertools.takewhile(lambda word: word != "--", words):
            if is_option(word):
                self._check_option(word.partition("=")[0])

    def _check_option(self, name: str) -> None:
        known = self._option_string_actions
        is_short = not name.startswith("--") and name[:_SHORT] in known
        if name not in known and not is_short:
            self.error(f"there is no option {name}{near(name, known)}")


def _usage_of(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    match action.nargs:
        case "?":
            return f"[{name}]"
        case "*":
            return f"[{name} ...]"
        case None:
            return name
        case _:
            return f"{name} ..."


def near(word: str, known: Iterable[str]) -> str:
    """Return a question after what was meant, if that can be guessed."""
    import difflib

    found = difflib.get_close_matches(word, [*known], n=2)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def parse(
    words: Sequence[str], environment: Mapping[str, str] = os.environ
) -> tuple[Command, argparse.Namespace]:
    """Return the command that ``words`` name, and its arguments.

    Raises:
        SystemExit: they make no sense, or ask for help, which has been printed.
    """
    words = _expanded(words, common_parser)
    if words and hyphened(words[0]) in HOMES:
        # The other parser takes as long to build as that of the command.
        given, position = argparse.Namespace(), 0
    else:
        given, position = _parse_common(words)
    if "version" in given:
        return _parse_command(command("version"), (), given, environment)
    return _parse_command(
        command(hyphened(words[position])), words[position + 1 :], given, environment
    )


def _parse_common(words: Sequence[str]) -> tuple[argparse.Namespace, int]:
    """Return what stands in front of the name of a command, and where that is.

    Raises:
        SystemExit: as :func:`parse`.
    """
    common = common_parser()
    position = _position_of_command(words, common)
    given = common.parse_args(words[:position])
    if "version" not in given:
        if position == len(words):
            _end_without_command(common, words)
        if hyphened(words[position]) not in HOMES:
            common.error(
                f"there is no command {words[position]}{near(hyphened(words[position]), HOMES)}"
            )
    return given, position


def parse_server(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return ``serve`` and its arguments, for :data:`SERVER_PROGRAM`.

    Raises:
        SystemExit: as :func:`parse`.
    """
    serve = command("serve")
    words = _expanded(words, lambda: command_parser(serve, SERVER_PROGRAM))
    return _parse_command(serve, words, argparse.Namespace(), os.environ, SERVER_PROGRAM)


def _expanded(words: Sequence[str], parser: Callable[[], Parser]) -> list[str]:
    """Return ``words`` with those that stand in files, and no value too many behind an option.

    Raises:
        SystemExit: one of the files cannot be used.
    """
    if any(word.startswith("@") for word in words):
        from esploader.commands.argument_files import ArgumentFileError, expanded

        try:
            words = expanded(words)
        except ArgumentFileError as exc:
            parser().error(str(exc))
    return one_value_each(words)


def _parse_command(
    chosen: Command,
    words: Sequence[str],
    given: argparse.Namespace,
    environment: Mapping[str, str],
    program: str | None = None,
) -> tuple[Command, argparse.Namespace]:
    """Return ``chosen``, and its arguments on top of those that were given in front of it.

    Raises:
        SystemExit: as :func:`parse`, or something that sets a default makes no sense.
    """
    parser = command_parser(chosen, program or f"{PROGRAM} {chosen.name}")
    try:
        usual = defaults(environment, with_files=chosen.heeds_files)
    except SettingError as exc:
        parser.error(str(exc))
    namespace = argparse.Namespace(
        **{**vars(usual), **vars(given), "command": chosen.name, "in_front": frozenset(vars(given))}
    )
    arguments = parser.parse_args(words, namespace)
    if arguments.silent and (arguments.verbose or arguments.trace):
        parser.error("--silent goes neither with --verbose nor with --trace")
    return chosen, arguments


def common_parser() -> Parser:
    """Return the parser of what stands in front of a command."""
    parser = Parser(
        prog=PROGRAM,
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_epilog(*_EXAMPLES),
        add_help=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "-h", "--help", action=_ShowCommands, nargs=0, help="list the commands, and end"
    )
    parser.add_argument(
        "--version", action="store_true", default=argparse.SUPPRESS, help="show the version"
    )
    add_common_options(parser)
    return parser


def command_parser(chosen: Command, program: str) -> Parser:
    """Return the parser of what stands behind the name of a command."""
    # Without defaults, so that what stands in front of the command stays.
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    if chosen.has_common_options:
        add_common_options(common)
    parser = Parser(
        prog=program,
        usage=chosen.usage,
        description=chosen.description,
        epilog=_epilog(chosen.example),
        parents=[common],
        # What a short option means to one command counts there.
        conflict_handler="resolve",
    )
    chosen.add_arguments(parser)
    parser.shorten_usage()
    return parser


class _ShowCommands(argparse.Action):
    """Shows all commands: to load their modules takes longer than to parse."""

    def __call__(  # type: ignore[explicit-override]
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - argparse passes it
        values: str | Sequence[object] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        show_commands(parser)
        parser.exit()


def show_commands(parser: argparse.ArgumentParser) -> None:
    """Print the help of the whole program."""
    width = max(map(len, HOMES)) + 2
    lines = "".join(f"  {each.name:<{width}}{each.help}\n" for each in commands())
    head, separator, options = parser.format_help().partition("\noptions:")
    hint = f"{PROGRAM} COMMAND --help tells more of each"
    print(f"{head}\ncommands:\n{lines}\n{hint}\n{separator}{options}", end="")


def _position_of_command(words: Sequence[str], common: Parser) -> int:
    """Return where the name of the command is among ``words``, or how many these are."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        position += 2 if common.takes_value(words[position]) else 1
    return min(position, len(words))


def _end_without_command(common: Parser, words: Sequence[str]) -> NoReturn:
    if words:
        common.error("the command is missing; --help lists them")
    show_commands(common)
    raise SystemExit(2)


def _epilog(*examples: str) -> str:
    lines = "".join(f"\n  {PROGRAM} {example}" for example in examples)
    return f"example{'s' if len(examples) > 1 else ''}:{lines}"
