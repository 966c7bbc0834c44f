"""What pyserial and the system say when a serial port fails, in our own terms."""

from __future__ import annotations

import errno
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import serial

from esploader.errors import (
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

# Opening a port that these stand for cannot succeed by trying again.
_OPEN_ERRORS: Final[dict[int, type[TransportError]]] = {
    errno.ENOENT: PortNotFoundError,
    errno.ENODEV: PortNotFoundError,
    errno.ENXIO: PortNotFoundError,
    errno.EACCES: PortPermissionError,
    errno.EPERM: PortPermissionError,
    errno.EBUSY: PortBusyError,
    errno.EAGAIN: PortBusyError,  # the lock of ``exclusive`` is taken
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
        raise _OPEN_ERRORS.get(_errno(exc), TransportError)(name, str(exc)) from exc
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
        refused = _errno(exc) in _REFUSAL_ERRNOS or isinstance(exc, (OverflowError, ValueError))
        raise (TransportError if refused else TransportClosedError)(name, str(exc)) from exc


def _errno(exc: BaseException) -> int:
    """Return the system's number of the error; 0 where nothing tells."""
    # pyserial often keeps it only in the error that it handled while raising its own, and
    # termios keeps it in the arguments.
    for each in (exc, exc.__context__):
        for number in (getattr(each, "errno", None), *getattr(each, "args", ())[:1]):
            if isinstance(number, int):
                return number
    return 0
