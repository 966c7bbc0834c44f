"""Somebody in front of a terminal types Ctrl-C, wherever a write happens to be."""

from __future__ import annotations

import random
import re
import signal
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader import connect
from esploader.errors import ConnectError
from foreground import CTRL_C, Terminal
from programs import esploader, served_chip
from simulated import incompressible
from stub_files import stub_directory

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256 * 1024
BEFORE = incompressible(SIZE)
OFFSET, DATA = 0x1_0000, incompressible(0x4000)
END = OFFSET + len(DATA)

MAX_LINES = 85
"""Of the trace; every one of these writes has more."""


@attrs.frozen(kw_only=True)
class Case:
    """One way to write, and the line of the trace at which it is interrupted."""

    chip: str
    has_stub: bool
    has_lines: bool
    baudrate: int
    after: str
    line: int

    @classmethod
    def draw(cls, seed: int) -> Case:
        chance = random.Random(seed)  # noqa: S311 - no secret
        has_lines = bool(seed % 2)
        afters = ["hard-reset", "no-reset"]
        if has_lines:
            afters += ["soft-reset", "watchdog-reset"]
        return cls(
            chip=chance.choice(["esp32c3", "esp32s3"]),
            has_stub=bool(seed // 2 % 2),
            has_lines=has_lines,
            baudrate=[115200, 921600][seed // 4 % 2],
            after=afters[seed // 2 % len(afters)],
            line=chance.randrange(1, MAX_LINES),
        )


def interrupt(case: Case, url: str, image: Path, stubs: Path) -> str:
    """Write, type Ctrl-C in the middle of it, and return all that was printed."""
    stub = ("--stub", str(stubs)) if case.has_stub else ("--no-stub",)
    options = ("--port", url, *stub, "--baud", str(case.baudrate), "--after", case.after)
    write = ("--trace", "write-flash", "-u", "--no-skip", hex(OFFSET), str(image))
    terminal = Terminal()
    try:
        with terminal.start(*esploader(*options, *write)) as process:
            while terminal.shown.count(b"TRACE") < case.line and process.poll() is None:
                assert terminal.look()
            terminal.write(CTRL_C)
            terminal.read_to_the_end(process)
        assert process.returncode == -signal.SIGINT, terminal.look_for_the_last_time()
        return terminal.look_for_the_last_time()
    finally:
        terminal.close()


def play(case: Case, folder: Path) -> str:
    """Interrupt a write, and return what became of the device, in a word."""
    stubs = folder / "stubs"
    stubs.mkdir()
    stub_directory(stubs)
    image, flash = folder / "image.bin", folder / "flash.bin"
    image.write_bytes(DATA)
    flash.write_bytes(BEFORE)
    front_end = "rfc2217" if case.has_lines else "pty"
    option = ("--rfc2217", "0") if case.has_lines else ("--pty",)
    chip = f"sim://{case.chip}?flash=256KB&file={flash}"
    with served_chip(chip, "--realtime", *option) as urls:
        url = urls[front_end]
        shown = interrupt(case, url, image, stubs)
        assert "Traceback" not in shown
        assert re.search(r"\r?\nInterrupted\.\r?\n", shown)
        now = flash.read_bytes()
        assert (now[:OFFSET], now[END:]) == (BEFORE[:OFFSET], BEFORE[END:])
        try:
            found = connect(url, stub=str(stubs))
        except ConnectError:
            assert "reset by hand" in shown, shown[-2000:]
            return "needed a reset by hand, and said so"
        with found:
            found.flash.write([(OFFSET, DATA)])
    assert flash.read_bytes() == BEFORE[:OFFSET] + DATA + BEFORE[END:]
    return "found"


@pytest.mark.parametrize("seed", range(2))
def test_the_next_run_finds_the_device(seed: int, tmp_path: Path) -> None:
    assert play(Case.draw(seed), tmp_path) == "found"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 24))
def test_so_it_does_in_twenty_more_ways(seed: int, tmp_path: Path) -> None:
    print(Case.draw(seed), play(Case.draw(seed), tmp_path))  # noqa: T201 - what it is run for
