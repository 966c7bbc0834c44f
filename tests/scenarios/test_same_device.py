"""Which chip, which loader, which device: no single damaged or late answer decides that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader import connect
from esploader.errors import ProtocolError, WrongChipError
from esploader.protocol import dialect, slip
from esploader.protocol.opcodes import Opcode
from esploader.session.confirming import read_words
from esploader.simulator import SimulatedDevice
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPCODE_AT, VALUE_AT, BODY_AT = 1, 4, 8
UNKNOWN = 0x40
"""A bit that no opcode of a loader has."""


def changed_once(opcode: Opcode, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what replaces the first packet under ``opcode``, however it arrives."""
    decoder = slip.SlipDecoder()
    left = [change]

    def pass_on(data: bytes) -> bytes:
        result = b""
        for event in decoder.feed(data):
            if isinstance(event, slip.Noise):
                result += event.data
            elif left and event.payload[OPCODE_AT] == opcode:
                result += left.pop()(event.payload)
            else:
                result += slip.encode(event.payload)
        return result

    return pass_on


def flipped(position: int, bits: int) -> Callable[[bytes], bytes]:
    def flip(packet: bytes) -> bytes:
        changed = bytearray(packet)
        changed[position] ^= bits
        return slip.encode(bytes(changed))

    return flip


@pytest.mark.parametrize("opcode", [Opcode.READ_REG, Opcode.GET_SECURITY_INFO])
def test_the_security_state_is_known_although_a_request_was_refused(opcode: Opcode) -> None:
    simulated = SimulatedDevice("esp32s3", efuses={"secure_boot_v2": 1})
    transport = UnreliableTransport(simulated.open_transport())
    transport.garble_output = changed_once(opcode, flipped(OPCODE_AT, UNKNOWN))
    with connect(transport, stub=False) as device:
        assert device.chip.key == "esp32s3"
        assert device.security.info is not None
        assert device.security.info.secure_boot


@pytest.mark.parametrize(
    ("opcode", "position", "bits"),
    [
        (Opcode.GET_SECURITY_INFO, BODY_AT, 0x04),
        (Opcode.GET_SECURITY_INFO, BODY_AT, 0x01),
        (Opcode.GET_SECURITY_INFO, BODY_AT + 12, 0x08),
        (Opcode.READ_REG, VALUE_AT, 0x01),
        (Opcode.SYNC, VALUE_AT, 0x01),
    ],
    ids=["secure download", "secure boot", "chip id", "magic", "SYNC"],
)
def test_a_damaged_answer_makes_no_other_device(opcode: Opcode, position: int, bits: int) -> None:
    transport = UnreliableTransport(SimulatedDevice("esp32c3").open_transport())
    transport.garble_input = changed_once(opcode, flipped(position, bits))
    with connect(transport, stub=False) as device:
        assert device.chip.key == "esp32c3"
        assert device.security.info is not None
        assert not device.security.info.secure_boot
        assert not device.is_in_secure_download_mode
        assert device.session.dialect is not dialect.STUB


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_a_damaged_word_of_rom_makes_no_other_chip(chip: str) -> None:
    transport = UnreliableTransport(SimulatedDevice(chip).open_transport())
    transport.garble_input = changed_once(Opcode.READ_REG, flipped(VALUE_AT, 0x01))
    with connect(transport, stub=False) as device:
        assert device.chip.key == chip


