"""TLS handshakes that fail aloud: a client that is refused learns why.

asyncio drops the alert of a failed handshake together with the connection, so that the
client sees no more than its end. Here the failure waits until the client hangs up, which
is what an alert makes it do; the handshake's time limit is for those that do not.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, cast

from typing_extensions import override

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, BaseProtocol
    from collections.abc import Callable
    from socket import socket

MAX_UNREAD_SIZE: Final = 64 * 1024
"""How much a refused client may go on saying, in bytes."""


class AlertingObject(ssl.SSLObject):
    """The ``sslobject_class`` of a context whose handshakes fail aloud."""

    failure: ssl.SSLError | None = None
    """Why the handshake failed."""

    incoming: ssl.MemoryBIO
    """Where the client's bytes are."""

    _unread = 0

    @override
    def do_handshake(self) -> None:
        if self.failure is not None:
            self._unread += len(self.incoming.read())
            if self._unread > MAX_UNREAD_SIZE:
                raise self.failure
            raise ssl.SSLWantReadError
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as exc:
            self.failure = exc
            # Makes asyncio send what is there to be sent, which is the alert.
            raise ssl.SSLWantReadError from exc


class Handshake:
    """One client's handshake: what asyncio asks of a context, and how it ended."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._tls: AlertingObject | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - as in ssl.SSLContext
        server_hostname: str | None = None,
    ) -> ssl.SSLObject:
        """Do what the method of :class:`ssl.SSLContext` does."""
        tls = self._context.wrap_bio(incoming, outgoing, server_side, server_hostname)
        if isinstance(tls, AlertingObject):
            tls.incoming = incoming
            self._tls = tls
        return tls

    async def connect(
        self,
        loop: AbstractEventLoop,
        make_protocol: Callable[[], BaseProtocol],
        client: socket,
        seconds: float,
    ) -> None:
        """Shake hands with ``client`` and connect it; every step may take ``seconds``.

        Raises:
            OSError: it failed; :meth:`why_not` says how.
        """
        await loop.connect_accepted_socket(
            make_protocol,
            client,
            ssl=cast("ssl.SSLContext", self),
            ssl_handshake_timeout=seconds,
            ssl_shutdown_timeout=seconds,
        )

    def why_not(self, error: OSError) -> str:
        """Return how the handshake ended that made asyncio raise ``error``."""
        failure = error if self._tls is None else self._tls.failure or error
        match failure:
            case ssl.SSLCertVerificationError():
                return f"the client's certificate is not trusted: {failure.verify_message}"
            case ssl.SSLError() if failure.reason is not None:
                return f"no TLS: {failure.reason.replace('_', ' ').lower()}"
            case ConnectionResetError():
                return "no TLS: it hung up during the handshake"
        return f"no TLS: {failure}"
