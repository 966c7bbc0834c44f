"""TLS over any pipe: the ``+tls`` of ``rfc2217+tls://``.

The server's certificate has to be signed by an authority that is trusted, and to be for
the host in the URL. There is no option to leave that out: who does not check whom he
talks to hands his firmware, and the device, to whoever is on the way. A server with a
certificate that it signed itself is trusted by naming that very certificate as ``ca``.
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import (
    TlsError,
    TransportClosedError,
    TransportError,
    UrlError,
)
from esploader.transport.pipe import OuterPipe
from esploader.transport.tls_words import alert, distrust, no_tls, unusable_pair, wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.transport.network_url import NetworkUrl
    from esploader.transport.pipe import Pipe
    from esploader.transport.rfc2217_url import TlsOptions

HANDSHAKE_TIMEOUT: Final = 5.0
"""For how long the handshake may take, in seconds; ten round trips come on top."""

_READ_SIZE: Final = 64 * 1024


@define(eq=False)
class TlsPipe(OuterPipe):
    """A pipe whose bytes only the other end can read, through a pipe that anybody can."""

    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _tls: ssl.SSLObject
    _has_certificate: bool
    """We have shown one, or could."""

    _has_heard: bool = attrs.field(default=False, init=False)
    """Bytes have come since the handshake."""

    _first: bytes = attrs.field(default=b"", init=False)
    """What came first of all, as it came."""

    @classmethod
    def over(cls, inner: Pipe, address: NetworkUrl, files: TlsOptions) -> TlsPipe:
        """Return a pipe to the host of ``address`` through ``inner``, which it owns from now on.

        Raises:
            UrlError: a file cannot be used.
            TlsError: the host does not speak TLS, is not who it should be, or
                wants to know who we are.
            TransportError: the connection failed.
        """
        try:
            context = _context(address.url, files)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname=address.host)
            pipe = cls(inner, incoming, outgoing, tls, files.cert is not None)
            pipe._shake_hands(address.host)
        except BaseException:
            inner.close()
            raise
        return pipe

    def receive(self, deadline: float) -> bytes:
        """Return what has arrived, at once; wait for it until ``deadline``.

        Raises:
            TransportClosedError: the other end closed the connection, or we did.
            TlsError: it hung up for want of a certificate that it accepts.
        """
        with self._errors():
            while True:
                try:
                    data = self._tls.read(_READ_SIZE)
                except ssl.SSLWantReadError:
                    if not self._take_in(deadline):
                        return b""
                    continue
                if not data:
                    raise TransportClosedError(self.name, "the other end closed the connection")
                self._has_heard = True
                return data

    def send(self, data: bytes) -> None:
        """Send all of ``data``. Raises as :meth:`~esploader.transport.pipe.Pipe.send`."""
        with self._errors():
            if data:
                self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """Say good-bye and release the connection."""
        with suppress(TransportError, ssl.SSLError):
            # Sends the good-bye, and need not see the answer.
            self._tls.unwrap()
        with suppress(TransportError):
            self._flush()
        self._inner.close()

    def _shake_hands(self, host: str) -> None:
        deadline = self.clock.now() + HANDSHAKE_TIMEOUT + 10 * self.connect_time
        try:
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._flush()
                    if not self._take_in(deadline):
                        raise TlsError(
                            self.name, "the host does not speak TLS: it says nothing"
                        ) from None
                else:
                    self._flush()
                    return
        except ssl.SSLCertVerificationError as exc:
            self._send_alert()
            raise TlsError(self.name, distrust(exc, host)) from exc
        except ssl.SSLError as exc:
            self._send_alert()
            raise self._refusal(exc) from exc
        except TransportClosedError as exc:
            reason = "the host closed the connection during the TLS handshake"
            raise TlsError(self.name, reason) from exc

    def _take_in(self, deadline: float) -> bool:
        try:
            data = self._inner.receive(deadline)
        except TransportClosedError as exc:
            # With TLS 1.3 a server looks at our certificate when the handshake is over here,
            # and not all of them get to say what they think of it. A good-bye would be said.
            if self._has_heard or self._tls.version() != "TLSv1.3":
                raise
            reason = "the server hung up right after the TLS handshake; perhaps it "
            raise TlsError(self.name, reason + self._wish()) from exc
        self._first = self._first or data
        self._incoming.write(data)
        # A new key may have to be acknowledged.
        self._flush()
        return bool(data)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._inner.send(data)

    def _send_alert(self) -> None:
        """Tell the other end why, if it still listens."""
        with suppress(TransportError):
            self._flush()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLZeroReturnError as exc:
            raise TransportClosedError(self.name, "the other end closed the connection") from exc
        except ssl.SSLError as exc:
            raise self._refusal(exc) from exc

    def _refusal(self, error: ssl.SSLError) -> TransportError:
        """Return what an error of TLS means."""
        reason = (error.reason or "").upper()
        # With TLS 1.3 a server looks at our certificate when the handshake is over.
        said = alert(reason, has_certificate=self._has_certificate)
        if said is not None:
            return TlsError(self.name, said)
        if self._tls.version() is None or self._tls.cipher() is None:
            return TlsError(self.name, no_tls(reason, self._first))
        return TransportError(self.name, "what came is not what was sent: TLS could not read it")

    def _wish(self) -> str:
        return wish(has_certificate=self._has_certificate)


def _context(url: str, files: TlsOptions) -> ssl.SSLContext:
    for path in (files.ca, files.cert, files.key):
        if path is not None:
            _require_readable(url, path)
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except ssl.SSLError as exc:
        raise UrlError(url, f"ca={files.ca} holds no certificate in PEM format") from exc
    if files.cert is not None:
        try:
            # Asking on the terminal for a password would hang who is not there.
            context.load_cert_chain(files.cert, files.key, password="")
        except (OSError, ValueError) as exc:
            raise UrlError(url, unusable_pair(files.cert, files.key, exc)) from exc
    return context


def _require_readable(url: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as exc:
        raise UrlError(url, f"{path} cannot be read: {os.strerror(exc.errno or 0)}") from exc
