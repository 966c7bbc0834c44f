"""A stream that a program prints to, and that may break before its work is done."""

from __future__ import annotations

import contextlib
import errno
import io
import os
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
        if self.failure is None:
            try:
                self._write(text)
            except OSError as exc:
                self._lose(exc)
            except ValueError:
                # What Python says of a stream that it has closed.
                self._lose(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        return len(text)

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
