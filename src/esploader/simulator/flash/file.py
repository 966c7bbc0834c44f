"""The file that the flash of a device is kept in, which only one device at a time may have."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import weakref
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ATTEMPTS: Final = 10
"""Now and then the owner replaces its file; who meets that looks again, so many times."""

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@define(eq=False)
class FlashFile:
    """A file that nobody else may have until :meth:`release`.

    It is claimed when this is made, and made itself if there is none. An owner that is killed
    or forgotten leaves it free. On Windows nobody is kept away.

    Raises:
        OSError: it cannot be written, it is no regular file, or another device has it.
    """

    path: Path
    is_stale: bool = attrs.field(default=False, init=False)
    """A change is not in it; nothing more is stored until it is written as a whole."""

    failure: OSError | None = attrs.field(default=None, init=False)
    """Why it could not be written at last; ``None`` once it could."""

    _is_new: bool = attrs.field(default=False, init=False)
    _let_go: weakref.finalize[[int], FlashFile] | None = attrs.field(
        default=None, init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        path = self.path
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such directory", str(path.parent))
        self._is_new = not path.exists()
        self._own(_claim(path))

    def store(self, offset: int, data: bytes | bytearray) -> None:
        """Write a change to the file, unless something is missing in it already."""
        if self.is_stale:
            return
        try:
            with self.path.open("r+b", buffering=0) as file:
                file.seek(offset)
                self.is_stale = file.write(data) != len(data)
        except OSError:
            # Whether it is really lost shows when all is written anew.
            self.is_stale = True

    def save(self, pieces: Iterable[bytes | bytearray]) -> None:
        """Write the whole content, in one step.

        Raises:
            OSError: it cannot be written, and is as it was; :attr:`failure` says the same.
        """
        part = self.path.with_name(self.path.name + ".part")
        try:
            self._replace(part, pieces)
        except OSError as exc:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            self.failure = _error_of(self.path, exc)
            raise self.failure from exc
        self.is_stale, self._is_new, self.failure = False, False, None

    def release(self) -> None:
        """Leave the file to whoever wants it."""
        if self._let_go is not None:
            self._let_go()

    def discard(self) -> None:
        """Leave the file; it is gone again if nobody had one before and nothing is in it."""
        if self._is_new:
            with contextlib.suppress(OSError):
                if not self.path.stat().st_size:
                    self.path.unlink()
        self.release()

    def _replace(self, part: Path, pieces: Iterable[bytes | bytearray]) -> None:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        # There is no moment at which somebody else could have the file.
        claimed = _claim(part)
        try:
            part.replace(self.path)
        except OSError:
            if claimed is not None:
                os.close(claimed)
            raise
        self.release()
        self._own(claimed)

    def _own(self, claimed: int | None) -> None:
        self._let_go = None if claimed is None else weakref.finalize(self, os.close, claimed)


def _claim(path: Path) -> int | None:
    """Return a descriptor that keeps others away from the file as long as it is open."""
    for _ in range(_ATTEMPTS):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if sys.platform == "win32":  # no test
            # An open file could not be replaced.
            os.close(descriptor)
            return None
        try:
            _lock(descriptor, path)
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise _in_use(path)


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":  # no test
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise _in_use(path) from exc
    except OSError as exc:
        # Some file systems have no locks.
        if exc.errno not in _NO_LOCKS:
            raise


def _error_of(path: Path, exc: OSError) -> OSError:
    """Return the error that names the file itself, not the one that is to take its place."""
    return OSError(exc.errno, exc.strerror, str(path))


def _in_use(path: Path) -> OSError:
    return OSError(errno.EBUSY, "another simulated device has it", str(path))
