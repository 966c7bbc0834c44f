"""A stream that a program prints to, and that may break before its work is done."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


class StandardStream:
    """A stream whose end is no reason to stop: what nobody can receive any more is dropped.

    A reader may have gone, a disk be full, a terminal closed. ``on_loss`` is called once, with
    the reason. What the encoding of the stream lacks is escaped. Of a stream that somebody has
    put there nothing is needed but ``write`` and ``flush``.
    """

    def __init__(self, stream: TextIO | None, on_loss: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._on_loss = on_loss
        self.failure: OSError | None = None
        """Why nothing is written any more; ``None`` as long as it is."""

    def write(self, text: str) -> int:
        """Write now, or drop."""
        self._attempt(lambda: self._write(text))
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes as they are now, or drop them."""
        self._attempt(lambda: self._write_bytes(data))

    def look_for_reader(self) -> None:
        """Notice that whoever read a pipe has gone, also while nothing is written (POSIX)."""
        if self.failure is not None or not hasattr(select, "poll"):
            return
        poller = select.poll()
        with contextlib.suppress(AttributeError, OSError, ValueError):
            if self._stream is not None:
                poller.register(self._stream.fileno(), 0)
        if any(events & select.POLLERR for _, events in poller.poll(0)):
            self._lose(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))

    def flush(self) -> None:
        """Write what somebody else has left to be written."""
        self.write("")

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (AttributeError, ValueError):
            return False

    @property
    def encoding(self) -> str:
        """How it encodes characters."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _attempt(self, write: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            write()
        except OSError as exc:
            self._lose(exc)
        except ValueError:
            # What Python says of a stream that it has closed.
            self._lose(OSError(errno.EBADF, os.strerror(errno.EBADF)))

    def _write_bytes(self, data: bytes) -> None:
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self._write(data.decode(self.encoding, "replace"))
            return
        buffer.write(data)
        buffer.flush()

    def _write(self, text: str) -> None:
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            data = text.encode(self.encoding, "backslashreplace")
            self._stream.write(data.decode(self.encoding))
        self._stream.flush()

    def _lose(self, exc: OSError) -> None:
        self.failure = exc
        # What is still in its buffer goes nowhere when the process ends.
        with contextlib.suppress(OSError, io.UnsupportedOperation, ValueError):
            if self._stream is not None:
                with Path(os.devnull).open("wb") as nowhere:
                    os.dup2(nowhere.fileno(), self._stream.fileno())
        self._on_loss(exc)
