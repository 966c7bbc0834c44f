"""How far a command is, as people and programs see it."""

from __future__ import annotations

import io
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader.cli import DONE, main
from esploader.commands.output import Output
from esploader.commands.parser import parse
from esploader.commands.progress_display import FRAME_TIME, Bar, JsonLines, Lines, bar_on
from esploader.flash.progress import Phase, Progress, ProgressEvent, Restarted
from programs import PATIENCE, environment, esploader, served_chip
from screen import lines_on_screen

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024
TOTAL = 100 * KIB
RESTARTED = Restarted(offset=0x1_8000, reason="no response")

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True

    def frames(self) -> list[str]:
        """Return what a person sees, one frame after the other."""
        text = CONTROL.sub("", self.getvalue())
        return [frame.strip() for frame in re.split(r"[\r\n]+", text) if frame.strip()]


@attrs.define
class Clock:
    """Time as the test wants it."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture(autouse=True)
def an_able_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def step(done: int, phase: Phase = Phase.WRITE, offset: int = 0x1_0000) -> Progress:
    return Progress(phase=phase, offset=offset, done=done, total=TOTAL, wire_bytes=done // 2)


def bar_and_terminal(clock: Clock) -> tuple[Bar, Terminal]:
    terminal = Terminal()
    bar = bar_on(terminal, clock.now)
    assert bar is not None
    return bar, terminal


def test_a_bar_tells_position_share_rate_and_time_left() -> None:
    clock = Clock()
    bar, terminal = bar_and_terminal(clock)
    for second in range(6):
        clock.seconds = second
        bar.show(step(10_240 * second))

    frame = terminal.frames()[-1]
    assert frame.startswith("Writing at 0x0001c800 ")
    assert re.search(r" +50% 10\.2 kB/s 0:00:05$", frame)
    assert len(frame) <= 80
    bar.end()


def test_a_bar_ends_on_a_line_of_its_own_with_the_latest_share() -> None:
    clock = Clock()
    bar, terminal = bar_and_terminal(clock)
    bar.show(step(0))
    bar.show(step(TOTAL // 4))  # at once, so not drawn yet
    bar.end()
    bar.end()
    terminal.write("Next")

    assert " 25%" in terminal.frames()[-2]
    assert terminal.frames()[-1] == "Next"
    assert terminal.getvalue().count("\n") == 1


def test_a_bar_is_drawn_no_oftener_than_eyes_need() -> None:
    clock = Clock()
    bar, terminal = bar_and_terminal(clock)
    for number in range(1, 1001):
        clock.seconds = number * FRAME_TIME / 100
        bar.show(step(TOTAL * number // 2000))
    drawn = len(terminal.frames())
    bar.end()

    assert 10 <= drawn <= 12


def test_a_bar_is_complete_as_soon_as_the_last_byte_is_done() -> None:
    bar, terminal = bar_and_terminal(Clock())
    bar.show(step(0))
    bar.show(step(TOTAL))

    assert "100%" in terminal.frames()[-1]
    bar.end()


def test_what_nothing_is_known_of_is_not_in_a_bar() -> None:
    # A short region is one event: no rate, and no time is left.
    bar, terminal = bar_and_terminal(Clock())
    bar.show(step(TOTAL))
    bar.end()

    assert {frame[-5:] for frame in terminal.frames()} == {" 100%"}


def test_a_complete_bar_has_the_rate_and_no_time_left() -> None:
    clock = Clock()
    bar, terminal = bar_and_terminal(clock)
    for second in range(11):
        clock.seconds = second
        bar.show(step(10_240 * second))
    bar.end()

    assert terminal.frames()[0].endswith("  0%")
    assert terminal.frames()[-1].endswith(" 100% 10.2 kB/s")


class Interrupting(Terminal):
    """A stream into which Ctrl-C comes as it has taken something."""

    interrupts = True

    @override
    def write(self, text: str, /) -> int:
        size = super().write(text)
        if self.interrupts:
            self.interrupts = False
            raise KeyboardInterrupt
        return size


def test_an_interrupted_frame_gives_way_to_the_next() -> None:
    terminal = Interrupting()
    bar = bar_on(terminal, Clock().now)
    assert bar is not None
    with pytest.raises(KeyboardInterrupt):
        bar.show(step(TOTAL // 2))
    # As terminals do, of which a bar leaves some columns free.
    terminal.write("^C")
    bar.end()
    terminal.write("Next")

    first, last = lines_on_screen(terminal.getvalue().replace("\n", "\r\n"), columns=80)
    assert first.startswith("Writing at 0x0001c800 ")
    assert first.endswith("  50%")
    assert last == "Next"


@pytest.mark.parametrize("between", [RESTARTED, step(0, offset=0x8_0000)])
def test_restarts_and_regions_have_bars_of_their_own(between: ProgressEvent) -> None:
    clock = Clock()
    bar, terminal = bar_and_terminal(clock)
    for event in (step(0), between, step(TOTAL // 2)):
        bar.show(event)
        clock.seconds += 1
    bar.end()

    lines = CONTROL.sub("", terminal.getvalue()).rstrip("\n").split("\n")
    assert len(lines) == 2 + isinstance(between, Progress)
    # What was there before the bar says nothing of the rate.
    assert "kB/s" not in lines[-1]


def test_erasing_and_verifying_are_shown_too() -> None:
    lines: list[str] = []
    display = Lines(lines.append)
    for phase in (Phase.ERASE, Phase.VERIFY):
        display.show(step(0, phase))
        display.show(step(TOTAL, phase))
    assert lines == [
        "Erasing at 0x00010000... (0 %)",
        "Erasing at 0x00029000... (100 %)",
        "Verifying at 0x00010000... (0 %)",
        "Verifying at 0x00029000... (100 %)",
    ]


@pytest.mark.parametrize("phase", [Phase.COMPARE, Phase.VERIFY])
def test_what_moves_no_data_has_no_bar_and_no_line(phase: Phase) -> None:
    bar, terminal = bar_and_terminal(Clock())
    lines: list[str] = []
    bar.show(step(TOTAL, phase))
    Lines(lines.append).show(step(TOTAL, phase))

    assert not terminal.getvalue()
    assert not lines


def test_no_bar_without_a_terminal() -> None:
    assert bar_on(io.StringIO()) is None


def test_no_bar_on_a_terminal_that_cannot_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert bar_on(Terminal()) is None


def test_no_bar_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert bar_on(Terminal()) is None


def test_a_line_for_each_tenth() -> None:
    lines: list[str] = []
    display = Lines(lines.append)
    for done in range(0, TOTAL + 1, KIB):
        display.show(step(done, Phase.READ))

    assert lines[0] == "Reading at 0x00010000... (0 %)"
    assert lines[-1] == "Reading at 0x00029000... (100 %)"
    assert len(lines) == 11


def test_the_line_after_a_restart_is_never_left_out() -> None:
    lines: list[str] = []
    display = Lines(lines.append)
    for event in (step(0), step(1), RESTARTED, step(2)):
        display.show(event)

    assert len(lines) == 2


def test_events_as_json() -> None:
    stream = io.StringIO()
    display = JsonLines(stream)
    for event in (step(2 * KIB), RESTARTED, step(TOTAL, Phase.VERIFY)):
        display.show(event)

    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {
            "event": "progress",
            "phase": "write",
            "offset": 0x1_0000,
            "done": 2 * KIB,
            "total": TOTAL,
            "wire_bytes": KIB,
        },
        {"event": "restart", "offset": 0x1_8000, "reason": "no response"},
        {
            "event": "progress",
            "phase": "verify",
            "offset": 0x1_0000,
            "done": TOTAL,
            "total": TOTAL,
            "wire_bytes": TOTAL // 2,
        },
    ]


def test_a_restart_is_noted_below_what_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in (
        ([], "NOTE: starting again at 0x18000: no response\n"),
        (["--quiet"], ""),
        (["--json-events"], '{"event": "restart", "offset": 98304, "reason": "no response"}\n'),
    ):
        _, arguments = parse([*options, "read-mac"], {})
        Output(arguments).progress(RESTARTED)
        assert capsys.readouterr().err == said


# By the command line --------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> str:
    """Return the name of a file to be written, short, as `sim://` takes its time."""
    path = tmp_path / "image"
    path.write_bytes(random.Random(1).randbytes(8 * KIB))  # noqa: S311 - the same each time
    return str(path)


def write_command(image: str, *options: str) -> tuple[str, ...]:
    return ("--port", "sim://esp32c3", "--no-stub", *options, "write-flash", "0x10000", image)


def test_json_events_go_to_stderr_and_change_nothing_on_stdout(
    image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(write_command(image, "--json-events")) == DONE

    captured = capsys.readouterr()
    assert "Writing at 0x00012000... (100 %)" in captured.out.splitlines()
    events = [json.loads(line) for line in captured.err.splitlines()]
    phases = [event["phase"] for event in events]
    assert phases == ["compare", *["write"] * (len(events) - 2), "verify"]
    assert events[-1]["done"] == events[-1]["total"] == 8 * KIB


def test_no_progress_leaves_the_results(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(write_command(image, "--no-progress")) == DONE

    captured = capsys.readouterr()
    assert "Writing" not in captured.out
    assert "Hash of data verified." in captured.out.splitlines()
    assert not captured.err


def stderr_on_a_terminal(*command: str) -> tuple[str, str]:
    """Run our program; return its stdout, a pipe, and what it drew on the terminal."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")
    ours, its = pty.openpty()
    try:
        with os.fdopen(ours, "rb", buffering=0) as screen:
            process = subprocess.Popen(esploader(*command), stdout=subprocess.PIPE, stderr=its)
            # Small enough for the buffers of pipe and terminal.
            stdout, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == DONE
            os.set_blocking(ours, False)
            drawn = screen.read() or b""
    finally:
        os.close(its)
    return stdout.decode(), CONTROL.sub("", drawn.decode())


