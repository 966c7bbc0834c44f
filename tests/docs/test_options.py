"""No option and no command of the program is missing from the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esploader.arguments import DEVICE_COMMANDS
from esploader.cli import main

DOCS = Path(__file__).parents[2] / "docs"
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def options(text: str) -> set[str]:
    return set(OPTION.findall(text))


@pytest.mark.parametrize(
    ("arguments", "pages"),
    [
        ([], ["command-line.md"]),
        (["flash-id"], ["command-line.md"]),
        (["sim", "serve"], ["command-line.md", "simulator.md"]),
    ],
    ids=["all commands", "flash-id", "sim serve"],
)
def test_every_option_is_documented(
    arguments: list[str], pages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--help"]) == 0
    documented = "".join((DOCS / page).read_text(encoding="utf-8") for page in pages)
    missing = options(capsys.readouterr().out) - options(documented)
    assert not missing


def test_every_command_is_documented() -> None:
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    commands = [*DEVICE_COMMANDS, "ports", "version", "sim serve"]
    assert not [command for command in commands if f"| `{command}` |" not in text]
