"""A port at the far end of the system's ``ssh``: ``ssh://[user@]host[:port]/dev/ttyUSB0``.

``esploader serve --stdio`` is run there. Its standard input and output are the pipe to an RFC 2217
server that serves nobody else: nothing listens anywhere, and who may log in there may use the
port. How ssh gets there is its own business, with its configuration, keys and agent. Who sits at a
terminal is asked by ssh, there, for what it needs; where there is none it asks nobody, and fails.

What is typed at that terminal to end us does not end ssh: the device is left by way of it. When
the pipe ends, so does ssh, and what it runs at the far end, and the port is free. That is waited
for, so that the next client finds it so.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import (
    SshError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from esploader.transport.clock import RealClock
from esploader.transport.descriptors import Descriptors
from esploader.transport.greeting import reason_in, skip_to_greeting
from esploader.transport.pipe import OuterPipe
from esploader.transport.refusal import quoted, refusal
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.ssh_process import SshProcess
from esploader.transport.ssh_url import SshUrl, parse_ssh_url
from esploader.transport.ssh_words import and_last_line, failure, is_missing
from esploader.transport.tcp import CONNECT_TIMEOUT, TcpPipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.transport.clock import Clock

PROGRAM: Final = "ssh"

START_TIME: Final = 60.0
"""For how long it may take until the far end serves when nobody is asked anything, in seconds. A
small computer needs some of them to load Python, and up to five are spent on opening the port."""

PROMPT_TIME: Final = 150.0
"""The same where somebody may be asked, in seconds: sshd gives them two minutes."""

_OPTIONS: Final = (
    "-T",  # no terminal: it would change bytes
    *("-a", "-x"),  # nothing of ours for the far end, whatever the configuration says
    *("-o", "ClearAllForwardings=yes"),
    *("-o", f"ConnectTimeout={CONNECT_TIMEOUT:.0f}"),
    *("-o", "LogLevel=ERROR"),  # or nobody would learn why it failed
)

_logger = logging.getLogger(__name__)


def open_ssh(url: str, *, baudrate: int) -> Rfc2217Transport:
    """Have a port served at the far end of ``ssh``, and open it at ``baudrate``.

    Raises:
        UrlError: the URL is malformed, or would be taken for something else on the way.
        HostUnreachableError: ssh does not reach the host.
        SshError: ssh is missing or fails, or there is no esploader at the far end.
        TransportError: as :meth:`Rfc2217Transport.open`.
    """
    options = parse_ssh_url(url)
    return Rfc2217Transport.over(
        SshPipe.connect(options, RealClock()),
        baudrate=baudrate,
        timeout=options.timeout,
        log_level=options.log_level,
    )


@define(eq=False)
class SshPipe(OuterPipe):
    """A pipe to what ``ssh`` runs at the far end, both of which end with it."""

    _ssh: SshProcess
    _unread: bytes = attrs.field(default=b"", init=False, repr=False)

    @classmethod
    def connect(cls, url: SshUrl, clock: Clock) -> SshPipe:
        """Run ``ssh``, and wait until the far end serves.

        Raises:
            HostUnreachableError: ssh does not reach the host.
            SshError: ssh is missing or fails, or nothing serves at the far end.
            TransportError: the server there says why the port is not to be had.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise SshError(url.url, f"there is no program {PROGRAM!r} on this machine")
        may_ask = os.isatty(0)
        batch = [] if may_ask else ["-o", "BatchMode=yes"]
        deadline = clock.now() + (PROMPT_TIME if may_ask else START_TIME)
        commands = url.commands()
        while True:
            words = [program, *_OPTIONS, *batch, *url.destination, commands.pop(0)]
            ssh = SshProcess.start(
                url.url, words, may_ask=may_ask, on_words=functools.partial(_log, url)
            )
            pipe = cls(
                TcpPipe(url.url, clock, Descriptors.joined(ssh.stdout, ssh.stdin).socket), ssh
            )
            try:
                pipe._await_greeting(deadline)
            except SshError:
                if not commands or not is_missing(ssh.exit_code, ssh.last_words()):
                    raise
            else:
                return pipe

    def receive(self, deadline: float) -> bytes:
        """Return what has arrived. Raises as :meth:`~esploader.transport.pipe.Pipe.receive`."""
        unread, self._unread = self._unread, b""
        if unread:
            return unread
        with self._last_words():
            return self._inner.receive(deadline)

    def send(self, data: bytes) -> None:
        """Send all of ``data``. Raises as :meth:`~esploader.transport.pipe.Pipe.send`."""
        with self._last_words():
            self._inner.send(data)

    def close(self) -> None:
        """Say good-bye, and wait until ssh has ended, and with it what it runs."""
        self._inner.close()
        self._ssh.end()

    def _await_greeting(self, deadline: float) -> None:
        """Wait until the far end serves; end ``ssh`` when it does not.

        Raises:
            HostUnreachableError: ssh does not reach the host.
            SshError: ssh fails, or nothing serves at the far end.
            TransportError: the server there says why the port is not to be had.
        """
        skipped = bytearray()
        try:
            self._unread = skip_to_greeting(self._inner, deadline, skipped)
        except (TransportClosedError, TransportTimeoutError) as exc:
            is_over = isinstance(exc, TransportClosedError)
            refused = reason_in(bytes(skipped))
            code = self._ssh.wait() if is_over else None
            self._abandon()
            if refused is not None:
                raise refusal(self.name, refused) or TransportError(
                    self.name, f"the server says {quoted(refused)}"
                ) from exc
            raise failure(self.name, code, self._ssh.last_words() or bytes(skipped)) from exc
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._ssh.terminate()
        self._inner.close()

    @contextmanager
    def _last_words(self) -> Iterator[None]:
        """Have an end that nobody here wanted come with what ssh says of it."""
        try:
            yield
        except TransportClosedError as exc:
            if self.fileno() < 0:
                raise
            reason = f"{exc.reason}{and_last_line(self._ssh.last_words())}"
            raise TransportClosedError(self.name, reason) from exc


def _log(url: SshUrl, said: bytes) -> None:
    if url.log_level is not None:
        _logger.log(url.log_level, "%s: ssh says %s", url.url, quoted(said))
