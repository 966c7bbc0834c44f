"""What pyserial and the system say when a serial port fails, in our own terms."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import serial

from esploader.errors import (
    BaudrateError,
    PortBusyError,
    PortNotFoundError,
    PortPermissionError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
    UrlError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STUCK: Final = "the port accepts no bytes"
"""The reason of a write that waited for too long."""

# What opening a port fails with where trying again does not help, and how we say it. pyserial
# says itself what it did, with the words of the system inside, which say it once more.
_OPEN_ERRORS: Final[dict[int, tuple[type[TransportError], str]]] = {
    errno.ENOENT: (PortNotFoundError, "there is no such device"),
    errno.ENODEV: (PortNotFoundError, "there is no device behind it"),
    errno.ENXIO: (PortNotFoundError, "there is no device behind it"),
    errno.EACCES: (PortPermissionError, "permission denied"),
    errno.EPERM: (PortPermissionError, "permission denied"),
    errno.ENOTTY: (TransportError, "it is no serial port"),
    errno.EBUSY: (PortBusyError, "another program has it"),
    errno.EAGAIN: (PortBusyError, "another program has it"),  # the lock of ``exclusive``
}

# Refused by the driver, the port itself is still there.
_REFUSAL_ERRNOS: Final = frozenset({errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP})

# What pyserial and the system raise.
if sys.platform == "win32":  # no test
    PORT_ERRORS: Final = (OSError, OverflowError, ValueError)
else:
    import termios

    PORT_ERRORS: Final = (OSError, OverflowError, ValueError, termios.error)


@contextmanager
def open_errors(name: str) -> Iterator[None]:
    """Turn what goes wrong while a port is opened into errors of ours."""
    try:
        yield
    except PORT_ERRORS as exc:
        number = _errno(exc)
        words = os.strerror(number) if number else str(exc)
        error_class, reason = _OPEN_ERRORS.get(number, (TransportError, words))
        raise error_class(name, reason) from exc
    except LookupError as exc:
        # pyserial reads some options of a URL only now.
        raise UrlError(name, f"there is no {exc}") from exc


@contextmanager
def io_errors(name: str) -> Iterator[None]:
    """Turn what goes wrong with a port that is open into errors of ours."""
    try:
        yield
    except serial.SerialTimeoutException as exc:
        raise TransportTimeoutError(name, STUCK) from exc
    except PORT_ERRORS as exc:
        raise (TransportError if _is_refusal(exc) else TransportClosedError)(
            name, str(exc)
        ) from exc


@contextmanager
def rate_errors(name: str, baudrate: int) -> Iterator[None]:
    """Turn the refusal of a baud rate into an error of ours; what else goes wrong passes."""
    try:
        yield
    except PORT_ERRORS as exc:
        if not _is_refusal(exc):
            raise
        raise BaudrateError(name, f"it cannot do {baudrate} baud") from exc


def _is_refusal(exc: BaseException) -> bool:
    """Tell whether the port is still there, and the driver did not want to."""
    return _errno(exc) in _REFUSAL_ERRNOS or isinstance(exc, (OverflowError, ValueError))


def _errno(exc: BaseException) -> int:
    """Return the system's number of the error; 0 where nothing tells."""
    # pyserial often keeps it only in the error that it handled while raising its own, and
    # termios keeps it in the arguments.
    for each in (exc, exc.__context__):
        for number in (getattr(each, "errno", None), *getattr(each, "args", ())[:1]):
            if isinstance(number, int):
                return number
    return 0
