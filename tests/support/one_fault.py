"""A line on which one byte is hit, and which bytes of a conversation there are to be hit."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.protocol.opcodes import Opcode
from esploader.simulator.line.faults import Direction
from esploader.transport.base import Transport
from esploader.transport.wrapping import WrappingTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

END = 0xC0


@enum.unique
class Kind(enum.Enum):
    """What happens to the byte. The value of a flip is the bit."""

    FLIP_0 = 0
    FLIP_1 = 1
    FLIP_2 = 2
    FLIP_3 = 3
    FLIP_4 = 4
    FLIP_5 = 5
    FLIP_6 = 6
    FLIP_7 = 7
    LOSS = "loss"
    DUPLICATE = "duplicate"

    def strike(self, value: int) -> bytes:
        """Return what arrives in place of a byte."""
        match self:
            case Kind.LOSS:
                return b""
            case Kind.DUPLICATE:
                return bytes((value, value))
            case _:
                return bytes((value ^ 1 << int(self.value),))


@attrs.frozen
class OneFault:
    """What happens to which byte, counted from 0 on in its direction."""

    direction: Direction
    position: int
    kind: Kind


@attrs.define
class Counts:
    """How often what came of it."""

    plays: int = 0
    right: int = 0
    errors: int = 0
    elsewhere: int = 0
    """How often something was erased outside the plan, by a request to erase that was hit."""
    unseen: int = 0
    """How often the data are not as they should be, where the result says that nobody saw them."""
    wrong: int = 0


@attrs.define(eq=False)
class OneFaultTransport(WrappingTransport[Transport]):
    """A transport that hands everything on but for one byte, and keeps what was said."""

    fault: OneFault | None = None
    said: dict[Direction, bytearray] = attrs.field(init=False)
    """By those at either end, since the beginning."""

    def __attrs_post_init__(self) -> None:
        self.begin(None)

    def begin(self, fault: OneFault | None) -> None:
        """Count from here on."""
        self.fault = fault
        self.said = {Direction.TO_DEVICE: bytearray(), Direction.FROM_DEVICE: bytearray()}

    @override
    def read(self, deadline: float) -> bytes:
        while True:
            data = self.inner.read(deadline)
            passed = self._pass(data, Direction.FROM_DEVICE)
            if passed or not data:
                return passed

    @override
    def write(self, data: bytes) -> None:
        self.inner.write(self._pass(data, Direction.TO_DEVICE))

    @override
    def discard_input(self) -> bytes:
        return self._pass(self.inner.discard_input(), Direction.FROM_DEVICE)

    def _pass(self, data: bytes, direction: Direction) -> bytes:
        said = self.said[direction]
        start = len(said)
        said += data
        fault = self.fault
        if fault is None or fault.direction is not direction:
            return data
        index = fault.position - start
        if not 0 <= index < len(data):
            return data
        return data[:index] + fault.kind.strike(data[index]) + data[index + 1 :]


@attrs.frozen
class Span:
    """A frame where it stands in what was said, with both END; or what stands between frames."""

    start: int
    data: bytes

    @property
    def opcode(self) -> int | None:
        """That of a request or response; ``None`` for everything else."""
        is_packet = len(self.data) > 10 and self.data[0] == END and self.data[1] in (0, 1)
        return self.data[2] if is_packet else None

    def split(self, direction: Direction) -> tuple[list[int], list[int]]:
        """Return the positions of what is said, and of the data that are moved."""
        everything = range(self.start, self.start + len(self.data))
        head = _HEADS[direction].get(self.opcode)
        if head is None or len(self.data) <= head + _TAIL:
            return list(everything), []
        head_and_tail = [*everything[:head], *everything[-_TAIL:]]
        return head_and_tail, list(everything[head:-_TAIL])


# END, header and four words. Of an answer with data: END and header.
_TAIL = 5
_HEADS: dict[Direction, dict[int | None, int]] = {
    Direction.TO_DEVICE: {
        Opcode.FLASH_DATA: 25,
        Opcode.FLASH_DEFL_DATA: 25,
        Opcode.MEM_DATA: 25,
    },
    # What has no opcode is a stream, or a boot log.
    Direction.FROM_DEVICE: {Opcode.READ_FLASH_SLOW: 9, None: 9},
}


def spans(said: bytes) -> Iterator[Span]:
    """Yield the frames in what was said, and what stands between them, in order."""
    start = 0
    while start < len(said):
        if said[start] == END:
            end = said.find(END, start + 1)
            end = len(said) if end < 0 else end + 1
        else:
            end = said.find(END, start)
            end = len(said) if end < 0 else end
        yield Span(start, said[start:end])
        start = end
