"""From a port to a device: the front door of the library.

What is behind it loads when it is used: ``from esploader import connect`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import serial

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.loader.download_mode import Before
    from esploader.transport.base import Transport
    from esploader.transport.steps import ResetSequence

DEFAULT_BAUDRATE: Final = 115200
DEFAULT_ATTEMPTS: Final = 7


def connect(  # noqa: PLR0913 - options, all by keyword
    port: str | os.PathLike[str] | Transport | serial.SerialBase,
    *,
    chip: str | None = None,
    baudrate: int = DEFAULT_BAUDRATE,
    before: Before = "default-reset",
    attempts: int = DEFAULT_ATTEMPTS,
    open_attempts: int = 1,
    reset_sequence: ResetSequence | None = None,
    hard_reset_sequence: ResetSequence | None = None,
    reset_delay: float | None = None,
    stub: bool | str | os.PathLike[str] = True,
    on_attempt: Callable[[int], None] | None = None,
    chips: Sequence[Chip] | None = None,
) -> Device:
    """Open ``port``, reach the loader of the device behind it, and identify the device.

    ``port`` is a name (``/dev/ttyUSB0``, ``COM3``), a URL (``rfc2217://host:port``,
    ``socket://host:port``, ``ssh://user@host/dev/ttyUSB0``, ``sim://esp32c3``), a transport, or a
    port of pyserial that is open already. It is released when connecting fails, and by
    ``Device.close``. Who is interrupted while connecting leaves the device as it was: it runs its
    application, or its loader listens at the first rate again.

    ``chip`` is a name such as ``esp32c3`` when only that chip will do. ``baudrate`` is
    the rate in baud for everything after identification. ``attempts`` is how often to
    try, 0 for without end; ``open_attempts`` how often to try to open a port that is not
    there, or in use, 0.1 seconds apart, 0 for without end, too. ``reset_sequence`` replaces
    the usual ways into download mode, of which ``reset_delay`` says how many seconds they hold
    the boot strap, 0 to 60 (0.05 and 0.55 in turn); ``hard_reset_sequence`` replaces the usual
    hard reset. ``stub`` tells whether what moves much data may start a stub loader, or which: a
    file, or a directory of them (:mod:`esploader.loader.stub`). ``on_attempt`` is called with
    the number of each attempt, from 1. ``chips`` are those that may answer, by default
    :data:`esploader.chips.registry.CHIPS`; ``registered`` there takes others in.

    Raises:
        UrlError: the port's name makes no sense.
        TransportError: the port cannot be opened, or failed.
        ConnectError: no loader answered; the subclass says why.
        WrongChipError: another chip than ``chip`` answered.
        UnknownChipError: a chip answered that is not known.
        CapabilityError: the port cannot do what was asked.
    """
    from esploader.device.connecting import ConnectOptions, connect_device

    options = ConnectOptions(
        chip=chip,
        baudrate=baudrate,
        before=before,
        attempts=attempts,
        open_attempts=open_attempts,
        reset_sequence=reset_sequence,
        hard_reset_sequence=hard_reset_sequence,
        reset_delay=reset_delay,
        stub=stub,
        on_attempt=on_attempt,
        chips=chips,
    )
    return connect_device(port, options)
