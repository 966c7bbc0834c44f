"""Where bytes come from that the caller hands over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from esploader.errors import PlanError

Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO"
"""Bytes, the path of a file, or an open binary file, which is read to its end.

Of what is to be written or compared, a path that ends in ``.hex`` or ``.ihex`` names an Intel
HEX file: its bytes belong to the addresses in it, counted from the offset that is given.
"""


MAX_SOURCE_SIZE: Final = 256 * 1024 * 1024
"""No flash is larger, in bytes: a device file must not be read for ever."""


def read_source(source: Source) -> bytes:
    """Return the bytes of ``source``.

    Raises:
        PlanError: it cannot be read, is too large, or is nothing that has bytes.
    """
    try:
        if isinstance(source, str | os.PathLike):
            with Path(source).open("rb") as file:
                data = file.read(MAX_SOURCE_SIZE + 1)
        elif isinstance(source, bytes | bytearray | memoryview):
            data = bytes(source)
        elif hasattr(source, "read"):
            data = _read_to_the_end(source)
        else:
            raise PlanError(f"an input is bytes, a path or a binary file, and not {source!r}")
    # A file that is closed, or a path with a zero byte in it, is a ValueError.
    except (OSError, ValueError) as exc:
        raise PlanError(f"an input cannot be read: {exc}") from exc
    if len(data) > MAX_SOURCE_SIZE:
        raise PlanError(f"an input has more than {MAX_SOURCE_SIZE} bytes")
    return data


def _read_to_the_end(file: BinaryIO) -> bytes:
    """Return all that a file has, which without a buffer gives only what is there at once."""
    data = bytearray()
    while len(data) <= MAX_SOURCE_SIZE:
        # A file that does not wait gives None when it has nothing yet; others give texts.
        part: object = file.read(MAX_SOURCE_SIZE + 1 - len(data))
        if not isinstance(part, bytes):
            raise PlanError(f"an input cannot be read: {file!r} is no binary file that waits")
        if not part:
            break
        data += part
    return bytes(data)
