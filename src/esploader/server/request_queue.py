"""What a client wants of a port, in the order in which it was said."""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import attrs

from esploader.transport.com_port import Code, Setting
from esploader.transport.gates import Arm, ClientMessage, Gate

MAX_QUEUE_SIZE: Final = 1024 * 1024
"""How much may wait, in bytes, before the client is no longer read. A client that sends
ahead is told so."""

# The least that they take on the wire: a client reckons no less.
_MESSAGE_SIZE: Final = 7
_GATE_SIZE: Final = 16

_MAX_JOINED_SIZE: Final = 4096


@attrs.frozen
class Malformed:
    """A message of the gates with a value that makes no sense."""

    gate_id: int = 0


Request: TypeAlias = bytes | Setting | ClientMessage | Malformed
"""Bytes for the port, a setting to make, or one of the messages of ``docs/gates.md``."""


def _size(request: Request) -> int:
    match request:
        case bytes():
            return len(request)
        case Gate():
            return _GATE_SIZE
        case _:
            return _MESSAGE_SIZE


@attrs.define
class RequestQueue:
    """Requests in order. Whoever fills it has to look at :attr:`is_full` before."""

    size: int = attrs.field(default=0, init=False)
    """In bytes, as far as they took that on the wire."""

    _requests: deque[Request] = attrs.field(factory=deque, init=False)

    @property
    def is_full(self) -> bool:
        """More should not be taken from the client."""
        return self.size >= MAX_QUEUE_SIZE

    @property
    def head(self) -> Request | None:
        """What is to be carried out next; ``None`` when there is nothing."""
        return self._requests[0] if self._requests else None

    def append(self, request: Request) -> None:
        """Put something at the end."""
        self.size += _size(request)
        last = self._requests[-1] if self._requests else None
        if (
            isinstance(request, bytes)
            and isinstance(last, bytes)
            and len(last) + len(request) <= _MAX_JOINED_SIZE
        ):
            # A byte at a time would cost many times its size.
            self._requests[-1] = last + request
        else:
            self._requests.append(request)

    def pop(self) -> None:
        """Remove the head."""
        self.size -= _size(self._requests.popleft())

    def consume(self, size: int) -> None:
        """Remove the first bytes of the head, which has to be bytes."""
        head = self._requests[0]
        if isinstance(head, bytes) and size < len(head):
            self._requests[0] = head[size:]
            self.size -= size
        else:
            self.pop()

    def clear(self) -> None:
        """Remove everything."""
        self._requests.clear()
        self.size = 0

    def drop_bytes(self) -> None:
        """Remove the bytes, and keep everything else."""
        self._requests = deque(each for each in self._requests if not isinstance(each, bytes))
        self.size = sum(map(_size, self._requests))

    def drop_to_arm(self) -> bool:
        """Remove everything in front of the first ARM but purges; tell whether there is one."""
        kept: deque[Request] = deque()
        while self._requests and not isinstance(self._requests[0], Arm):
            request = self._requests.popleft()
            if isinstance(request, Setting) and request.code is Code.PURGE_DATA:
                kept.append(request)
        has_arm = bool(self._requests)
        self._requests = kept + self._requests
        self.size = sum(map(_size, self._requests))
        return has_arm
