"""What the user of the library holds: a device, and what is done with its flash."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.device.prepared_device import PreparedDevice
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.compress import reason_against_compression
from esploader.flash.erasure import EraseResult, erase_flash, erase_region
from esploader.flash.guards import (
    check_encrypted_pieces,
    check_encryption,
    check_encryption_from_info,
    check_erase,
    check_loader_encrypts,
    check_loader_erases_everything,
    check_write,
    encryption_addresses,
)
from esploader.flash.hashing import md5_of_flash
from esploader.flash.inputs import (
    KEEP,
    FlashParameters,
    check_parameters,
    check_suitability,
    put_parameters,
    read_pieces,
)
from esploader.flash.limits import check_reach, named_size, reach_of
from esploader.flash.plan import SECTOR_SIZE, WritePlan, plan_write
from esploader.flash.read import RegionReader
from esploader.flash.read_back import warn_if_blind
from esploader.flash.verify import compare
from esploader.flash.write_plan import write_plan
from esploader.loader.resetting import After
from esploader.progress import ProgressCallback, ignore_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.security_state import SecurityState
    from esploader.flash.plan import Piece
    from esploader.flash.source import Source
    from esploader.flash.verify import Difference
    from esploader.flash.write_plan import RegionResult
    from esploader.protocol.dialect import Dialect

__all__ = ["DETECT", "KEEP_PARAMETERS", "After", "Device"]

_log: Final = logging.getLogger(__name__)

KEEP_PARAMETERS: Final = FlashParameters()
"""Leaves the header of the bootloader alone."""

DETECT: Final = "detect"
"""As a flash size: that of the flash that is there."""


@attrs.define
class Device(PreparedDevice):
    """One device, connected and identified.

    As a context manager it releases the port, and nothing more; call :meth:`reset` to
    have the device run its application.

    All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses only.
    """

    def plan_write(
        self,
        inputs: Iterable[tuple[int, Source]] = (),
        *,
        encrypted_inputs: Iterable[tuple[int, Source]] = (),
        parameters: FlashParameters = KEEP_PARAMETERS,
        erase_all: bool = False,
        compress: bool | None = None,
        force: bool = False,
        ignore_encryption_efuses: bool = False,
    ) -> WritePlan:
        """Return what :meth:`write_flash` would do, after all checks, and do nothing.

        What :meth:`write_flash` refuses is refused here, too. Only a stub is not started:
        that it is to be had, and made for this chip, is seen; whether it starts is not.

        ``inputs`` are offsets and what goes there; ``encrypted_inputs``, too, and the
        device encrypts them as it writes them. ``parameters`` go into the header of
        the bootloader, if that is among them; ``detect`` as a size stands for the size of
        the flash that is there. ``erase_all`` says that the whole flash is erased first.
        ``compress`` forces or forbids compression; a loader that must get nothing compressed
        does not, with a warning if it was forced.

        ``force`` leaves out the checks that the bootloader is intact and made for this
        chip and revision, and that secure boot and flash encryption let the device boot
        with what is written. With secure boot on, the header of the bootloader is never
        changed: that would break its signature.

        ``ignore_encryption_efuses`` leaves out the checks that there is a key, and that the
        device decrypts as its loader encrypts.

        In Secure Download Mode the size of the flash cannot be found out: ``parameters`` say
        it, or what is beyond the 2 MiB that the loader assumes is refused. They do not go
        into the header there.

        Raises:
            PlanError: it cannot be done.
            StubError: a certain stub was asked for, and it cannot be used.
            UnsupportedError: the chip does not know one of the parameters, it cannot encrypt,
                its loader cannot, or cannot erase everything.
        """
        pieces = [*read_pieces(inputs), *read_pieces(encrypted_inputs, encrypted=True)]
        end = max((piece.end for piece in pieces), default=0)
        self._check_reach(end)
        security = self._security_state()
        if not force:
            revision = None if self.identity is None else self.identity.revision
            check_suitability(pieces, self.chip, revision)
            check_write(pieces, security)
            if erase_all:
                check_erase(security)
        loader = self._expected_dialect()
        if erase_all:
            check_loader_erases_everything(loader)
        if any(piece.encrypted for piece in pieces):
            check_encrypted_pieces(pieces, self.chip)
            check_loader_encrypts(loader)
            self._check_encryption(ignore_configuration=ignore_encryption_efuses)
        if security.flash_encryption and not all(piece.encrypted for piece in pieces):
            _log.warning("flash encryption is on: inputs are written as they are, unencrypted")
        compress = self._usable_compression(loader, compress=compress)
        parameters = self._usable_parameters(parameters)
        size = self._usable_flash_size(parameters.size, end)
        parameters = self._header_of(parameters, security, pieces)
        pieces, header = put_parameters(pieces, self.chip, parameters)
        plan = plan_write(pieces, size, encryption_unit=self.chip.encrypted_write_alignment or 1)
        return attrs.evolve(
            plan,
            erase_all=erase_all,
            header=header,
            compress=compress,
            starts_stub=loader is not self.session.dialect,
        )

    def write_flash(  # noqa: PLR0913 - options, all by keyword
        self,
        inputs: Iterable[tuple[int, Source]] = (),
        *,
        encrypted_inputs: Iterable[tuple[int, Source]] = (),
        parameters: FlashParameters = KEEP_PARAMETERS,
        erase_all: bool = False,
        skip: bool = True,
        compress: bool | None = None,
        force: bool = False,
        ignore_encryption_efuses: bool = False,
        on_progress: ProgressCallback = ignore_progress,
    ) -> tuple[RegionResult, ...]:
        """Write ``inputs`` to the flash and see that they are there.

        ``encrypted_inputs`` are written, too, but nobody can see whether they are there:
        only the device knows the key. In Secure Download Mode nobody can see anything: what
        the results call written the loader has taken without complaint.

        What the flash holds already is not written again, unless ``skip`` is false.
        ``compress`` forces or forbids compression. The other arguments are those of
        :meth:`plan_write`.

        Raises:
            PlanError: it cannot be done; nothing has been erased.
            FlashError: it is not there after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        plan = self.plan_write(
            inputs,
            encrypted_inputs=encrypted_inputs,
            parameters=parameters,
            erase_all=erase_all,
            compress=compress,
            force=force,
            ignore_encryption_efuses=ignore_encryption_efuses,
        )
        self.prepare_flash(named_size(parameters.size))
        compress = self._usable_compression(self.session.dialect, compress=plan.compress)
        # The file of the stub may have gone since.
        if any(region.encrypted for region in plan.regions):
            check_loader_encrypts(self.session.dialect)
        for region in plan.regions:
            check_reach(region.end, self.chip, through_stub=self._has_stub)
        if erase_all:
            self._erase_flash(on_progress)
        warn_if_blind(self.link, plan.size)
        return write_plan(
            self.link,
            plan,
            skip=skip and not erase_all,
            compress=compress,
            on_progress=on_progress,
        )

    def read_flash(
        self, offset: int, size: int, *, on_progress: ProgressCallback = ignore_progress
    ) -> bytes:
        """Return ``size`` bytes of flash from ``offset`` on, each piece checked by MD5.

        The ROM loader of the ESP8266 has none; there each piece is read until it comes twice.

        Raises:
            PlanError: the region lies outside the flash.
            UnsupportedError: the device is in Secure Download Mode.
            FlashError: it could not be read after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        self._known_identity("reading flash")
        self._check_region(offset, size)
        self._prepare_reach(offset + size)
        warn_if_blind(self.link, 2 * size)
        return b"".join(RegionReader(self.link, on_progress).read(offset, size))

    def verify_flash(
        self,
        inputs: Iterable[tuple[int, Source]],
        *,
        parameters: FlashParameters = KEEP_PARAMETERS,
        on_progress: ProgressCallback = ignore_progress,
    ) -> tuple[Difference, ...]:
        """Return where the flash differs from ``inputs``; nothing when it does not.

        ``parameters`` are those that ``inputs`` were written with (:meth:`write_flash`).

        Raises:
            PlanError: an input lies outside the flash.
            UnsupportedError: the device is in Secure Download Mode, or the chip does not know
                one of the parameters.
            EsploaderError: the loader refused, or could not be reached again.
        """
        self._known_identity("comparing flash")
        pieces = read_pieces(inputs)
        if not pieces:
            raise PlanError("there is nothing to compare with")
        for piece in pieces:
            self._check_region(piece.offset, len(piece.data))
        if parameters != KEEP_PARAMETERS:
            parameters = self._usable_parameters(parameters)
            parameters = self._header_of(parameters, self._security_state(), pieces)
            pieces, _ = put_parameters(pieces, self.chip, parameters)
        self._prepare_reach(max(piece.end for piece in pieces))
        warn_if_blind(self.link, sum(len(piece.data) for piece in pieces))
        return tuple(found for piece in pieces for found in compare(self.link, piece, on_progress))

    def flash_md5(self, offset: int, size: int) -> bytes:
        """Return the MD5 of a region of flash, computed on the device.

        The ROM loader of the ESP8266 cannot do that; there the region is read.

        Raises:
            PlanError: the region lies outside the flash.
            UnsupportedError: the device is in Secure Download Mode.
            CommandError: the loader failed.
        """
        self._known_identity("hashing flash")
        self._check_region(offset, size)
        self._prepare_reach(offset + size)
        warn_if_blind(self.link, 2 * size)
        return md5_of_flash(self.link, offset, size)

    def erase_flash(
        self, *, force: bool = False, on_progress: ProgressCallback = ignore_progress
    ) -> EraseResult:
        """Erase the whole flash and see that it is blank.

        What is beyond the reach of the loader nobody can see: see :attr:`EraseResult.verified`.

        Raises:
            PlanError: secure boot or flash encryption is on, and it is not forced.
            UnsupportedError: the ROM loader cannot do this, and no stub can be had, as in
                Secure Download Mode.
            FlashError: it is not blank after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        self._known_identity("erasing the whole flash")
        if not force:
            check_erase(self._security_state())
        check_loader_erases_everything(self._expected_dialect())
        self.prepare_flash()
        return self._erase_flash(on_progress)

    def _erase_flash(self, on_progress: ProgressCallback) -> EraseResult:
        size = self._flash_size()
        seen = None if size is None else reach_of(self.chip, size, through_stub=self._has_stub)
        return erase_flash(self.link, size, seen, on_progress)

    def erase_region(
        self,
        offset: int,
        size: int,
        *,
        flash_size: str = KEEP,
        force: bool = False,
        on_progress: ProgressCallback = ignore_progress,
    ) -> EraseResult:
        """Erase whole sectors and see that they are blank.

        ``offset`` and ``size`` are multiples of 4096 bytes.

        ``flash_size`` is one of the chip's names of sizes, such as ``4MB``, for Secure Download
        Mode: without it, what is beyond the 2 MiB that the loader assumes there is refused.
        Nobody can see there whether the region was erased.

        Raises:
            PlanError: they are not, the region lies outside the flash, or secure boot or
                flash encryption is on, and it is not forced.
            UnsupportedError: the chip does not know that size.
            FlashError: they are not blank after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        parameters = self._usable_parameters(FlashParameters(size=flash_size))
        self._check_region(offset, size, parameters.size)
        if offset % SECTOR_SIZE or size % SECTOR_SIZE:
            raise PlanError(
                f"{size:#x} bytes at {offset:#x} are no whole sectors of {SECTOR_SIZE:#x} bytes"
            )
        if not force:
            check_erase(self._security_state())
        self._prepare_reach(offset + size, named_size(parameters.size))
        warn_if_blind(self.link, size, "erased")
        return erase_region(self.link, offset, size, on_progress)

    def _check_encryption(self, *, ignore_configuration: bool) -> None:
        """Refuse to let the loader encrypt, as far as this device tells what it has for that."""
        if self.identity is not None:
            words = self._read_words(encryption_addresses(self.chip))
            check_encryption(self.chip, words, ignore_configuration=ignore_configuration)
        elif self.security_info is not None and not ignore_configuration:
            check_encryption_from_info(self.chip, self.security_info)

    def _usable_compression(self, loader: Dialect, *, compress: bool | None) -> bool | None:
        """Return what may be done of what the caller says of compression."""
        reason = reason_against_compression(loader, self.chip)
        if reason is None:
            return compress
        if compress:
            _log.warning("all is sent as it is, not compressed: %s", reason)
        return False

    def _usable_parameters(self, parameters: FlashParameters) -> FlashParameters:
        """Return the flash parameters by name, that of the size that is there included.

        Raises:
            UnsupportedError: the chip does not know one of the parameters.
        """
        if parameters.size == DETECT:
            size = self._flash_size()
            name = KEEP if size is None else _name_of_size(self.chip, size)
            parameters = attrs.evolve(parameters, size=name)
        check_parameters(parameters, self.chip)
        return parameters

    def _header_of(
        self, parameters: FlashParameters, security: SecurityState, pieces: Iterable[Piece]
    ) -> FlashParameters:
        """Return what goes into the header of the bootloader, should it be among ``pieces``."""
        start = self.chip.bootloader_offset
        reasons = {
            "secure boot is on": security.secure_boot,
            # There the size is given for the sake of the loader, too.
            "the device is in Secure Download Mode": self.is_in_secure_download_mode
            and any(piece.offset <= start < piece.end for piece in pieces),
        }
        for reason, applies in reasons.items():
            if applies and parameters != KEEP_PARAMETERS:
                _log.warning("the flash parameters were not changed: %s", reason)
                return KEEP_PARAMETERS
        return parameters


def _name_of_size(chip: Chip, size: int) -> str:
    """Return what ``size`` is called in the chip's table."""
    name = f"{size >> 20}MB" if size >= 1 << 20 else f"{size >> 10}KB"
    if name not in dict(chip.flash_sizes):
        raise UnsupportedError(f"a flash of {name}", f"{chip.name} has no code for it")
    return name
