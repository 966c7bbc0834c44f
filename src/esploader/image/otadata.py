"""Which application boots: the two entries of the partition ``otadata``, and how to change them.

Each entry is at the beginning of a sector of its own. The valid one with the higher sequence number
counts, and says the slot: numbers go up with each update, and around the slots. So one entry is
written while the other still counts, and a power failure leaves the choice as it was.

Sources: ESP-IDF, ``esp_flash_partitions.h`` (``esp_ota_select_entry_t``, ``esp_ota_img_states_t``),
``components/bootloader_support/src/bootloader_utility.c`` and ``bootloader_common_loader.c`` beside
it (which slot a bootloader chooses), ``components/app_update/esp_ota_ops.c`` (how the number of an
update is found); "Over The Air Updates" (API reference).
"""

from __future__ import annotations

import enum
import struct
import zlib
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import PartitionTableError, PlanError
from esploader.image.partition import (
    APP,
    DATA,
    FACTORY,
    FIRST_OTA,
    OTADATA,
    SECTOR_SIZE,
    TEST,
    Partition,
)
from esploader.image.partitions import OTADATA_SIZE

if TYPE_CHECKING:
    from esploader.image.partitions import PartitionTable

# sequence number u32 | label 20 bytes, not used | state u32 | CRC32 of the sequence number u32
_ENTRY: Final = struct.Struct("<I20sII")
_SEQUENCE: Final = struct.Struct("<I")

ENTRY_SIZE: Final = _ENTRY.size

_BLANK_WORD: Final = 0xFFFF_FFFF
_NO_LABEL: Final = b"\xff" * 20
_BLANK_SECTOR: Final = b"\xff" * SECTOR_SIZE


@enum.unique
class OtaState(enum.IntEnum):
    """What is known of the application that an entry chooses."""

    NEW = 0
    """It has not been started; a bootloader with rollback gives it one chance."""
    PENDING_VERIFY = 1
    """It has been started once; unless it says that it works, it is given up at the next boot."""
    VALID = 2
    """It has said that it works."""
    INVALID = 3
    """It has said that it does not work."""
    ABORTED = 4
    """It has not said that it works."""
    UNDEFINED = 0xFFFF_FFFF
    """Nothing is known: it is booted as often as wanted."""


_GIVEN_UP: Final = frozenset({OtaState.INVALID, OtaState.ABORTED})
_LASTING: Final = frozenset({OtaState.VALID, OtaState.UNDEFINED})


@attrs.frozen(kw_only=True)
class OtaEntry:
    """One of the two entries."""

    sequence: int
    """Counts updates, from 1 on; 0xFFFF_FFFF in a blank entry."""
    state: int = attrs.field(default=OtaState.UNDEFINED, repr=hex)
    """32 bits: an :class:`OtaState`, or what else is there."""
    crc: int = attrs.field(repr=hex)
    """What is stored as the CRC32 of the sequence number."""

    @classmethod
    def of(cls, sequence: int) -> OtaEntry:
        """Return an entry for an application of which nothing is known."""
        return cls(sequence=sequence, crc=_crc(sequence))

    @property
    def is_valid(self) -> bool:
        """A bootloader goes by it: its CRC32 is right, and it is not given up."""
        return (
            self.sequence != _BLANK_WORD
            and self.state not in _GIVEN_UP
            and self.crc == _crc(self.sequence)
        )

    @property
    def is_lasting(self) -> bool:
        """A bootloader goes by it at every boot, also one with rollback."""
        return self.is_valid and self.state in _LASTING

    @property
    def state_name(self) -> str:
        """What the state is called, or its number."""
        states = {state.value: state.name.lower().replace("_", " ") for state in OtaState}
        return states.get(self.state, f"{self.state:#x}")

    def slot(self, count: int) -> int:
        """Return which of ``count`` slots it chooses."""
        return (self.sequence - 1 & _BLANK_WORD) % count

    def to_bytes(self) -> bytes:
        """Return the entry as it is in flash, 32 bytes."""
        return _ENTRY.pack(self.sequence, _NO_LABEL, self.state, self.crc)


@attrs.frozen
class OtaData:
    """Both entries."""

    entries: tuple[OtaEntry, OtaEntry]

    @property
    def active(self) -> int | None:
        """Which entry counts, 0 or 1; ``None`` where neither is valid.

        Where both have the same number a bootloader goes by the first.
        """
        valid = [index for index in (0, 1) if self.entries[index].is_valid]
        return max(valid, key=lambda index: self.entries[index].sequence, default=None)


@attrs.frozen(kw_only=True)
class SectorWrite:
    """One step of a change: a sector that is erased, and programmed from its beginning."""

    sector: int
    """0 or 1."""
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    """All of the sector, 4096 bytes."""


