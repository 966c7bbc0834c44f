"""What port servers say before they hang up, and which error that is.

A server that cannot give a client its port says so as bytes of the port, in a line of text, and
hangs up. Ours begins that line with one of the words of :class:`Refusal`, the port's name and the
details come after them. ser2net 4 says ``Port already in use`` when another client has the port,
and ``Device open failure:`` with the reason of its system when it cannot open the device.

Only the beginning of a line counts, and for servers that are not known its end: anything may be
in the name of a port.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

from esploader.errors import (
    EsploaderError,
    NegotiationError,
    PortBusyError,
    PortNotFoundError,
    PortPermissionError,
    PortTakenOverError,
    TlsError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_WORDS: Final = 1024
"""How much of what a host says first may be its reason to hang up, in bytes."""

_MAX_QUOTED: Final = 300


@enum.unique
class Refusal(enum.Enum):
    """How our server begins to say that a client cannot have the port, or has it no longer."""

    IN_USE = "the port is in use by"
    NOT_THERE = "the port is not there"
    NOT_ALLOWED = "the server may not open the port"
    CANNOT_OPEN = "the server cannot open the port"
    STRANGER = "this server is not for your address"
    CROWDED = "the server has too many connections"
    TAKEN_OVER = "the port was taken over by"
    RELEASED = "the server took the port away"


_ERRORS: Final[Mapping[str, type[TransportError]]] = {
    Refusal.IN_USE.value: PortBusyError,
    Refusal.NOT_THERE.value: PortNotFoundError,
    Refusal.NOT_ALLOWED.value: PortPermissionError,
    Refusal.CANNOT_OPEN.value: TransportError,
    Refusal.STRANGER.value: PortPermissionError,
    Refusal.CROWDED.value: TransportError,
    Refusal.TAKEN_OVER.value: PortTakenOverError,
    Refusal.RELEASED.value: PortTakenOverError,
    # ser2net, and the words of gensio's errors that it passes on.
    "Port already in use": PortBusyError,
    "Port's device already in use": PortBusyError,
    "Device open failure: Object was already in use": PortBusyError,
    "Device open failure: Value or file not found": PortNotFoundError,
    "Device open failure: Permission denied": PortPermissionError,
    "Device open failure": TransportError,
}

_BUSY: Final = r"(?i)(?:\b(?:already|is|currently) in use|\bbusy)[.!]?$"
"""What a server that is not known may mean."""

# An alert of TLS: its type, the version of the record, and a size of two bytes.
_TLS_ALERT: Final = rb"\x15\x03[\x00-\x04]\x00\x02"


def refusal_of_port(label: str, error: EsploaderError | None) -> str:
    """Return what our server says of a port that it could not open, or that is gone."""
    match error:
        case None | PortNotFoundError():
            beginning = Refusal.NOT_THERE.value
        case PortPermissionError():
            beginning = Refusal.NOT_ALLOWED.value
        case PortBusyError():
            beginning = f"{Refusal.IN_USE.value} another program at the server"
        case _:
            beginning = Refusal.CANNOT_OPEN.value
    reason = error.reason if isinstance(error, TransportError) else str(error or "")
    return ": ".join(filter(None, [beginning, label, reason]))


def refusal(port: str, said: bytes) -> TransportError | None:
    """Return what a host means that has said nothing else and hung up; ``None`` if it is unknown.

    ``port`` is the URL that it was reached by.
    """
    if re.match(_TLS_ALERT, said):
        return TlsError(port, "the server expects TLS")
    for line in said.decode("ascii", "backslashreplace").splitlines():
        error_class = _error_class(line.strip())
        if error_class is not None:
            return error_class(port, f"the server says {quoted(line.encode())}")
    return None


def parting(port: str, said: bytes) -> TransportError | None:
    """Return what our server means that says something last and hangs up; ``None`` if nothing.

    Only its last line counts, in which it says that the port is no longer ours.
    """
    last = said.decode("ascii", "backslashreplace").rstrip("\r\n").rpartition("\n")[2]
    is_known = last.startswith((Refusal.TAKEN_OVER.value, Refusal.RELEASED.value))
    return refusal(port, last.encode()) if is_known else None


def hang_up(port: str, said: bytes, *, agreed: bool) -> TransportError:
    """Return the error for a host that hung up instead of agreeing on RFC 2217, or right after.

    ``said`` is what it said besides; what a reset of the connection has lost is not in there.
    """
    known = refusal(port, said)
    if known is not None:
        return known
    who = "the server agreed to RFC 2217 and" if agreed else "the host"
    return NegotiationError(port, f"{who} closed the connection{_and_words(said)}")


def no_server(port: str, said: bytes, *, refused: bool) -> TransportError:
    """Return the error for a host that stays and does not agree on RFC 2217."""
    known = refusal(port, said)
    if known is not None:
        return known
    if refused:
        reason = "the host refuses to speak RFC 2217"
    elif said.strip():
        reason = "the host does not speak RFC 2217"
    else:
        reason = "the host says nothing: it does not speak RFC 2217, or serves another client"
    return NegotiationError(port, reason + (_and_words(said) if said.strip() else ""))


def _and_words(said: bytes) -> str:
    return f"; it says {quoted(said)}" if said.strip() else " without a word; its log may tell why"


def quoted(said: bytes) -> str:
    """Return what a host said in a form that does no harm to a terminal, cut to size."""
    return repr(said[:_MAX_QUOTED].decode("ascii", "backslashreplace").strip())


def _error_class(line: str) -> type[TransportError] | None:
    for beginning, error_class in _ERRORS.items():
        if line.startswith(beginning):
            return error_class
    return PortBusyError if re.search(_BUSY, line) else None
