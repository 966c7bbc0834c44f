"""How a server on standard output says that its protocol begins, or why it does not.

What else writes there before is none of ours: a message of the day, a script of the shell. So
everything up to the greeting is skipped, and nothing is sent that such a program could read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.errors import TransportTimeoutError

if TYPE_CHECKING:
    from esploader.transport.pipe import Pipe

GREETING: Final = b"\nesploader serves one client here by RFC 2217, version 1\n"
"""A line of its own, whatever stands in front of it."""

_REFUSAL: Final = b"\nesploader cannot serve here: "

MAX_PREAMBLE: Final = 64 * 1024
"""How much may come before it, in bytes."""


def refusing(reason: str) -> bytes:
    """Return what is said in place of the greeting: why a port cannot be had."""
    return _REFUSAL + reason.encode("ascii", "backslashreplace") + b"\n"


def reason_in(skipped: bytes) -> bytes | None:
    """Return why there was no greeting, if a server has said that."""
    _, refusal, rest = skipped.rpartition(_REFUSAL)
    return rest.partition(b"\n")[0] if refusal else None


def skip_to_greeting(pipe: Pipe, deadline: float, skipped: bytearray) -> bytes:
    """Return what came behind the greeting; what came before it is added to ``skipped``.

    Raises:
        TransportTimeoutError: there is none by ``deadline``, or within :data:`MAX_PREAMBLE`.
        TransportClosedError: the end came first.
    """
    while True:
        data = pipe.receive(deadline)
        skipped += data
        preamble, greeting, rest = skipped.partition(GREETING)
        if greeting:
            skipped[:] = preamble
            return bytes(rest)
        if not data:
            raise TransportTimeoutError(pipe.name, "nothing began to serve in time")
        if len(skipped) > MAX_PREAMBLE:
            reason = f"more than {MAX_PREAMBLE} bytes came, and nothing began to serve"
            raise TransportTimeoutError(pipe.name, reason)
