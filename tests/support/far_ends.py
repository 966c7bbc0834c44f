"""The far end of an ``ssh`` that is a script: it has a shell do what sshd would have it do."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAND_INS = "stand-ins"
"""What stands in for other people's programs is in a folder of this name."""

HOST = "bench"


@attrs.define
class FarEnd:
    """A host that every URL leads to, and what a shell finds there."""

    folder: Path
    """Where ``ssh`` is."""

    programs: Path
    """Where the programs of the host are."""

    def url(self, port: str, query: str = "") -> str:
        """Return the URL of a port of the host."""
        return f"ssh://{HOST}/{port}{query}"

    def runs(self, script: str) -> None:
        """Have ``ssh`` be a script, which takes note of who it is and what it is told."""
        noting = "echo $$ >> pids\nprintf '%s\\n' \"$@\" > words"
        start = f"cd {shlex.quote(str(self.folder))}\n{noting}"
        _make_program(self.folder / "ssh", f"#!/bin/sh\n{start}\n{script}\n")

    def logs_in(self, says: str = "") -> None:
        """Have ``ssh`` get there; ``says`` is what the shell does first."""
        self.runs(
            f"PATH={shlex.quote(str(self.programs))}:/usr/bin:/bin\n"
            'while [ "$1" != -- ]; do shift; done\n'
            f"shift 2\n{says}\n"
            'exec sh -c "$*"'
        )

    def fails(self, says: str, code: int = 255) -> None:
        """Have ``ssh`` say something on stderr and end."""
        self.logs_in(f"printf '%s\\n' {shlex.quote(says)} >&2; exit {code}")

    def has(self, name: str, script: str) -> None:
        """Have a program there, in place of what was called like that."""
        _make_program(self.programs / name, f"#!/bin/sh\n{script}\n")

    def has_esploader(self) -> None:
        """Have ours there, by its name; it takes note of who it is, too."""
        noting = f"echo $$ >> {shlex.quote(str(self.folder))}/pids"
        self.has("esploader", f'{noting}\nexec {shlex.quote(sys.executable)} -m esploader "$@"')

    def has_python(self) -> None:
        """Have a Python there that has ours."""
        self.has("python3", f'exec {shlex.quote(sys.executable)} "$@"')

    @property
    def words(self) -> list[str]:
        """What ``ssh`` was told the last time."""
        return (self.folder / "words").read_text(encoding="utf-8").splitlines()

    @property
    def processes(self) -> list[int]:
        """Who has been ``ssh`` so far and, by our name, what it ran: maybe the same process."""
        try:
            return [int(line) for line in (self.folder / "pids").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def require_end(self) -> None:
        """Require all of that to be over."""
        for number in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, 0)
                raise AssertionError(f"the process {number} is still there")


@contextlib.contextmanager
def far_end(folder: Path) -> Iterator[FarEnd]:
    """Have ``ssh`` lead to a host with our program; nothing that it started is left in the end."""
    there = FarEnd(folder / STAND_INS, folder / "programs")
    there.folder.mkdir()
    there.programs.mkdir()
    there.logs_in()
    there.has_esploader()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PATH", str(there.folder), prepend=os.pathsep)
        yield there
        eventually(there.require_end, AssertionError)


def _make_program(path: Path, script: str) -> None:
    path.write_text(script, encoding="utf-8")
    path.chmod(0o700)
