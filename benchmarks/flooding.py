"""A flood of requests on a status page, from a process of its own. It ends by itself."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from processes import LOOPBACK, GivenUpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event

CLIENTS: Final = 96
"""How many ask at once. There are more addresses than one: each may have a few connections."""

ADDRESSES: Final = 12

TIMEOUT: Final = 1.0
"""When a client gives up and comes again, in seconds."""

START_TIME: Final = 30.0
"""When a process that does not start is given up, in seconds."""

_GET: Final = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
_POST: Final = (
    b"POST /reset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)

WISHES: Final = (
    _GET % b"/status.json",
    _GET % b"/metrics",
    (_GET % b"/page.js") * 40,
    _GET % b"/events",
    _POST,
    b"\0" * 2000,
    b"GET / HTTP/1.1\r\nX: " + b"x" * 3000,
    b"",
)
"""What is asked: things to be made, many at once, what never ends, and what makes no sense."""


def flood(tcp_port: int, seconds: float, has_begun: Event) -> None:
    """Ask for all that there is, as fast as it is answered, and longer than anybody measures."""
    # A flood comes from other machines: it should not take the time of this one.
    os.nice(19)
    end = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    threads = [
        threading.Thread(target=_ask, args=(tcp_port, number, end, counts), daemon=True)
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    has_begun.set()
    for thread in threads:
        thread.join(seconds + 2 * TIMEOUT)


def _ask(tcp_port: int, number: int, end: float, counts: Counter[str]) -> None:
    wish = WISHES[number % len(WISHES)]
    source = f"127.0.0.{2 + number % ADDRESSES}", 0
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            address = LOOPBACK, tcp_port
            with socket.create_connection(address, TIMEOUT, source_address=source) as client:
                client.sendall(wish)
                while wish and client.recv(65536) and time.monotonic() < end:
                    counts["answers"] += 1


@contextlib.contextmanager
def flooded(tcp_port: int, seconds: float) -> Iterator[None]:
    """Have a flood meanwhile, which ends by itself after that many seconds.

    Raises:
        GivenUpError: it did not begin.
    """
    context = multiprocessing.get_context("spawn")
    has_begun = context.Event()
    target: Callable[[int, float, Event], None] = flood
    process = context.Process(target=target, args=(tcp_port, seconds, has_begun), daemon=True)
    process.start()
    try:
        if not has_begun.wait(START_TIME):
            raise GivenUpError("the flood did not begin")
        yield
    finally:
        process.terminate()
        process.join(START_TIME)
        process.close()
