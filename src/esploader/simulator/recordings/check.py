"""Compare a simulated device with a recording of a real one.

The requests of the recording are sent to a simulated device, in order and in virtual time,
and its answers are laid beside the recorded ones, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.protocol.opcodes import Opcode
from esploader.protocol.slip import Frame, SlipDecoder, encode
from esploader.simulator.config import DeviceConfig
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import Timings
from esploader.simulator.line.transport import SimulatedTransport
from esploader.simulator.personality import ROM_WORD_ADDRESS, personality_of
from esploader.simulator.recordings.recording import LOADERS
from esploader.simulator.soc.efuses import build_efuses

if TYPE_CHECKING:
    from esploader.simulator.recordings.recording import Needs, Recording, Row

SILENCE: Final = 30.0
"""After how many seconds without a byte an answer is taken to be complete; they are virtual,
and no command takes longer."""

MAX_ANSWER_SIZE: Final = 16 * 1024 * 1024
"""No device says more to what one row sends, in bytes."""

_RESET_TIME: Final = 0.1
_BOOT_TIME: Final = 0.05

_ANSWERS: Final = "answers at once"
_ANSWERS_AFTER_RESET: Final = "only after a hardware reset"
_NEVER_ANSWERS: Final = "no answer, not even after a hardware reset"

_REPEATED: Final = bytes(range(256))


_SHOWN: Final = 24


def _beginning(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


@frozen(kw_only=True)
class CheckedRow:
    """A recorded row, and what the simulated device made of it."""

    index: int
    """From 0 on."""
    name: str
    """What the row is called in the recording."""
    expected: str = attrs.field(repr=_beginning)
    """The answer in the recording: bytes in hexadecimal, or what it took to get one."""
    actual: str = attrs.field(repr=_beginning)
    """That of the simulated device."""
    problem: str | None = None
    """Why nothing was compared."""

    @property
    def agrees(self) -> bool:
        """They are the same."""
        return self.problem is None and self.expected == self.actual


def check_recording(recording: Recording, timings: Timings | None = None) -> tuple[CheckedRow, ...]:
    """Send what a recording holds to a simulated device, and compare the answers.

    The eFuses of the device are those that the recording reads. ``timings`` says how long
    what takes; by default what it takes on a real device. A row that cannot be read, or needs
    what the simulated device does not have, is left out, and says so.
    """
    bench = _Bench.make(recording, timings or Timings())
    rows = recording.rows
    followers = (*rows, None)[1:]
    return tuple(
        bench.check(index, row, following)
        for index, (row, following) in enumerate(zip(rows, followers, strict=True))
    )


@define(eq=False)
class _Bench:
    """A device, and a line to it."""

    _transport: SimulatedTransport
    _rest: bytes = attrs.field(default=b"", init=False)
    """What the device said when the host of the recording had gone on."""

    @classmethod
    def make(cls, recording: Recording, timings: Timings) -> _Bench:
        """Return a device as it was when the recording began."""
        config = DeviceConfig(
            chip=recording.chip,
            state=LOADERS[recording.loader],
            flash_attached=recording.flash_attached,
        )
        device = SimulatedDevice.from_config(config, timings)
        efuses = build_efuses(config, personality_of(recording.chip))
        read = _read_words(recording)
        device.memory.fix({address: read[address] for address in efuses.keys() & read.keys()})
        return cls(SimulatedTransport(device, baudrate=recording.baudrate))

    def check(self, index: int, row: Row, following: Row | None) -> CheckedRow:
        """Do what a row does, and compare."""
        problem = row.problem or self._problem_of(row.needs)
        if problem is not None:
            return CheckedRow(index=index, name=row.name, expected="", actual="", problem=problem)
        for sent in row.needs.sent:
            self._exchange(sent)
        self._prepare(row.needs)
        if row.recovery is not None:
            expected, actual = row.recovery, self._recover()
        else:
            expected, actual = row.received.hex(), self._answer(row, following).hex()
        return CheckedRow(index=index, name=row.name.strip(), expected=expected, actual=actual)

    def _problem_of(self, needs: Needs) -> str | None:
        flash = needs.flash
        if flash is None or flash.offset + flash.size <= self._transport.device.nor.size:
            return None
        return "its flash is larger than the simulated one"

    def _prepare(self, needs: Needs) -> None:
        device = self._transport.device
        device.memory.fix(needs.memory)
        if needs.flash is not None:
            device.flash_pins = device.config.flash_pins
            offset, size = needs.flash.offset, needs.flash.size
            device.nor.erase(offset, size)
            repeated = _REPEATED * -(-size // len(_REPEATED))
            device.nor.program(offset, repeated[:size])

    def _answer(self, row: Row, following: Row | None) -> bytes:
        """Do what the host did, and return what comes back as far as the row goes."""
        if row.baudrate is not None:
            self._transport.set_baudrate(row.baudrate)
        for change in row.lines:
            self._transport.clock.sleep(change.seconds)
            self._transport.set_lines(dtr=change.dtr, rts=change.rts)
        # What comes after a change of the rate is not to be heard before it.
        is_rate_next = following is not None and following.baudrate is not None
        size = len(row.received) - len(self._rest) if is_rate_next else MAX_ANSWER_SIZE
        answer = self._rest + self._exchange(row.sent, size)
        self._rest = b""
        if not answer.startswith(row.received):
            return answer
        # The host may have gone on before the device was done.
        rest = answer[len(row.received) :]
        if following is not None and _may_come_late(rest, following):
            self._rest = rest
            return row.received
        # Nobody waits for the end of a boot log.
        return answer if row.sent else row.received

    def _exchange(self, sent: bytes, size: int = MAX_ANSWER_SIZE) -> bytes:
        """Send bytes, and return what comes until nothing has come for some time, or enough."""
        if sent:
            self._transport.write(sent)
        received = bytearray()
        clock = self._transport.clock
        while len(received) < size:
            data = self._transport.read(clock.now() + SILENCE)
            if not data:
                break
            received += data
        return bytes(received)

    def _recover(self) -> str:
        """Return what it takes to get an answer, in the words of a recording."""
        question = _read_reg(ROM_WORD_ADDRESS)
        if self._exchange(question):
            return _ANSWERS
        clock = self._transport.clock
        self._transport.set_lines(dtr=False, rts=True)
        clock.sleep(_RESET_TIME)
        self._transport.set_lines(dtr=True, rts=False)
        clock.sleep(_BOOT_TIME)
        self._exchange(b"")
        self._transport.set_lines(dtr=False)
        return _ANSWERS_AFTER_RESET if self._exchange(question) else _NEVER_ANSWERS


def _may_come_late(rest: bytes, row: Row) -> bool:
    """Tell whether the rest of an answer is what a row, and perhaps those behind it, begin with."""
    if not row.received:
        return not row.sent
    return row.received.startswith(rest) or rest.startswith(row.received)


def _read_reg(address: int) -> bytes:
    # direction u8 | opcode u8 | size u16 | checksum u32 | address u32
    return encode(bytes((0, Opcode.READ_REG, 4, 0, 0, 0, 0, 0)) + address.to_bytes(4, "little"))


def _read_words(recording: Recording) -> dict[int, int]:
    """Return the words that a recording reads, at first."""
    words: dict[int, int] = {}
    for row in recording.rows:
        asked = [address for frame in _frames(row.sent) for address in _asked_address(frame)]
        told = [value for frame in _frames(row.received) for value in _told_value(frame)]
        # Where an answer is missing nobody knows which.
        if len(asked) == len(told):
            for address, value in zip(asked, told, strict=True):
                words.setdefault(address, value)
    return words


def _frames(data: bytes) -> list[bytes]:
    return [event.payload for event in SlipDecoder().feed(data) if isinstance(event, Frame)]


def _asked_address(frame: bytes) -> list[int]:
    is_read = frame[:2] == bytes((0, Opcode.READ_REG)) and len(frame) == 8 + 4
    return [int.from_bytes(frame[8:12], "little")] if is_read else []


def _told_value(frame: bytes) -> list[int]:
    is_read = frame[:2] == bytes((1, Opcode.READ_REG)) and len(frame) >= 8 + 2 and not frame[8]
    return [int.from_bytes(frame[4:8], "little")] if is_read else []
