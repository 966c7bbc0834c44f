"""Programs that call esptool get the same from us: codes, tokens, and a device of their own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

import pytest

import esploader
from esploader import After, connect
from esploader.compat import esptool
from programs import run
from simulated import incompressible
from untouched import assert_untouched, old_content

C3 = ("--no-stub", "--port", "sim://esp32c3")


def code_of(*words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        esptool.main(words)
    return ended.value.code


def test_success_returns_and_says_what_others_look_for(capsys: pytest.CaptureFixture[str]) -> None:
    esptool.main([*C3, "flash_id"])
    text = capsys.readouterr().out
    assert re.match(r"esptool v5\.6\.0\b", text)
    assert f"esploader v{esploader.__version__}" in text.splitlines()[0]
    for token in ("Connected to ESP32-C3 on ", "MAC:   ", "Detected flash size: 4MB"):
        assert token in text


def test_the_version_is_that_of_the_command_line_that_is_understood(
    capsys: pytest.CaptureFixture[str],
) -> None:
    esptool.main(["version"])
    assert capsys.readouterr().out.splitlines()[-1] == esptool.__version__


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["--nonsense", "flash-id"],
        ["--port", "/dev/no-such-port", "flash-id"],
        [*C3, "--chip", "esp32", "flash-id"],
        [*C3, "read-flash", "0x400000", "1", "copy"],
    ],
    ids=lambda words: " ".join(words) or "nothing",
)
def test_failure_is_an_exit_with_2(words: list[str]) -> None:
    assert code_of(*words) == 2


def test_help_is_an_end_without_failure(capsys: pytest.CaptureFixture[str]) -> None:
    esptool.main(["--help"])
    assert "write-flash" in capsys.readouterr().out


def test_the_words_are_those_of_the_process_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["esptool", *C3, "read_mac"])
    esptool.main()
    assert "MAC: " in capsys.readouterr().out
    # No words are none, not those of the process.
    assert code_of() == 2


def test_a_device_that_is_connected_is_worked_on_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash, app = tmp_path / "flash.bin", tmp_path / "app.bin"
    before = old_content(4 << 20)
    flash.write_bytes(before)
    app.write_bytes(incompressible(0x1100))
    with connect(f"sim://esp32c3?file={flash}", baudrate=460800, stub=False) as device:
        stay = ("--port", "/dev/no-such-port", "--baud", "9600", "--after", "no-reset")
        esptool.main([*stay, "write-flash", "0x10000", str(app)], esp=device)
        text = capsys.readouterr().out
        assert "Hash of data verified." in text
        assert "Connecting" not in text
        assert "Changing baud rate" not in text
        assert device.flash.read(0x1_0000, 0x1100) == app.read_bytes()
        esptool.main(["read-mac"], esp=device)
        assert "Hard resetting via RTS pin..." in capsys.readouterr().out
        device.reset(After.HARD_RESET)
    assert_untouched(before, flash.read_bytes(), [(0x1_0000, 0x1_1100)])


def test_a_device_of_another_chip_is_refused_and_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with connect("sim://esp32c3", stub=False) as device:
        with pytest.raises(SystemExit, match="2"):
            esptool.main(["--chip", "esp32", "erase-region", "0", "4096"], esp=device)
        assert "this chip is ESP32-C3, not ESP32" in capsys.readouterr().err
        esptool.main(["--chip", "ESP32-C3", "flash-id"], esp=device)


class Queue:
    """What pytest-embedded and ESPHome put in place of a stream: no more than a program needs."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("command", ["flash-id", "read-flash", "fail"])
def test_streams_may_be_whatever_can_be_written(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout, stderr = Queue(), Queue()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    words = {
        "flash-id": ["flash-id"],
        "read-flash": ["read-flash", "0", "0x2000", str(tmp_path / "copy")],
        "fail": ["read-flash", "0x400000", "1", str(tmp_path / "copy")],
    }[command]
    if command == "fail":
        assert code_of(*C3, *words) == 2
        assert "A fatal error occurred: " in stderr.text
    else:
        esptool.main([*C3, *words])
    assert "Connected to ESP32-C3" in stdout.text
    assert "Hard resetting via RTS pin..." in stdout.text


def test_there_may_be_no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a program without a console on Windows.
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    esptool.main([*C3, "erase-region", "0", "4096"])
    assert code_of(*C3, "read-flash", "0x400000", "1", "copy") == 2


def test_it_is_a_program_of_its_own() -> None:
    program = (sys.executable, "-m", "esploader.compat.esptool")
    done = run(*program, *C3, "flash_id")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"esptool v{esptool.__version__}")
    assert not done.stderr
    done = run(*program, *C3, "fly")
    assert done.exit_code == 2
    assert "there is no command fly" in done.stderr


def test_nothing_is_installed_under_the_name_of_esptool() -> None:
    scripts = importlib.metadata.entry_points(group="console_scripts")
    ours = {each.name for each in scripts if each.value.startswith("esploader")}
    assert ours == {"esploader", "esploader-rfc2217-server"}
    # What `import esptool` finds is Espressif's, or nothing.
    spec = importlib.util.find_spec("esptool")
    assert spec is None or Path(esploader.__file__).parent not in Path(str(spec.origin)).parents
