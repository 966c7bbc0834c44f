"""Wait until a descriptor is ready.

Through ``poll`` where there is one: ``select`` fails on descriptors above 1023, which a
test farm reaches. Nothing of the descriptor itself changes, so one thread may wait to
read while another waits to write.
"""

from __future__ import annotations

import math
import select
import sys

if sys.platform == "win32":  # no test

    def wait_readable(fileno: int, seconds: float) -> bool:
        """Tell whether there is something to read, or an end or an error, in time."""
        return bool(select.select([fileno], [], [], max(0.0, seconds))[0])

    def wait_writable(fileno: int, seconds: float) -> bool:
        """Tell whether bytes can be written, or an error learnt of, in time."""
        return bool(select.select([], [fileno], [], max(0.0, seconds))[1])

else:

    def wait_readable(fileno: int, seconds: float) -> bool:
        """Tell whether there is something to read, or an end or an error, in time."""
        return _poll(fileno, select.POLLIN, seconds)

    def wait_writable(fileno: int, seconds: float) -> bool:
        """Tell whether bytes can be written, or an error learnt of, in time."""
        return _poll(fileno, select.POLLOUT, seconds)

    def _poll(fileno: int, events: int, seconds: float) -> bool:
        poller = select.poll()
        poller.register(fileno, events)
        # Whole milliseconds, rounded up: rounding down would spin at the end.
        return bool(poller.poll(math.ceil(max(0.0, seconds) * 1000)))
