"""What ``ssh`` and the shell of the far end say when they fail, and which error that is.

Nothing but text tells: all failures of ssh itself have the exit code 255. The words are those of
OpenSSH 7 to 9, of the shells of Windows, of Python, and our own; the shells of POSIX have an exit
code of their own for a program that they do not find. What is not known here is quoted as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from esploader.errors import HostUnreachableError, SshError, TransportError
from esploader.transport.refusal import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

SSH_FAILED: Final = 255
"""The exit code of ssh when it is not that of what it ran."""

_NOT_FOUND: Final = 127
"""The exit code of a shell that has not found a program."""

_FAILED: Final = 1

_OF_SSH: Final[Sequence[tuple[str, type[TransportError], str]]] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        SshError,
        "the key of the host is not the one that ssh knows: it may be another host",
    ),
    (
        r"Host key verification failed|host key is known for",
        SshError,
        "ssh does not know the key of the host, and was not told to trust it",
    ),
    (
        r"Could not resolve hostname|connect to (?:host|address) |banner exchange",
        HostUnreachableError,
        "ssh does not reach the host",
    ),
    (
        r"Permission denied|Too many authentication failures|authentication methods",
        SshError,
        "the host does not let us in",
    ),
)

_REFUSED: Final = b"A fatal error occurred: "
"""How our program begins to say why it does not even begin."""

_OLD: Final = r"there is no option --stdio|unrecognized arguments: --stdio"

_NOT_INSTALLED: Final = r"is not recognized|No module named '?esploader"
"""What the shells of Windows say, and Python, which have no exit code of their own for it."""


def is_missing(code: int | None, said: bytes) -> bool:
    """Tell whether what was to be run at the far end is not there."""
    return code == _NOT_FOUND or (code == _FAILED and _line_with(_NOT_INSTALLED, said) is not None)


def failure(port: str, code: int | None, said: bytes) -> TransportError:
    """Return the error for an ssh that brought nobody who serves.

    ``code`` is its exit code, ``None`` as long as it runs; ``said`` is the end of what it, and what
    it ran, wrote to stderr.
    """
    if code == SSH_FAILED:
        for pattern, error_class, reason in _OF_SSH:
            line = _line_with(pattern, said)
            if line is not None:
                return error_class(port, f"{reason}: {quoted(line)}")
        return SshError(port, f"ssh failed{and_last_line(said)}")
    line = _line_with(_OLD, said)
    if line is not None:
        reason = f"the esploader at the far end is too old for ssh://: it says {quoted(line)}"
        return SshError(port, reason)
    if is_missing(code, said):
        return SshError(port, f"esploader is not found at the far end{and_last_line(said)}")
    line = _line_with(f"^{_REFUSED.decode()}", said)
    if line is not None:
        return TransportError(port, f"the far end says {quoted(line.removeprefix(_REFUSED))}")
    ended = "does not begin to serve" if code is None else f"ended with exit code {code}"
    return SshError(port, f"what ssh runs at the far end {ended}{and_last_line(said)}")


def and_last_line(said: bytes) -> str:
    """Return what was said last, to be put behind a reason; nothing where that is nothing."""
    lines = said.split(b"\n")
    last = next((line for line in reversed(lines) if line.strip()), None)
    return "" if last is None else f"; it says {quoted(last)}"


def _line_with(pattern: str, said: bytes) -> bytes | None:
    for line in said.split(b"\n"):
        if re.search(pattern.encode(), line):
            return line
    return None
