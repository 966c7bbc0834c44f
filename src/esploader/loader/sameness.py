"""Seeing that who answers after trouble is the device that answered before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from esploader.errors import ProtocolError, WrongChipError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

LATENESS: Final = 1.5
"""What is late by more than this is not waited for before another comparison, in seconds."""

_COMPARISONS: Final = 4


def require_same(
    session: Session,
    name: str,
    read: Callable[[], object],
    expected: object,
    recognise: Callable[[int], object],
) -> None:
    """See that it is the same device, of the chip called ``name``, as ``read`` shows.

    Nothing protects an answer on the line, and one that comes late looks like that to the
    next request. So what differs is read again when nothing more is on its way; ``recognise`` is
    told the value of SYNC on the way.

    Raises:
        WrongChipError: the same came twice in a row, and is not ``expected``.
        ProtocolError: something else came every time.
    """
    last: object = None
    for _ in range(_COMPARISONS):
        found = read()
        if found == expected:
            return
        if found == last:
            raise WrongChipError(name, "another device")
        last = found
        _log.warning("this seems to be another device; looking again")
        session.await_silence(LATENESS)
        recognise(session.resynchronise())
    raise ProtocolError("the device has another identity every time")
