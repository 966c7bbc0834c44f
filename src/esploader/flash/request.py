"""What is asked to be written, and how: a request that knows what can be said against it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.flash.artefact import artefact_of
from esploader.flash.compress import reason_against_compression
from esploader.flash.guards import (
    check_encrypted_pieces,
    check_erase,
    check_loader_encrypts,
    check_loader_erases_everything,
    check_write,
)
from esploader.flash.inputs import (
    check_families,
    check_suitability,
)
from esploader.flash.parameters import KEEP_PARAMETERS, FlashParameters
from esploader.flash.plan import WritePlan, plan_write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision
    from esploader.chips.reading.security_state import SecurityState
    from esploader.flash.artefact import Artefact, Inputs
    from esploader.flash.place import Offset
    from esploader.flash.plan import Piece
    from esploader.flash.source import Source
    from esploader.protocol.dialect import Dialect

_log: Final = logging.getLogger(__name__)


@frozen(kw_only=True)
class WriteRequest:
    """Inputs, and what their writer says of the way they are written."""

    artefact: Artefact
    pieces: tuple[Piece, ...] = ()
    """What goes where, once it is known for which chip."""
    parameters: FlashParameters
    erase_all: bool
    compress: bool | None
    force: bool
    """Leaves out the checks that people may know better."""

    @classmethod
    def read(
        cls,
        inputs: Inputs,
        encrypted_inputs: Iterable[tuple[Offset, Source]],
        *,
        parameters: FlashParameters,
        erase_all: bool,
        compress: bool | None,
        force: bool,
    ) -> WriteRequest:
        """Return the request with all that its inputs hold.

        Raises:
            PlanError: an input cannot be read.
        """
        return cls(
            artefact=artefact_of(inputs, encrypted_inputs),
            parameters=parameters,
            erase_all=erase_all,
            compress=compress,
            force=force,
        )

    def made_for(self, chip: Chip) -> WriteRequest:
        """Return the request with what goes where on ``chip``.

        Raises:
            ElfError: no image for the chip can be made of one.
            UnsupportedError: too little is known of the chip.
        """
        return attrs.evolve(self, pieces=self.artefact.made_for(chip))

    @property
    def end(self) -> int:
        """The offset behind the last byte; 0 where there is nothing."""
        return max((piece.end for piece in self.pieces), default=0)

    @property
    def encrypts(self) -> bool:
        """The device is to encrypt some of it."""
        return any(piece.encrypted for piece in self.pieces)

    def check_device(self, chip: Chip, revision: Revision | None, security: SecurityState) -> bool:
        """Refuse what is for other chips, or would leave the device without a bootloader.

        Returns whether what goes to its offset may be one: what is named as something else
        has no header, and has been told.

        Raises:
            PlanError: it would, and it is not forced.
        """
        if self.force:
            return True
        check_families(self.pieces, chip)
        kind = check_suitability(self.pieces, chip, revision, security)
        check_write(self.pieces, security)
        if self.erase_all:
            check_erase(security)
        if kind is not None:
            _log.warning(
                "what goes to %#x, from where %s boots, is no image%s: it is %s",
                chip.bootloader_offset,
                chip.name,
                "" if self.parameters == KEEP_PARAMETERS else " and gets no flash parameters",
                kind,
            )
        return kind is None

    def check_loader(self, loader: Dialect, chip: Chip) -> None:
        """Refuse what the loader cannot do.

        Raises:
            PlanError: an encrypted input is not where one can be.
            UnsupportedError: the loader cannot encrypt, or cannot erase everything.
        """
        if self.erase_all:
            check_loader_erases_everything(loader)
        if self.encrypts:
            check_encrypted_pieces(self.pieces, chip)
            check_loader_encrypts(loader)

    def plan(
        self,
        chip: Chip,
        header_parameters: FlashParameters,
        flash_size: int | None,
        *,
        compress: bool | None,
        starts_stub: bool,
    ) -> WritePlan:
        """Return which regions are written, on a flash of ``flash_size`` bytes, if that is known.

        Raises:
            PlanError: an input lies outside the flash, or overlaps another.
            UnsupportedError: the chip does not know one of the parameters.
        """
        found = self.artefact.with_parameters(self.pieces, chip, header_parameters)
        unit = chip.encrypted_write_alignment or 1
        plan = plan_write(found.pieces, flash_size, encryption_unit=unit)
        return attrs.evolve(
            plan,
            erase_all=self.erase_all,
            header=found.header,
            compress=compress,
            starts_stub=starts_stub,
        )


def usable_compression(loader: Dialect, chip: Chip, *, compress: bool | None) -> bool | None:
    """Return what may be done of what the caller says of compression."""
    reason = reason_against_compression(loader, chip)
    if reason is None:
        return compress
    if compress:
        _log.warning("all is sent as it is, not compressed: %s", reason)
    return False


def header_parameters(
    parameters: FlashParameters,
    pieces: Iterable[Piece],
    chip: Chip,
    security: SecurityState,
    *,
    is_told_size: bool,
) -> FlashParameters:
    """Return what of ``parameters`` goes into the header of the bootloader, if it is there.

    ``is_told_size`` says that they are there for the sake of the loader, as in Secure Download
    Mode.
    """
    start = chip.bootloader_offset
    reasons = {
        "secure boot is on": security.secure_boot,
        "the device is in Secure Download Mode": is_told_size
        and any(piece.offset <= start < piece.end for piece in pieces),
    }
    for reason, applies in reasons.items():
        if applies and parameters != KEEP_PARAMETERS:
            _log.warning("the flash parameters were not changed: %s", reason)
            return KEEP_PARAMETERS
    return parameters
