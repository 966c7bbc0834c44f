"""What esptool 5.6 gets wrong, and ours does not: a test for each where none was before.

The table in docs/flash.md leads from each defect to its test.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.errors import VerifyError
from esploader.urls import open_transport
from programs import served_chip
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

FLASH_DATA = 0x03
SPI_SET_PARAMS = 0x0B
FLASH_DEFL_DATA = 0x11
GET_SECURITY_INFO = 0x14

MIB = 1 << 20


@attrs.define
class AnswerThief:
    """Takes the answer to the n-th request with some opcode, and nothing else."""

    opcode: int
    number: int
    seen: int = 0
    has_taken: bool = False

    def see(self, sent: bytes) -> bytes:
        """Look at what is sent."""
        if sent[:2] == b"\xc0\x00" and sent[2] == self.opcode:
            self.seen += 1
        return sent

    def take(self, received: bytes) -> bytes:
        """Return what is left of what is received."""
        if self.seen < self.number or self.has_taken or not received:
            return received
        self.has_taken = True
        return b""


def stolen_from(chip: str, thief: AnswerThief) -> UnreliableTransport:
    """Return a port to a simulated chip with a thief on the line."""
    return UnreliableTransport(
        open_transport(f"sim://{chip}"), garble_output=thief.see, garble_input=thief.take
    )


@pytest.mark.parametrize(
    ("chip", "opcode", "has_stub"),
    [
        pytest.param(chip, opcode, has_stub, id=f"{chip}-{how}-{'stub' if has_stub else 'rom'}")
        for chip in ("esp32", "esp32s2", "esp32s3", "esp32c3")
        for opcode, how in ((FLASH_DATA, "plain"), (FLASH_DEFL_DATA, "compressed"))
        for has_stub in (True, False)
        # That ROM gets nothing compressed.
        if (chip, how, has_stub) != ("esp32", "compressed", False)
    ],
)
def test_a_lost_acknowledgement_is_recovered_from(
    chip: str, opcode: int, tmp_path: Path, *, has_stub: bool
) -> None:
    data = b"".join(struct.pack("<I", index * 2654435761 % 2**32) for index in range(0x4000))
    thief = AnswerThief(opcode, number=2)
    stub = stub_directory(tmp_path) if has_stub else False
    with connect(stolen_from(chip, thief), stub=stub) as device:
        (result,) = device.flash.write([(0x1_0000, data)], compress=opcode == FLASH_DEFL_DATA)
        assert thief.has_taken
        assert result.restarts == 1
        assert device.flash.verify([(0x1_0000, data)]) == ()


@pytest.mark.parametrize("chip", ["esp32s2", "esp32s3", "esp32c3"])
def test_a_lost_answer_about_the_security_state_is_asked_for_again(chip: str) -> None:
    thief = AnswerThief(GET_SECURITY_INFO, number=1)
    with connect(f"sim://{chip}") as device:
        expected = device.security.read()
    transport = stolen_from(chip, thief)
    with connect(transport) as device:
        thief.seen, thief.has_taken = 0, False
        assert device.security.read() == expected
        assert thief.has_taken


def test_what_goes_wrong_in_the_final_reset_does_not_hide_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(b"this is not what the flash holds")
    # A stub cannot start the application, so the soft reset fails, too.
    options = ["--stub", str(stub_directory(tmp_path)), "--after", "soft-reset"]
    arguments = ["--port", "sim://esp32", *options, "--exit-codes", "detailed"]
    assert main([*arguments, "verify-flash", "0", str(path)]) == EXPLANATIONS[VerifyError].code
    complaint = capsys.readouterr().err
    assert "NOTE: the device is not left as --after says: a soft reset: a stub runs" in complaint
    assert "A fatal error occurred: 32 bytes of flash differ" in complaint
    assert complaint.count("A fatal error occurred: ") == 1
    assert main([*arguments, "erase-region", "0", "0x1000"]) != 0
    assert "soft reset" in capsys.readouterr().err


def test_a_port_without_lines_is_not_said_to_be_reset_by_rts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with served_chip("esp32c3", "--tcp", "0") as urls:
        assert main(["--port", urls["tcp"], "flash-id"]) == 0
    captured = capsys.readouterr()
    assert "RTS" not in captured.out
    assert captured.err.count("this port cannot reset the device") == 1
    assert captured.err.count("this port has no DTR and RTS") == 1
    assert "the device stays in download mode" in captured.err


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3"])
def test_no_note_is_repeated(chip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stub = ["--stub", str(stub_directory(tmp_path))]
    assert main(["--port", f"sim://{chip}", *stub, "erase-region", "0", "0x1000"]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == len(set(notes))


def test_files_of_settings_and_variables_are_no_reason_not_to_be_imported(tmp_path: Path) -> None:
    (tmp_path / "esptool.cfg").write_text("[esptool]\ntimeout = soon\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "import esploader.cli, esploader.device.device, esploader.urls"],
        check=False,
        cwd=tmp_path,
        env={
            "ESPTOOL_BAUD": "fast",
            "ESPTOOL_CHIP": "none",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3", "esp32c3"])
def test_erasing_a_region_through_the_rom_tells_it_the_true_size_of_the_flash(chip: str) -> None:
    transport = UnreliableTransport(open_transport(f"sim://{chip}?flash=8MB"))
    with connect(transport, stub=False) as device:
        device.flash.erase_region(0x1000, 0x1000)
        device.flash.write([(7 * MIB, b"near the end")])
        assert device.flash.read(7 * MIB, 12) == b"near the end"
    # Several requests go at once.
    frames = b"".join(transport.writes).split(b"\xc0")
    sizes = {
        struct.unpack_from("<I", frame, 12)[0]
        for frame in frames
        if frame[:2] == bytes((0, SPI_SET_PARAMS))
    }
    assert sizes == {8 * MIB}
