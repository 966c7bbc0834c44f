"""Memory that a crowd of clients has left behind."""

from __future__ import annotations

import sys
from contextlib import suppress


def give_back() -> None:
    """Give freed memory back to the system, where its C library would keep it (glibc)."""
    if sys.platform != "linux":  # tests/server/test_tls_memory.py
        return
    import ctypes  # noqa: PLC0415 - takes its time, and few servers ever see a crowd

    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
