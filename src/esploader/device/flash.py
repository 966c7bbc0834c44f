"""The flash of a device: ask it who it is, write it, compare it, read it, erase it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import UnsupportedError
from esploader.flash.jedec import FlashId, check_presence
from esploader.flash.parameters import KEEP, KEEP_PARAMETERS, FlashParameters
from esploader.flash.progress import ProgressCallback, ignore_progress
from esploader.flash.spi import MAX_READ_SIZE, READ_ID, READ_SFDP, SpiTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esploader.chips.reading.flash_wiring import FlashWiring
    from esploader.device.context import DeviceContext
    from esploader.device.eraser import FlashEraser
    from esploader.device.planner import WritePlanner
    from esploader.device.preparation import Preparation
    from esploader.device.security import DeviceSecurity
    from esploader.flash.artefact import Inputs
    from esploader.flash.erasure import EraseResult
    from esploader.flash.place import Offset
    from esploader.flash.plan import WritePlan
    from esploader.flash.source import Source
    from esploader.flash.verify import Difference
    from esploader.flash.write_plan import RegionResult

_log: Final = logging.getLogger(__name__)

_JEDEC_ID_SIZE: Final = 3


@define(repr=False)
class DeviceFlash:
    """The flash of one device: ``device.flash``.

    All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses only.
    """

    _context: DeviceContext
    _security: DeviceSecurity
    _prepared_by: Preparation | None = attrs.field(default=None, init=False)
    _is_awake: bool = attrs.field(default=False, init=False)
    """As far as anybody knows how to wake it."""

    # Who asks for an id waits for nothing that writes: each method loads what it takes.

    @property
    def _preparation(self) -> Preparation:
        if self._prepared_by is None:
            from esploader.device.preparation import Preparation

            self._prepared_by = Preparation(self._context, self._security, self._size)
        return self._prepared_by

    @property
    def _planner(self) -> WritePlanner:
        from esploader.device.planner import WritePlanner

        return WritePlanner(self._context, self._security, self._preparation, self._size)

    @property
    def _eraser(self) -> FlashEraser:
        from esploader.device.eraser import FlashEraser

        return FlashEraser(self._context, self._security, self._preparation, self._size)

    # The chip itself ------------------------------------------------------------------------

    def id(self) -> FlashId:
        """Return what the flash chip says it is.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
            CommandError: the loader failed.
            TransportError: the port failed.
        """
        from esploader.flash.start_up import wake_flash

        self._context.known_identity("reading the flash id")
        found = self._read_id()
        if found.is_plausible or self._is_awake:
            return found
        self._is_awake = True
        _log.warning("the flash says that it is %06x; trying to wake it", found.jedec_id)
        port = self._context.flash_port
        port.in_unknown_mode = True
        wake_flash(port, self._context.session.transport.clock)
        return self._read_id()

    def _read_id(self) -> FlashId:
        read = SpiTransaction(opcode=READ_ID, input_size=_JEDEC_ID_SIZE)
        return FlashId(int.from_bytes(self._context.flash_port.transact(read), "little"))

    def sfdp(self, offset: int, size: int) -> bytes:
        """Return ``size`` (1 to 64) bytes of the flash chip's SFDP tables (JEDEC JESD216).

        Raises:
            UnsupportedError: there is no such place, or the device is in Secure Download
                Mode.
            PlanError: no flash answers.
        """
        self._context.known_identity("reading SFDP")
        if not 0 <= offset < 1 << 24 or not 0 < size <= MAX_READ_SIZE:
            raise UnsupportedError(f"reading {size} bytes of SFDP at {offset}", "1 to 64 bytes go")
        check_presence(self.id())
        return self._context.flash_port.transact(
            SpiTransaction(
                opcode=READ_SFDP, address=offset, address_bits=24, dummy_bits=8, input_size=size
            )
        )

    def status(self, register_count: int = 2) -> int:
        """Return the first ``register_count`` (1 to 3) status registers of the flash chip.

        Register 1 is in the lowest byte.

        Raises:
            UnsupportedError: there are not that many, or the device is in Secure Download
                Mode.
            PlanError: no flash answers.
        """
        from esploader.flash.status import read_status

        self._require_flash("reading the status of the flash")
        return read_status(self._context.flash_port, register_count)

    def write_status(
        self, value: int, register_count: int = 2, *, non_volatile: bool = False
    ) -> int:
        """Set the first ``register_count`` (1 to 3) status registers of the flash chip.

        Returns what they hold then. Unless it is ``non_volatile`` that lasts until the flash
        loses its power. A wrong value can lock the flash for good: see its data sheet.

        Raises:
            UnsupportedError: there are not that many, the flash did not take the value, or
                the device is in Secure Download Mode.
            PlanError: no flash answers.
        """
        from esploader.flash.status import write_status

        self._require_flash("writing the status of the flash")
        port, clock = self._context.flash_port, self._context.session.transport.clock
        return write_status(port, clock, value, register_count, non_volatile=non_volatile)

    def wiring(self) -> FlashWiring:
        """Return how the device is set up to drive and to supply its flash.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
            TransportError: the port failed.
        """
        from esploader.chips.reading.flash_wiring import flash_wiring_of, wiring_addresses
        from esploader.session.confirming import read_words

        self._context.known_identity("reading the wiring of the flash")
        chip = self._context.chip
        addresses = wiring_addresses(chip)
        # To read nothing would still send the writes that nobody waits for.
        words = read_words(self._context.session, addresses) if addresses else {}
        return flash_wiring_of(chip, words)

    def use_pins(self, connection: str) -> None:
        """Say to which pins the flash is connected, where these are not the usual ones.

        ``connection`` is ``SPI`` (the usual ones), ``HSPI`` (ESP32) or five GPIOs,
        ``CLK,Q,D,HD,CS``.

        Raises:
            UnsupportedError: the chip cannot have its flash there.
        """
        from esploader.flash.pins import attach_word

        self._context.flash_port.move_to(attach_word(connection, self._context.chip))

    # Its content ----------------------------------------------------------------------------

    def prepare(self, flash_size: int | None = None) -> None:
        """Have the loader ready for the flash: a stub, if one may be used; else the ROM.

        What needs that does it by itself. ``flash_size`` is what a ROM loader is told in bytes
        where the size cannot be found out, as in Secure Download Mode; without it, it goes by
        what it assumes.

        Raises:
            PlanError: no flash answers.
            StubError: a certain stub was asked for, and it cannot be used.
            CommandError: the loader failed.
            TransportError: the port failed.
        """
        self._preparation.prepare(flash_size)

    def plan(
        self,
        inputs: Inputs = (),
        *,
        encrypted_inputs: Iterable[tuple[Offset, Source]] = (),
        parameters: FlashParameters = KEEP_PARAMETERS,
        erase_all: bool = False,
        compress: bool | None = None,
        force: bool = False,
        ignore_encryption_efuses: bool = False,
    ) -> WritePlan:
        """Return what :meth:`write` would do, after all checks, and do nothing.

        What :meth:`write` refuses is refused here, too. Only a stub is not started: that it
        is to be had, and made for this chip, is seen; whether it starts is not.

        ``inputs`` are offsets, or places of ``device.partitions``, and what goes there, or an
        :class:`~esploader.flash.artefact.Artefact` of them, which many devices can be given;
        ``encrypted_inputs``, too, and the device encrypts them as it writes them. ``parameters``
        go into the header of the bootloader, if that is among them; ``detect`` as a size stands
        for the size of the flash that is there. ``erase_all`` says that the whole flash is erased
        first.
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
        from esploader.flash.request import WriteRequest

        request = WriteRequest.read(
            inputs,
            encrypted_inputs,
            parameters=parameters,
            erase_all=erase_all,
            compress=compress,
            force=force,
        )
        return self._planner.plan(request, ignore_encryption_efuses=ignore_encryption_efuses)

    def write(  # noqa: PLR0913 - options, all by keyword
        self,
        inputs: Inputs = (),
        *,
        encrypted_inputs: Iterable[tuple[Offset, Source]] = (),
        parameters: FlashParameters = KEEP_PARAMETERS,
        erase_all: bool = False,
        skip: bool = True,
        compress: bool | None = None,
        force: bool = False,
        ignore_encryption_efuses: bool = False,
        on_plan: Callable[[WritePlan], object] | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> tuple[RegionResult, ...]:
        """Write ``inputs`` to the flash and see that they are there.

        ``encrypted_inputs`` are written, too, but nobody can see whether they are there:
        only the device knows the key. In Secure Download Mode nobody can see anything: what
        the results call written the loader has taken without complaint.

        What the flash holds already is not written again, unless ``skip`` is false.
        ``compress`` forces or forbids compression. ``on_plan`` is called with the plan before
        anything is done; what it raises ends it. The other arguments are those of :meth:`plan`.

        Raises:
            PlanError: it cannot be done; nothing has been erased.
            FlashError: it is not there after every effort.
            EsploaderError: the loader refused, or could not be reached again.
        """
        from esploader.flash import limits, read_back, write_plan

        plan = self.plan(
            inputs,
            encrypted_inputs=encrypted_inputs,
            parameters=parameters,
            erase_all=erase_all,
            compress=compress,
            force=force,
            ignore_encryption_efuses=ignore_encryption_efuses,
        )
        if on_plan is not None:
            on_plan(plan)
        link = self._context.link
        self.prepare(limits.named_size(parameters.size))
        compress = self._planner.check_loader(plan)
        if erase_all:
            self._eraser.erase_everything(on_progress)
        read_back.warn_if_blind(link, plan.size)
        return write_plan.write_plan(
            link,
            plan,
            skip=skip and not erase_all,
            compress=compress,
            on_progress=on_progress,
        )

    def read(
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
        from esploader.flash.read import RegionReader

        self._context.known_identity("reading flash")
        self._preparation.check_region(offset, size)
        self._prepare_to_see(offset + size, 2 * size)
        return b"".join(RegionReader(self._context.link, on_progress).read(offset, size))

    def verify(
        self,
        inputs: Inputs,
        *,
        parameters: FlashParameters = KEEP_PARAMETERS,
        on_progress: ProgressCallback = ignore_progress,
    ) -> tuple[Difference, ...]:
        """Return where the flash differs from ``inputs``; nothing when it does not.

        ``parameters`` are those that ``inputs`` were written with (:meth:`write`).

        Raises:
            PlanError: an input lies outside the flash, or is a UF2 file for other chips.
            UnsupportedError: the device is in Secure Download Mode, or the chip does not know
                one of the parameters.
            ElfError: an input is an ELF file, of which no image for the chip can be made.
            EsploaderError: the loader refused, or could not be reached again.
        """
        from esploader.flash.artefact import artefact_of
        from esploader.flash.verify import compare

        self._context.known_identity("comparing flash")
        pieces = self._planner.pieces_to_compare(artefact_of(inputs), parameters)
        self._prepare_to_see(
            max(piece.end for piece in pieces), sum(len(piece.data) for piece in pieces)
        )
        link = self._context.link
        return tuple(found for piece in pieces for found in compare(link, piece, on_progress))

    def md5(self, offset: int, size: int) -> bytes:
        """Return the MD5 of a region of flash, computed on the device.

        The ROM loader of the ESP8266 cannot do that; there the region is read.

        Raises:
            PlanError: the region lies outside the flash.
            UnsupportedError: the device is in Secure Download Mode.
            CommandError: the loader failed.
        """
        from esploader.flash.hashing import md5_of_flash

        self._context.known_identity("hashing flash")
        self._preparation.check_region(offset, size)
        self._prepare_to_see(offset + size, 2 * size)
        return md5_of_flash(self._context.link, offset, size)

    def erase(
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
        self._context.known_identity("erasing the whole flash")
        return self._eraser.check_and_erase_everything(on_progress, force=force)

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
        parameters = self._planner.usable_parameters(FlashParameters(size=flash_size))
        return self._eraser.erase_region(offset, size, parameters.size, on_progress, force=force)

    def _require_flash(self, operation: str) -> None:
        """Refuse ``operation`` where no flash answers, or nobody may ask."""
        self._context.known_identity(operation)
        check_presence(self.id())

    def _size(self) -> int | None:
        """Return the bytes of flash, if that can be known.

        Raises:
            PlanError: no flash answers.
        """
        if self._context.is_in_secure_download_mode:
            return None
        flash = self._context.steadily(self.id)
        if not flash.is_plausible:
            # What was garbled on the line reads differently the next time.
            flash = self._context.steadily(self.id)
        check_presence(flash)
        return flash.size

    def _prepare_to_see(self, end: int, size: int) -> None:
        """Have the loader ready for ``size`` bytes of flash up to ``end`` to be looked at."""
        from esploader.flash.read_back import warn_if_blind

        self._preparation.prepare_reach(end)
        warn_if_blind(self._context.link, size)
