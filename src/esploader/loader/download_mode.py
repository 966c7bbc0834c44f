"""Getting the loader of a device to listen: resets, SYNC, and what went wrong."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from esploader.errors import (
    ConnectError,
    NoisyLineError,
    NoResponseError,
    NoSyncError,
    SilentDeviceError,
    TransportError,
    WrongBootModeError,
)
from esploader.loader.returning import await_return, may_vanish
from esploader.loader.usb_port import is_serial_jtag
from esploader.session.wire import REMOTE_ALLOWANCE
from esploader.transport import reset
from esploader.transport.base import BITS_PER_BYTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.session.session import Session
    from esploader.transport.base import Transport
    from esploader.transport.reset import Resets
    from esploader.transport.steps import ResetSequence

Before: TypeAlias = Literal["default-reset", "usb-reset", "no-reset", "no-reset-no-sync"]
"""What is done to the device before the first command:

* ``default-reset``: reset into download mode by the lines, as suits the port;
* ``usb-reset``: the same by the sequence for the chip's own USB port;
* ``no-reset``: the device is in download mode already;
* ``no-reset-no-sync``: and its loader knows the baud rate already.
"""

# The ROM is up some 10 ms after EN rises and prints for some 30 ms; five intervals leave
# room for a slow capacitor.
_SYNC_TIMEOUT: Final = 0.6

# The request and its eight responses: at 300 baud they take five seconds.
_SYNC_EXCHANGE_SIZE: Final = 160

_BOOT_MODE: Final = rb"boot:0x([0-9a-fA-F]{1,8})"
_DOWNLOAD_MODE: Final = rb"waiting for download|boot:0x[0-9a-fA-F]+ \(DOWNLOAD"
_READABLE: Final = frozenset(b"\r\n\t\x1b" + bytes(range(0x20, 0x7F)))
_READABLE_SHARE: Final = 0.9


def reach_loader(
    session: Session,
    before: Before,
    attempts: int,
    resets: Resets,
    on_attempt: Callable[[int], None] | None,
    reopen: Callable[[], Transport] | None = None,
) -> int:
    """Repeat reset and SYNC until a loader answers; return the value word of its answer.

    A port that a reset takes away is waited for, and is opened by ``reopen``, where there is one:
    afterwards the session may have another transport.

    Raises:
        ConnectError: none did in that many attempts; the subclass says why.
        TransportError: the port failed, and did not come back.
    """
    transport = session.transport
    timeout = _SYNC_TIMEOUT + _SYNC_EXCHANGE_SIZE * BITS_PER_BYTE / transport.baudrate
    if transport.capabilities.remote:
        timeout += REMOTE_ALLOWANCE
    sequences = ways_into_download_mode(transport, before, resets)
    # What was received before says nothing about why none answers now.
    session.forget_noise()
    for attempt in itertools.count(1):
        if on_attempt is not None:
            on_attempt(attempt)
        try:
            try:
                # What was said before the reset must not be taken for an answer to it.
                session.forget_input()
                busy = reset.begin(next(sequences), session.transport)
                return session.sync(timeout, busy=busy)
            except TransportError as exc:
                if not may_vanish(session.transport.capabilities):
                    raise
                await_return(session, reopen, exc)
                sequences = ways_into_download_mode(session.transport, before, resets)
                # The reset has been done: another would take the port away once more.
                return session.sync(timeout)
        except NoResponseError:
            if attempt == attempts:
                raise diagnose(transport.name, attempts, session.noise) from None
    raise AssertionError  # count() does not end.


def can_reset(transport: Transport, before: Before) -> bool:
    """Tell whether attempts begin with a reset, which may change what the device does."""
    return before != "no-reset" and transport.capabilities.set_lines


def ways_into_download_mode(
    transport: Transport, before: Before, resets: Resets
) -> Iterator[ResetSequence]:
    """Return the ways into download mode that suit a port, in their order, without end."""
    capabilities = transport.capabilities
    if not can_reset(transport, before):
        return itertools.repeat(())
    if resets.download_mode is not None:
        return itertools.repeat(resets.download_mode)
    if before == "usb-reset" or is_serial_jtag(capabilities):
        return itertools.repeat(reset.USB_SERIAL_JTAG)
    ways = [reset.classic(delay) for delay in resets.strap_delays]
    if capabilities.set_lines_at_once:
        ways = [reset.tight(delay) for delay in resets.strap_delays] + ways
    return itertools.cycle(ways)


def diagnose(port: str, attempts: int, received: bytes) -> ConnectError:
    """Return why no loader answered, judged by what was received instead."""
    if not received:
        return SilentDeviceError(port, attempts, received)
    boot_modes = re.findall(_BOOT_MODE, received)
    downloads = [match.start() for match in re.finditer(_DOWNLOAD_MODE, received)]
    if downloads and received.rfind(b"boot:0x") <= downloads[-1]:
        return NoSyncError(port, attempts, received)
    if boot_modes:
        return WrongBootModeError(port, attempts, received, int(boot_modes[-1], 16))
    if sum(byte in _READABLE for byte in received) >= _READABLE_SHARE * len(received):
        return WrongBootModeError(port, attempts, received, None)
    return NoisyLineError(port, attempts, received)
