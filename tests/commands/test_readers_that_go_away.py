"""What a device is told to do does not depend on who reads along."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from covering import covering_parameters, usual_parameters
from esploader.cli import FAILED, READER_GONE, main
from esploader.commands.standard_stream import StandardStream
from loaded_commands import esploader as loaded
from programs import PATIENCE, environment, esploader, read_line, running

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

SIZE = 256 * 1024
BEFORE = bytes(SIZE)
DATA = bytes(range(256)) * 64
NOTE = "NOTE: the output cannot be written: "


@pytest.fixture(name="flash")
def _flash(tmp_path: Path) -> Path:
    path = tmp_path / "flash.bin"
    path.write_bytes(BEFORE)
    return path


@pytest.fixture(name="image")
def _image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(DATA)
    return path


def port(flash: Path) -> tuple[str, ...]:
    return ("--port", f"sim://esp32c3?flash=256KB&file={flash}", "--no-stub")


class Lost:
    """What remains to be seen of a program whose output is lost."""

    def __init__(self, how: str, *words: str, is_stderr: bool = False) -> None:
        descriptor = self._open(how)
        command = loaded(*words)
        if how == "closed":
            # What Python makes of that when it starts is a part of it.
            command = esploader(*words)
            number = 2 if is_stderr else 1
            command = ("sh", "-c", f'exec "$@" {number}>&-', "sh", *command)
        try:
            done = subprocess.run(
                command,
                check=False,
                stdout=subprocess.PIPE if is_stderr else descriptor,
                stderr=descriptor if is_stderr else subprocess.PIPE,
                text=True,
                env=environment(),
                timeout=PATIENCE,
            )
        finally:
            os.close(descriptor)
        self.code = done.returncode
        self.rest: str = done.stdout if is_stderr else done.stderr

    @staticmethod
    def _open(how: str) -> int:
        if how == "no reader":
            reading, writing = os.pipe()
            os.close(reading)
            return writing
        return os.open("/dev/full" if how == "full disk" else os.devnull, os.O_WRONLY)


REASONS = {
    "no reader": "Broken pipe",
    "full disk": "No space left on device",
    "closed": "Bad file descriptor",
}

HOW = tuple(REASONS)


def of_two(ones: Sequence[Hashable], others: Sequence[Hashable]) -> list[ParameterSet]:
    """Return all pairs; those that show no one and no other for the first time are slow."""
    return covering_parameters([*itertools.product(ones, others)], lambda *both: both)


def only(*shown: str) -> list[ParameterSet]:
    """Return all ways to lose an output; slow are those that are not to be shown.

    All are shown by writes, whose output is lost in the same place.
    """
    return usual_parameters(HOW, shown)


def words_of(value: object) -> str | None:
    """Return what a list of words is called in the name of a test."""
    return " ".join(map(str, value[:2])) if isinstance(value, tuple) else None


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes and devices")


@needs_posix
@pytest.mark.parametrize(
    ("how", "options"), of_two(HOW, [(), ("--json",), ("--json-events",)]), ids=words_of
)
def test_a_write_that_nobody_reads_about_is_finished(
    how: str, options: tuple[str, ...], flash: Path, image: Path
) -> None:
    lost = Lost(how, *options, *port(flash), "--trace", "write-flash", "0x10000", str(image))
    assert lost.code == 0
    assert lost.rest.count(f"{NOTE}{REASONS[how]}\n") == 1
    assert "Traceback" not in lost.rest
    assert flash.read_bytes() == BEFORE[:0x1_0000] + DATA + BEFORE[0x1_4000:]


@needs_posix
@pytest.mark.parametrize("how", only("no reader", "full disk"))
def test_so_is_one_whose_notes_nobody_reads(how: str, flash: Path, image: Path) -> None:
    words = ("--json-events", *port(flash), "--trace", "write-flash", "0x10000", str(image))
    lost = Lost(how, *words, is_stderr=True)
    assert lost.code == 0
    assert "Hash of data verified." in lost.rest
    assert "TRACE" not in lost.rest
    assert lost.rest.endswith("Hard resetting via RTS pin...\n")
    assert flash.read_bytes() == BEFORE[:0x1_0000] + DATA + BEFORE[0x1_4000:]


@needs_posix
@pytest.mark.parametrize("how", only("no reader"))
def test_an_error_is_still_one(how: str, flash: Path) -> None:
    lost = Lost(how, "--exit-codes", "detailed", *port(flash), "erase-flash")
    assert lost.code == 32
    assert "A fatal error occurred: " in lost.rest


@needs_posix
@pytest.mark.parametrize(
    ("how", "words"),
    of_two(
        HOW,
        [
            ("version",),
            ("flash-id",),
            ("--json", "read-mac"),
            ("write-flash", "--dry-run", "0", __file__),
        ],
    ),
    ids=words_of,
)
def test_where_the_output_is_all_its_loss_shows_in_the_exit_code(
    how: str, words: tuple[str, ...]
) -> None:
    code = READER_GONE if how == "no reader" else FAILED
    options = ("--port", "sim://esp32c3?flash=128MB", "--no-stub")
    lost = Lost(how, *options, *words)
    assert lost.code == code
    assert "Traceback" not in lost.rest
    assert "Exception ignored" not in lost.rest


@needs_posix
@pytest.mark.parametrize("how", only("closed"))
def test_a_table_that_is_converted_counts_more_than_what_is_shown(how: str, tmp_path: Path) -> None:
    table, made = tmp_path / "table.csv", tmp_path / "table.bin"
    table.write_text("nvs,data,nvs,,0x6000\n")
    lost = Lost(how, "partition-table", str(table), "--binary", str(made))
    assert lost.code == 0
    assert made.stat().st_size == 0xC00
    assert Lost(how, "partition-table", str(table)).code in {FAILED, READER_GONE}


@needs_posix
@pytest.mark.parametrize("how", REASONS)
def test_a_help_that_nobody_reads_leaves_no_complaint(how: str) -> None:
    lost = Lost(how, "version", "--help")
    assert lost.code in {0, FAILED, READER_GONE}
    assert "Exception" not in lost.rest


@needs_posix
@pytest.mark.parametrize(
    "command", ["write-flash", pytest.param("flash-id", marks=pytest.mark.slow)]
)
def test_the_device_is_left_as_asked(command: str, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(DATA)
    words = {"flash-id": ["flash-id"], "write-flash": ["write-flash", "0x10000", str(image)]}
    trace = tmp_path / "trace.txt"
    client = " ".join(loaded("--port", "{port}", "--no-stub", *words[command]))
    done = subprocess.run(
        loaded("sim", "run", "--trace", str(trace), "--", "sh", "-c", f"{client} | true"),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0
    # Into download mode, and out of it.
    boots = [line for line in trace.read_text(encoding="utf-8").splitlines() if " * " in line]
    assert boots[-2].endswith("boots into download mode")
    assert boots[-1].endswith("boots into its application")


@needs_posix
@pytest.mark.parametrize(
    ("command", "streams"), of_two(["serve", "sim serve"], ["", "2>&-", "2>/dev/full"])
)
def test_a_server_goes_on_without_anybody_who_reads(
    command: str, streams: str, tmp_path: Path
) -> None:
    ports = tmp_path / "ports.txt"
    words = {
        "serve": ("serve", "-v", "-p", "0", "--port-file", str(ports), "sim://esp32c3"),
        "sim serve": ("sim", "serve", "--port-file", str(ports), "-c", "esp32c3"),
    }
    program = ("sh", "-c", f'exec "$@" {streams}', "sh", *esploader(*words[command]))
    with running(*program, stderr=subprocess.DEVNULL) as process:
        assert read_line(process).startswith("esploader v")
        assert process.stdout is not None
        process.stdout.close()
        for _ in range(200):
            if ports.exists():
                break
            assert process.poll() is None
            signal.sigtimedwait([], 0.1)
        url = ports.read_text(encoding="utf-8").split()[0]
        for _ in range(2):
            assert main(["--port", url, "--no-stub", "flash-id"]) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        process.stdout = None


@needs_posix
def test_the_bar_is_no_condition_of_the_work(flash: Path, image: Path) -> None:
    pytest.importorskip("rich")
    terminal = BrokenTerminal()
    sys.stderr, old = terminal, sys.stderr
    try:
        assert main([*port(flash), "write-flash", "0x10000", str(image)]) == 0
    finally:
        sys.stderr = old
    assert terminal.was_written_to
    assert flash.read_bytes() == BEFORE[:0x1_0000] + DATA + BEFORE[0x1_4000:]


class BrokenTerminal(io.StringIO):
    """A terminal that was closed."""

    was_written_to = False

    @override
    def isatty(self) -> bool:
        return True

    @override
    def write(self, text: str, /) -> int:
        self.was_written_to = True
        raise OSError(5, "Input/output error")


# The stream by itself ------------------------------------------------------------------


class Breaking(io.StringIO):
    """Fails in one of the ways that there are."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = None
        self._error = error

    @override
    def write(self, text: str, /) -> int:
        if text == "break":
            self.error = self._error
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.fixture(name="losses")
def _losses() -> Iterator[list[OSError]]:
    losses: list[OSError] = []
    yield losses
    assert len(losses) <= 1


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "full"), ValueError("closed")]
)
def test_a_stream_is_lost_once_and_for_all(error: Exception, losses: list[OSError]) -> None:
    inner = Breaking(error)
    stream = StandardStream(inner, losses.append)
    stream.write("before ")
    for _ in range(3):
        assert stream.write("break") == 5
    inner.error = None
    stream.write("after")
    stream.flush()
    assert inner.getvalue() == "before "
    assert [stream.failure] == losses


