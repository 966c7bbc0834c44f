"""From a port to a device: the front door of the library.

What is behind it loads when it is used: ``from esploader import connect`` stays quick.
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING, Final, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import serial

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.loader.download_mode import Before
    from esploader.transport.base import Transport
    from esploader.transport.steps import ResetSequence

DEFAULT_BAUDRATE: Final = 115200
DEFAULT_ATTEMPTS: Final = 7

MAX_BAUDRATE: Final = 20_000_000
"""No UART goes beyond this, in baud."""


def connect(  # noqa: PLR0913 - options, all by keyword
    port: str | os.PathLike[str] | Transport | serial.SerialBase,
    *,
    chip: str | None = None,
    baudrate: int = DEFAULT_BAUDRATE,
    before: Before = "default-reset",
    attempts: int = DEFAULT_ATTEMPTS,
    reset_sequence: ResetSequence | None = None,
    stub: bool | str | os.PathLike[str] = True,
    on_attempt: Callable[[int], None] | None = None,
    chips: Sequence[Chip] | None = None,
) -> Device:
    """Open ``port``, reach the loader of the device behind it, and identify the device.

    ``port`` is a name (``/dev/ttyUSB0``, ``COM3``), a URL (``rfc2217://host:port``,
    ``socket://host:port``, ``sim://esp32c3``), a transport, or a port of pyserial that
    is open already. It is released when connecting fails, and by ``Device.close``.

    ``chip`` is a name such as ``esp32c3`` when only that chip will do. ``baudrate`` is
    the rate in baud for everything after identification. ``attempts`` is how often to
    try, 0 for without end. ``reset_sequence`` replaces the usual ways into download
    mode. ``stub`` tells whether what moves much data may start a stub loader, or which:
    a file, or a directory of them (:mod:`esploader.loader.stub`). ``on_attempt`` is called with
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
    from esploader.chips.registry import CHIPS, chip_by_name  # noqa: PLC0415 - see the docstring
    from esploader.device.identification import identify_device  # noqa: PLC0415
    from esploader.errors import UnsupportedError  # noqa: PLC0415
    from esploader.loader.download_mode import SYNC_VALUE_OF_STUB, Before, reach_loader  # noqa: PLC0415
    from esploader.numerals import shown  # noqa: PLC0415
    from esploader.protocol import dialect  # noqa: PLC0415
    from esploader.session.session import Session  # noqa: PLC0415
    from esploader.transport.base import Transport  # noqa: PLC0415
    from esploader.urls import open_transport, reopen_transport  # noqa: PLC0415

    with contextlib.ExitStack() as on_failure:
        if isinstance(port, Transport):
            on_failure.callback(port.close)
        if not 0 < baudrate <= MAX_BAUDRATE:
            raise UnsupportedError(
                f"{shown(baudrate)} baud", f"a rate is a number up to {MAX_BAUDRATE}"
            )
        if attempts < 0:
            raise UnsupportedError(f"{attempts} attempts", "0 stands for without end")
        if before not in get_args(Before):
            raise UnsupportedError(f"before={before!r}", f"choices are {get_args(Before)}")
        if isinstance(reset_sequence, str):
            raise UnsupportedError(
                f"the reset sequence {reset_sequence!r}", "parse_custom makes one of a text"
            )
        known = CHIPS if chips is None else chips
        expected = None if chip is None else chip_by_name(chip, known)
        is_synced = before == "no-reset-no-sync"
        first_baudrate = baudrate if is_synced else min(baudrate, DEFAULT_BAUDRATE)
        transport = open_transport(port, baudrate=first_baudrate)
        on_failure.callback(transport.close)
        if baudrate != DEFAULT_BAUDRATE:
            transport.require_baudrate()
        session = Session.start(transport, dialect.ANY_ROM)
        _say_what_is_missing(transport, before)
        if not is_synced:
            value = reach_loader(session, before, attempts, reset_sequence, on_attempt)
            if value == SYNC_VALUE_OF_STUB:
                session.dialect = dialect.STUB
        device = identify_device(session, expected, known)
        link = device.link
        link.baudrate = baudrate
        link.before = before
        link.reset_sequence = reset_sequence
        link.stub_source = stub
        if isinstance(port, str | os.PathLike) and not str(port).lower().startswith("sim:"):
            # A simulated device ends with its port; another one would be a new device.
            name = os.fspath(port)
            link.reopen = functools.partial(reopen_transport, name, transport.usb_port)
        link.settle()
        on_failure.pop_all()
    return device


def _say_what_is_missing(transport: Transport, before: Before) -> None:
    """Say once what the user has to do in place of a port that cannot."""
    import logging  # noqa: PLC0415 - only if connecting

    capabilities = transport.capabilities
    if capabilities.set_lines or before not in ("default-reset", "usb-reset"):
        return
    rate = "" if capabilities.set_baudrate else ", and its baud rate is set at the other end alone"
    logging.getLogger(__name__).warning(
        "%s: this port cannot reset the device%s: hold BOOT, press RESET, release BOOT",
        transport.name,
        rate,
    )
