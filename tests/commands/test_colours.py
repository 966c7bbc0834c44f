"""Colours on a terminal, none elsewhere; and what ``--quiet`` leaves out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader.cli import main
from esploader.commands.colours import coloured, has_colours
from esploader.commands.standard_stream import StandardStream
from programs import PATIENCE, environment, esploader

if TYPE_CHECKING:
    from pathlib import Path

pty = pytest.importorskip("pty")

FAILING = ("--port", "/dev/no-such-port", "flash-id")
"""It ends with an error and a hint."""


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


def on_terminal(*words: str, **settings: str) -> str:
    """Run our program with a terminal for stderr, and return what that shows."""
    master, slave = pty.openpty()
    variables = {**environment(), "TERM": "xterm", **settings}
    if "NO_COLOR" not in settings:
        variables.pop("NO_COLOR", None)
    try:
        done = subprocess.run(
            esploader(*words),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave,
            timeout=PATIENCE,
            env=variables,
        )
    finally:
        os.close(slave)
    shown = b""
    # The end of a terminal that nobody has open is an error on Linux.
    with contextlib.suppress(OSError):
        while data := os.read(master, 4096):
            shown += data
    os.close(master)
    assert b"\x1b" not in done.stdout
    return shown.decode()


def test_a_terminal_gets_colours() -> None:
    shown = on_terminal(*FAILING)
    assert "\x1b[1;31mA fatal error occurred:\x1b[0m " in shown
    assert "\x1b[1;36mHINT:\x1b[0m " in shown


def test_nobody_who_objects_to_colours_gets_any() -> None:
    shown = on_terminal(*FAILING, NO_COLOR="1")
    assert "A fatal error occurred: " in shown
    assert "\x1b" not in shown


def test_a_pipe_gets_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FAILING) == 2
    captured = capsys.readouterr()
    assert "A fatal error occurred: " in captured.err
    assert "\x1b" not in captured.out + captured.err


@pytest.mark.skipif(os.name == "nt", reason="Windows has its own way to say it")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({}, True),
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "0"}, False),
        ({"TERM": "dumb"}, False),
    ],
    ids=str,
)
def test_who_shows_colours(*, variables: dict[str, str], expected: bool) -> None:
    assert has_colours(StandardStream(Terminal(), print), variables) is expected
    assert not has_colours(StandardStream(io.StringIO(), print), variables)


def test_only_words_at_the_beginning_of_a_line_have_a_colour() -> None:
    assert coloured("\nWARNING: a NOTE: b\nHINT: c\n") == (
        "\n\x1b[1;33mWARNING:\x1b[0m a NOTE: b\n\x1b[1;36mHINT:\x1b[0m c\n"
    )


def test_quiet_leaves_the_result_of_what_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quiet", "--port", "sim://esp32c3", "read-mac"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "MAC:                24:0a:c4:00:00:01\n"
    assert not captured.err


def test_quiet_work_that_succeeds_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = tmp_path / "app.bin"
    app.write_bytes(b"app")
    quiet = ["-q", "--port", "sim://esp32c3", "--no-stub", "--baud", "460800"]
    assert main([*quiet, "write-flash", "0x10000", str(app)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert main([*quiet, "write-flash", "--dry-run", "0x10000", str(app)]) == 0
    assert capsys.readouterr().out.startswith("Would write:\n")


def test_quiet_errors_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quiet", *FAILING]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "A fatal error occurred: " in captured.err
    assert "HINT: " in captured.err


def test_quiet_warnings_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    port = ["--quiet", "--port", "sim://esp8266", "--no-stub", "--baud", "460800"]
    assert main([*port, "read-mac"]) == 0
    assert "WARNING: " in capsys.readouterr().err


def test_with_json_notes_stay_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--port", "sim://esp32c3", "--json", "chip-id"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "NOTE: ESP32-C3 has no chip id" in captured.err
    assert json.loads(captured.out)["chip_id"] is None
    assert main([*command, "--quiet"]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    assert json.loads(captured.out)["chip_id"] is None
