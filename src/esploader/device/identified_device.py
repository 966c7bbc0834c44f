"""A device whose loader answers, and what can be learnt from it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.reading.efuses import Efuses, efuse_addresses, efuses_of
from esploader.chips.reading.flash_wiring import FlashWiring, flash_wiring_of, wiring_addresses
from esploader.chips.reading.security import SecurityInfo
from esploader.device.memory import (
    plan_program,
    read_memory,
    read_word,
    start_program,
    write_word,
)
from esploader.errors import UnsupportedError
from esploader.flash.jedec import FlashId, check_presence
from esploader.flash.pins import attach_word
from esploader.flash.source import (
    read_source,
)
from esploader.flash.spi import (
    MAX_READ_SIZE,
    READ_ID,
    READ_SFDP,
    FlashPort,
    SpiTransaction,
)
from esploader.flash.start_up import wake_flash
from esploader.flash.status import read_status, write_status
from esploader.loader.resetting import (
    After,
    check_watchdog_reset,
    lines_do_not_do,
    reason_against_soft_reset,
    reset_by_watchdog,
)
from esploader.progress import ProgressCallback, ignore_progress
from esploader.protocol import dialect
from esploader.protocol.commands import (
    ALL_BITS,
    GetSecurityInfo,
)
from esploader.protocol.download_commands import EmptyBegin, FlashEnd
from esploader.transport import reset

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision
    from esploader.chips.reading.identity import Identity
    from esploader.flash.source import Source
    from esploader.loader.link import Link
    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

_JEDEC_ID_SIZE: Final = 3


@attrs.define
class IdentifiedDevice:
    """One device, and all but what is done with the content of its flash.

    As a context manager it releases the port, and nothing more; call :meth:`reset` to
    have the device run its application.

    All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses only.
    """

    link: Link
    """The loader, and the way to it."""

    identity: Identity | None
    """What the eFuses say; ``None`` in Secure Download Mode, where they cannot be read."""

    security_info: SecurityInfo | None
    """The security state; ``None`` where the loader cannot tell."""

    _flash: FlashPort = attrs.field(init=False)
    _efuses: Efuses | None = attrs.field(default=None, init=False, repr=False)
    _is_flash_awake: bool = attrs.field(default=False, init=False)
    """As far as anybody knows how to wake it."""

    def __attrs_post_init__(self) -> None:
        pads = 0 if self.identity is None else self.identity.flash_pads
        self._flash = FlashPort(self.session, self.chip, pads)
        self._flash.in_unknown_mode = self._may_use_long_addresses

    @property
    def session(self) -> Session:
        """The conversation with the loader."""
        return self.link.session

    @property
    def chip(self) -> Chip:
        """The model of chip that answered."""
        return self.link.chip

    @property
    def port(self) -> str:
        """Name or URL of the port."""
        return self.session.transport.name

    @property
    def is_in_secure_download_mode(self) -> bool:
        """The loader restricts itself to writing flash."""
        return self.security_info is not None and self.security_info.secure_download_mode

    @property
    def chip_id(self) -> int | None:
        """The number that users of the ESP8266 know as chip id; ``None`` on other chips.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the chip id").unique_id

    @property
    def mac(self) -> str:
        """The MAC address from the factory, as six pairs of hexadecimal digits.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the MAC").mac

    @property
    def eui64(self) -> str | None:
        """The EUI-64, as eight pairs of hexadecimal digits; ``None`` on a chip without one.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the EUI-64").eui64

    @property
    def revision(self) -> Revision | None:
        """The revision of the silicon; ``None`` where the chip does not tell.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the revision").revision

    @property
    def efuses(self) -> Efuses:
        """What the eFuses hold: fields by name, and all blocks. Read when first asked for.

        Raises:
            UnsupportedError: the device is in Secure Download Mode, or nobody knows where
                this chip has what.
            TransportError: the port failed.
        """
        self._known_identity("reading eFuses")
        if self._efuses is None:
            words = self.session.read_words(efuse_addresses(self.chip))
            self._efuses = efuses_of(self.chip, words)
        return self._efuses

    def get_security_info(self) -> SecurityInfo:
        """Ask for the security state.

        Raises:
            UnsupportedError: this loader cannot tell.
            CommandError: the loader failed.
        """
        return SecurityInfo.decode(self.session.confirm_all([GetSecurityInfo()])[0])

    def set_spi_connection(self, connection: str) -> None:
        """Say to which pins the flash is connected, where these are not the usual ones.

        ``connection`` is ``SPI`` (the usual ones), ``HSPI`` (ESP32) or five GPIOs,
        ``CLK,Q,D,HD,CS``.

        Raises:
            UnsupportedError: the chip cannot have its flash there.
        """
        self._flash.move_to(attach_word(connection, self.chip))

    def flash_id(self) -> FlashId:
        """Return what the flash chip says it is.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
            CommandError: the loader failed.
            TransportError: the port failed.
        """
        self._known_identity("reading the flash id")
        found = self._read_flash_id()
        if found.is_plausible or self._is_flash_awake:
            return found
        self._is_flash_awake = True
        _log.warning("the flash says that it is %06x; trying to wake it", found.jedec_id)
        self._flash.in_unknown_mode = True
        wake_flash(self._flash, self.session.transport.clock)
        return self._read_flash_id()

    @property
    def _may_use_long_addresses(self) -> bool:
        """Whether an application may have left the flash in the mode of four-byte addresses.

        A stub that runs already was started by somebody who has seen to that.
        """
        return (
            self.identity is not None
            and self.session.dialect is not dialect.STUB
            and self.chip.knows("supports_4_byte_addresses")
            and self.chip.supports_4_byte_addresses
        )

    def _read_flash_id(self) -> FlashId:
        answer = self._flash.transact(SpiTransaction(opcode=READ_ID, input_size=_JEDEC_ID_SIZE))
        return FlashId(int.from_bytes(answer, "little"))

    def flash_sfdp(self, offset: int, size: int) -> bytes:
        """Return ``size`` (1 to 64) bytes of the flash chip's SFDP tables (JEDEC JESD216).

        Raises:
            UnsupportedError: there is no such place, or the device is in Secure Download
                Mode.
        """
        self._known_identity("reading SFDP")
        if not 0 <= offset < 1 << 24 or not 0 < size <= MAX_READ_SIZE:
            raise UnsupportedError(f"reading {size} bytes of SFDP at {offset}", "1 to 64 bytes go")
        check_presence(self.flash_id())
        return self._flash.transact(
            SpiTransaction(
                opcode=READ_SFDP, address=offset, address_bits=24, dummy_bits=8, input_size=size
            )
        )

    def flash_wiring(self) -> FlashWiring:
        """Return how the device is set up to drive and to supply its flash.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
            TransportError: the port failed.
        """
        self._known_identity("reading the wiring of the flash")
        addresses = wiring_addresses(self.chip)
        # To read nothing would still send the writes that nobody waits for.
        words = self.session.read_words(addresses) if addresses else {}
        return flash_wiring_of(self.chip, words)

    def flash_status(self, register_count: int = 2) -> int:
        """Return the first ``register_count`` (1 to 3) status registers of the flash chip.

        Register 1 is in the lowest byte.

        Raises:
            UnsupportedError: there are not that many, or the device is in Secure Download
                Mode.
            PlanError: no flash answers.
        """
        self._known_flash("reading the status of the flash")
        return read_status(self._flash, register_count)

    def write_flash_status(
        self, value: int, register_count: int = 2, *, non_volatile: bool = False
    ) -> int:
        """Set the first ``register_count`` (1 to 3) status registers of the flash chip.

        Returns what they hold then. Unless it is ``non_volatile`` that lasts until the flash
        loses its power. A wrong value can lock the flash for good: see its data sheet.

        Raises:
            UnsupportedError: there are not that many, the flash did not take the value, or
                the device is in Secure Download Mode.
        """
        self._known_flash("writing the status of the flash")
        clock = self.session.transport.clock
        return write_status(self._flash, clock, value, register_count, non_volatile=non_volatile)

    def read_register(self, address: int) -> int:
        """Return the 32-bit word at ``address``.

        It is read until it comes twice, for nothing protects it on the line; a word that
        changes all the time is given as last read. Mind what reading changes, as a FIFO.

        Raises:
            UnsupportedError: there is no such address, or the device is in Secure Download
                Mode.
        """
        self._known_identity("reading a register")
        _check_words(address)
        return read_word(self.session, address)

    def write_register(self, address: int, value: int, mask: int = ALL_BITS) -> None:
        """Replace the bits under ``mask`` of the 32-bit word at ``address``.

        In RAM it is seen to be there. A register of a peripheral may hold something else than
        was written, so nobody can tell.

        Raises:
            UnsupportedError: there is no such address, a value has more than 32 bits, or the
                device is in Secure Download Mode.
        """
        self._known_identity("writing a register")
        _check_words(address, value, mask)
        write_word(self.session, self.chip, address, value, mask)

    def read_memory(
        self, address: int, size: int, *, on_progress: ProgressCallback = ignore_progress
    ) -> bytes:
        """Return ``size`` bytes of the address space from ``address`` on, read in words.

        RAM and ROM are read until two readings agree, registers of peripherals once.

        Raises:
            PlanError: there is no such region.
            UnsupportedError: the device is in Secure Download Mode.
        """
        self._known_identity("reading memory")
        return read_memory(self.session, self.chip, address, size, on_progress)

    def load_ram(self, source: Source) -> None:
        """Put the program in a firmware image into RAM and start it.

        Afterwards nothing answers but that program, until :meth:`reset`.

        Raises:
            PlanError: the image is damaged, not for this device, or not for RAM alone.
            StubError: a stub runs, and it is not known where.
            UnsupportedError: the device is in Secure Download Mode.
        """
        self._known_identity("running a program from RAM")
        occupied = self.link.occupied_memory()
        program = plan_program(read_source(source), self.chip, self.revision, occupied)
        start_program(self.session, program)

    def reset(self, after: After = After.HARD_RESET) -> None:
        """End the conversation with the loader as ``after`` says.

        Raises:
            CapabilityError: a hard reset was asked for, and the port has no lines.
            UnsupportedError: a watchdog reset is needed, and the chip has none that works, or
                is in Secure Download Mode.
        """
        self.check_reset(After(after))
        way = self.way_to_reset(After(after))
        if way is not After.HARD_RESET:
            # Only the loader itself can do the others.
            self.link.listen_again()
        self._flash.in_unknown_mode |= way is not After.NO_RESET and self._may_use_long_addresses
        match way:
            case After.HARD_RESET:
                self.session.forget_deferred()
                reset.play(reset.HARD_RESET, self.session.transport)
                self._flash.forget()
            case After.WATCHDOG_RESET:
                reset_by_watchdog(self.session, self.chip)
                self._flash.forget()
            case After.SOFT_RESET:
                self._flash.attach()
                self.session.execute(EmptyBegin())
                self.session.execute(FlashEnd(reboot=False))
                self._flash.forget()
            case After.NO_RESET:
                self.link.restore_rate()

    def check_reset(self, after: After) -> None:
        """Refuse what :meth:`reset` could not do as things are, before anything is done.

        Raises:
            UnsupportedError: as :meth:`reset`.
        """
        has_registers = not self.is_in_secure_download_mode
        if after is After.WATCHDOG_RESET:
            check_watchdog_reset(self.chip, has_registers=has_registers)
        elif after is After.SOFT_RESET and self._reason_against_soft_reset is not None:
            try:
                check_watchdog_reset(self.chip, has_registers=has_registers)
            except UnsupportedError as exc:
                reason = f"{self._reason_against_soft_reset}; {exc}"
                raise UnsupportedError("a soft reset", reason) from exc

    def way_to_reset(self, after: After) -> After:
        """Return how :meth:`reset` would do what ``after`` says.

        That is another way for a hard reset on a port of the chip's own, where the lines do
        nothing, or do not get the device out of the mode in which its straps put it; and for a
        soft reset where the loader would not start the application.
        """
        if after is After.SOFT_RESET and self._reason_against_soft_reset is not None:
            return After.WATCHDOG_RESET
        if after is After.HARD_RESET and not self.is_in_secure_download_mode:
            by_watchdog = lines_do_not_do(self.session, self.chip)
            return After.WATCHDOG_RESET if by_watchdog else after
        return after

    @property
    def _reason_against_soft_reset(self) -> str | None:
        return reason_against_soft_reset(self.session.dialect, self.chip)

    def close(self) -> None:
        """Release the port. Closing twice is allowed."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _known_flash(self, operation: str) -> None:
        """Refuse ``operation`` where no flash answers, or nobody may ask."""
        self._known_identity(operation)
        check_presence(self.flash_id())

    def _known_identity(self, operation: str) -> Identity:
        if self.identity is None:
            raise UnsupportedError(operation, "the device is in Secure Download Mode")
        return self.identity


def _check_words(*words: int) -> None:
    for word in words:
        if not 0 <= word <= ALL_BITS:
            raise UnsupportedError(f"{word:#x}", "it is no 32-bit word")
