"""A loader that answers, at its rate, and the way to it when it stops answering."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.chips.reading.identity import crystal_mhz
from esploader.chips.reading.security import SecurityInfo
from esploader.errors import (
    CommandError,
    CommandFailedError,
    ConnectError,
    NoResponseError,
    ProtocolError,
    SilentDeviceError,
    StubError,
    TransportError,
    WrongChipError,
)
from esploader.loader.download_mode import SYNC_VALUE_OF_STUB, can_reset, reach_loader
from esploader.loader.register_recipes import (
    flash_power_on,
    forced_download_off,
    one_by_one,
    watchdogs_off,
)
from esploader.loader.stub import find_stub, start_stub
from esploader.loader.usb_port import is_serial_jtag, may_be_usb, rom_dialect
from esploader.protocol import dialect
from esploader.protocol.commands import ChangeBaudrate, GetSecurityInfo
from esploader.protocol.opcodes import Opcode
from esploader.protocol.status import RECOVERABLE_CODES
from esploader.transport.base import DEFAULT_BAUDRATE

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_power import Setting
    from esploader.chips.model.revision import Revision
    from esploader.loader.download_mode import Before
    from esploader.loader.stub import MemorySegment, StubImage
    from esploader.protocol.commands import RegisterWrite
    from esploader.protocol.dialect import Dialect
    from esploader.session.session import Session
    from esploader.transport.base import Transport
    from esploader.transport.steps import ResetSequence

_log: Final = logging.getLogger(__name__)

BAUDRATES: Final = (115200, 230400, 460800, 921600, 1_500_000, 2_000_000, 3_000_000)
"""The rates to step down through, in baud."""

SILENT_ROUNDS: Final = 2
"""After how many rounds of resets without a single byte a device is lost."""

REVIVE_TIMEOUT: Final = 4.0
"""How long a loader may be busy with what it was given before, in seconds: an erase of
64 KiB takes up to two."""

MAX_RATE_CORRECTION: Final = 2.0
"""By how much the rate that a ROM loader is asked for may differ from the one that is
wanted, as a factor: no pair of crystals is further apart."""

_HZ_PER_MHZ: Final = 1_000_000
_SETTLE_ATTEMPTS: Final = 5
_STUB_STARTS: Final = 2
_COMPARISONS: Final = 3
_REOPEN_ATTEMPTS: Final = 30
_REOPEN_INTERVAL: Final = 0.5


@attrs.define
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
    reset_sequence: ResetSequence | None = None
    attempts: int = 7
    fingerprint: Mapping[int, int] = attrs.field(factory=dict)
    """Words of registers that tell this device from others of its kind."""

    reads_registers: bool = True
    """The ROM loader tells the content of registers; not in Secure Download Mode."""

    expected_security_info: SecurityInfo | None = None
    """What this device says of itself where it does not tell the content of registers."""

    revision: Revision | None = None
    """Of the silicon, where it is known: some have a stub of their own."""

    stub_hook: int | None = None
    """What the ROM has to be hooked by for a stub to start; see :attr:`Chip.stub_hook`."""

    flash_power: tuple[Setting, ...] = ()
    """What turns on the supply of the flash, after every reset."""

    is_lost: bool = attrs.field(default=False, init=False)
    """No loader answered when one was last looked for, and looking again would be in vain: nothing
    can be reset there, or several rounds of resets did not bring a single byte."""

    _silent_rounds: int = attrs.field(default=0, init=False)

    after_revival: list[Callable[[], None]] = attrs.field(factory=list, init=False)
    """What there is to do for whoever knows something of a loader that may have been reset."""

    reopen: Callable[[], Transport] | None = None
    """Opens the port once more; ``None`` where only the one at hand will do."""

    def settle(self) -> None:
        """Start the stub, if it is wanted, and set the rate, whichever is first.

        Most stubs keep the rate they find, and are uploaded more quickly at a high one.
        Those that do not make the rate wait until they run. A rate at which the loader is
        not heard gives way to the next lower one.

        Raises:
            StubError: the stub did not start.
            NoResponseError: the loader is not heard at any rate.
            EsploaderError: the loader could not be reached again.
        """
        starts_left = _STUB_STARTS
        for attempts_left in reversed(range(_SETTLE_ATTEMPTS)):
            try:
                self._settle()
            except (CommandError, ProtocolError, StubError) as exc:
                starts_left -= isinstance(exc, StubError)
                if not attempts_left or not starts_left or _is_final(exc):
                    raise
                _log.warning("%s; trying again", exc)
                self._listen()
            except TransportError as exc:
                if not attempts_left:
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
        if waits_for_stub and self.stub is not None:
            start_stub(self.session, self.stub, self.stub_hook)
            self._set_rate()
        elif not waits_for_stub or self.stub_source is False:
            self._set_rate()
            if self.stub is not None and not is_stub:
                start_stub(self.session, self.stub, self.stub_hook)

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
        except TransportError:
            self._return()
        self.settle()
        for act in self.after_revival:
            act()

    def _listen(self) -> None:
        """Have whichever loader is there answer SYNC, after a reset if it does not."""
        try:
            self._recognise(self.session.resynchronise(REVIVE_TIMEOUT))
        except (NoResponseError, ProtocolError):
            self._reach()

    def _reach(self) -> None:
        """Reach the loader as if for the first time."""
        transport = self.session.transport
        if transport.capabilities.set_baudrate:
            transport.set_baudrate(min(self.baudrate, DEFAULT_BAUDRATE))
        self.session.dialect = self.rom_dialect
        try:
            value = reach_loader(
                self.session, self.before, self.attempts, self.reset_sequence, on_attempt=None
            )
        except ConnectError as exc:
            self._silent_rounds += isinstance(exc, SilentDeviceError)
            is_silent = self._silent_rounds >= SILENT_ROUNDS
            self.is_lost = is_silent or not can_reset(self.session.transport, self.before)
            raise
        self._silent_rounds = 0
        self.is_lost = False
        self._recognise(value)
        self.set_up_registers()
        if self.fingerprint and self.session.read_words(self.fingerprint) != self.fingerprint:
            raise WrongChipError(self.chip.name, "another device")
        if self.expected_security_info is not None:
            self._compare_security_info(self.expected_security_info)

    def _compare_security_info(self, expected: SecurityInfo) -> None:
        """See that it is a device of the same kind and state: it says nothing that is its own."""
        for _ in range(_COMPARISONS):
            # Nothing protects the answer on the line.
            if SecurityInfo.decode(self.session.execute(GetSecurityInfo())) == expected:
                return
        raise WrongChipError(self.chip.name, "another device")

    def _recognise(self, sync_value: int) -> None:
        is_stub = sync_value == SYNC_VALUE_OF_STUB
        self.session.dialect = dialect.STUB if is_stub else self.rom_dialect

    @property
    def rom_dialect(self) -> Dialect:
        """What the ROM loader takes through this port, in the mode that it is in."""
        rom = rom_dialect(self.session.transport.capabilities, self.chip)
        return rom if self.reads_registers else dialect.in_secure_download_mode(rom)

    def set_up_registers(self) -> None:
        """Have a ROM loader do, with its next command, what it needs to stay and to see flash.

        And what a reset at the end needs, by the lines of a port that may be USB.

        On the way to a stub that runs already this was done before.
        """
        if self.session.dialect is dialect.STUB or not self.reads_registers:
            return
        port = self.session.transport.capabilities
        writes: list[RegisterWrite] = []
        if is_serial_jtag(port, self.chip):
            writes += watchdogs_off(self.chip)
        if may_be_usb(port):
            writes += forced_download_off(self.chip)
        writes += flash_power_on(self.chip, self.flash_power)
        for command in one_by_one(writes):
            self.session.defer(command)

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
        if self.chip.assumed_crystal is not None and not is_stub and not self.reads_registers:
            _log.warning(
                "what the ROM loader would make of another baud rate cannot be told in Secure "
                "Download Mode: it stays at %d",
                transport.baudrate,
            )
            self.baudrate = transport.baudrate
            return
        # A ROM loader knows its rate; a stub is told the one that is to change.
        old = transport.baudrate if is_stub else 0
        new = self.baudrate if is_stub else self._rate_to_ask_for()
        self.session.change_baudrate(ChangeBaudrate(new=new, old=old), self.baudrate)
        try:
            self.session.confirm_baudrate(self.baudrate)
        except (NoResponseError, ProtocolError):
            _log.warning("%d baud does not work", self.baudrate)
            self.baudrate = self._lower_rate()
            raise

    def _rate_to_ask_for(self) -> int:
        """Return what a ROM loader has to be asked for, so that it sets the rate wanted.

        It computes its divider for the crystal that it assumes, which may not be the one
        that is there.
        """
        assumed = self.chip.assumed_crystal
        if assumed is None:
            return self.baudrate
        divider = self.chip.uart_clock_divider.address
        words = self.session.read_words([divider, *assumed.addresses])
        actual = crystal_mhz(self.chip, words, self.session.transport.baudrate) * _HZ_PER_MHZ
        factor = assumed.frequency(words) / actual
        if not 1 / MAX_RATE_CORRECTION <= factor <= MAX_RATE_CORRECTION:
            _log.debug("the calibration of the crystal makes no sense: factor %g", factor)
            return self.baudrate
        return round(self.baudrate * factor)

    def restore_rate(self) -> None:
        """Have the loader talk as after a reset, so that the next one to come finds it."""
        if Opcode.CHANGE_BAUDRATE in self.session.dialect.opcodes:
            self.baudrate = DEFAULT_BAUDRATE
            self._set_rate()

    def _lower_rate(self) -> int:
        return max(
            (rate for rate in BAUDRATES if rate < self.baudrate),
            default=min(self.baudrate, BAUDRATES[0]),
        )


def _is_final(error: Exception) -> bool:
    """Tell whether trying again would change nothing."""
    return isinstance(error, CommandFailedError) and error.code not in RECOVERABLE_CODES
