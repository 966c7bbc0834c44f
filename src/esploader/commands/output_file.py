"""A file for what is read from a device: opened before the reading, filled after it.

Reading may take minutes, so what cannot be written to is refused beforehand. A regular file
is replaced in one step when all is there; anything else (a pipe, a device file) is written
to and never replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING

from esploader.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self


class OutputFile:
    """An open file that :meth:`write` fills; as a context manager it leaves none half done.

    Until then an older file keeps its content, and a new one is not there.
    """

    def __init__(
        self, path: Path, stream: IO[bytes], target: Path, replacement: Path | None
    ) -> None:
        self._path = path
        self._stream = stream
        self._target = target
        """The file itself, where the path is a link to it."""
        self._replacement = replacement
        """The name of the stream until it takes the place of the target; ``None`` where the
        stream is the target."""

    @classmethod
    def open(cls, path: Path) -> OutputFile:
        """Open ``path``, a new file or one that there is already.

        A new file gets the permissions that the umask leaves, another one keeps its own. A
        file is written in place where that alone keeps its owner and its other names, and
        where no second file can be made beside it.

        Raises:
            PlanError: it is a directory, or cannot be written.
        """
        with _errors_of(path):
            try:
                old = path.stat()
            except FileNotFoundError:
                target = Path(os.path.realpath(path))
                replacement, stream = _make_beside(target)
                return cls(path, stream, target, replacement)
            if not stat.S_ISREG(old.st_mode):
                return cls(path, _open_in_place(path), path, None)
            # To append changes nothing yet, and needs no more than the right to write.
            stream = path.open("ab")
            if old.st_nlink > 1:
                return cls(path, stream, path, None)
            target = Path(os.path.realpath(path))
            successor = _make_successor(target, old)
            if successor is None:
                return cls(path, stream, path, None)
            stream.close()
            replacement, stream = successor
            return cls(path, stream, target, replacement)

    def write(self, data: bytes) -> int:
        """Make ``data`` the content of the file, and return how many bytes that are.

        Raises:
            PlanError: it cannot be written.
        """
        return self.write_parts((data,))

    def write_parts(self, parts: Iterable[bytes]) -> int:
        """Make ``parts`` the content of the file, one after the other, as :meth:`write`."""
        size = 0
        with _errors_of(self._path):
            if stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode):
                self._stream.truncate(0)
            for part in parts:
                self._stream.write(part)
                size += len(part)
            self._stream.close()
            if self._replacement is not None:
                self._replacement.replace(self._target)
                self._replacement = None
        return size

    def close(self) -> None:
        """Leave what :meth:`write` has made, and nothing else. Closing twice is allowed."""
        with contextlib.suppress(OSError):
            self._stream.close()
        if self._replacement is not None:
            with contextlib.suppress(OSError):
                self._replacement.unlink(missing_ok=True)
            self._replacement = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _open_in_place(path: Path) -> IO[bytes]:
    """Open what is no regular file; a pipe that nobody reads is refused and not waited for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as exc:
        if exc.errno == errno.ENXIO and path.is_fifo():
            raise OSError(exc.errno, "nobody reads from it") from exc
        raise
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def _make_beside(target: Path) -> tuple[Path, IO[bytes]]:
    """Make a file in the directory of ``target``, with the permissions of any new file."""
    path = target.with_name(f".esploader-{os.urandom(8).hex()}.part")
    return path, path.open("xb")


def _make_successor(target: Path, old: os.stat_result) -> tuple[Path, IO[bytes]] | None:
    """Make a file beside ``target`` with its owner and permissions, if that can be done."""
    try:
        path, stream = _make_beside(target)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        new = path.stat()
        if (new.st_uid, new.st_gid) == (old.st_uid, old.st_gid):
            path.chmod(stat.S_IMODE(old.st_mode))
            return path, stream
    stream.close()
    path.unlink()
    return None


@contextlib.contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise PlanError(f"{path} cannot be written: {reason}") from exc
