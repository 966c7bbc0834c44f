"""A loader made ready for the flash: a stub, where the flash is, how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.chips.model.quirks import Quirk
from esploader.classes import define
from esploader.errors import PlanError, StubError
from esploader.flash.limits import (
    REACH_OF_3_BYTES,
    check_assumed_size,
    check_reach,
    named_size,
    usable_size,
)
from esploader.flash.parameters import KEEP
from esploader.protocol.commands import SpiSetParams
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.context import DeviceContext
    from esploader.device.security import DeviceSecurity
    from esploader.protocol.dialect import Dialect


@define
class Preparation:
    """What commands for the flash need first, whichever loader answers."""

    _context: DeviceContext
    _security: DeviceSecurity
    _find_size: Callable[[], int | None]
    """Asks the flash for its bytes; ``None`` where that cannot be known."""

    _is_prepared: bool = attrs.field(default=False, init=False)
    _size: int | None = attrs.field(default=None, init=False)
    """What a loader is told of the size of the flash, in bytes."""

    def __attrs_post_init__(self) -> None:
        self._context.link.after_revival.append(self._attach_again)

    def prepare(self, flash_size: int | None = None) -> None:
        """Have the loader ready: a stub, if one may be used; else the ROM.

        ``flash_size`` is what a ROM loader is told in bytes where the size cannot be found out,
        as in Secure Download Mode; without it, it goes by what it assumes.

        Raises:
            PlanError: no flash answers.
            StubError: a certain stub was asked for, and it cannot be used.
            CommandError: the loader failed.
            TransportError: the port failed.
        """
        link = self._context.link
        link.use_stub(reason_against=self._reason_against_stub)
        size = self._find_size() if link.session.dialect.flash_must_be_attached else None
        self._size = flash_size if size is None else size
        if link.session.dialect is STUB:
            # It took the place of a loader to which the flash was attached.
            self._context.flash_port.forget()
        self._attach()
        self._is_prepared = True

    def prepare_reach(self, end: int, flash_size: int | None = None) -> None:
        """Have the loader ready for flash up to ``end``, or refuse what it cannot reach.

        Raises:
            EsploaderError: as :meth:`prepare` and :meth:`check_reach`.
        """
        self.check_reach(end)
        self.prepare(flash_size)
        # The file of the stub may have gone since.
        self.check_reach_of_loader(end)

    def check_reach(self, end: int) -> None:
        """Refuse a region up to ``end`` where the loader to be cannot reach it.

        Nothing is sent for that.

        Raises:
            PlanError: it is too far.
        """
        if end > REACH_OF_3_BYTES:
            is_stub = self.expected_dialect() is STUB
            check_reach(end, self._context.chip, through_stub=is_stub)

    def check_reach_of_loader(self, end: int) -> None:
        """Refuse a region up to ``end`` where the loader that is there cannot reach it.

        Raises:
            PlanError: it is too far.
        """
        is_stub = self._context.session.dialect is STUB
        check_reach(end, self._context.chip, through_stub=is_stub)

    def expected_dialect(self) -> Dialect:
        """Return that of the loader that :meth:`prepare` ends with, if a stub starts.

        Raises:
            StubError: a certain stub was asked for, and it cannot be used.
        """
        link = self._context.link
        source = link.stub_source
        dialect = link.session.dialect
        reason = self._reason_against_stub
        if dialect is STUB or source is False or (source is True and reason is not None):
            return dialect
        if reason is not None:
            raise StubError("stub", reason)
        from esploader.loader.stub import find_stub

        try:
            location = None if source is True else source
            find_stub(link.chip, location, revision=link.revision)
        except StubError:
            if source is not True:
                raise
            return dialect
        return STUB

    def check_region(self, offset: int, size: int, size_name: str = KEEP) -> None:
        """Refuse what is no region of the flash that is there.

        Raises:
            PlanError: it is none, or ends beyond the flash.
        """
        # Many a caller has no types.
        are_numbers = all(isinstance(number, int) for number in (offset, size))
        if not are_numbers or offset < 0 or size <= 0:
            raise PlanError(f"{size!r} bytes at {offset!r} are no region of flash")
        self.check_reach(offset + size)
        flash_size = usable_size(self.known_size(size_name, offset + size), size_name)
        if flash_size is not None and offset + size > flash_size:
            raise PlanError(
                f"{size:#x} bytes at {offset:#x} end beyond the flash of {flash_size:#x} bytes"
            )

    def known_size(self, size_name: str, end: int) -> int | None:
        """Return the bytes of the flash that is there; ``None`` where it does not tell.

        ``size_name`` is what the caller says of its size.

        Raises:
            PlanError: nobody knows, and ``end`` is beyond what a ROM loader takes for granted.
        """
        if self._context.is_in_secure_download_mode and named_size(size_name) is None:
            check_assumed_size(end)
        return self._find_size()

    @property
    def _reason_against_stub(self) -> str | None:
        context = self._context
        quirks = context.chip.quirks
        if context.is_in_secure_download_mode:
            return "Secure Download Mode takes no code"
        if (
            self._security.is_secure_boot_on
            and Quirk.SECURE_BOOT_BLOCKS_STUB in quirks
            and context.chip.stub_hook is None
        ):
            return "secure boot keeps this chip from starting it"
        if (
            Quirk.FIRST_MAJOR_REVISION_BLOCKS_STUB in quirks
            and context.identity is not None
            and context.identity.revision is not None
            and context.identity.revision.major == 0
        ):
            return "devices of this chip from before revision 1.0 cannot start it"
        return None

    def _attach_again(self) -> None:
        """Tell a loader that was reset once more what it has to know of the flash."""
        if self._is_prepared:
            self._attach()

    def _attach(self) -> None:
        """Tell the loader where the flash is, and its bytes, unless it finds out by itself."""
        dialect = self._context.session.dialect
        port = self._context.flash_port
        if dialect.flash_must_be_attached or port.is_elsewhere:
            port.attach()
        if (
            dialect.flash_must_be_attached
            and self._size is not None
            and Opcode.SPI_SET_PARAMS in dialect.opcodes
        ):
            self._context.session.execute(SpiSetParams(total_size=self._size))
