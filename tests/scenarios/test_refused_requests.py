"""A refusal that one damaged bit explains is not believed until it has come twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from esploader import connect
from esploader.errors import CommandFailedError, UnsupportedCommandError
from esploader.protocol import slip
from esploader.protocol.commands import ReadReg
from esploader.protocol.flash_commands import SpiFlashMd5
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice
from simulated import incompressible
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device

OFFSET = 0x1_0000
DATA = incompressible(0x4000)
SECTOR = 0x1000
MARK = b"neighbour"

OPCODE_AT, OFFSET_AT = 1, 8
UNKNOWN = 0x40
"""A bit that no opcode of a loader has."""


@attrs.define
class Damage:
    """Flips bits of one byte in requests of one kind, so many times."""

    opcode: Opcode
    position: int
    bits: int
    count: int = 1
    sent: int = 0
    """Requests of the kind, damaged or not."""

    def __call__(self, data: bytes) -> bytes:
        result = b""
        for event in slip.SlipDecoder().feed(data):
            if not isinstance(event, slip.Frame):
                return data  # An END to straighten out the framing.
            packet = bytearray(event.payload)
            if len(packet) > self.position and packet[OPCODE_AT] == self.opcode:
                self.sent += 1
                if self.count:
                    self.count -= 1
                    packet[self.position] ^= self.bits
            result += slip.encode(bytes(packet))
        return result


@attrs.frozen
class Setting:
    """A simulated device with something in its flash, behind a line that can be damaged."""

    simulated: SimulatedDevice
    transport: UnreliableTransport
    device: Device

    def damage(self, opcode: Opcode, position: int, bits: int, count: int = 1) -> Damage:
        """Have requests damaged from now on."""
        damage = Damage(opcode, position, bits, count)
        self.transport.garble_output = damage
        return damage

    def assert_neighbours_are_left(self) -> None:
        nor = self.simulated.nor
        assert nor.read(OFFSET - SECTOR, len(MARK)) == MARK
        assert nor.read(OFFSET + len(DATA), len(MARK)) == MARK


def setting(chip: str, stubs: Path | None) -> Setting:
    simulated = SimulatedDevice(chip)
    simulated.nor.program(OFFSET, DATA)
    simulated.nor.program(OFFSET - SECTOR, MARK)
    simulated.nor.program(OFFSET + len(DATA), MARK)
    transport = UnreliableTransport(simulated.open_transport())
    device = connect(transport, stub=stubs or False)
    if stubs is not None:
        device.flash.prepare()
    return Setting(simulated, transport, device)


OPERATIONS: dict[str, tuple[Opcode, Callable[[Device], object], object]] = {
    "read_register": (
        Opcode.READ_REG,
        lambda device: device.memory.read_register(0x4000_1000),
        None,
    ),
    "read_memory": (
        Opcode.READ_REG,
        lambda device: device.memory.read(0x6000_0000, 4) and None,
        None,
    ),
    "write_register": (
        Opcode.WRITE_REG,
        lambda device: device.memory.write_register(0x3FC8_0000, 0),
        None,
    ),
    "get_security_info": (
        Opcode.GET_SECURITY_INFO,
        lambda device: device.security.read().secure_boot,
        False,
    ),
    "read_flash": (
        Opcode.READ_FLASH_SLOW,
        lambda device: device.flash.read(OFFSET, len(DATA)),
        DATA,
    ),
    "verify_flash": (
        Opcode.SPI_FLASH_MD5,
        lambda device: device.flash.verify([(OFFSET, DATA)]),
        (),
    ),
    "flash_id": (Opcode.SPI_ATTACH, lambda device: device.flash.id().size, 4 << 20),
    "write_flash": (
        Opcode.SPI_SET_PARAMS,
        lambda device: device.flash.write([(OFFSET, DATA[::-1])])[0].verified,
        True,
    ),
}
"""What sends requests of a kind to a ROM loader, and the right result; ``None``: any."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_rom_loader_is_asked_once_more_what_it_did_not_know(name: str) -> None:
    opcode, work, expected = OPERATIONS[name]
    scene = setting("esp32c3", None)
    with scene.device:
        damage = scene.damage(opcode, OPCODE_AT, UNKNOWN)
        result = work(scene.device)
    assert damage.count == 0
    assert expected is None or result == expected
    scene.assert_neighbours_are_left()


