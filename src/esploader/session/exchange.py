"""Commands in bursts that a loader can take, and their outcomes on a plain link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from esploader.errors import UnsupportedError
from esploader.protocol.connection import Completed, Refused
from esploader.transport.base import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from esploader.protocol.commands import Command
    from esploader.protocol.dialect import Dialect
    from esploader.session.wire import Wire

ResultT = TypeVar("ResultT")

# A burst must fit the ring with what the loader holds of a half-processed frame.
_RING_MARGIN: Final = 32

_FRAME_OVERHEAD: Final = 10  # Both END and the header, and room for a few escapes.


def bursts_of(
    commands: Iterable[Command[object]], dialect: Dialect, *, one_by_one: bool
) -> Iterator[list[Command[object]]]:
    """Divide commands into bursts that the loader's receive ring can hold.

    Raises:
        UnsupportedError: the loader does not know a command.
    """
    ring = dialect.receive_ring_size
    room = 0 if ring is None or one_by_one else ring - _RING_MARGIN
    yield from _divided(commands, dialect, room)


def groups_of(
    commands: Iterable[Command[ResultT]], dialect: Dialect, *, one_by_one: bool
) -> Iterator[list[Command[ResultT]]]:
    """Divide commands so that two of each group make up a burst.

    Raises:
        UnsupportedError: the loader does not know a command.
    """
    ring = dialect.receive_ring_size
    room = 0 if ring is None or one_by_one else (ring - _RING_MARGIN) // 2
    yield from _divided(commands, dialect, room)


def _divided(
    commands: Iterable[Command[ResultT]], dialect: Dialect, room: int
) -> Iterator[list[Command[ResultT]]]:
    """Divide commands into as few as possible that take no more than ``room`` bytes each."""
    burst: list[Command[ResultT]] = []
    burst_size = 0
    for command in commands:
        require(command, dialect)
        size = len(command.encode_body(dialect)) + _FRAME_OVERHEAD if room else 0
        if burst and (not room or burst_size + size > room):
            yield burst
            burst, burst_size = [], 0
        burst.append(command)
        burst_size += size
    if burst:
        yield burst


def require(command: Command[object], dialect: Dialect) -> None:
    """Raise :exc:`~esploader.errors.UnsupportedError` unless the loader knows ``command``."""
    if command.opcode not in dialect.opcodes:
        raise UnsupportedError(command.opcode.name, f"the {dialect.name} loader does not know it")


def exchange(wire: Wire, commands: Sequence[Command[object]]) -> list[object]:
    """Send all commands at once and return what came of each, in order.

    Raises:
        NoResponseError: the loader stayed silent.
        ProtocolError: what it said makes no sense.
        TransportError: the port failed.
    """
    wire.noise_meanwhile.clear()
    frames = [wire.encode(command) for command in commands]
    wire.write(b"".join(frames))
    wire_time = sum(map(len, frames)) * BITS_PER_BYTE / wire.transport.baudrate
    outcomes: list[object] = []
    clock = wire.transport.clock
    while len(outcomes) < len(commands):
        # Each command has its own time: it starts when the one before is done.
        awaited = commands[len(outcomes)]
        timeout = awaited.timeout + wire_time + wire.allowance
        outcomes += _await_outcomes(wire, awaited, clock.now() + timeout, timeout)
    return outcomes


def _await_outcomes(
    wire: Wire, awaited: Command[object], deadline: float, timeout: float
) -> list[object]:
    """Return the outcomes that arrive next, at least one."""
    outcomes: list[object] = []
    while not outcomes:
        if wire.transport.clock.now() >= deadline:
            wire.fail()
            raise wire.no_response(awaited.opcode.name, timeout)
        for event in wire.receive(deadline):
            match event:
                case Completed(_, result):
                    outcomes.append(result)
                case Refused(_, error):
                    outcomes.append(error)
                case _:
                    pass
    return outcomes


def begin_stream(wire: Wire, command: Command[object]) -> None:
    """Send a command that is followed by frames; return at its response or at the first of them.

    Raises:
        CommandFailedError: the loader refused it.
        NoResponseError: neither came.
        TransportError: the port failed.
    """
    wire.frames.clear()
    wire.noise_meanwhile.clear()
    wire.write(wire.encode(command))
    timeout = command.timeout + wire.allowance
    deadline = wire.transport.clock.now() + timeout
    while not wire.frames:
        if wire.transport.clock.now() >= deadline:
            wire.fail()
            raise wire.no_response(command.opcode.name, timeout)
        for event in wire.receive(deadline):
            match event:
                case Refused(_, error):
                    raise error
                case Completed():
                    return
                case _:
                    pass
