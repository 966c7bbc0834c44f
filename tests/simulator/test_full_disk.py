"""What cannot be written to a file of ours ends in one sentence, and nothing is claimed."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
import serial

from esploader import connect
from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.commands.output_file import OutputFile
from esploader.commands.port_file import port_file
from esploader.errors import ConfigError, FlashError, FlashFileError, PlanError, UrlError
from esploader.simulator import SimulatedDevice, open_simulated
from esploader.simulator.line.transport import RealTimeTransport
from esploader.urlhandler.protocol_sim import Serial
from full_disk import files_of_at_most, small_disk
from programs import esploader, run

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256 * 1024
CODE = EXPLANATIONS[FlashFileError].code
DATA = bytes(range(256)) * 64


def fatal_errors(stderr: str) -> list[str]:
    return re.findall(r"A fatal error occurred: (.*)", stderr)


def test_a_flash_for_which_there_is_no_room_is_refused_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "flash.bin"
    url = f"sim://esp32c3?flash=256KB&file={path}"
    with files_of_at_most(SIZE // 2):
        with pytest.raises(UrlError, match=f"{path}: File too large"):
            open_simulated(url)
        with pytest.raises(OSError, match="File too large"):
            SimulatedDevice("esp32c3", flash_size=SIZE, flash=path)
        assert main(["--port", url, "flash-id"]) == 2
    assert len(fatal_errors(capsys.readouterr().err)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_short_file_for_which_there_is_no_room_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"precious")
    with files_of_at_most(SIZE // 2), pytest.raises(OSError, match="File too large"):
        SimulatedDevice("esp32c3", flash_size=SIZE, flash=path)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"precious"]


@pytest.mark.parametrize("command", ["write-flash", "erase-region"])
def test_a_change_that_cannot_be_kept_is_no_success(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, image = tmp_path / "flash.bin", tmp_path / "image.bin"
    path.write_bytes(bytes(SIZE))
    image.write_bytes(DATA)
    words = {"write-flash": ["0x20000", str(image)], "erase-region": ["0x20000", "0x4000"]}
    port = ["--port", f"sim://esp32c3?flash=256KB&file={path}", "--no-stub"]
    with files_of_at_most(SIZE // 2):
        assert main(["--exit-codes", "detailed", *port, command, *words[command]]) == CODE
    captured = capsys.readouterr()
    (complaint,) = fatal_errors(captured.err)
    assert complaint.endswith(f"cannot be written to its file {path}: File too large")
    assert not re.search("Wrote|verified|successfully", captured.out)
    assert path.read_bytes() == bytes(SIZE)
    assert sorted(tmp_path.iterdir()) == [path, image]


def test_a_change_that_cannot_be_kept_is_kept_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(bytes(SIZE))
    device = SimulatedDevice("esp32c3", flash_size=SIZE, flash=path)
    with connect(device.open_transport(), stub=False) as connected:
        with files_of_at_most(SIZE // 2), pytest.raises(FlashError, match="to its file"):
            connected.flash.erase_region(0x2_0000, 0x1000)
        assert path.read_bytes() == bytes(SIZE)
    device.close()
    assert path.read_bytes() == device.flash
    assert path.read_bytes() == bytes(0x2_0000) + b"\xff" * 0x1000 + bytes(SIZE - 0x2_1000)


def test_a_port_that_cannot_keep_its_flash_says_so_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    device = SimulatedDevice("esp32c3", flash_size=SIZE, flash=path)
    port = device.open_transport()
    with files_of_at_most(SIZE // 2):
        device.nor.erase(0, 0x1000)
        device.nor.program(0x2_0000, DATA)
        with pytest.raises(FlashFileError, match="File too large"):
            port.read(port.clock.now())
        with pytest.raises(FlashFileError, match="File too large"):
            port.close()
    device.close()
    assert path.read_bytes() == device.flash


def test_so_does_the_port_of_pyserial(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "flash.bin"
    path.parent.mkdir()
    name = f"sim://esp32c3?flash=256KB&state=download&file={path}"
    port = Serial(name)
    path.unlink()
    path.parent.rmdir()
    transport = port._transport  # noqa: SLF001 - nothing else can change its flash so quickly
    assert isinstance(transport, RealTimeTransport)
    transport.device.nor.program(0, b"\0")
    with pytest.raises(serial.SerialException, match="cannot be written to its file"):
        port.close()
    port.close()


@pytest.mark.parametrize("command", ["write-flash", "erase-region"])
def test_a_full_disk(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(DATA)
    folder = tmp_path / "disk"
    folder.mkdir()
    words = {"write-flash": ["0x20000", str(image)], "erase-region": ["0x20000", "0x4000"]}
    with small_disk(folder, 64):
        path = folder / "flash.bin"
        port = ["--port", f"sim://esp32c3?flash=256KB&file={path}", "--no-stub"]
        assert main([*port, command, *words[command]]) == 2
        (complaint,) = fatal_errors(capsys.readouterr().err)
        assert "No space left on device" in complaint
        assert list(folder.iterdir()) == []
        # A file whose place on the disk is not there yet.
        with path.open("wb") as file:
            file.truncate(SIZE)
        with (folder / "rest").open("wb") as file, contextlib.suppress(OSError):
            file.write(bytes(64 * 1024))
        assert main(["--exit-codes", "detailed", *port, command, *words[command]]) == CODE
        captured = capsys.readouterr()
        (complaint,) = fatal_errors(captured.err)
        assert "No space left on device" in complaint
        assert not re.search("Wrote|verified|successfully", captured.out)
        assert path.read_bytes() == bytes(SIZE)


@pytest.mark.slow  # a client waits for the port to come back
def test_a_program_that_is_run_with_a_device_on_a_full_disk_is_no_success(tmp_path: Path) -> None:
    path, image = tmp_path / "flash.bin", tmp_path / "image.bin"
    path.write_bytes(bytes(SIZE))
    image.write_bytes(DATA)
    write = esploader("--port", "{port}", "--no-stub", "write-flash", "0x20000", str(image))
    url = f"sim://esp32c3?flash=256KB&file={path}"
    with files_of_at_most(SIZE // 2):
        done = run(*esploader("--exit-codes", "detailed", "sim", "run", "-c", url, "--", *write))
    assert done.exit_code == CODE
    assert fatal_errors(done.stderr)[-1].endswith("File too large")
    assert "Hash of data verified" not in done.stdout
    assert path.read_bytes() == bytes(SIZE)


# Other files ---------------------------------------------------------------------------


@pytest.mark.parametrize("older", [None, b"older"])
def test_what_was_read_and_cannot_be_written_leaves_the_older_file(
    older: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "read.bin"
    if older is not None:
        path.write_bytes(older)
    with files_of_at_most(4096):
        arguments = ["--port", "sim://esp32c3", "--no-stub", "read-flash", "0", "8192", str(path)]
        assert main(arguments) == 2
    captured = capsys.readouterr()
    assert fatal_errors(captured.err) == [f"{path} cannot be written: File too large"]
    assert "Read 8192 bytes" not in captured.out
    assert [each.read_bytes() for each in tmp_path.iterdir()] == ([older] if older else [])


def test_a_recording_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recording.json"
    port = ["--port", "sim://esp32", "--no-stub", "--exit-codes", "detailed"]
    with files_of_at_most(16):
        code = main([*port, "--record", str(path), "flash-id"])
        assert code == EXPLANATIONS[PlanError].code
        assert fatal_errors(capsys.readouterr().err) == [
            f"{path} cannot be written: File too large"
        ]
        # What went wrong before counts for more.
        assert main([*port, "--record", str(path), "erase-flash"]) == 32
    captured = capsys.readouterr()
    assert f"WARNING: {path} cannot be written: File too large" in captured.err
    assert len(fatal_errors(captured.err)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_port_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ports.txt"
    with (
        files_of_at_most(8),
        port_file(str(path)) as write,
        pytest.raises(ConfigError, match="it cannot be written: File too large"),
    ):
        write([("rfc2217://127.0.0.1:1", "port")])
    assert list(tmp_path.iterdir()) == []


def test_an_output_whose_folder_is_gone_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with OutputFile.open(folder / "file") as file:
        for each in folder.iterdir():
            each.unlink()
        folder.rmdir()
        with pytest.raises(PlanError, match="cannot be written: No such file"):
            file.write(b"data")
