"""A secret in a file, by which those know each other who may take a port from others."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from esploader.errors import ConfigError

MIN_SIZE: Final = 16
"""A shorter one could be guessed, in bytes."""

MAX_SIZE: Final = 1024
"""A longer one is no token but some other file, in bytes."""

HOW_TO_MAKE: Final = "'openssl rand -hex 32 > FILE' makes one"

_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH


def read_token(path: str | os.PathLike[str]) -> bytes:
    """Return what a file holds, without the blanks and ends of lines around it.

    Raises:
        ConfigError: it cannot be read, is read or written by everybody, or holds no token.
    """
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None
        raise ConfigError(source, f"the token cannot be read: {reason or exc}") from exc
    # Windows has no such bits, and says that everybody may read.
    if os.name == "posix" and status.st_mode & _OTHERS:
        raise ConfigError(source, f"everybody can use this token: 'chmod o-rw {source}'")
    token = content.strip()
    if len(content) > MAX_SIZE:
        raise ConfigError(source, f"a token has {MAX_SIZE} bytes at most")
    if len(token) < MIN_SIZE:
        reason = f"a token has {MIN_SIZE} bytes at least, and this one {len(token)}"
        raise ConfigError(source, f"{reason}: {HOW_TO_MAKE}")
    return token
