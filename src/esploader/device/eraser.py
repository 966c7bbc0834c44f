"""Erasing the flash of a device: what has to be asked and told before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.classes import define
from esploader.errors import PlanError
from esploader.flash.erasure import EraseResult, erase_flash, erase_region
from esploader.flash.guards import check_erase, check_loader_erases_everything
from esploader.flash.limits import named_size, reach_of
from esploader.flash.plan import SECTOR_SIZE
from esploader.flash.read_back import warn_if_blind
from esploader.protocol.dialect import STUB

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.context import DeviceContext
    from esploader.device.preparation import Preparation
    from esploader.device.security import DeviceSecurity
    from esploader.flash.progress import ProgressCallback


@define
class FlashEraser:
    """Erases the flash of one device."""

    _context: DeviceContext
    _security: DeviceSecurity
    _preparation: Preparation
    _find_size: Callable[[], int | None]
    """Asks the flash for its bytes; ``None`` where that cannot be known."""

    def check_and_erase_everything(
        self, on_progress: ProgressCallback, *, force: bool
    ) -> EraseResult:
        """Erase the whole flash, if the device and its loader let that be.

        Raises:
            PlanError: secure boot or flash encryption is on, and it is not ``force``.
            UnsupportedError: the loader cannot.
            EsploaderError: as :meth:`erase_everything`.
        """
        if not force:
            check_erase(self._security.state())
        check_loader_erases_everything(self._preparation.expected_dialect())
        self._preparation.prepare()
        return self.erase_everything(on_progress)

    def erase_everything(self, on_progress: ProgressCallback) -> EraseResult:
        """Have the loader that is there erase the whole flash, and see that it is blank.

        Raises:
            FlashError: it is not blank after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        link, size = self._context.link, self._find_size()
        is_stub = link.session.dialect is STUB
        seen = None if size is None else reach_of(link.chip, size, through_stub=is_stub)
        return erase_flash(link, size, seen, on_progress)

    def erase_region(
        self, offset: int, size: int, size_name: str, on_progress: ProgressCallback, *, force: bool
    ) -> EraseResult:
        """Erase whole sectors and see that they are blank.

        ``size_name`` is what the caller calls the size of the flash.

        Raises:
            PlanError: they are none, lie outside the flash, or are what the device insists on.
            FlashError: they are not blank after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        self._preparation.check_region(offset, size, size_name)
        if offset % SECTOR_SIZE or size % SECTOR_SIZE:
            raise PlanError(
                f"{size:#x} bytes at {offset:#x} are no whole sectors of {SECTOR_SIZE:#x} bytes"
            )
        if not force:
            check_erase(self._security.state())
        self._preparation.prepare_reach(offset + size, named_size(size_name))
        link = self._context.link
        warn_if_blind(link, size, "erased")
        return erase_region(link, offset, size, on_progress)