def test_a_terminal_gets_a_bar_in_place_of_the_lines(image: str) -> None:
    stdout, drawn = stderr_on_a_terminal(*write_command(image))

    assert re.search(r"Writing at 0x00012000 [^\r\n]* 100%( [\d.]+ [kM]?B/s)?\r\n", drawn)
    assert drawn.endswith("\r\n")
    assert "Writing" not in stdout
    assert "Hash of data verified." in stdout


@pytest.mark.slow
def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")
    image = tmp_path / "image"
    image.write_bytes(bytes(TOTAL))
    ours, its = pty.openpty()
    try:
        with (
            os.fdopen(ours, "rb", buffering=0) as screen,
            served_chip("esp32c3", "--tcp", "0", "--realtime") as urls,
        ):
            command = esploader(
                "--port", urls["tcp"], "--no-stub", "write-flash", "-u", "0", str(image)
            )
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=its) as process:
                drawn = b""
                while b"Writing" not in drawn:
                    assert select.select([screen], [], [], PATIENCE)[0]
                    drawn += screen.read(TOTAL)
                process.send_signal(signal.SIGINT)
            os.set_blocking(ours, False)
            drawn += screen.read() or b""
    finally:
        os.close(its)

    assert process.returncode == -signal.SIGINT
    # The cursor was never hidden, so nobody has to bring it back.
    assert b"\x1b[?25l" not in drawn
    # The remark has a line of its own, below the bar.
    assert drawn.endswith(b"\r\n\r\nInterrupted.\r\n")


