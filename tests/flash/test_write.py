"""What a write says when it gives up."""

from __future__ import annotations

import pytest

from esploader.errors import FlashError
from esploader.urls import open_transport
from unreliable_transport import UnreliableTransport
from untouched import connect

OFFSET = 0x1_0000
DATA = b"data" * 0x4000
BLOCK_SIZE = 0x1800
FLASH_DATA = b"\xc0\x00\x03"
READ_FLASH_SLOW = b"\xc0\x00\x0e"


class DyingLine:
    """Passes on a number of requests that begin with some bytes, and then nothing any more."""

    def __init__(self, prefix: bytes, count: int) -> None:
        self.prefix, self.left = prefix, count

    def pass_on(self, data: bytes) -> bytes:
        if self.left <= 0:
            return b""
        self.left -= data.count(self.prefix)
        return data


def test_giving_up_tells_what_was_confirmed_and_what_was_only_acknowledged() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport, stub=False) as device:
        transport.garble_output = DyingLine(FLASH_DATA, 3).pass_on
        with pytest.raises(FlashError) as caught:
            device.flash.write([(OFFSET, DATA)], compress=False)
    error = caught.value
    assert (error.offset, error.confirmed, error.total) == (OFFSET, 0, len(DATA))
    assert error.acknowledged == OFFSET + 3 * BLOCK_SIZE
    assert "0 of 65536 bytes confirmed, acknowledged up to 0x14800" in str(error)


def test_giving_up_a_read_tells_it_too() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport, stub=False) as device:
        transport.garble_output = DyingLine(READ_FLASH_SLOW, 3 * 0x1000 // 64).pass_on
        with pytest.raises(FlashError) as caught:
            device.flash.read(OFFSET, 0x8000)
    error = caught.value
    assert OFFSET < error.offset == OFFSET + error.confirmed <= error.acknowledged
    assert error.acknowledged <= OFFSET + 3 * 0x1000
