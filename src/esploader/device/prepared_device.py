"""A device whose loader is made ready for the flash: a stub, where the flash is, its state."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.chips.reading.security_state import (
    SecurityState,
    security_state,
    security_state_addresses,
    security_state_from_info,
)
from esploader.device.identified_device import IdentifiedDevice
from esploader.errors import (
    NoResponseError,
    PlanError,
    ProtocolError,
    StubError,
    TransportError,
)
from esploader.flash.inputs import KEEP
from esploader.flash.jedec import check_presence
from esploader.flash.limits import (
    REACH_OF_3_BYTES,
    check_assumed_size,
    check_reach,
    named_size,
    usable_size,
)
from esploader.loader.stub import find_stub
from esploader.protocol.commands import SpiSetParams
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.protocol.dialect import Dialect

_ReadT = TypeVar("_ReadT")

_STEADY_ATTEMPTS: Final = 3


@attrs.define
class PreparedDevice(IdentifiedDevice):
    """One device, and what its flash commands need first, whichever loader answers."""

    def prepare_flash(self, flash_size: int | None = None) -> None:
        """Have the loader ready for the flash: a stub, if one may be used; else the ROM.

        ``flash_size`` is what a ROM loader is told in bytes where the size cannot be found out,
        as in Secure Download Mode; without it, it goes by what it assumes.

        Raises:
            PlanError: no flash answers.
            StubError: a certain stub was asked for, and it cannot be used.
            CommandError: the loader failed.
            TransportError: the port failed.
        """
        self.link.use_stub(reason_against=self._reason_against_stub)
        size = self._flash_size() if self.session.dialect.flash_must_be_attached else None
        size = flash_size if size is None else size
        if self._has_stub:
            self._flash.forget()
        self._attach_flash(size)
        self.link.after_revival = functools.partial(self._attach_flash_anew, size)

    def _check_reach(self, end: int) -> None:
        """Refuse a region up to ``end`` where the loader to be cannot reach it.

        Nothing is sent for that.
        """
        if end > REACH_OF_3_BYTES:
            check_reach(end, self.chip, through_stub=self._expected_dialect() is STUB)

    def _prepare_reach(self, end: int, flash_size: int | None = None) -> None:
        """Have the loader ready for flash up to ``end``, or refuse what it cannot reach."""
        self._check_reach(end)
        self.prepare_flash(flash_size)
        # The file of the stub may have gone since.
        check_reach(end, self.chip, through_stub=self._has_stub)

    @property
    def _has_stub(self) -> bool:
        return self.session.dialect is STUB

    @property
    def _reason_against_stub(self) -> str | None:
        if self.is_in_secure_download_mode:
            return "Secure Download Mode takes no code"
        if (
            self._has_secure_boot
            and Quirk.SECURE_BOOT_BLOCKS_STUB in self.chip.quirks
            and self.chip.stub_hook is None
        ):
            return "secure boot keeps this chip from starting it"
        if (
            Quirk.FIRST_MAJOR_REVISION_BLOCKS_STUB in self.chip.quirks
            and self.identity is not None
            and self.identity.revision is not None
            and self.identity.revision.major == 0
        ):
            return "devices of this chip from before revision 1.0 cannot start it"
        return None

    def _expected_dialect(self) -> Dialect:
        """Return that of the loader that :meth:`prepare_flash` ends with, if a stub starts.

        Raises:
            StubError: a certain stub was asked for, and it cannot be used.
        """
        source = self.link.stub_source
        reason = self._reason_against_stub
        if self._has_stub or source is False or (source is True and reason is not None):
            return self.session.dialect
        if reason is not None:
            raise StubError("stub", reason)
        try:
            location = None if source is True else source
            find_stub(self.chip, location, revision=self.link.revision)
        except StubError:
            if source is not True:
                raise
            return self.session.dialect
        return STUB

    def _attach_flash_anew(self, size: int | None) -> None:
        self._flash.forget()
        self._attach_flash(size)

    def _attach_flash(self, size: int | None) -> None:
        """Tell the loader where the flash is, and its bytes, unless it finds out by itself."""
        dialect = self.session.dialect
        if dialect.flash_must_be_attached or self._flash.is_elsewhere:
            self._flash.attach()
        if (
            dialect.flash_must_be_attached
            and size is not None
            and Opcode.SPI_SET_PARAMS in dialect.opcodes
        ):
            self.session.execute(SpiSetParams(total_size=size))

    @property
    def _has_secure_boot(self) -> bool:
        return self.security_info is not None and self.security_info.secure_boot

    def _security_state(self) -> SecurityState:
        info = self.security_info
        if info is not None and info.secure_download_mode:
            return security_state_from_info(info)
        words = self._read_words(security_state_addresses(self.chip))
        return security_state(self.chip, words, self.revision)

    def _read_words(self, addresses: tuple[int, ...]) -> dict[int, int]:
        # To read nothing would still send the writes that nobody waits for.
        return self._steadily(lambda: self.session.read_words(addresses)) if addresses else {}

    def _flash_size(self) -> int | None:
        """Return the bytes of flash, if that can be known.

        Raises:
            PlanError: no flash answers.
        """
        if self.is_in_secure_download_mode:
            return None
        flash = self._steadily(self.flash_id)
        if not flash.is_plausible:
            # What was garbled on the line reads differently the next time.
            flash = self._steadily(self.flash_id)
        check_presence(flash)
        return flash.size

    def _usable_flash_size(self, size_name: str, end: int) -> int | None:
        """Return the bytes of flash that may be used, given what the caller says of its size.

        Raises:
            PlanError: nobody knows, and ``end`` is beyond what a ROM loader takes for granted.
        """
        if self.is_in_secure_download_mode and named_size(size_name) is None:
            check_assumed_size(end)
        return usable_size(self._flash_size(), size_name)

    def _steadily(self, read: Callable[[], _ReadT]) -> _ReadT:
        """Return what ``read`` returns, over whatever line."""
        for _ in range(_STEADY_ATTEMPTS - 1):
            try:
                return read()
            except (NoResponseError, ProtocolError, TransportError):
                self.link.revive(slower=False)
                self._flash.forget()
        return read()

    def _check_region(self, offset: int, size: int, size_name: str = KEEP) -> None:
        # Many a caller has no types.
        are_numbers = all(isinstance(number, int) for number in (offset, size))
        if not are_numbers or offset < 0 or size <= 0:
            raise PlanError(f"{size!r} bytes at {offset!r} are no region of flash")
        self._check_reach(offset + size)
        flash_size = self._usable_flash_size(size_name, offset + size)
        if flash_size is not None and offset + size > flash_size:
            raise PlanError(
                f"{size:#x} bytes at {offset:#x} end beyond the flash of {flash_size:#x} bytes"
            )
