"""Nothing protects the offset in a request; success is not claimed on trust."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from esploader.protocol import slip
from esploader.simulator import SimulatedDevice, SimulatedTransport
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = random.Random(2).randbytes(0x40000)  # noqa: S311 - data, not a secret
OFFSET = 0x10000

FLASH_BEGIN, FLASH_DATA, READ_FLASH = 0x02, 0x03, 0xD2
OFFSET_IN_PACKET = 8 + 12
CHECKSUM_IN_PACKET = 4


class Saboteur:
    """Spoils the checksum of one block, and the offset of the begin that follows."""

    def __init__(self, spoilt_block: int) -> None:
        self._blocks_left = spoilt_block
        self.misdirected = False

    def spoil(self, data: bytes) -> bytes:
        packets = slip.SlipDecoder().feed(data)
        if len(packets) != 1 or not isinstance(packets[0], slip.Frame):
            return data
        packet = bytearray(packets[0].payload)
        if packet[1] == FLASH_DATA and self._blocks_left:
            self._blocks_left -= 1
            if self._blocks_left == 0:
                packet[CHECKSUM_IN_PACKET] ^= 1
        elif packet[1] == FLASH_BEGIN and not self._blocks_left and not self.misdirected:
            self.misdirected = True
            begin = OFFSET + 0x1000
            packet[OFFSET_IN_PACKET : OFFSET_IN_PACKET + 4] = begin.to_bytes(4, "little")
        return slip.encode(bytes(packet))


@pytest.mark.parametrize("loader", ["stub", "rom"])
@pytest.mark.parametrize("spoilt_block", [3, 8])
def test_what_was_in_place_is_looked_at_again_after_trouble(
    loader: str, spoilt_block: int, tmp_path: Path
) -> None:
    device = SimulatedDevice("esp32c3")
    saboteur = Saboteur(spoilt_block)
    transport = UnreliableTransport(SimulatedTransport(device), garble_output=saboteur.spoil)
    stub = stub_directory(tmp_path) if loader == "stub" else False
    with connect(transport, stub=stub) as target:
        target.flash.write([(OFFSET, IMAGE)], compress=False)
    assert saboteur.misdirected
    assert bytes(device.nor.read(OFFSET, len(IMAGE))) == IMAGE


class Diverter:
    """Spoils the offset of the first request to read."""

    def __init__(self) -> None:
        self.diverted = False

    def spoil(self, data: bytes) -> bytes:
        packets = slip.SlipDecoder().feed(data)
        if self.diverted or len(packets) != 1 or not isinstance(packets[0], slip.Frame):
            return data
        packet = bytearray(packets[0].payload)
        if packet[1] == READ_FLASH:
            self.diverted = True
            packet[8:12] = (OFFSET + 0x1000).to_bytes(4, "little")
        return slip.encode(bytes(packet))


def test_what_was_read_from_elsewhere_is_read_again(tmp_path: Path) -> None:
    device = SimulatedDevice("esp32c3")
    diverter = Diverter()
    transport = UnreliableTransport(SimulatedTransport(device), garble_output=diverter.spoil)
    with connect(transport, stub=stub_directory(tmp_path)) as target:
        target.flash.write([(OFFSET, IMAGE)])
        assert target.flash.read(OFFSET, 0x8000) == IMAGE[:0x8000]
    assert diverter.diverted