STUB_OPERATIONS: dict[str, tuple[Opcode, Callable[[Device], object], object]] = {
    "read_register": OPERATIONS["read_register"],
    "get_security_info": OPERATIONS["get_security_info"],
    "read_flash": (
        Opcode.READ_FLASH,
        lambda device: device.flash.read(OFFSET, len(DATA)),
        DATA,
    ),
    "verify_flash": OPERATIONS["verify_flash"],
    "write_flash": (
        Opcode.FLASH_DEFL_BEGIN,
        lambda device: device.flash.write([(OFFSET, bytes(len(DATA)))], compress=True)[0].verified,
        True,
    ),
}


@pytest.mark.parametrize("name", STUB_OPERATIONS)
def test_a_stub_is_asked_once_more_what_it_did_not_know(name: str, tmp_path: Path) -> None:
    opcode, work, expected = STUB_OPERATIONS[name]
    scene = setting("esp32c3", stub_directory(tmp_path))
    with scene.device:
        damage = scene.damage(opcode, OPCODE_AT, 0x04)
        result = work(scene.device)
    assert damage.count == 0
    assert expected is None or result == expected
    scene.assert_neighbours_are_left()


@pytest.mark.parametrize("opcode", [Opcode.FLASH_BEGIN, Opcode.FLASH_DEFL_BEGIN])
def test_an_offset_beyond_the_flash_is_sent_once_more(opcode: Opcode) -> None:
    scene = setting("esp32c3", None)
    highest_byte_of_offset = OFFSET_AT + 12 + 3
    compress = opcode == Opcode.FLASH_DEFL_BEGIN
    with scene.device:
        scene.damage(opcode, highest_byte_of_offset, 0x10)
        (result,) = scene.device.flash.write([(OFFSET, DATA[::-1])], compress=compress)
    assert result.verified
    assert result.restarts == 1
    assert scene.device.session.flash_block_size == 0x1800
    assert bytes(scene.simulated.nor.read(OFFSET, len(DATA))) == DATA[::-1]
    scene.assert_neighbours_are_left()


def test_what_is_refused_twice_is_refused() -> None:
    scene = setting("esp32c3", None)
    with scene.device:
        damage = scene.damage(Opcode.READ_REG, OPCODE_AT, UNKNOWN, count=100)
        with pytest.raises(UnsupportedCommandError):
            scene.device.session.execute(ReadReg(0x4000_1000))
    assert damage.sent == 2


def test_a_region_beyond_the_flash_is_refused_twice() -> None:
    scene = setting("esp32c3", None)
    with scene.device:
        scene.device.flash.prepare()
        damage = scene.damage(Opcode.SPI_FLASH_MD5, OPCODE_AT, 0, count=0)
        with pytest.raises(CommandFailedError) as failed:
            scene.device.session.execute(SpiFlashMd5(offset=8 << 20, size=0x1000))
    assert failed.value.code == 9
    assert damage.sent == 2


def test_what_may_be_refused_is_asked_once() -> None:
    scene = setting("esp32c3", None)
    with scene.device:
        damage = scene.damage(Opcode.READ_REG, OPCODE_AT, UNKNOWN)
        (outcome,) = scene.device.session.attempt_all([ReadReg(0x4000_1000)])
    assert isinstance(outcome, CommandFailedError)
    assert damage.sent == 1


def test_blocks_are_made_small_only_when_large_ones_were_refused_twice() -> None:
    scene = setting("esp32c3", None)
    with scene.device:
        scene.damage(Opcode.FLASH_BEGIN, OPCODE_AT, UNKNOWN)
        (result,) = scene.device.flash.write([(OFFSET, DATA[::-1])], compress=False)
        assert result.restarts == 1
        assert scene.device.session.flash_block_size == 0x1800