def test_no_stream_at_all_is_lost(losses: list[OSError]) -> None:
    stream = StandardStream(None, losses.append)
    assert not stream.isatty()
    stream.write("text")
    assert str(losses[0]) == "[Errno 9] Bad file descriptor"


def test_without_a_stream_no_reader_is_missed(losses: list[OSError]) -> None:
    stream = StandardStream(None, losses.append)
    stream.look_for_reader()
    assert stream.failure is None
    assert not losses


def test_bytes_are_text_where_a_stream_takes_nothing_else(losses: list[OSError]) -> None:
    inner = io.StringIO()
    stream = StandardStream(inner, losses.append)
    stream.write_bytes("Gerät ".encode() + b"\xff\n")
    assert inner.getvalue() == "Gerät \N{REPLACEMENT CHARACTER}\n"
    assert not losses


def test_what_the_encoding_lacks_is_escaped(losses: list[OSError]) -> None:
    data = io.BytesIO()
    stream = StandardStream(io.TextIOWrapper(data, encoding="ascii"), losses.append)
    stream.write("/dev/Gerät\udce4\n")
    assert data.getvalue() == b"/dev/Ger\\xe4t\\udce4\n"
    assert not losses


def test_with_json_stdout_stays_one_document_without_a_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["--json", "--trace", "--port", "sim://esp32c3", "read-mac"]) == 0
    assert json.loads(capsys.readouterr().out)["chip"] == "ESP32-C3"
