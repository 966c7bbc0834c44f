"""A comparison goes on after trouble, and believes a difference that it has seen twice."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from esploader.errors import FlashError
from esploader.flash.hashing import md5_of
from esploader.urls import open_transport
from stub_files import shared_stubs
from unreliable_transport import UnreliableTransport
from untouched import connect, old_content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.device.device import Device

OFFSET = 0x1_0000
DATA = bytes(range(256)) * 64
MD5_RESPONSE = b"\xc0\x01\x13"


@pytest.fixture(name="line")
def _line() -> UnreliableTransport:
    return UnreliableTransport(open_transport("sim://esp32c3"))


@pytest.fixture(name="device", params=[True, False], ids=["stub", "rom"])
def _device(request: pytest.FixtureRequest, line: UnreliableTransport) -> Iterator[Device]:
    stub = shared_stubs() if request.param else False
    with connect(line, stub=stub) as device:
        device.flash.write([(OFFSET, DATA)])
        line.writes.clear()
        yield device


class Garbler:
    """Spoils the first so many chunks in which something occurs."""

    def __init__(self, what: bytes, instead: bytes, count: int) -> None:
        self.what, self.instead, self.left = what, instead, count

    def garble(self, data: bytes) -> bytes:
        if self.what in data and self.left:
            self.left -= 1
            return data.replace(self.what, self.instead)
        return data


@pytest.mark.parametrize("count", [1, 3])
def test_a_lost_response_leads_to_another_comparison(
    device: Device, line: UnreliableTransport, count: int
) -> None:
    garbler = Garbler(MD5_RESPONSE, b"", count)
    line.garble_input = garbler.garble
    assert device.flash.verify([(OFFSET, DATA)]) == ()
    assert not garbler.left


def test_a_garbled_digest_is_no_difference(device: Device, line: UnreliableTransport) -> None:
    received = 0

    def spoil_the_first_digest(data: bytes) -> bytes:
        nonlocal received
        if MD5_RESPONSE not in data:
            return data
        received += 1
        position = data.index(MD5_RESPONSE) + 12
        spoilt = data[:position] + b"0" + data[position + 1 :]
        return spoilt if received == 1 else data

    line.garble_input = spoil_the_first_digest
    assert device.flash.verify([(OFFSET, DATA)]) == ()
    assert received > 1


def test_what_was_read_elsewhere_is_no_difference() -> None:
    line = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(line, stub=shared_stubs()) as device:
        device.flash.write([(OFFSET, DATA)])
        changed = DATA[:0x123] + b"!" + DATA[0x124:]
        here, elsewhere = (
            b"\xd2\x10\0" + bytes(4) + struct.pack("<I", at) for at in (OFFSET, 0x2_0000)
        )
        garbler = Garbler(here, elsewhere, 1)
        line.garble_output = garbler.garble
        (difference,) = device.flash.verify([(OFFSET, changed)])
    assert not garbler.left
    assert (difference.start, difference.end) == (OFFSET + 0x123, OFFSET + 0x124)


def test_a_line_that_stays_dead_ends_in_an_error_that_says_where(
    device: Device, line: UnreliableTransport
) -> None:
    line.garble_input = Garbler(MD5_RESPONSE, b"", 1000).garble
    with pytest.raises(FlashError) as caught:
        device.flash.verify([(OFFSET, DATA)])
    assert (caught.value.offset, caught.value.total) == (OFFSET, len(DATA))


def test_a_hash_of_another_region_is_not_believed() -> None:
    asked, damaged = struct.pack("<II", 0, 0x1000), struct.pack("<II", 0, 0)
    left = [True]

    def damage_the_first(data: bytes) -> bytes:
        return data.replace(asked, damaged, left.pop()) if asked in data and left else data

    transport = UnreliableTransport(open_transport("sim://esp32"), garble_output=damage_the_first)
    with connect(transport, stub=False) as device:
        assert device.flash.md5(0, 0x1000) == md5_of(old_content(0x1000))
    assert not left