def parse_otadata(data: bytes) -> OtaData:
    """Return the entries in ``data``, the content of the partition.

    Raises:
        PartitionTableError: they are fewer than its two sectors.
    """
    if len(data) < OTADATA_SIZE:
        raise PartitionTableError(
            f"otadata has two sectors, {OTADATA_SIZE:#x} bytes, and this one has {len(data):#x}"
        )
    first, second = (
        OtaEntry(sequence=sequence, state=state, crc=crc)
        for sequence, _, state, crc in (
            _ENTRY.unpack_from(data, sector * SECTOR_SIZE) for sector in (0, 1)
        )
    )
    return OtaData((first, second))


def ota_slots(table: PartitionTable) -> tuple[Partition, ...]:
    """Return the slots that ``otadata`` can choose, in their order.

    A bootloader divides by the number of slots. So one is out of reach whose own number is as
    high as that, which is so where there are gaps between them.
    """
    count = _slot_count(table)
    slots = {each.ota_slot: each for each in table if each.ota_slot is not None}
    return tuple(slots[slot] for slot in range(count) if slot in slots)


def booting(table: PartitionTable, otadata: OtaData | None) -> Partition | None:
    """Return the partition that a bootloader tries first; ``None`` where there is no app.

    ``otadata`` is ``None`` where the table has none. Whether there is an intact application is
    not asked. A bootloader that finds none tries those with lower numbers, then ``factory``, then
    those with higher numbers, then ``test``; and it does the same where there is no such slot.
    """
    slots = ota_slots(table)
    active = None if otadata is None else otadata.active
    lower: list[Partition] = []
    if otadata is not None and active is not None and slots:
        start = otadata.entries[active].slot(_slot_count(table))
        lower = [each for each in slots if each.subtype - FIRST_OTA <= start][-1:]
    factory, test = table.of_type(APP, FACTORY), table.of_type(APP, TEST)
    order = (*lower, factory, *slots, test)
    return next((each for each in order if each is not None), None)


def next_slot(table: PartitionTable, otadata: OtaData | None) -> Partition | None:
    """Return the slot that the next update goes to; ``None`` where no update is possible.

    That is the one behind the one that boots, and the first behind any other application. With
    only one slot there is none to be had while it boots.
    """
    slots = ota_slots(table)
    if otadata is None or not slots:
        return None
    current = booting(table, otadata)
    if current not in slots:
        return slots[0]
    found = slots[(slots.index(current) + 1) % len(slots)]
    return None if found == current else found


def steps_to_boot(
    table: PartitionTable, otadata: OtaData, target: Partition
) -> tuple[SectorWrite, ...]:
    """Return how ``target`` becomes the one that boots, in this order; nothing where it is.

    After each of the steps, and wherever in one of them the power fails, a bootloader chooses
    what it has chosen before, or ``target``.

    Raises:
        PlanError: it cannot be chosen: it is no slot and not ``factory``, or numbers are used up.
    """
    slots = ota_slots(table)
    active = otadata.active
    if target == table.of_type(APP, FACTORY):
        # The one that counts comes last: in front of it the other would.
        order = (1, 0) if active in {None, 0} else (0, 1)
        return tuple(
            SectorWrite(sector=sector, data=_BLANK_SECTOR)
            for sector in order
            if otadata.entries[sector].is_valid
        )
    if target not in slots:
        raise PlanError(
            f"{target.shown_name} cannot be chosen: it is neither factory nor one of "
            f"{_names(slots) or 'the slots for updates, of which there are none'}"
        )
    slot, count = target.subtype - FIRST_OTA, _slot_count(table)
    if active is None:
        return (_written(0, slot + 1),)
    entry = otadata.entries[active]
    if entry.slot(count) == slot and entry.is_lasting:
        return ()
    # The lowest one above it that leads to the slot: number 0, which nobody writes, wraps.
    sequence = entry.sequence + 1 + (slot - entry.sequence) % count
    if sequence >= _BLANK_WORD:
        raise PlanError(
            f"otadata counts updates up to {entry.sequence:#x}, behind which there are no numbers "
            "left: erase that partition, and choose again"
        )
    return (_written(1 - active, sequence),)


def otadata_of(table: PartitionTable) -> Partition | None:
    """Return the partition with the entries; ``None`` where the table has none."""
    return table.of_type(DATA, OTADATA)


def _slot_count(table: PartitionTable) -> int:
    return sum(each.ota_slot is not None for each in table)


def _written(sector: int, sequence: int) -> SectorWrite:
    data = OtaEntry.of(sequence).to_bytes().ljust(SECTOR_SIZE, b"\xff")
    return SectorWrite(sector=sector, data=data)


def _names(slots: tuple[Partition, ...]) -> str:
    return ", ".join(each.shown_name for each in slots)


def _crc(sequence: int) -> int:
    return zlib.crc32(_SEQUENCE.pack(sequence), _BLANK_WORD)
