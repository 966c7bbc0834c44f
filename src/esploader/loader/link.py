"""A loader that answers, at its rate, and the way to it when it stops answering."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.chips.reading.identity import crystal_mhz
from esploader.chips.reading.security import SecurityInfo
from esploader.classes import define
from esploader.errors import (
    BaudrateError,
    CommandError,
    CommandFailedError,
    ConnectError,
    NoResponseError,
    PortTakenOverError,
    ProtocolError,
    StubError,
    TransportError,
)
from esploader.loader.download_mode import can_reset, reach_loader
from esploader.loader.sameness import LATENESS, require_same
from esploader.loader.set_up import rom_dialect_of, set_up_registers
from esploader.loader.silence import Search
from esploader.protocol import dialect
from esploader.protocol.commands import SYNC_VALUE_OF_STUB, ChangeBaudrate, GetSecurityInfo
from esploader.protocol.opcodes import Opcode
from esploader.protocol.refusals import Refusals
from esploader.protocol.status import RECOVERABLE_CODES
from esploader.session.confirming import confirm_all, read_words
from esploader.transport.base import BAUDRATES, DEFAULT_BAUDRATE
from esploader.transport.reset import Resets

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_power import Setting
    from esploader.chips.model.revision import Revision
    from esploader.loader.download_mode import Before
    from esploader.loader.stub import MemorySegment, StubImage
    from esploader.protocol.dialect import Dialect
    from esploader.session.session import Session
    from esploader.transport.base import Transport

_log: Final = logging.getLogger(__name__)

REVIVE_TIMEOUT: Final = 4.0
"""How long a loader may be busy with what it was given before, in seconds: an erase of
64 KiB takes up to two."""

MAX_RATE_CORRECTION: Final = 2.0
"""By how much the rate that a ROM loader is asked for may differ from the one that is
wanted, as a factor: no pair of crystals is further apart."""

_HZ_PER_MHZ: Final = 1_000_000
_SETTLE_ATTEMPTS: Final = 5
_STUB_STARTS: Final = 2
_RESTORE_ATTEMPTS: Final = 3
_REOPEN_ATTEMPTS: Final = 30
_REOPEN_INTERVAL: Final = 0.5


@define(repr=False)
class Link:
    """A session with the loader of one device, and how it was reached."""

    session: Session
    chip: Chip
    baudrate: int = DEFAULT_BAUDRATE
    """The rate to talk at, in baud; lower after it has shown itself too high."""

    stub_source: bool | str | os.PathLike[str] = True
    """Whether a stub may take the place of the ROM loader, or which file or directory."""

    stub: StubImage | None = attrs.field(default=None, init=False)
    """What runs in the place of the ROM loader, or will."""

    before: Before = "default-reset"
    """How the loader is reached."""

    resets: Resets = attrs.field(factory=Resets)
    """How its lines are played."""

    attempts: int = 7
    """How often to try that when the loader is lost."""

    fingerprint: Mapping[int, int] = attrs.field(factory=dict)
    """Words of registers that tell this device from others of its kind."""

    security_info: SecurityInfo | None = None
    """The security state when it was connected; ``None`` where the loader cannot tell."""

    revision: Revision | None = None
    """Of the silicon, where it is known: some have a stub of their own."""

    stub_hook: int | None = None
    """What the ROM has to be hooked by for a stub to start; see :attr:`Chip.stub_hook`."""

    flash_power: tuple[Setting, ...] = ()
    """What turns on the supply of the flash, after every reset."""

    _search: Search = attrs.field(factory=Search, init=False)

    after_revival: list[Callable[[], None]] = attrs.field(factory=list, init=False)
    """What there is to do for whoever knows something of a loader that may have been reset."""

    _rates_in_doubt: tuple[int, ...] = attrs.field(default=(), init=False)
    """The loader may be at any of these, in baud; empty where it is known to be at the port's."""

    reopen: Callable[[], Transport] | None = None
    """Opens the port once more; ``None`` where only the one at hand will do."""

    @property
    def is_in_secure_download_mode(self) -> bool:
        """The ROM loader restricts itself to writing flash, and tells no register."""
        return self.security_info is not None and self.security_info.secure_download_mode

    def settle(self) -> None:
        """Start the stub, if it is wanted, and set the rate, whichever is first.

        Most stubs keep the rate they find, and are uploaded more quickly at a high one.
        Those that do not make the rate wait until they run. A rate at which the loader is
        not heard, or that the port refuses, gives way to the next lower one.

        Raises:
            StubError: the stub did not start.
            NoResponseError: the loader is not heard at any rate.
            EsploaderError: the loader could not be reached again.
        """
        starts_left = _STUB_STARTS
        refusals = Refusals()
        lower_rates = sum(rate < self.baudrate for rate in BAUDRATES)
        for attempts_left in reversed(range(_SETTLE_ATTEMPTS + lower_rates)):
            try:
                self._settle()
            except (CommandError, ProtocolError, StubError) as exc:
                starts_left -= isinstance(exc, StubError)
                if not attempts_left or not starts_left or _is_final(exc, refusals):
                    raise
                _log.warning("%s; trying again", exc)
                self._listen()
            except TransportError as exc:
                if not attempts_left or isinstance(exc, PortTakenOverError):
                    raise
                _log.warning("%s; trying again", exc)
                self._return()
            else:
                return

    def _settle(self) -> None:
        is_stub = self.session.dialect is dialect.STUB
        waits_for_stub = not is_stub and (
            Quirk.STUB_RESTARTS_UART in self.chip.quirks
            or Opcode.CHANGE_BAUDRATE not in self.chip.rom.opcodes
        )
        if not waits_for_stub or (self.stub is None and self.stub_source is False):
            self._set_rate()
        if self.stub is not None and not is_stub:
            from esploader.loader.stub import start_stub

            start_stub(self.session, self.stub, self.stub_hook)
            if waits_for_stub:
                self._set_rate()

    def use_stub(self, *, reason_against: str | None) -> None:
        """Start a stub, unless one runs already or none may or can be had.

        ``reason_against`` says why this device cannot run one, if it cannot.

        Raises:
            StubError: a certain stub was asked for, and it cannot be used.
            TransportError: the port failed.
        """
        if self.session.dialect is dialect.STUB or self.stub_source is False:
            return
        try:
            self.stub = self._usable_stub(reason_against)
        except StubError as exc:
            if self.stub_source is not True:
                raise
            _log.warning("%s; going on with the slower ROM loader", exc)
            self.stub_source = False
        self.settle()

    def _usable_stub(self, reason_against: str | None) -> StubImage:
        from esploader.loader.stub import find_stub

        if reason_against is not None:
            raise StubError("stub", reason_against)
        location = None if isinstance(self.stub_source, bool) else self.stub_source
        return find_stub(self.chip, location, revision=self.revision)

    def occupied_memory(self) -> tuple[MemorySegment, ...]:
        """Return where the stub is that runs now; nothing for a ROM loader.

        Raises:
            StubError: one that was found running is not to be had as a file.
        """
        if self.session.dialect is not dialect.STUB:
            return ()
        return (self.stub or self._usable_stub(None)).segments

    def revive(self, *, slower: bool) -> None:
        """Have the loader listen again: by SYNC, else by a reset, on a new port if need be.

        Raises:
            WrongChipError: another device has taken the place of this one.
            EsploaderError: it cannot be done.
        """
        if slower:
            self.baudrate = self._lower_rate()
        try:
            self._listen()
        except TransportError as exc:
            if isinstance(exc, PortTakenOverError):
                raise
            self._return()
        self.settle()
        for act in self.after_revival:
            act()

    def _listen(self) -> None:
        """Have whichever loader is there answer SYNC, after a reset if it does not."""
        try:
            self._recognise(self.session.resynchronise(REVIVE_TIMEOUT))
            # Without a reset, too, another one may answer: where straps are held, it comes up so.
            self._require_same_device()
        except (CommandError, ProtocolError):
            self._reach()

    def _reach(self) -> None:
        """Reach the loader as if for the first time."""
        transport = self.session.transport
        if transport.capabilities.set_baudrate:
            self._rates_in_doubt = (min(self.baudrate, DEFAULT_BAUDRATE), transport.baudrate)
            transport.set_baudrate(self._rates_in_doubt[0])
        self.session.dialect = self.rom_dialect
        try:
            value = reach_loader(
                self.session, self.before, self.attempts, self.resets, None, self.reopen
            )
        except ConnectError as exc:
            self._search.fail(exc, may_reset=can_reset(self.session.transport, self.before))
            raise
        self._search.succeed()
        self._rates_in_doubt = ()
        if value == SYNC_VALUE_OF_STUB:
            # A reset leaves no stub: was it none, or is this an answer from before it?
            self.session.await_silence(LATENESS)
            value = self.session.resynchronise()
        self._recognise(value)
        self.set_up_registers()
        self._require_same_device()

    def _require_same_device(self) -> None:
        """See that no other device has taken the place of this one.

        Raises:
            WrongChipError: one has.
            EsploaderError: it does not say who it is.
        """
        if self.fingerprint:
            self._compare(lambda: read_words(self.session, self.fingerprint), self.fingerprint)
        if self.is_in_secure_download_mode:
            # Of a device of the same kind and state it is the same: it has nothing of its own.
            self._compare(
                lambda: SecurityInfo.decode(confirm_all(self.session, [GetSecurityInfo()])[0]),
                self.security_info,
            )

    def _compare(self, read: Callable[[], object], expected: object) -> None:
        require_same(self.session, self.chip.name, read, expected, self._recognise)

    def _recognise(self, sync_value: int) -> None:
        is_stub = sync_value == SYNC_VALUE_OF_STUB
        self.session.dialect = dialect.STUB if is_stub else self.rom_dialect

    @property
    def is_lost(self) -> bool:
        """No loader answered when one was last looked for, and looking again would be in vain."""
        return self._search.is_in_vain

    @property
    def rom_dialect(self) -> Dialect:
        """What the ROM loader takes through this port, in the mode that it is in."""
        return rom_dialect_of(
            self.session, self.chip, is_restricted=self.is_in_secure_download_mode
        )

    def set_up_registers(self) -> None:
        """Have a ROM loader do with its next command what it needs: :func:`set_up_registers`."""
        if not self.is_in_secure_download_mode:
            set_up_registers(self.session, self.chip, self.flash_power)

    def _return(self) -> None:
        """Open the port again and reach the loader; both may take a moment to come back.

        Raises:
            TransportError: the port has not come back.
            ConnectError: the port has, and no loader answers.
        """
        clock = self.session.transport.clock
        for attempts_left in reversed(range(_REOPEN_ATTEMPTS)):
            try:
                if self.reopen is not None:
                    self.session.transport.close()
                    self.session.transport = self.reopen()
                self._reach()
            except TransportError as exc:
                if not attempts_left:
                    raise
                _log.debug("%s", exc)
                clock.sleep(_REOPEN_INTERVAL)
            else:
                return

    def _set_rate(self) -> None:
        transport = self.session.transport
        if not transport.capabilities.set_baudrate or transport.baudrate == self.baudrate:
            return
        if Opcode.CHANGE_BAUDRATE not in self.session.dialect.opcodes:
            _log.warning(
                "the %s loader cannot change its baud rate: it stays at %d",
                self.session.dialect.name,
                transport.baudrate,
            )
            self.baudrate = transport.baudrate
            return
        is_stub = self.session.dialect is dialect.STUB
        if (
            self.chip.assumed_crystal is not None
            and not is_stub
            and self.is_in_secure_download_mode
        ):
            _log.warning(
                "what the ROM loader would make of another baud rate cannot be told in Secure "
                "Download Mode: it stays at %d",
                transport.baudrate,
            )
            self.baudrate = transport.baudrate
            return
        from esploader.session.rate import change_baudrate

        # A ROM loader knows its rate; a stub is told the one that is to change.
        old = transport.baudrate if is_stub else 0
        new = self.baudrate if is_stub else self._rate_to_ask_for()
        self._rates_in_doubt = (self.baudrate, transport.baudrate)
        change = change_baudrate(self.session, ChangeBaudrate(new=new, old=old), self.baudrate)
        try:
            change.confirm()
        except (NoResponseError, ProtocolError, BaudrateError):
            _log.warning("%d baud does not work", self.baudrate)
            self.baudrate = self._lower_rate()
            raise
        self._rates_in_doubt = ()

    def _rate_to_ask_for(self) -> int:
        """Return what a ROM loader has to be asked for, so that it sets the rate wanted.

        It computes its divider for the crystal that it assumes, which may not be the one
        that is there.
        """
        assumed = self.chip.assumed_crystal
        if assumed is None:
            return self.baudrate
        divider = self.chip.uart_clock_divider.address
        words = read_words(self.session, [divider, *assumed.addresses])
        actual = crystal_mhz(self.chip, words, self.session.transport.baudrate) * _HZ_PER_MHZ
        factor = assumed.frequency(words) / actual
        if not 1 / MAX_RATE_CORRECTION <= factor <= MAX_RATE_CORRECTION:
            _log.debug("the calibration of the crystal makes no sense: factor %g", factor)
            return self.baudrate
        return round(self.baudrate * factor)

    def restore_rate(self) -> None:
        """Have the loader talk as after a reset, so that the next one to come finds it.

        Raises:
            NoResponseError: it does not listen any more, at no rate at which it may be.
            EsploaderError: the loader refused, or the port failed.
        """
        for attempts_left in reversed(range(_RESTORE_ATTEMPTS)):
            self.listen_again()
            if Opcode.CHANGE_BAUDRATE not in self.session.dialect.opcodes:
                return
            self.baudrate = DEFAULT_BAUDRATE
            try:
                self._set_rate()
            except (CommandError, ProtocolError):
                if not attempts_left:
                    raise
            else:
                return

    def listen_again(self) -> None:
        """Have the loader listen after something was broken off, wherever that was.

        No line is touched. The loader may be in the middle of a frame, at work, at another
        rate than the port, or the stub that was just being started.

        Raises:
            NoResponseError: it does not listen at any rate at which it may be.
            TransportError: the port failed.
        """
        if self.session.is_idle and not self._rates_in_doubt:
            return
        transport = self.session.transport
        rates = list(dict.fromkeys((transport.baudrate, *self._rates_in_doubt)))
        for others_left, rate in zip(reversed(range(len(rates))), rates, strict=True):
            if rate != transport.baudrate:
                transport.set_baudrate(rate)
            try:
                self._recognise(self.session.resynchronise(REVIVE_TIMEOUT))
            except NoResponseError:
                if not others_left:
                    raise
            else:
                self._rates_in_doubt = ()
                return

    def _lower_rate(self) -> int:
        lower_rates = (rate for rate in BAUDRATES if rate < self.baudrate)
        return max(lower_rates, default=min(self.baudrate, BAUDRATES[0]))


def _is_final(error: Exception, refusals: Refusals) -> bool:
    """Tell whether trying again would change nothing."""
    return (
        isinstance(error, CommandFailedError)
        and error.code not in RECOVERABLE_CODES
        and refusals.is_final(error)
    )
