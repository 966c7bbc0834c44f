"""What a client wants of a port, in the order in which it was said."""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.transport.com_port import Code, Setting
from esploader.transport.gates import Arm, ClientMessage, Gate

MAX_QUEUE_SIZE: Final = 1024 * 1024
"""How much may wait, in bytes, before the client is no longer read. A client that sends
ahead is told so."""

# The least that they take on the wire: a client reckons no less.
_MESSAGE_SIZE: Final = 7
_GATE_SIZE: Final = 16

_MAX_RUN_SIZE: Final = 4096


@frozen
class Malformed:
    """A message of the gates with a value that makes no sense."""

    gate_id: int = 0
    is_arm: bool = attrs.field(default=False, kw_only=True)
    """It was meant to be an ARM."""


Request: TypeAlias = bytes | Setting | ClientMessage | Malformed
"""Bytes for the port, a setting to make, or one of the messages of ``docs/gates.md``."""


_QUESTIONS: Final = frozenset({Code.NOTIFY_LINESTATE, Code.NOTIFY_MODEMSTATE})


def is_question(request: Request) -> bool:
    """Tell whether a client only wants to be told how the lines of the port are."""
    return isinstance(request, Setting) and request.code in _QUESTIONS


@define(eq=False)
class _Run:
    """Bytes in the queue; none when they were dropped."""

    data: bytearray


def _size(request: Request | _Run) -> int:
    match request:
        case _Run(data):
            return len(data)
        case bytes():
            return len(request)
        case Gate():
            return _GATE_SIZE
        case _:
            return _MESSAGE_SIZE


def _outlasts_discarding(request: Request | _Run) -> bool:
    return isinstance(request, Arm) or (
        isinstance(request, Setting) and request.code is Code.PURGE_DATA
    )


@define
class RequestQueue:
    """Requests in order. Whoever fills it has to look at :attr:`is_full` before.

    Everything takes a time that does not depend on how much is queued, or is paid for by
    what was put in: the server has other ports to serve.
    """

    size: int = attrs.field(default=0, init=False)
    """In bytes, as far as they took that on the wire."""

    arm_count: int = attrs.field(default=0, init=False)
    """How many ARMs wait."""

    _requests: deque[Request | _Run] = attrs.field(factory=deque, init=False)
    _loose: deque[_Run] = attrs.field(factory=deque, init=False)
    """The bytes that have no ARM in front of them, as runs in the queue."""

    @property
    def is_full(self) -> bool:
        """More should not be taken from the client."""
        return self.size >= MAX_QUEUE_SIZE

    @property
    def head(self) -> Request | None:
        """What is to be carried out next, or a part of it; ``None`` when there is nothing."""
        while self._requests:
            head = self._requests[0]
            if not isinstance(head, _Run):
                return head
            if head.data:
                return bytes(head.data)
            self._requests.popleft()
        return None

    def append(self, request: Request) -> None:
        """Put something at the end."""
        if isinstance(request, bytes):
            self._append_bytes(request)
            return
        self.size += _size(request)
        self.arm_count += isinstance(request, Arm)
        self._requests.append(request)

    def pop(self) -> None:
        """Remove the head."""
        request = self._requests.popleft()
        self.size -= _size(request)
        self.arm_count -= isinstance(request, Arm)
        if self._loose and self._loose[0] is request:
            self._loose.popleft()

    def consume(self, size: int) -> None:
        """Remove the first bytes of the head, which has to be bytes."""
        head = self._requests[0]
        if isinstance(head, _Run) and size < len(head.data):
            del head.data[:size]
            self.size -= size
        else:
            self.pop()

    def clear(self) -> None:
        """Remove everything."""
        self._requests.clear()
        self._loose.clear()
        self.size = self.arm_count = 0

    def drop_bytes(self) -> None:
        """Remove the bytes in front of the first ARM, and keep everything else."""
        # Their places stay until they get to the head: taking them out of the middle would
        # move all the rest, again and again for who sends bytes and purges in turn.
        for run in self._loose:
            self.size -= len(run.data)
            run.data.clear()
        self._loose.clear()

    @property
    def begins_with_waste(self) -> bool:
        """There is something at the head that :meth:`discard` removes."""
        return bool(self._requests) and not _outlasts_discarding(self._requests[0])

    def discard(self, limit: int) -> None:
        """Remove what is in front of the first ARM or purge, ``limit`` requests at most."""
        for _ in range(limit):
            if not self.begins_with_waste:
                return
            self.pop()

    def _append_bytes(self, data: bytes) -> None:
        self.size += len(data)
        last = self._requests[-1] if self._requests else None
        # A byte at a time would cost many times its size; and a long run would be copied as
        # a whole for every piece that the port takes.
        if isinstance(last, _Run) and last.data and len(last.data) + len(data) <= _MAX_RUN_SIZE:
            last.data += data
            return
        for start in range(0, len(data), _MAX_RUN_SIZE):
            run = _Run(bytearray(data[start : start + _MAX_RUN_SIZE]))
            self._requests.append(run)
            if not self.arm_count:
                self._loose.append(run)