def test_ctrl_c_in_a_terminal_leaves_one_bar(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")
    image = tmp_path / "image"
    image.write_bytes(bytes(TOTAL))
    ours, its = pty.openpty()
    with (
        os.fdopen(ours, "rb", buffering=0) as screen,
        served_chip("esp32c3", "--tcp", "0", "--realtime") as urls,
    ):
        command = esploader("--port", urls["tcp"], "--no-stub", "write-flash", "-u", "0")
        # The leader of a session gets the terminal that it opens first: Ctrl-C goes to it.
        shell = ("sh", "-c", 'exec "$@" <> "$0" >&0 2>&0', os.ttyname(its), *command, str(image))
        with subprocess.Popen(shell, env=environment(), start_new_session=True) as process:
            shown = b""
            while b"Writing" not in shown:
                assert select.select([screen], [], [], PATIENCE)[0]
                shown += screen.read(TOTAL)
            os.write(ours, b"\x03")
        os.set_blocking(ours, False)
        shown += screen.read() or b""
    os.close(its)

    assert process.returncode == -signal.SIGINT
    # The cursor was never hidden, so nobody has to bring it back.
    assert b"\x1b[?25l" not in shown
    lines = lines_on_screen(shown.decode(), columns=80)
    assert [line[:10] for line in lines if "Writing" in line] == ["Writing at"]
    assert lines[-2] == "Interrupted."
