"""The partitions of a device: which there are, what they hold, and which application boots.

Sources: those of :mod:`esploader.image.partitions` and :mod:`esploader.image.otadata`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.errors import ImageError, PartitionTableError, PlanError, UnsupportedError
from esploader.flash.place import Place
from esploader.flash.progress import ProgressCallback, ignore_progress
from esploader.image.header import MAX_HEADER_SIZE, parse_header
from esploader.image.otadata import (
    ENTRY_SIZE,
    OtaData,
    booting,
    next_slot,
    otadata_of,
    parse_otadata,
    steps_to_boot,
)
from esploader.image.partition import SECTOR_SIZE, TABLE_SIZE, Partition
from esploader.image.partitions import DEFAULT_OFFSET, OTADATA_SIZE, PartitionTable, parse_table
from esploader.image.suitability import chip_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.device.context import DeviceContext
    from esploader.device.flash import DeviceFlash
    from esploader.device.security import DeviceSecurity
    from esploader.flash.erasure import EraseResult
    from esploader.flash.source import Source
    from esploader.flash.verify import Difference
    from esploader.flash.write_plan import RegionResult

_log: Final = logging.getLogger(__name__)

APP_NAME: Final = "app"
"""Stands for the application that boots, where no partition is called so."""


@frozen
class DevicePartition:
    """One partition of a device, as its table had it when it was looked up.

    All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses only.
    """

    _flash: DeviceFlash = attrs.field(repr=False, eq=False)
    entry: Partition
    """What the table says of it."""
    place: Place = attrs.field(repr=False)
    """Where it is, for :meth:`DeviceFlash.write` and its like, beside others."""

    def read(self, *, on_progress: ProgressCallback = ignore_progress) -> bytes:
        """Return all that it holds.

        Raises:
            PlanError: it ends beyond the flash.
            EsploaderError: as :meth:`DeviceFlash.read`.
        """
        return self._flash.read(self.entry.offset, self.entry.size, on_progress=on_progress)

    def write(
        self,
        source: Source,
        *,
        encrypt: bool = False,
        force: bool = False,
        on_progress: ProgressCallback = ignore_progress,
    ) -> tuple[RegionResult, ...]:
        """Write ``source`` from its beginning on, and see that it is there.

        What is behind that stays as it is, but for the rest of the last sector of 4096 bytes.
        ``encrypt`` has the device encrypt it. ``force`` leaves out the checks that what goes to
        an app is an application for this device, and that it boots afterwards.

        Raises:
            PlanError: it does not fit, or is an application for another chip; nothing has been
                erased.
            EsploaderError: as :meth:`DeviceFlash.write`.
        """
        inputs = [(self.place, source)]
        return self._flash.write(
            () if encrypt else inputs,
            encrypted_inputs=inputs if encrypt else (),
            force=force,
            on_progress=on_progress,
        )

    def erase(
        self, *, force: bool = False, on_progress: ProgressCallback = ignore_progress
    ) -> EraseResult:
        """Erase all of it and see that it is blank.

        Raises:
            PlanError: it shares bytes or a sector with something else, or secure boot or flash
                encryption is on, and it is not ``force``.
            EsploaderError: as :meth:`DeviceFlash.erase_region`.
        """
        self.place.check_alone()
        return self._flash.erase_region(
            self.entry.offset, self.entry.size, force=force, on_progress=on_progress
        )

    def verify(
        self, source: Source, *, on_progress: ProgressCallback = ignore_progress
    ) -> tuple[Difference, ...]:
        """Return where it differs from ``source``; nothing when it does not.

        Raises:
            PlanError: that does not fit.
            EsploaderError: as :meth:`DeviceFlash.verify`.
        """
        return self._flash.verify([(self.place, source)], on_progress=on_progress)


@define(repr=False)
class DevicePartitions:
    """The partitions of one device: ``device.partitions``.

    The table is read each time that something is looked up in it: it may have been written
    meanwhile. All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses only.
    """

    _context: DeviceContext
    _security: DeviceSecurity
    _flash: DeviceFlash
    table_offset: int = attrs.field(default=DEFAULT_OFFSET, kw_only=True)
    """Where in flash the table is: a project may have it elsewhere."""

    @property
    def table(self) -> PartitionTable:
        """What the table in flash says.

        Raises:
            PartitionTableError: there is none.
            UnsupportedError: the device is in Secure Download Mode, or has encrypted the table.
            EsploaderError: as :meth:`DeviceFlash.read`.
        """
        data = self.raw_table()
        try:
            return parse_table(data)
        except PartitionTableError as exc:
            if self._security.state().flash_encryption:
                raise UnsupportedError(
                    "reading the partition table",
                    "flash encryption is on, and only the device can read what it encrypted; "
                    "offsets do without it",
                ) from exc
            where = f"{self.table_offset:#x}"
            raise PartitionTableError(f"no partition table at {where}: {exc.reason}") from exc

    def raw_table(self) -> bytes:
        """Return the 0xC00 bytes of flash where the table is, whatever they are.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
            EsploaderError: as :meth:`DeviceFlash.read`.
        """
        if self._context.is_in_secure_download_mode:
            raise UnsupportedError(
                "reading the partition table",
                "in Secure Download Mode nobody can see what the flash holds; offsets do without "
                "it",
            )
        return self._flash.read(self.table_offset, TABLE_SIZE)

    def otadata(self, table: PartitionTable) -> OtaData | None:
        """Return what says which application boots; ``None`` where ``table`` has no place for it.

        Raises:
            PartitionTableError: the place is too small.
            EsploaderError: as :meth:`DeviceFlash.read`.
        """
        where = otadata_of(table)
        if where is None:
            return None
        if where.size < OTADATA_SIZE:
            return parse_otadata(bytes(where.size))
        # What else is in these sectors nobody looks at, and it takes long to read.
        first, second = (
            self._flash.read(where.offset + start, ENTRY_SIZE).ljust(SECTOR_SIZE)
            for start in (0, SECTOR_SIZE)
        )
        return parse_otadata(first + second)

    def __getitem__(self, name: str) -> DevicePartition:
        """Return the partition of that name; ``app``, where none has it, is the one that boots.

        Raises:
            PartitionTableError: there is none, or more than one.
            EsploaderError: as :attr:`table`.
        """
        return self.select(name)[0]

    def __iter__(self) -> Iterator[DevicePartition]:
        """Yield all of them, in the order of the table. Raises as :attr:`table`."""
        table = self.table
        return iter([self._partition(table, each) for each in table])

    def select(
        self, *names: str, table: PartitionTable | None = None
    ) -> tuple[DevicePartition, ...]:
        """Return the partitions of those names, for one reading of the table.

        ``table`` takes the place of that in flash, for what is written together with it.

        Raises:
            PartitionTableError: there is none of a name, or more than one.
            EsploaderError: as :attr:`table`.
        """
        table = self.table if table is None else table
        return tuple(self._partition(table, self._find(table, name)) for name in names)

    def booting(self) -> DevicePartition | None:
        """Return the partition whose application boots; ``None`` where the table has no app.

        Whether it holds an intact one is not seen to: where it does not, a bootloader tries
        others.

        Raises:
            EsploaderError: as :attr:`table` and :meth:`otadata`.
        """
        table = self.table
        found = booting(table, self.otadata(table))
        return None if found is None else self._partition(table, found)

    def next_ota_slot(self) -> DevicePartition:
        """Return the slot that an update goes to while another application boots.

        Raises:
            PlanError: there is none.
            EsploaderError: as :attr:`table` and :meth:`otadata`.
        """
        table = self.table
        found = next_slot(table, self.otadata(table))
        if found is None:
            raise PlanError(
                "the partition table has no slot for an update: that takes otadata, and an ota_0 "
                "or ota_1 from which nothing boots"
            )
        return self._partition(table, found)

    def boot(
        self, name: str, *, force: bool = False, on_progress: ProgressCallback = ignore_progress
    ) -> bool:
        """Have the application in a slot, or in ``factory``, boot from now on.

        Returns whether anything had to be written for that. One sector of otadata is written at
        a time, and seen to be there: wherever the power fails, what booted before boots still, or
        the new one does. The entry says nothing of the state of the application, so that a
        bootloader with rollback does not give it up either.

        ``force`` leaves out the check that it holds an application for this chip.

        Raises:
            PlanError: it cannot be chosen, or holds no application for this chip.
            PartitionTableError: there is no such partition.
            UnsupportedError: as :attr:`table`; also where flash encryption is on and the table is
                not encrypted.
            EsploaderError: as :attr:`table` and :meth:`DeviceFlash.write`.
        """
        table = self.table
        if self._security.state().flash_encryption:
            raise UnsupportedError(
                "choosing what boots",
                "flash encryption is on: the device would decrypt what is written to otadata",
            )
        target = self._find(table, name)
        otadata, where = self.otadata(table), otadata_of(table)
        if otadata is None or where is None:
            raise PlanError(
                "the partition table has no otadata, which says what boots: without it "
                "there is no choice"
            )
        steps = steps_to_boot(table, otadata, target)
        if not force:
            self._check_app(target)
        place = self._partition(table, where).place
        for step in steps:
            self._flash.write(
                [(place + step.sector * SECTOR_SIZE, step.data)], on_progress=on_progress
            )
        return bool(steps)

    def _find(self, table: PartitionTable, name: str) -> Partition:
        if name == APP_NAME and all(each.name != name for each in table):
            found = booting(table, self.otadata(table))
            if found is not None:
                return found
        return table[name]

    def _partition(self, table: PartitionTable, entry: Partition) -> DevicePartition:
        place = Place(
            name=entry.shown_name,
            start=entry.offset,
            size=entry.size,
            is_app=entry.is_app,
            objection=self._objection(table, entry),
        )
        return DevicePartition(self._flash, entry, place)

    def _objection(self, table: PartitionTable, entry: Partition) -> str | None:
        """Return why nothing is written to ``entry``: it would destroy something else."""
        others = ", ".join(each.shown_name for each in table.overlapping(entry))
        if others:
            return f"the table has it share bytes with {others}"
        first = self.table_offset + SECTOR_SIZE
        if entry.offset < first and not entry.is_primary:
            return f"the bootloader and the table are in front of {first:#x}"
        return None

    def _check_app(self, target: Partition) -> None:
        """Refuse a partition that begins with nothing that this chip could boot.

        Raises:
            PlanError: it does.
            EsploaderError: as :meth:`DeviceFlash.read`.
        """
        chip = self._context.chip
        try:
            header = parse_header(self._flash.read(target.offset, MAX_HEADER_SIZE), chip)
            problem = chip_problem(header, chip)
        except ImageError as exc:
            problem = exc.reason
        if problem is not None:
            raise PlanError(f"{target.shown_name} holds no application that boots: {problem}")
