"""A write that goes on while a test does something to it, and where the device boots then."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING

from programs import esploader, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFFSET = 0x1_0000
"""Where it writes to."""


@contextlib.contextmanager
def writing(url: str, image: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Write in a process, and a process group, of its own; enter when a block is on its way."""
    words = ("--port", url, "--json-events", "--json", "--no-stub", *options)
    command = esploader(*words, "write-flash", "-u", "--no-skip", hex(OFFSET), str(image))
    with running(*command, stderr=subprocess.PIPE, process_group=0) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("{") and json.loads(line).get("phase") == "write":
                break
        yield process


def boots(trace: Path) -> list[str]:
    """Return where a device has booted into, by its trace."""
    lines = trace.read_text(encoding="utf-8").splitlines()
    return [line.rpartition("boots into ")[2] for line in lines if " * " in line]


def require_boot(trace: Path, end: str) -> None:
    """Require the last boot to have ended with that; the server plays resets by itself."""
    assert boots(trace)[-1] == end
