"""Where bytes come from that the caller hands over, and how many there may be.

Somebody else may be at the other end of a path: a pipe, a terminal. It is waited for, not for
ever, and nothing is held meanwhile that does not have to be.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeAlias

from esploader.classes import override
from esploader.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import TypeIs

    from esploader.image.runs import Readable


class Contents(NamedTuple):
    """What has been read of an input already."""

    parts: tuple[tuple[int, bytes], ...]
    """Bytes without a gap, and how far behind the offset of the input they belong."""

    family: int | None = None
    """The family of chips that a UF2 file is for; ``None`` where nobody says."""

    name: str | None = None
    """The path that it was read from; ``None`` for bytes and open files."""

    @override
    def __repr__(self) -> str:
        size = sum(len(data) for _, data in self.parts)
        return f"Contents(<{size} bytes>, family={self.family}, name={self.name!r})"


Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Contents"
"""Bytes, the path of a file, or an open binary file, which is read to its end.

Of what is to be written or compared, a path that ends in ``.hex`` or ``.ihex`` names an Intel
HEX file and one that ends in ``.uf2`` a UF2 file, and so does one whose content is that: its bytes
belong to the addresses in it, counted from the offset that is given. Of one whose content is the
ELF file of a program, the image made of it for the chip is meant. Bytes and open files are taken as
they are.
"""


MAX_SOURCE_SIZE: Final = 256 * 1024 * 1024
"""No flash is larger, in bytes: a device file must not be read for ever."""

PATIENCE: Final = 30.0
"""For how long whoever writes into a pipe may write nothing, in seconds."""

_READ_SIZE: Final = 1024 * 1024


def read_source(source: Source, *, limit: int = MAX_SOURCE_SIZE) -> bytes:
    """Return the bytes of ``source``, up to ``limit``.

    Raises:
        PlanError: it cannot be read, is too large, or is nothing that has bytes.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        check_total([source], limit)
        return bytes(source)
    with open_source(source) as file:
        return read_all(file, limit)


def read_all(file: Readable, limit: int) -> bytes:
    """Return what is left of ``file``, up to ``limit`` bytes.

    Raises:
        PlanError: it is more, or ``file`` is no binary file that waits.
    """
    data = _read_to_the_end(file, limit)
    if len(data) > limit:
        raise PlanError(f"an input has more than {limit} bytes")
    return data


@contextlib.contextmanager
def open_source(source: Source, *, patience: float = PATIENCE) -> Iterator[Readable]:
    """Yield ``source`` as a file to read, in which nobody may be silent for ``patience`` seconds.

    What goes wrong while it is open is an error of ``source``, too.

    Raises:
        PlanError: it cannot be read, or is nothing that has bytes.
    """
    # A file that is closed, or a path with a zero byte in it, is a ValueError.
    try:
        if is_path(source):
            with contextlib.ExitStack() as stack:
                yield stack.enter_context(_open(Path(source), patience))
        elif isinstance(source, bytes | bytearray | memoryview):
            yield io.BytesIO(source)
        elif not isinstance(source, Contents) and hasattr(source, "read"):
            yield source
        else:
            raise PlanError(f"an input is bytes, a path or a binary file, and not {source!r}")
    except (OSError, ValueError) as exc:
        raise PlanError(f"an input cannot be read: {_reason(exc)}") from exc


def _reason(exc: OSError | ValueError) -> str:
    """Return what went wrong, without the number that the system has for it."""
    if not isinstance(exc, OSError) or not exc.strerror:
        return str(exc)
    return exc.strerror if exc.filename is None else f"{exc.strerror}: {exc.filename!r}"


def begin(file: Readable, size: int) -> tuple[bytes, Readable]:
    """Return up to ``size`` bytes that ``file`` begins with, and all of it, still to be read.

    Raises:
        PlanError: it is no binary file that waits.
    """
    if isinstance(file, io.BufferedReader):
        return file.peek(size)[:size], file
    beginning = _read_to_the_end(file, size - 1)
    return beginning, _Begun(beginning, file)


def is_path(source: Source) -> TypeIs[str | os.PathLike[str]]:
    """Tell whether ``source`` is the path of a file."""
    return isinstance(source, str | os.PathLike)


def is_lasting(source: Source) -> bool:
    """Tell whether ``source`` can be read at any time, as often as wanted, without waiting."""
    if not is_path(source):
        return isinstance(source, bytes | bytearray | memoryview | Contents)
    try:
        return stat.S_ISREG(Path(source).stat().st_mode)
    except (OSError, ValueError):
        return False


def check_total(sources: Iterable[Source], limit: int = MAX_SOURCE_SIZE) -> None:
    """Refuse sources that have more than ``limit`` bytes together, as far as is known unread.

    Raises:
        PlanError: they have.
    """
    total = sum(map(_known_size, sources))
    if total > limit:
        raise PlanError(f"the inputs have {total} bytes, and more than {limit} are in no flash")


def _known_size(source: Source) -> int:
    if isinstance(source, bytes | bytearray):
        return len(source)
    if isinstance(source, memoryview):
        return source.nbytes
    if isinstance(source, Contents):
        return sum(len(data) for _, data in source.parts)
    if not is_path(source) or not is_lasting(source):
        return 0
    return Path(source).stat().st_size


@contextlib.contextmanager
def _open(path: Path, patience: float) -> Iterator[Readable]:
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        # To open a pipe waits for whoever writes into it, unless one asks not to.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            yield _Pipe(path, descriptor, patience)
        finally:
            os.close(descriptor)
    else:
        with path.open("rb") as file:
            yield file


class _Pipe:
    """The reading end of something that somebody else writes into."""

    def __init__(self, path: Path, descriptor: int, patience: float) -> None:
        self._path = path
        self._descriptor = descriptor
        self._patience = patience

    def read(self, size: int, /) -> bytes:
        """Wait for bytes, and return them; none when the other end is closed."""
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if not poll.poll(self._patience * 1000):
                reason = f"nobody has written into it for {self._patience:g} seconds"
                raise PlanError(f"an input cannot be read: {self._path}: {reason}")
        return os.read(self._descriptor, min(size, _READ_SIZE))


class _Begun:
    """A file of which the beginning has been read already."""

    def __init__(self, beginning: bytes, file: Readable) -> None:
        self._beginning = beginning
        self._file = file

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, the beginning first; none at the end."""
        part, self._beginning = self._beginning[:size], self._beginning[size:]
        return part or self._file.read(size)


def _read_to_the_end(file: Readable, limit: int) -> bytes:
    """Return all that a file has, which without a buffer gives only what is there at once."""
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        # A file that does not wait gives None when it has nothing yet; others give texts.
        part: object = file.read(limit + 1 - size)
        if not isinstance(part, bytes):
            raise PlanError(f"an input cannot be read: {file!r} is no binary file that waits")
        if not part:
            break
        parts.append(part)
        size += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