def test_a_stub_is_recognised_although_its_answer_was_damaged(tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32c3")
    transport = UnreliableTransport(simulated.open_transport())
    with connect(transport, stub=stub_directory(tmp_path)) as device:
        device.flash.prepare()
        seen = len(simulated.history.commands)
        transport.garble_input = changed_once(Opcode.SYNC, flipped(VALUE_AT, 0x01))
        device.link.revive(slower=False)
        assert device.session.dialect is dialect.STUB
        since = [command.opcode for command in simulated.history.commands[seen:]]
    # It is asked once, and then which device it is in.
    assert since == [Opcode.SYNC, *[Opcode.READ_REG] * 4]


def test_a_loader_that_answers_sync_in_its_own_way_is_believed_when_it_does_so_twice() -> None:
    transport = UnreliableTransport(SimulatedDevice("esp32c3").open_transport())
    own = b"\x01\x02\x03\x04"

    def answer(data: bytes) -> bytes:
        return data.replace(b"\x07\x07\x12\x20", own)

    transport.garble_input = answer
    with connect(transport, stub=False) as device:
        assert device.chip.key == "esp32c3"


def test_a_rom_loader_in_the_place_of_the_stub_is_known_by_its_answers(tmp_path: Path) -> None:
    data = bytes(range(256)) * 32
    simulated = SimulatedDevice("esp32c3")
    simulated.nor.program(0x1_0000, data)
    transport = simulated.open_transport()
    with connect(transport, stub=stub_directory(tmp_path)) as device:
        device.flash.prepare()
        # As if it had lost its power for a moment.
        transport.set_lines(dtr=False, rts=True)
        transport.clock.sleep(0.1)
        transport.set_lines(dtr=True, rts=False)
        transport.clock.sleep(0.1)
        transport.set_lines(dtr=False, rts=False)
        transport.discard_input()
        assert device.flash.verify([(0x1_0000, data)]) == ()
        assert device.session.dialect is dialect.STUB


@attrs.define
class Resetting(UnreliableTransport):
    """A line on which nothing gets through until the device is reset."""

    after_reset: Callable[[bytes], bytes] = bytes
    """What becomes of bytes from the device from then on."""
    is_dead: bool = False

    @override
    def write(self, data: bytes) -> None:
        if not self.is_dead:
            super().write(data)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        if self.is_dead:
            self.is_dead = False
            self.garble_input = self.after_reset
        super().set_lines(dtr=dtr, rts=rts)


def late_answer(value: int, status_size: int) -> Callable[[bytes], bytes]:
    """Return what puts an answer to a READ_REG of long ago in front of the first one."""
    header = bytes((1, Opcode.READ_REG, status_size, 0))
    stale = slip.encode(header + value.to_bytes(4, "little") + bytes(status_size))
    return changed_once(Opcode.READ_REG, lambda packet: stale + slip.encode(packet))


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32c3"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_late_answer_makes_no_other_device(chip: str, which: int) -> None:
    transport = Resetting(SimulatedDevice(chip).open_transport())
    with connect(transport, stub=False) as device:
        words = dict(device.link.fingerprint)
        value = list(words.values())[which]
        transport.after_reset = late_answer(value, device.session.dialect.status_size)
        transport.is_dead = True
        device.link.revive(slower=False)
        assert not transport.is_dead
        assert read_words(device.session, words) == words


@pytest.mark.parametrize("chip", ["esp8266", "esp32c3"])
def test_a_damaged_answer_after_a_reset_makes_no_other_device(chip: str) -> None:
    transport = Resetting(SimulatedDevice(chip).open_transport())
    with connect(transport, stub=False) as device:
        transport.after_reset = changed_once(Opcode.READ_REG, flipped(VALUE_AT, 0x10))
        transport.is_dead = True
        device.link.revive(slower=False)


def test_a_damaged_security_info_after_a_reset_makes_no_other_device() -> None:
    simulated = SimulatedDevice("esp32c3", efuses={"secure_download": 1})
    transport = Resetting(simulated.open_transport())
    with connect(transport, stub=False) as device:
        transport.after_reset = changed_once(Opcode.GET_SECURITY_INFO, flipped(BODY_AT, 0x01))
        transport.is_dead = True
        device.link.revive(slower=False)


@pytest.mark.parametrize("chip", ["esp8266", "esp32c3"])
def test_a_device_that_says_twice_that_it_is_another_one_is(chip: str) -> None:
    transport = Resetting(SimulatedDevice(chip).open_transport())
    with connect(transport, stub=False) as device:
        device.link.fingerprint = {
            address: word ^ 1 for address, word in device.link.fingerprint.items()
        }
        transport.is_dead = True
        with pytest.raises(WrongChipError):
            device.link.revive(slower=False)


def test_registers_that_read_differently_every_time_are_no_words() -> None:
    transport = UnreliableTransport(SimulatedDevice("esp32c3").open_transport())
    values = iter(range(1000))

    def count(packet: bytes) -> bytes:
        return packet[:VALUE_AT] + next(values).to_bytes(4, "little") + packet[BODY_AT:]

    with connect(transport, stub=False) as device:
        decoder = slip.SlipDecoder()

        def garble(data: bytes) -> bytes:
            packets = [event for event in decoder.feed(data) if isinstance(event, slip.Frame)]
            return b"".join(
                slip.encode(
                    count(packet.payload)
                    if packet.payload[OPCODE_AT] == Opcode.READ_REG
                    else packet.payload
                )
                for packet in packets
            )

        transport.garble_input = garble
        with pytest.raises(ProtocolError, match="differently"):
            read_words(device.session, [0x4000_1000])
        transport.garble_input = bytes
