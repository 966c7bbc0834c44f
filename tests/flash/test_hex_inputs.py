"""Intel HEX files as inputs of write_flash and verify_flash."""

from __future__ import annotations

import concurrent.futures
import os
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest
from intelhex import IntelHex

from esploader.cli import main
from esploader.errors import PlanError
from esploader.flash.inputs import read_pieces, settle_inputs
from untouched import connect, connect_as_it_is

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="path", params=["firmware.hex", "FIRMWARE.IHEX", "firmware.bin", "firmware"])
def _path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    content = IntelHex()
    content.puts(0x0, b"the first piece")
    content.puts(0x2_0000, b"the second one")
    path: Path = tmp_path / request.param
    content.write_hex_file(str(path))
    return path


def test_pieces_go_to_their_addresses_counted_from_the_offset(path: Path) -> None:
    with connect_as_it_is("sim://esp32c3", stub=False) as device:
        results = device.flash.write([(0x1_0000, path), (0x9000, b"other")])
        assert [result.offset for result in results] == [0x9000, 0x1_0000, 0x3_0000]
        assert device.flash.read(0x1_0000, 16) == b"the first piece\xff"
        assert device.flash.read(0x3_0000, 15) == b"the second one\xff"
        assert device.flash.verify([(0x1_0000, str(path))]) == ()
        assert len(device.flash.verify([(0x1_1000, path)])) == 2


def test_bytes_and_open_files_are_taken_as_they_are(path: Path) -> None:
    with connect("sim://esp32c3", stub=False) as device, path.open("rb") as file:
        device.flash.write([(0, path.read_bytes()), (0x1_0000, file)])
        assert device.flash.read(0, 8) == device.flash.read(0x1_0000, 8) == path.read_bytes()[:8]


def test_a_file_that_is_known_by_its_content_alone_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connect("sim://esp32c3", stub=False) as device:
        device.flash.write([(0x1_0000, path), (0x9000, path.read_bytes())])
        device.flash.verify([(0x1_0000, path)])
    told = [message for message in caplog.messages if "Intel HEX" in message]
    is_named = path.suffix.lower() in (".hex", ".ihex")
    remark = f"{path} is read as an Intel HEX file: that is what it holds"
    assert told == ([] if is_named else [remark] * 2)


def test_a_binary_file_that_begins_like_one_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b":00000001FF\n\x00\x01")
    with connect("sim://esp32c3", stub=False) as device:
        device.flash.write([(0x9000, path)])
        assert device.flash.read(0x9000, 14) == path.read_bytes()


def test_a_pipe_is_known_by_its_content_too(path: Path) -> None:
    pipe = path.parent / "pipe"
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_bytes, path.read_bytes())
        found = settle_inputs([(0x1000, pipe)])
        writing.result()
    pieces = read_pieces(found)
    assert [(piece.offset, piece.data) for piece in pieces] == [
        (0x1000, b"the first piece"),
        (0x2_1000, b"the second one"),
    ]


def test_a_program_for_ram_is_refused_by_name(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "sim://esp32c3", "--no-stub", "load-ram", str(path)]) == 2
    said = "the program cannot run here: it is no image but an Intel HEX file"
    assert said in capsys.readouterr().err


def test_a_piece_beyond_the_flash_is_refused(path: Path) -> None:
    with (
        connect("sim://esp32c3", stub=False) as device,
        pytest.raises(PlanError, match="beyond the flash"),
    ):
        device.flash.plan([(0x3F_0000, path)])


def test_the_commands_take_hex_files_and_leave_no_temporary_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    temporary = path.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    flash = path.parent / "flash.bin"
    port = ("--port", f"sim://esp32c3?file={flash}", "--no-stub")
    assert main([*port, "write_flash", "0x1000", str(path)]) == 0
    assert main([*port, "verify_flash", "0x1000", str(path)]) == 0
    assert flash.read_bytes()[0x2_1000:][:14] == b"the second one"
    assert main([*port, "verify_flash", "0", str(path)]) == 2
    assert list(temporary.iterdir()) == []
    assert "Verification successful" in capsys.readouterr().out


def test_intelhex_is_not_needed(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "intelhex", None)
    assert main(["--port", "sim://esp32c3", "--no-stub", "write_flash", "0", str(path)]) == 0
    assert "Hash of data verified" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["write_flash", "verify_flash"])
def test_of_a_file_with_an_odd_end_in_the_middle_nothing_is_used(
    path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join((*lines[:1], ":00100001EF", *lines[1:])))
    flash = path.parent / "flash.bin"
    assert main(["--port", f"sim://esp32c3?file={flash}", command, "0x1000", str(path)]) == 2
    assert "line 2: an end record is :00000001FF and nothing else" in capsys.readouterr().err
    assert flash.read_bytes() == b"\xff" * len(flash.read_bytes())
