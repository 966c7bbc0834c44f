"""From what is asked to be written to a plan: what the device says decides what may be done."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.guards import (
    check_encryption,
    check_encryption_from_info,
    check_loader_encrypts,
    encryption_addresses,
)
from esploader.flash.inputs import (
    check_families,
    check_parameters,
)
from esploader.flash.jedec import name_of_size
from esploader.flash.limits import usable_size, warn_of_size
from esploader.flash.parameters import DETECT, KEEP, KEEP_PARAMETERS, FlashParameters
from esploader.flash.plan import check_places
from esploader.flash.request import WriteRequest, header_parameters, usable_compression
from esploader.protocol.dialect import STUB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.security_state import SecurityState
    from esploader.device.context import DeviceContext
    from esploader.device.preparation import Preparation
    from esploader.device.security import DeviceSecurity
    from esploader.flash.artefact import Artefact
    from esploader.flash.plan import Piece, WritePlan

_log: Final = logging.getLogger(__name__)


@define
class WritePlanner:
    """Plans the writes to the flash of one device."""

    _context: DeviceContext
    _security: DeviceSecurity
    _preparation: Preparation
    _find_size: Callable[[], int | None]
    """Asks the flash for its bytes; ``None`` where that cannot be known."""

    def plan(self, request: WriteRequest, *, ignore_encryption_efuses: bool) -> WritePlan:
        """Return what a write of ``request`` would do, after all checks, and do nothing.

        ``ignore_encryption_efuses`` leaves out the checks that there is a key, and that the
        device decrypts as its loader encrypts.

        Raises:
            PlanError: it cannot be done.
            ElfError: an input is an ELF file, of which no image for the chip can be made.
            StubError: a certain stub was asked for, and it cannot be used.
            UnsupportedError: the chip or its loader cannot do that.
        """
        context, preparation = self._context, self._preparation
        request = request.made_for(context.chip)
        preparation.check_reach(request.end)
        security = self._security.state()
        revision = None if context.identity is None else context.identity.revision
        is_image = request.check_device(context.chip, revision, security)
        loader = preparation.expected_dialect()
        request.check_loader(loader, context.chip)
        if request.encrypts:
            self._check_encryption(ignore_configuration=ignore_encryption_efuses)
        if security.flash_encryption and not all(piece.encrypted for piece in request.pieces):
            _log.warning("flash encryption is on: inputs are written as they are, unencrypted")
        compress = usable_compression(loader, context.chip, compress=request.compress)
        parameters = self.usable_parameters(request.parameters)
        size = preparation.known_size(parameters.size, request.end)
        header = KEEP_PARAMETERS
        if is_image:
            header = self._header_parameters(parameters, request.pieces, security)
        plan = request.plan(
            context.chip,
            header,
            usable_size(size, parameters.size),
            compress=compress,
            starts_stub=loader is STUB and context.session.dialect is not STUB,
        )
        warn_of_size(plan.regions, context.chip, security, named=parameters.size, size=size)
        return attrs.evolve(plan, flash_size=size)

    def check_loader(self, plan: WritePlan) -> bool | None:
        """See that the loader that is there can do ``plan``; return what may be compressed.

        Raises:
            PlanError: it does not reach all of it.
            UnsupportedError: it cannot encrypt.
        """
        loader = self._context.session.dialect
        # The file of the stub may have gone since it was planned.
        if any(region.encrypted for region in plan.regions):
            check_loader_encrypts(loader)
        for region in plan.regions:
            self._preparation.check_reach_of_loader(region.end)
        return usable_compression(loader, self._context.chip, compress=plan.compress)

    def pieces_to_compare(self, artefact: Artefact, parameters: FlashParameters) -> Sequence[Piece]:
        """Return ``artefact`` as it is written with ``parameters``, each within the flash.

        Raises:
            PlanError: there are none, one lies outside the flash or its place, or one is from a
                UF2 file for other chips.
            ElfError: an input is an ELF file, of which no image for the chip can be made.
            UnsupportedError: the chip does not know one of the parameters.
        """
        chip = self._context.chip
        pieces = artefact.made_for(chip)
        if not pieces:
            raise PlanError("there is nothing to compare with")
        if any(piece.encrypted for piece in pieces):
            raise PlanError("what the device has encrypted cannot be compared")
        check_places(pieces)
        for piece in pieces:
            self._preparation.check_region(piece.offset, len(piece.data))
        check_families(pieces, chip)
        if parameters == KEEP_PARAMETERS:
            return pieces
        usable = self.usable_parameters(parameters)
        found = self._header_parameters(usable, pieces, self._security.state())
        return artefact.with_parameters(pieces, chip, found).pieces

    def _header_parameters(
        self, parameters: FlashParameters, pieces: Iterable[Piece], security: SecurityState
    ) -> FlashParameters:
        """Return what of ``parameters`` goes into the header of the bootloader."""
        return header_parameters(
            parameters,
            pieces,
            self._context.chip,
            security,
            is_told_size=self._context.is_in_secure_download_mode,
        )

    def usable_parameters(self, parameters: FlashParameters) -> FlashParameters:
        """Return the flash parameters by name, that of the size that is there included.

        Raises:
            UnsupportedError: the chip does not know one of the parameters.
        """
        chip = self._context.chip
        if parameters.size == DETECT:
            size = self._find_size()
            name = KEEP if size is None else _name_of_size(chip, size)
            parameters = attrs.evolve(parameters, size=name)
        check_parameters(parameters, chip)
        return parameters

    def _check_encryption(self, *, ignore_configuration: bool) -> None:
        """Refuse to let the loader encrypt, as far as this device tells what it has for that."""
        chip, info = self._context.chip, self._context.security_info
        if self._context.identity is not None:
            words = self._context.read_words(encryption_addresses(chip))
            check_encryption(chip, words, ignore_configuration=ignore_configuration)
        elif info is not None and not ignore_configuration:
            check_encryption_from_info(chip, info)


def _name_of_size(chip: Chip, size: int) -> str:
    """Return what ``size`` is called in the chip's table."""
    name = name_of_size(size)
    if name not in dict(chip.flash_sizes):
        raise UnsupportedError(f"a flash of {name}", f"{chip.name} has no code for it")
    return name
