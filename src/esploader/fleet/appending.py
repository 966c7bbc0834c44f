"""Files to which several programs append whole lines, each on the disk before that is said.

A line that was torn, as by a power cut, stays as it is; the next one begins behind it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_PATIENCE: Final = 10.0
"""For how long another program may hold the lock, in seconds."""
_LOCK_INTERVAL: Final = 0.02

_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES})


def open_to_append(path: Path) -> int:
    """Open a file to read it and to append to it; it is made if there is none.

    Raises:
        OSError: it cannot be opened, or is no file.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    # A pipe that nobody reads is not waited for; what is no file is refused below.
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o644)
    if not os.path.isfile(path):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no regular file")
    return file


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Open a file to read and append, and keep other programs that do so out meanwhile.

    Raises:
        OSError: it cannot be opened, or another program keeps it locked.
    """
    file = open_to_append(path)
    try:
        _lock(file)
        yield file
    finally:
        os.close(file)


def _lock(file: int) -> None:
    """Wait for other programs that append; where files have no locks one write has to do."""
    if sys.platform == "win32":  # no test
        return
    import fcntl

    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in _BUSY:
                return
            if time.monotonic() >= deadline:
                raise OSError(exc.errno, "another program keeps it locked") from exc
            time.sleep(_LOCK_INTERVAL)
        else:
            return


def append(file: int, line: bytes) -> None:
    """Append a line, and wait until it is on the disk.

    Raises:
        OSError: it cannot be written; nothing of it is there.
    """
    size = os.lseek(file, 0, os.SEEK_END)
    if size:
        os.lseek(file, size - 1, os.SEEK_SET)
        line = line if os.read(file, 1) == b"\n" else b"\n" + line
    try:
        _write_all(file, line)
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise


def _write_all(file: int, data: bytes) -> None:
    if os.write(file, data) != len(data):
        # What is written in part has filled the disk.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
