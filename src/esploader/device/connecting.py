"""What connecting is: the port, the loader behind it, and which device that is of."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from typing import TYPE_CHECKING, Final, get_args

from esploader.chips.registry import CHIPS, chip_by_name
from esploader.classes import frozen
from esploader.device.context import DeviceContext
from esploader.device.device import Device
from esploader.device.identification import Identified, identify
from esploader.errors import EsploaderError, UnsupportedError
from esploader.loader.download_mode import Before, reach_loader
from esploader.loader.link import Link
from esploader.numerals import shown
from esploader.protocol import dialect
from esploader.protocol.commands import SYNC_VALUE_OF_STUB
from esploader.session.session import Session
from esploader.transport import reset
from esploader.transport.base import DEFAULT_BAUDRATE, Transport
from esploader.transport.patience import open_patiently
from esploader.urls import open_transport, reopen_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import serial

    from esploader.chips.model.chip import Chip
    from esploader.transport.steps import ResetSequence

_log: Final = logging.getLogger(__name__)

MAX_BAUDRATE: Final = 20_000_000
"""No UART goes beyond this, in baud."""


@frozen(kw_only=True)
class ConnectOptions:
    """How to connect; see :func:`esploader.connect`."""

    chip: str | None
    baudrate: int
    before: Before
    attempts: int
    open_attempts: int
    reset_sequence: ResetSequence | None
    hard_reset_sequence: ResetSequence | None
    reset_delay: float | None
    stub: bool | str | os.PathLike[str]
    on_attempt: Callable[[int], None] | None
    chips: Sequence[Chip] | None
    reopen: Callable[[], Transport] | None = None
    """Opens the port once more, for who hands a transport over; without it only that one will do.
    """

    @property
    def is_synced(self) -> bool:
        """The loader listens already, at the rate that is asked for."""
        return self.before == "no-reset-no-sync"

    @property
    def resets(self) -> bool:
        """The device is reset, where the port can do that."""
        return self.before in ("default-reset", "usb-reset")

    @property
    def sequences(self) -> reset.Resets:
        """How lines are played."""
        usual = reset.Resets()
        return reset.Resets(
            download_mode=self.reset_sequence,
            strap_delays=usual.strap_delays if self.reset_delay is None else (self.reset_delay,),
            hard=self.hard_reset_sequence or usual.hard,
        )

    @property
    def first_baudrate(self) -> int:
        """The rate to begin with, in baud."""
        return self.baudrate if self.is_synced else min(self.baudrate, DEFAULT_BAUDRATE)

    def check(self) -> None:
        """Refuse what makes no sense: many a caller has no types.

        Raises:
            UnsupportedError: it makes none.
        """
        if not _is_whole(self.baudrate) or not 0 < self.baudrate <= MAX_BAUDRATE:
            raise UnsupportedError(
                f"{shown(self.baudrate)} baud", f"a rate is a whole number up to {MAX_BAUDRATE}"
            )
        for attempts in (self.attempts, self.open_attempts):
            if not _is_whole(attempts) or attempts < 0:
                reason = "it is a whole number, of which 0 stands for without end"
                raise UnsupportedError(f"{shown(attempts)} attempts", reason)
        if self.before not in get_args(Before):
            raise UnsupportedError(f"before={self.before!r}", f"choices are {get_args(Before)}")
        for sequence in (self.reset_sequence, self.hard_reset_sequence):
            if isinstance(sequence, str):
                raise UnsupportedError(
                    f"the reset sequence {shown(sequence)}", "parse_custom makes one of a text"
                )
        delay = self.reset_delay
        if delay is not None and not 0 <= delay <= reset.MAX_CUSTOM_WAIT:
            raise UnsupportedError(
                f"a reset delay of {shown(delay)} seconds",
                f"it is between 0 and {reset.MAX_CUSTOM_WAIT:g}",
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int)


def connect_device(
    port: str | os.PathLike[str] | Transport | serial.SerialBase, options: ConnectOptions
) -> Device:
    """Open ``port``, reach the loader of the device behind it, and identify the device.

    Raises as :func:`esploader.connect`.
    """
    with contextlib.ExitStack() as on_failure:
        if isinstance(port, Transport):
            on_failure.callback(port.close)
        options.check()
        known = CHIPS if options.chips is None else options.chips
        expected = None if options.chip is None else chip_by_name(options.chip, known)
        transport = open_patiently(
            functools.partial(open_transport, port, baudrate=options.first_baudrate),
            options.open_attempts,
        )
        session = Session.start(transport, dialect.ANY_ROM)
        on_failure.callback(session.close)
        if options.baudrate != DEFAULT_BAUDRATE:
            transport.require_baudrate()
        _say_what_is_missing(transport, options)
        reopen = _way_to_reopen(port, transport) or options.reopen
        attempt = _Attempt(session, options.sequences.hard if options.resets else None)
        on_failure.push(attempt.undo)
        if not options.is_synced:
            value = reach_loader(
                session,
                options.before,
                options.attempts,
                options.sequences,
                options.on_attempt,
                reopen,
            )
            if value == SYNC_VALUE_OF_STUB:
                session.dialect = dialect.STUB
        found = identify(session, expected, known)
        link = attempt.link = _link_to(session, found, options, reopen)
        device = Device(DeviceContext(link, found.identity))
        link.settle()
        on_failure.pop_all()
    return device


def _way_to_reopen(
    port: str | os.PathLike[str] | Transport | serial.SerialBase, transport: Transport
) -> Callable[[], Transport] | None:
    if not isinstance(port, str | os.PathLike) or str(port).lower().startswith("sim:"):
        # A simulated device ends with its port; another one would be a new device.
        return None
    return functools.partial(reopen_transport, os.fspath(port), transport.usb_port)


def _link_to(
    session: Session,
    found: Identified,
    options: ConnectOptions,
    reopen: Callable[[], Transport] | None,
) -> Link:
    return Link(
        session,
        found.chip,
        baudrate=options.baudrate,
        stub_source=options.stub,
        before=options.before,
        resets=options.sequences,
        fingerprint=found.fingerprint,
        security_info=found.security_info,
        revision=None if found.identity is None else found.identity.revision,
        stub_hook=found.stub_hook,
        flash_power=found.flash_power,
        reopen=reopen,
    )


class _Attempt:
    """What connecting has done to a device so far."""

    def __init__(self, session: Session, hard_reset: ResetSequence | None) -> None:
        self._session = session
        self._hard_reset = hard_reset if session.transport.capabilities.set_lines else None
        self.link: Link | None = None

    def undo(
        self,
        exc_type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Undo it if connecting was interrupted; if it failed, the device is to be looked at."""
        if exc_type is None or issubclass(exc_type, EsploaderError):
            return
        try:
            if self._hard_reset is not None:
                reset.play(self._hard_reset, self._session.transport)
            elif self.link is not None:
                self.link.restore_rate()
        except EsploaderError as exc:
            _log.warning(
                "%s: the device needs a reset by hand: %s", self._session.transport.name, exc
            )


def _say_what_is_missing(transport: Transport, options: ConnectOptions) -> None:
    """Say once what the user has to do in place of a port that cannot."""
    capabilities = transport.capabilities
    if capabilities.set_lines or not options.resets:
        return
    rate = "" if capabilities.set_baudrate else ", and its baud rate is set at the other end alone"
    _log.warning(
        "%s: this port cannot reset the device%s: hold BOOT, press RESET, release BOOT",
        transport.name,
        rate,
    )
