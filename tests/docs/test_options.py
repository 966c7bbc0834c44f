"""No command and no option of the program is missing from the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from esploader.cli import main

if TYPE_CHECKING:
    import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("command-line.md", "simulator.md")
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
# As the list of commands in the help begins its lines.
COMMAND = re.compile(r"^  ([a-z][a-z-]*)  ", re.MULTILINE)


def documentation() -> str:
    return "".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)


def help_text(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


def commands(capsys: pytest.CaptureFixture[str]) -> list[str]:
    found = COMMAND.findall(help_text(capsys))
    assert "flash-id" in found
    return found


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    text = documentation()
    assert not [command for command in commands(capsys) if f"| `{command}" not in text]


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    documented = set(OPTION.findall(documentation()))
    of_sim = (["sim", action] for action in ("serve", "run", "check"))
    for command in [[], *of_sim, *([name] for name in commands(capsys))]:
        # An underscore is the other spelling of a hyphen.
        options = {name.replace("_", "-") for name in OPTION.findall(help_text(capsys, *command))}
        assert options - documented == set(), " ".join(command)
