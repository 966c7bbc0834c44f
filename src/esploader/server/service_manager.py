"""What a service tells systemd of itself: that it serves, reads its configuration, lives, ends.

The protocol of sd_notify(3): one datagram of ``NAME=VALUE`` lines to the Unix socket that
``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from esploader.classes import define
from esploader.errors import ConfigError
from esploader.numerals import shown, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

MAX_PATH_SIZE: Final = 107
"""Of a Unix socket on Linux, in bytes (unix(7))."""

_MAX_PERIOD: Final = 2**63
_MICROSECONDS: Final = 1_000_000

_logger = logging.getLogger(__name__)


@define(eq=False)
class ServiceManager:
    """The manager that has started this process as a service."""

    _address: bytes
    """Of its socket; one that begins with a zero byte is abstract."""

    watchdog_period: float | None = None
    """How often it wants to hear from us, in seconds; ``None`` where it does not."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ServiceManager | None:
        """Return the manager that the environment names; ``None`` without one.

        Raises:
            ConfigError: a variable makes no sense.
        """
        name = environment.get("NOTIFY_SOCKET")
        if not name:
            return None
        address = os.fsencode(name)
        if not address.startswith((b"/", b"@")) or len(address) > MAX_PATH_SIZE:
            reason = f"neither a path nor an abstract socket: {shown(name)}"
            raise ConfigError("NOTIFY_SOCKET", reason)
        if address.startswith(b"@"):
            address = b"\0" + address[1:]
        return cls(address, _watchdog_period(environment))

    def ready(self, status: str) -> None:
        """Tell that it serves, for the first time or again after a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that it reads its configuration again."""
        now = time.monotonic_ns() // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    @asynccontextmanager
    async def attended(self, status: str) -> AsyncIterator[None]:
        """Tell that it serves, in the loop that does; at the end, that it ends.

        While the loop turns, that it lives.
        """
        self.ready(status)
        watchdog = asyncio.get_running_loop().create_task(self._feed_watchdog())
        try:
            yield
        finally:
            watchdog.cancel()
            self._send("STOPPING=1")

    async def _feed_watchdog(self) -> None:
        if self.watchdog_period is None:
            return
        while True:
            self._send("WATCHDOG=1")
            # As sd_watchdog_enabled(3) advises.
            await asyncio.sleep(self.watchdog_period / 2)

    def _send(self, *lines: str) -> None:
        message = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # noqa: FBT003 - it is called so
                sender.sendto(message.encode(), self._address)
        except OSError as exc:
            _logger.warning("the service manager was not told %s: %s", lines[0], exc)


def _watchdog_period(environment: Mapping[str, str]) -> float | None:
    text = environment.get("WATCHDOG_USEC")
    # A process that we have been started by may have left its own.
    if not text or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return whole(text, 1, _MAX_PERIOD, base=10) / _MICROSECONDS
    except ValueError as exc:
        raise ConfigError("WATCHDOG_USEC", str(exc)) from exc
