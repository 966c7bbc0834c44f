"""What not every ROM loader takes is given up by itself when an answer is missing or odd."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from esploader.protocol import slip
from esploader.protocol.opcodes import Opcode
from esploader.urls import open_transport
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER_SIZE = 8
ENTRY_SIZE = 16
BLOCK_SIZE_AT = HEADER_SIZE + 8
IMAGE = random.Random(5).randbytes(0x5000)  # noqa: S311 - data, not a secret

UNKNOWN_OPCODE = 0x7E


def changed(frames: bytes, opcodes: set[int], change: Callable[[bytearray], bytes]) -> bytes:
    """Return what is sent with every request of a kind replaced by what ``change`` returns."""
    result = b""
    for event in slip.SlipDecoder().feed(frames):
        assert isinstance(event, slip.Frame)
        packet = bytearray(event.payload)
        if packet[1] in opcodes:
            kept = change(packet)
            result += slip.encode(kept) if kept else b""
        else:
            result += slip.encode(event.payload)
    return result


def resized(packet: bytearray, size: int) -> bytes:
    """Return a request cut to ``size`` bytes of body."""
    return bytes(packet[:2] + struct.pack("<H", size) + packet[4 : HEADER_SIZE + size])


def only_first_entry(packet: bytearray) -> bytes:
    return resized(packet, ENTRY_SIZE)


def refused(packet: bytearray) -> bytes:
    """Return a request that no ROM takes, in place of one with several entries."""
    if len(packet) > HEADER_SIZE + ENTRY_SIZE:
        packet[1] = UNKNOWN_OPCODE
    return bytes(packet)


def lost(packet: bytearray) -> bytes:
    return bytes(packet) if len(packet) == HEADER_SIZE + ENTRY_SIZE else b""


@pytest.mark.parametrize("change", [only_first_entry, refused, lost])
@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32c3"])
def test_a_loader_that_takes_one_write_at_a_time(
    chip: str, change: Callable[[bytearray], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    transport = UnreliableTransport(open_transport(f"sim://{chip}"))
    transport.garble_output = lambda data: changed(data, {Opcode.WRITE_REG}, change)
    with connect(transport, stub=False) as device:
        assert device.flash.id().jedec_id == 0x1640C8
        assert device.session.max_write_reg_entries == 1
        assert device.flash.sfdp(0, 4) == b"SFDP"
    assert sum("several writes" in record.getMessage() for record in caplog.records) == 1


def test_a_loader_that_takes_batches_is_asked_once_whether_it_does() -> None:
    with connect("sim://esp32c3", stub=False) as device:
        assert device.session.abilities.are_batches_doubtful(device.session.dialect)
        device.flash.id()
        assert not device.session.abilities.are_batches_doubtful(device.session.dialect)
        assert device.session.max_write_reg_entries > 1


def too_large(packet: bytearray) -> bool:
    (size,) = struct.unpack_from("<I", packet, BLOCK_SIZE_AT)
    return bool(size > 0x400)


def refuse_begin(packet: bytearray) -> bytes:
    if too_large(packet):
        # As a ROM refuses a block that is too large for it.
        struct.pack_into("<I", packet, BLOCK_SIZE_AT, 0x10000)
    return bytes(packet)


def lose_begin(packet: bytearray) -> bytes:
    return b"" if too_large(packet) else bytes(packet)


def lose_block(packet: bytearray) -> bytes:
    return b"" if len(packet) > HEADER_SIZE + 16 + 0x400 else bytes(packet)


BEGINS = {int(Opcode.FLASH_BEGIN), int(Opcode.FLASH_DEFL_BEGIN)}
BLOCKS = {int(Opcode.FLASH_DATA), int(Opcode.FLASH_DEFL_DATA)}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("opcodes", "change"),
    [(BEGINS, refuse_begin), (BEGINS, lose_begin), (BLOCKS, lose_block)],
    ids=["refuses BEGIN", "ignores BEGIN", "ignores a block"],
)
def test_a_loader_that_takes_small_blocks_only(
    opcodes: set[int],
    change: Callable[[bytearray], bytes],
    compress: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    transport.garble_output = lambda data: changed(data, opcodes, change)
    with connect(transport, stub=False) as device:
        (result,) = device.flash.write([(0x1000, IMAGE)], compress=compress)
        assert result.restarts == 2, "one failure may be the fault of the line"
        assert device.session.flash_block_size == 0x400
        assert device.flash.verify([(0x1000, IMAGE)]) == ()


def test_a_loader_that_takes_large_blocks_gets_them() -> None:
    with connect("sim://esp32c3", stub=False) as device:
        (result,) = device.flash.write([(0x1000, IMAGE)])
        assert result.restarts == 0
        assert device.session.flash_block_size == 0x1800
