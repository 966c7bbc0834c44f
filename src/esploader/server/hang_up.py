"""Tell whether the other end of a connection is gone, without reading it."""

from __future__ import annotations

import select
from typing import Final, Protocol

# The end of what is sent shows behind bytes that wait unread, but not everywhere.
_END_OF_STREAM: Final[int] = getattr(select, "POLLRDHUP", 0)


class HasFileno(Protocol):
    """A socket, as far as it matters here."""

    def fileno(self) -> int:
        """Return its descriptor; -1 when it is closed."""
        ...


def has_hung_up(connection: HasFileno) -> bool:
    """Tell whether the other end has closed or reset a TCP connection.

    Where the system only tells of a reset (everywhere but on Linux), an end is seen once
    something is sent to it. On Windows nothing is seen.
    """
    if not hasattr(select, "poll"):
        return False
    descriptor = connection.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, _END_OF_STREAM)
    return bool(poll.poll(0))
