"""What only the loader can know is believed when it came twice; a garbled request does not do."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs
import pytest

from device_operations import (
    ESP32_C3_ROM,
    ESP32_C3_STUB,
    ESP32_ROM,
    ESP32_STUB,
    FLASH_SIZE,
    OFFSET,
    SIZE,
    Loader,
    small_stub,
)
from esploader import connect
from esploader.errors import FlashLostError
from esploader.flash.plan import SECTOR_SIZE
from esploader.loader.stub import StubImage
from esploader.protocol import slip
from esploader.protocol.opcodes import Opcode
from esploader.session.confirming import read_words
from esploader.simulator import SimulatedDevice, SimulatedTransport
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device

loaders = pytest.mark.parametrize(
    "loader", [ESP32_ROM, ESP32_STUB, ESP32_C3_ROM, ESP32_C3_STUB], ids=lambda loader: loader.key
)

DATA = random.Random(7).randbytes(SIZE)  # noqa: S311 - data, not a secret


@attrs.define
class Saboteur:
    """Does something to the first request with an opcode, once it is told to."""

    opcode: Opcode = Opcode.SYNC
    spoil: Callable[[bytearray], bytes] = bytes
    is_ready: bool = False

    def next(self, opcode: Opcode, spoil: Callable[[bytearray], bytes]) -> None:
        """Wait for such a request."""
        self.opcode, self.spoil, self.is_ready = opcode, spoil, True

    def pass_on(self, data: bytes) -> bytes:
        """Return what arrives of what was sent."""
        if not self.is_ready:
            return data
        sent = bytearray()
        for frame in slip.SlipDecoder().feed(data):
            assert isinstance(frame, slip.Frame)
            packet = bytearray(frame.payload)
            if packet[1] == self.opcode and self.is_ready:
                self.is_ready = False
                sent += self.spoil(packet)
            else:
                sent += slip.encode(frame.payload)
        return bytes(sent)


def flip(position: int, bit: int) -> Callable[[bytearray], bytes]:
    def spoil(packet: bytearray) -> bytes:
        packet[position] ^= 1 << bit
        return slip.encode(bytes(packet))

    return spoil


def split(packet: bytearray) -> bytes:
    """Return a frame in which a byte has become an END: two, and neither is a request."""
    return slip.encode(bytes(packet[:6])) + slip.encode(bytes(packet[7:]))


def connected(
    loader: Loader, tmp_path: Path, flash: dict[int, bytes] | None = None
) -> tuple[Device, SimulatedDevice, Saboteur]:
    saboteur = Saboteur()
    simulated = SimulatedDevice(
        loader.chip, flash_size=FLASH_SIZE, flash=flash or b"", efuses=loader.efuses
    )
    path = tmp_path / "stub.json"
    path.write_bytes(small_stub(loader.chip))
    line = UnreliableTransport(SimulatedTransport(simulated), garble_output=saboteur.pass_on)
    device = connect(line, stub=path if loader.is_stub else False)
    device.flash.prepare()
    return device, simulated, saboteur


@loaders
def test_a_request_for_another_register_is_not_believed(loader: Loader, tmp_path: Path) -> None:
    device, _, saboteur = connected(loader, tmp_path)
    expected = device.memory.read_register(device.chip.mac.addresses[0])
    saboteur.next(Opcode.READ_REG, flip(8, 2))
    assert device.memory.read_register(device.chip.mac.addresses[0]) == expected
    assert not saboteur.is_ready


@loaders
def test_answers_that_got_out_of_step_are_not_believed(loader: Loader, tmp_path: Path) -> None:
    device, _, saboteur = connected(loader, tmp_path)
    addresses = [
        *device.chip.mac.addresses,
        *device.link.fingerprint,
        *range(0x4000_1000, 0x4000_1040, 4),
    ]
    expected = read_words(device.session, addresses)
    saboteur.next(Opcode.READ_REG, split)
    assert read_words(device.session, addresses) == expected
    assert not saboteur.is_ready


@loaders
def test_what_the_flash_answers_to_another_command_is_not_believed(
    loader: Loader, tmp_path: Path
) -> None:
    device, _, saboteur = connected(loader, tmp_path)
    expected = device.flash.id()

    def read_less(packet: bytearray) -> bytes:
        if len(packet) < 64:  # Registers that get back what they held.
            saboteur.is_ready = True
            return slip.encode(bytes(packet))
        # The value of the first register: how many bits are to be read.
        return flip(12, 4)(packet)

    saboteur.next(Opcode.WRITE_REG, read_less)
    assert device.flash.id() == expected
    assert not saboteur.is_ready


@pytest.mark.parametrize("loader", [ESP32_C3_ROM, ESP32_C3_STUB], ids=lambda loader: loader.key)
def test_a_garbled_security_info_is_not_believed(loader: Loader, tmp_path: Path) -> None:
    device, _, _ = connected(loader, tmp_path)
    expected = device.security.read()
    line = device.session.transport
    assert isinstance(line, UnreliableTransport)
    was_garbled: list[bytes] = []

    def garble(data: bytes) -> bytes:
        if len(data) > 12 and not was_garbled:
            was_garbled.append(data)
            return data[:11] + bytes((data[11] ^ 1,)) + data[12:]
        return data

    line.garble_input = garble
    assert device.security.read() == expected
    assert was_garbled


@loaders
@pytest.mark.parametrize("copied", [DATA, bytes(b"\xff" * SIZE)], ids=["copy", "blank"])
def test_what_stands_elsewhere_is_not_taken_to_be_in_place(
    loader: Loader, copied: bytes, tmp_path: Path
) -> None:
    old = bytes(SIZE)
    device, simulated, saboteur = connected(
        loader, tmp_path, {OFFSET: old, OFFSET ^ 0x8000: copied, 0x2_0000: old}
    )
    saboteur.next(Opcode.SPI_FLASH_MD5, flip(9, 7))
    assert device.flash.verify([(OFFSET, copied)])
    assert not saboteur.is_ready
    saboteur.next(Opcode.SPI_FLASH_MD5, flip(9, 7))
    (result,) = device.flash.write([(OFFSET, copied)])
    assert result.written == SIZE
    assert not saboteur.is_ready
    assert simulated.flash[OFFSET : OFFSET + SIZE] == copied
    assert simulated.flash[0x2_0000 : 0x2_0000 + SIZE] == old


@pytest.mark.parametrize("segment", [0, 1])
def test_a_stub_that_was_put_elsewhere_is_put_in_its_place(segment: int, tmp_path: Path) -> None:
    chip = ESP32_C3_STUB.chip
    path = tmp_path / "stub.json"
    path.write_bytes(small_stub(chip))
    image = StubImage.parse(path.read_bytes(), path.name)
    saboteur = Saboteur()

    def misdirect(packet: bytearray) -> bytes:
        if packet[20:24] != image.segments[segment].address.to_bytes(4, "little"):
            saboteur.is_ready = True
            return slip.encode(bytes(packet))
        return flip(21, 6)(packet)

    simulated = SimulatedDevice(chip)
    line = UnreliableTransport(SimulatedTransport(simulated), garble_output=saboteur.pass_on)
    with connect(line, stub=path) as device:
        saboteur.next(Opcode.MEM_BEGIN, misdirect)
        device.flash.prepare()
        assert not saboteur.is_ready
        for part in image.segments:
            assert simulated.memory.read(part.address, len(part.data)) == part.data


def test_a_flash_that_was_lost_by_one_bit_is_an_error(tmp_path: Path) -> None:
    device, simulated, saboteur = connected(ESP32_C3_STUB, tmp_path, {OFFSET: DATA})
    # READ_FLASH becomes ERASE_FLASH, whose body a stub does not look at.
    saboteur.next(Opcode.READ_FLASH, flip(1, 1))
    with pytest.raises(FlashLostError):
        device.flash.read(OFFSET, SECTOR_SIZE)
    assert simulated.nor.is_blank(0, simulated.nor.size)


def test_a_word_in_ram_is_written_where_it_belongs(tmp_path: Path) -> None:
    device, simulated, saboteur = connected(ESP32_C3_ROM, tmp_path)
    address = 0x3FC9_0000
    saboteur.next(Opcode.WRITE_REG, flip(12, 5))
    device.memory.write_register(address, 0x1234_5678, 0xFFFF)
    assert not saboteur.is_ready
    assert simulated.read_register(address) == 0x5678


def test_a_register_of_a_peripheral_is_written_once(tmp_path: Path) -> None:
    device, simulated, _ = connected(ESP32_C3_ROM, tmp_path)
    writes: list[int] = []

    def write(value: int) -> int:
        writes.append(value)
        return 0

    simulated.memory.hook(0x6000_4000, write=write)
    device.memory.write_register(0x6000_4000, 3)
    assert writes == [3]
