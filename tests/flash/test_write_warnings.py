"""A write says when a request that erases may have been another one on its way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.protocol import slip
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice
from simulated import incompressible
from stub_files import shared_stubs
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.flash.write_plan import RegionResult

MIB = 1024 * 1024
FULL = incompressible(MIB)
OFFSET = 0x2_0000
DATA = FULL[0x8_0000:0x9_8000]
HOLLOW = DATA[:0x1_0000] + b"\xff" * 0x4_0000 + DATA[:0x1_0000]
ELSEWHERE = "something else in the flash may have been erased"

BEGIN_OFFSET_AT = 8 + 12
CHECKSUM_AT = 4
BEGINS = {Opcode.FLASH_BEGIN, Opcode.FLASH_DEFL_BEGIN}
BLOCKS = {Opcode.FLASH_DATA, Opcode.FLASH_DEFL_DATA}


def changed(
    opcodes: set[Opcode], number: int, change: Callable[[bytearray], object]
) -> Callable[[bytes], bytes]:
    """Return what changes the request with that number, from 0, among those of a kind."""
    left = [number]

    def pass_on(data: bytes) -> bytes:
        result = b""
        for event in slip.SlipDecoder().feed(data):
            if not isinstance(event, slip.Frame):
                return data  # An END to straighten out the framing.
            packet = bytearray(event.payload)
            # The ROM of the ESP8266 attaches the flash when a download of no bytes begins.
            is_empty = packet[1] == Opcode.FLASH_BEGIN and not any(packet[8:12])
            if packet[1] in opcodes and left and not is_empty:
                if left[0] == 0:
                    left.clear()
                    change(packet)
                else:
                    left[0] -= 1
            result += slip.encode(bytes(packet)) if packet else b""
        return result

    return pass_on


def divert(packet: bytearray) -> None:
    packet[BEGIN_OFFSET_AT + 2] ^= 0x08


def divert_erase(packet: bytearray) -> None:
    packet[8 + 2] ^= 0x08


def spoil(packet: bytearray) -> None:
    packet[CHECKSUM_AT] ^= 1


def lose(packet: bytearray) -> None:
    packet.clear()


def written(
    loader: str,
    garble: Callable[[bytes], bytes],
    *,
    data: bytes = DATA,
    compress: bool = False,
) -> tuple[RegionResult, bytes]:
    """Write over a line; return the result and all that the flash holds."""
    chip = "esp8266" if loader == "esp8266" else "esp32c3"
    simulated = SimulatedDevice(chip, flash_size=MIB)
    simulated.nor.program(0, FULL)
    transport = UnreliableTransport(simulated.open_transport())
    stub = shared_stubs() if loader == "stub" else False
    with connect(transport, stub=stub) as device:
        device.flash.prepare()
        device.flash.id()
        transport.garble_output = garble
        (result,) = device.flash.write([(OFFSET, data)], compress=compress)
    content = bytes(simulated.nor.read(0, MIB))
    assert content[OFFSET : OFFSET + len(data)] == data
    return result, content


def expected(data: bytes = DATA) -> bytes:
    return FULL[:OFFSET] + data + FULL[OFFSET + len(data) :]


every_way = pytest.mark.parametrize(
    ("loader", "compress"), [("stub", False), ("stub", True), ("rom", False), ("rom", True)]
)


@every_way
def test_on_a_clean_line_there_is_no_warning(loader: str, compress: bool) -> None:  # noqa: FBT001
    result, content = written(loader, bytes, compress=compress)
    assert result.warnings == ()
    assert result.restarts == 0
    assert content == expected()


@every_way
def test_a_download_that_went_elsewhere_is_told(
    loader: str,
    compress: bool,  # noqa: FBT001
) -> None:
    garble = changed(BEGINS, 0, divert)
    result, content = written(loader, garble, compress=compress)
    assert result.verified
    assert result.restarts
    assert any(ELSEWHERE in warning for warning in result.warnings)
    assert content != expected()
    start = OFFSET ^ 0x8_0000
    end = -(-(start + len(DATA)) // 0x1_0000) * 0x1_0000
    assert content[:start] + content[end:] == expected()[:start] + expected()[end:]


@every_way
@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_damaged_block_alone_is_no_reason_for_a_warning(
    loader: str,
    compress: bool,  # noqa: FBT001
    number: int,
) -> None:
    garble = changed(BLOCKS, number, spoil)
    result, content = written(loader, garble, compress=compress)
    assert result.restarts == 1
    assert result.warnings == ()
    assert content == expected()


@every_way
@pytest.mark.parametrize("number", [0, 2])
def test_nor_is_a_block_that_was_lost(
    loader: str,
    compress: bool,  # noqa: FBT001
    number: int,
) -> None:
    garble = changed(BLOCKS, number, lose)
    result, content = written(loader, garble, compress=compress)
    assert result.restarts == 1
    assert result.warnings == ()
    assert content == expected()


@pytest.mark.parametrize("number", [0, 2])
def test_a_download_that_went_elsewhere_and_broke_off_is_told(number: int) -> None:
    first, second = changed(BEGINS, 0, divert), changed(BLOCKS, number, spoil)
    result, content = written("rom", lambda data: second(first(data)))
    assert any(ELSEWHERE in warning for warning in result.warnings)
    assert content != expected()


def test_a_begin_without_an_answer_whose_region_is_not_erased_is_told() -> None:
    result, content = written("rom", changed(BEGINS, 0, lose))
    assert any(ELSEWHERE in warning for warning in result.warnings)
    assert content == expected()


@pytest.mark.parametrize("loader", ["stub", "rom"])
def test_a_blank_stretch_that_was_erased_elsewhere_is_told(loader: str) -> None:
    garble = (
        changed({Opcode.ERASE_REGION}, 0, divert_erase)
        if loader == "stub"
        else changed({Opcode.FLASH_BEGIN}, 1, divert)
    )
    result, content = written(loader, garble, data=HOLLOW)
    assert any(ELSEWHERE in warning for warning in result.warnings)
    assert content != expected(HOLLOW)


def test_the_loader_that_has_to_be_read_tells_it_too() -> None:
    data = DATA[:0x2000]
    garble = changed({Opcode.FLASH_BEGIN}, 0, divert)
    result, content = written("esp8266", garble, data=data)
    assert any(ELSEWHERE in warning for warning in result.warnings)
    assert content != expected(data)


def test_warnings_are_in_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from esploader.cli import main  # noqa: PLC0415

    image = tmp_path / "image.bin"
    image.write_bytes(DATA)
    port = ["--json", "--port", "sim://esp32c3", "--no-stub"]
    assert main([*port, "write-flash", "0x1000", str(image)]) == 0
    (region,) = json.loads(capsys.readouterr().out)["written"]
    assert region["warnings"] == []


@pytest.mark.parametrize("bit", [1, 2, 4])
def test_a_block_that_claims_to_be_larger_is_told(bit: int) -> None:
    def enlarge(packet: bytearray) -> None:
        packet[8 + 1] ^= 1 << bit

    # The last block, which is shorter than the one before; of what repeats itself the checksum
    # stays the same.
    data = DATA[:0x100] * 0x20
    result, content = written("rom", changed(BLOCKS, 1, enlarge), data=data)
    assert result.restarts
    assert any(ELSEWHERE in warning for warning in result.warnings)
    end = OFFSET + len(data)
    assert content[:end] == expected(data)[:end]
    assert content[end:] != FULL[end:], "which is what the warning is for"
    assert content[end + 0x2000 :] == FULL[end + 0x2000 :]
