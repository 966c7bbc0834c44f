"""What the command line makes of words: which command, which arguments, or what is wrong."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esploader.cli import main
from esploader.commands.options import PROGRAM
from esploader.commands.parser import command_parser, parse
from esploader.commands.table import HOMES, command, commands
from esploader.version import __version__

if TYPE_CHECKING:
    import argparse

    from esploader.commands.command import Command

COMMANDS = pytest.mark.parametrize("found", commands(), ids=lambda found: found.name)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--buad 1 flash_id", "there is no option --buad; did you mean --baud?"),
        ("flash_id --buad 1", "there is no option --buad; did you mean --baud?"),
        ("write_flash --bits 1 0x0 app.bin", "there is no option --bits"),
        ("write_flash 0x0 app.bin --forec", "there is no option --forec; did you mean --force"),
        ("erase_flash -k", "there is no option -k"),
        ("flashid", "there is no command flashid; did you mean flash-id"),
        ("wirte_flash 0 app.bin", "there is no command wirte_flash; did you mean write-flash"),
        ("--port sim://esp32", "the command is missing"),
        ("sim srve", "invalid choice: 'srve'"),
        ("sim serve --raeltime", "there is no option --raeltime; did you mean --realtime?"),
        ("serve --bnid", "there is no option --bnid; did you mean --bind?"),
    ],
)
def test_the_wrong_word_is_blamed(
    words: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(words)) == 2
    captured = capsys.readouterr()
    assert not captured.out
    (line,) = (line for line in captured.err.splitlines() if "error: " in line)
    assert complaint in line
    # Nothing else that was said is to blame.
    assert "unrecognized" not in line


def test_negative_numbers_and_dashes_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--connect-attempts", "-1", "flash_id"], {})[1].connect_attempts == 0
    assert main(["dump-mem", "-1", "1", "out.bin"]) == 2
    assert "-1 is not between" in capsys.readouterr().err
    _, arguments = parse(["read_flash", "0", "16", "-"], {})
    assert arguments.output == "-"
    _, arguments = parse(["sim", "run", "--", "program", "--strange"], {})
    assert arguments.program == ["program", "--strange"]


def test_without_a_word_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert not captured.err
    assert all(captured.out.count(f"\n  {name} ") == 1 for name in HOMES)


def test_the_version_is_an_option_and_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"esploader v{__version__}\n{__version__}\n" * 2


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options that take a value."""
    return [
        action
        for action in parser._actions  # noqa: SLF001 - argparse tells it nowhere else
        if action.option_strings and action.nargs != 0
    ]


def test_help_says_what_an_option_is_without_it() -> None:
    for found in commands():
        for action in options_of(command_parser(found, found.name)):
            assert "default" in (action.help or ""), (found.name, action.option_strings)


@COMMANDS
def test_help_has_an_example_that_is_understood(
    found: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([found.name, "--help"]) == 0
    _, _, example = capsys.readouterr().out.partition("\nexample:\n")
    program, *words = shlex.split(example)
    assert program == PROGRAM
    assert parse(words, {})[0].name == found.name


@pytest.mark.parametrize("action", ["serve", "run", "check"])
def test_so_has_every_action_of_sim(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", action, "--help"]) == 0
    _, _, example = capsys.readouterr().out.partition("\nexample:\n")
    assert parse(shlex.split(example)[1:], {})[1].action == action


@pytest.mark.parametrize("columns", [60, 100])
def test_help_fits_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", f"{columns}")
    assert main(["sim", "serve", "--help"]) == 0
    _, _, options = capsys.readouterr().out.partition("\noptions:")
    lengths = [len(line) for line in options.partition("\nexample")[0].splitlines()]
    assert columns - 20 <= max(lengths) < columns


def test_a_command_is_found_by_both_spellings() -> None:
    for found in commands():
        for spelling in (found.name, found.name.replace("-", "_")):
            example = shlex.split(found.example)
            words = [spelling if word == found.name else word for word in example]
            assert parse(words, {})[0] is command(found.name), words


def test_only_the_module_of_the_chosen_command_is_loaded() -> None:
    code = (
        "import sys\nfrom esploader.commands.parser import parse\nparse(['flash-id'], {})\n"
        "print(*sorted({name for name in sys.modules if name.startswith('esploader')}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = {name.removeprefix("esploader.commands.") for name in done.stdout.split()}
    assert "flash_chip" in loaded
    assert not loaded & ({*HOMES.values()} - {"flash_chip", "version"})
    assert not [name for name in loaded if name.startswith(("esploader.device", "esploader.f"))]
