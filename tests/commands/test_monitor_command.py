"""What ``monitor`` shows, keeps and ends with, where there is no terminal."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.simulator.rom.minimal_image import minimal_image
from full_disk import files_of_at_most
from loaded_commands import esploader
from programs import environment, free_port, read_line, run, running, served_chip
from served import server_process

if TYPE_CHECKING:
    from pathlib import Path

SIM = "sim://esp32c3"
STAMP = r"\[20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] "


def monitor(*options: str, port: str = SIM) -> int:
    return main(["monitor", "--port", port, "--timeout", "20", *options])


def test_what_the_device_says_after_a_reset_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor("--until", "invalid header") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("ESP-ROM:esp32c3")
    assert "boot:0xd (SPI_FAST_FLASH_BOOT)\n" in captured.out
    assert "\r" not in captured.out
    assert captured.err == f"--- {SIM} at 115200 baud\n"


def test_without_a_reset_a_silent_device_stays_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--port", SIM, "--no-reset", "--timeout", "0.2"]) == 0
    assert capsys.readouterr().out == ""


def test_what_does_not_come_in_time_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--until", "never", "--timeout", "0.2")
    assert main(["monitor", "--port", SIM, *options]) == 2
    assert "it has not said 'never' within 0.2 s" in capsys.readouterr().err
    assert main(["--exit-codes", "detailed", "monitor", "--port", SIM, *options]) == 61


def test_what_must_not_come_is_an_error_and_what_follows_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert monitor("--fail-on", "^rst:") == 2
    captured = capsys.readouterr()
    assert "it says 'rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)'" in captured.err
    assert "invalid header" in captured.out


def test_a_line_need_not_have_ended_to_be_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor("--until", "invalid head") == 0
    assert capsys.readouterr().out


def test_each_line_has_its_time_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor("--until", "invalid header", "--timestamps", "absolute") == 0
    for line in capsys.readouterr().out.splitlines():
        assert re.match(STAMP, line)


def test_the_log_has_the_bytes_as_they_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "boot.log"
    log.write_bytes(b"before\n")
    assert monitor("--until", "invalid header", "--log", str(log)) == 0
    kept = log.read_bytes()
    assert kept.startswith(b"before\nESP-ROM:esp32c3-api1-20210207\r\n")
    assert kept.count(b"\r\n") >= capsys.readouterr().out.count("\n") - 1


def test_the_log_has_times_too_where_they_are_wanted(tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    assert monitor("--until", "invalid", "--log", str(log), "--timestamps", "relative") == 0
    first, second, *_ = log.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\[ +\d\.\d{3}\] ESP-ROM:esp32c3-api1-20210207", first)
    assert re.match(r"\[ +\d\.\d{3}\] ", second)


def test_a_log_that_cannot_be_written_is_refused_before_there_is_a_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert monitor("--log", str(tmp_path), port="/dev/nothing") == 2
    assert f"'{tmp_path}' cannot be written" in capsys.readouterr().err


def test_a_full_disk_ends_the_log_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_of_at_most(30):
        assert monitor("--until", "invalid header", "--log", str(tmp_path / "boot.log")) == 0
    captured = capsys.readouterr()
    assert "invalid header" in captured.out
    assert captured.err.count("nothing more is written to") == 1


def test_raw_output_has_every_byte(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert monitor("--until", "invalid header", "--raw") == 0
    assert b"ESP-ROM:esp32c3-api1-20210207\r\n" in capfdbinary.readouterr().out


def test_a_port_without_lines_is_watched_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with served_chip("sim://esp32c3?state=download", "--realtime", "--tcp", "0") as urls:
        assert main(["monitor", "--port", urls["tcp"], "--timeout", "0.3"]) == 0
    assert "cannot set DTR and RTS" in capsys.readouterr().err


def test_a_port_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--exit-codes", "detailed", "monitor", "--port", "/dev/nothing"]) == 11
    assert "there is no such device" in capsys.readouterr().err


def test_the_rate_for_flashing_is_not_that_of_the_application(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPTOOL_BAUD", "921600")
    for options, rate in (
        ([], 115200),
        (["--baud", "74880"], 74880),
    ):
        assert main(["monitor", "--port", SIM, "--timeout", "0.1", *options]) == 0
        assert f"at {rate} baud" in capsys.readouterr().err
    assert main(["--baud", "9600", "--port", SIM, "monitor", "--timeout", "0.1"]) == 0
    assert "at 9600 baud" in capsys.readouterr().err


def test_a_wrong_rate_is_suspected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--port", SIM, "--baud", "460800", "--timeout", "1"]) == 0
    assert "the baud rate may be another one" in capsys.readouterr().err


def test_nothing_is_said_but_what_the_device_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor("--quiet", "--until", "invalid header") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}"])
def test_what_is_no_pattern_is_refused(pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor("--until", pattern) == 2
    assert "is no regular expression" in capsys.readouterr().err


def test_who_reads_no_further_ends_it() -> None:
    command = " ".join(esploader("monitor", "--port", SIM))
    done = run(
        "bash", "-c", f"{command} 2>/dev/null | head -1; echo ${{PIPESTATUS[0]}}", timeout=60
    )
    assert done.stdout.splitlines() == ["ESP-ROM:esp32c3-api1-20210207", "141"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_and_the_port_is_free(number: signal.Signals) -> None:
    with server_process("--tcp-port", "0", SIM, stderr=subprocess.DEVNULL) as (_, (url,)):
        for _ in range(2):
            with running(*esploader("monitor", "--port", url), stderr=subprocess.PIPE) as process:
                assert "ESP-ROM" in read_line(process)
                process.send_signal(number)
                assert process.wait(20) == -number


def test_it_outlives_its_server() -> None:
    port = free_port()
    url = f"rfc2217://127.0.0.1:{port}"
    serve = ("--tcp-port", str(port), SIM)
    command = esploader("monitor", "--port", url)
    with server_process(*serve, stderr=subprocess.DEVNULL) as (server, _):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        with process:
            try:
                assert process.stderr is not None
                said = iter(process.stderr.readline, "")
                assert "at 115200 baud" in next(said)
                server.terminate()
                assert "the port is lost: " in next(said)
                server.wait(20)
                with server_process(*serve, stderr=subprocess.DEVNULL):
                    while "there again" not in (line := next(said)):
                        assert "the port is lost: " in line
            finally:
                process.terminate()


def test_the_application_that_was_flashed_is_watched_from_its_first_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "app.bin"
    image.write_bytes(minimal_image(ESP32_C3))
    with served_chip(SIM, "--realtime", "--rfc2217", "0") as urls:
        for port in (urls["rfc2217"], SIM):
            write = ("--no-stub", "--baud", "921600", "write-flash", "0", str(image))
            watch = ("--monitor", "--until", "Hello from", "--timeout", "20")
            code = main(["--port", port, *write, *watch])
            captured = capsys.readouterr()
            assert code == 0, captured.err
            watched = captured.out.partition("Hard resetting via RTS pin...\n")[2]
            assert watched.startswith("ESP-ROM:esp32c3-api1-20210207\nBuild:")
            assert watched.endswith("Hello from the simulated application\n")


def test_nobody_watches_where_nothing_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "app.bin"
    image.write_bytes(b"app")
    words = ["--port", SIM, "--no-stub", "write-flash", "0x10000", str(image), "--monitor"]
    assert main([*words, "--dry-run"]) == 0
    assert "ESP-ROM" not in capsys.readouterr().out
    for excluded in (["--json"], ["--record", str(tmp_path / "record")]):
        assert main([*excluded, *words]) == 2
        assert "--monitor with" in capsys.readouterr().err
