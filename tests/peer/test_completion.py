"""Real shells complete the words of our command line by the scripts that we print."""

from __future__ import annotations

import os
import re
import select
import subprocess
from typing import TYPE_CHECKING

import pytest

from esploader.commands.completion_scripts import script
from peers import require_program
from programs import PATIENCE, environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pty = pytest.importorskip("pty")

pytestmark = pytest.mark.peer

CASES = [
    ("flash-i", "flash-id"),
    ("--bef", "--before"),
    ("--before us", "--before usb-reset"),
    ("--before no_reset flash-i", "--before no_reset flash-id"),
    ("--port sim://esp32c3 verify-f", "--port sim://esp32c3 verify-flash"),
    ("-c esp32p", "-c esp32p4"),
    ("write_flash --encrypt-f", "write_flash --encrypt-files"),
    ("write-flash 0x1000 appl", "write-flash 0x1000 application.bin"),
    ("flash-id --stub appl", "flash-id --stub application.bin"),
    ("sim ch", "sim check"),
    ("sim serve --stat", "sim serve --state"),
    ("stub install --tr", "stub install --trust"),
    ("completion fi", "completion fish"),
]
"""What is typed, and what stands there when it is completed."""

START = {
    "bash": (
        ["bash", "--noprofile", "--norc", "-i"],
        """. ./script; esploader() { printf '%s\\n' "d""one:$*;"; }; PS1="rea""dy> \"""",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        """autoload -U compinit; compinit -u -D; . ./script
        esploader() { print -r -- "d""one:$*;" }; PS1="rea""dy> \"""",
    ),
    "zsh by itself": (
        ["zsh", "-f", "-i"],
        """fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D
        esploader() { print -r -- "d""one:$*;" }; PS1="rea""dy> \"""",
    ),
}
"""How each is started, and what it is told first; the last one finds the script in a folder."""


class Shell:
    """A shell at a terminal, where somebody types."""

    def __init__(self, name: str, folder: Path) -> None:
        command, first = START[name]
        text = script(command[0])
        (folder / "script").write_text(text, encoding="utf-8")
        (folder / "functions").mkdir()
        (folder / "functions" / "_esploader").write_text(text, encoding="utf-8")
        self._terminal, slave = pty.openpty()
        self._shown = ""
        self._process = subprocess.Popen(
            [require_program(command[0]), *command[1:]],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**environment(), "TERM": "vt100", "HOME": str(folder)},
            start_new_session=True,
        )
        os.close(slave)
        self.type(f"{first}\n")
        self.wait_for("ready> ")

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, pattern: str) -> str:
        """Return what a group of ``pattern``, or all of it, matches as soon as that is shown."""
        while (match := re.search(pattern, self._shown)) is None:
            ready, _, _ = select.select([self._terminal], [], [], PATIENCE)
            assert ready, self._shown
            self._shown += os.read(self._terminal, 4096).decode()
        self._shown = self._shown[match.end() :]
        return match[match.lastindex or 0]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


@pytest.fixture(name="shell", params=START)
def _shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "application.bin").touch()
    shell = Shell(request.param, tmp_path)
    yield shell
    shell.close()


def test_what_is_typed_is_completed(shell: Shell) -> None:
    done = []
    for typed, _ in CASES:
        shell.type(f"esploader {typed}\t\n")
        done.append(shell.wait_for("done:(.*?) ?;").rstrip())
        shell.wait_for("ready> ")
    assert done == [expected for _, expected in CASES]


def test_bash_completes_behind_an_equals_sign(tmp_path: Path) -> None:
    shell = Shell("bash", tmp_path)
    try:
        shell.type("esploader --before=us\t\n")
        assert shell.wait_for("done:(.*?) ?;") == "--before=usb-reset"
    finally:
        shell.close()


def fish_offers(folder: Path, *lines: str) -> list[list[str]]:
    """Return what fish offers for each of these lines, without the descriptions."""
    path = folder / "script"
    path.write_text(script("fish"), encoding="utf-8")
    asks = "; echo ----; ".join(f"complete -C 'esploader {line}'" for line in lines)
    fish = require_program("fish")
    done = run(fish, "--no-config", "-c", f"cd '{folder}'; source {path}; {asks}")
    assert done.exit_code == 0, done.stderr
    assert not done.stderr
    offers = done.stdout.split("----\n")
    return [[line.split("\t")[0] for line in offer.splitlines()] for offer in offers]


def test_fish_offers_what_is_meant(tmp_path: Path) -> None:
    (tmp_path / "application.bin").touch()
    offers = fish_offers(tmp_path, *(typed for typed, _ in CASES))
    assert offers == [[expected.rpartition(" ")[2]] for _, expected in CASES]


def test_fish_offers_all_commands_and_no_file_for_one(tmp_path: Path) -> None:
    (tmp_path / "application.bin").touch()
    (found,) = fish_offers(tmp_path, "")
    assert {"flash-id", "write-flash", "sim", "completion"} <= set(found)
    assert "application.bin" not in found
