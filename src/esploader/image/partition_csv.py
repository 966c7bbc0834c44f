"""A partition table as text: a partition a line, its fields between commas.

Sources: ESP-IDF, "Partition Tables" (API guides), "Creating Custom Tables", and
``components/partition_table/gen_esp32part.py``, version 1.5. Other than there, names that are too
long are refused and not cut off, a seventh field is refused, and variables of the environment are
not put in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.chip import KIB
from esploader.errors import PartitionTableError
from esploader.image.partition import (
    APP,
    APP_ALIGNMENT,
    BOOTLOADER,
    FLAGS,
    NAME_SIZE,
    PRIMARY,
    RECOVERY,
    ROW_SIZE,
    SECTOR_SIZE,
    SUBTYPES,
    TABLE,
    TABLE_SIZE,
    TYPES,
    UNDEFINED,
    Partition,
    is_primary,
    printable,
    size_name,
)
from esploader.numerals import MAX_TEXT_SIZE, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_HEADING: Final = "# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n"
_COMMENT: Final = "#"
_MAX_FIELDS: Final = 6
_MAX_COUNT: Final = TABLE_SIZE // ROW_SIZE
_MAX_KIND: Final = 0xFE
_MAX_WORD: Final = 0xFFFF_FFFF
_UNITS: Final = {"k": KIB, "m": KIB * KIB}
_BYTE_ORDER_MARK: Final = "\ufeff"
_LINE_END: Final = re.compile(r"\r\n?|\n")


@attrs.frozen(kw_only=True)
class Surroundings:
    """Where in flash that is what a table does not choose; ``None`` for what nobody knows."""

    table_offset: int = attrs.field(repr=hex)
    bootloader: int | None
    recovery: int | None


@attrs.frozen(kw_only=True)
class _Line:
    """What a line says; ``None`` where it leaves the offset to be found, ``-N``: up to N."""

    number: int
    name: str
    type: int
    subtype: int
    offset: int | None
    size: int
    flags: int


def partitions_of(text: str, surroundings: Surroundings) -> Iterator[Partition]:
    """Yield the partitions that ``text`` describes, each where it belongs.

    Raises:
        PartitionTableError: a line makes no sense, or there is no place for its partition.
    """
    position = surroundings.table_offset + SECTOR_SIZE
    for line in _lines(text, surroundings):
        has_given_place = is_primary(line.type, line.subtype)
        offset = line.offset
        if offset is None:
            alignment = APP_ALIGNMENT if line.type == APP else SECTOR_SIZE
            offset = -(-position // alignment) * alignment
        elif offset < position and not has_given_place:
            raise PartitionTableError(
                f"line {line.number}: {printable(line.name)} begins at {offset:#x}, and what is "
                f"in front of it ends at {position:#x}"
            )
        size = line.size if line.size >= 0 else -line.size - offset
        if size <= 0 or offset + size > _MAX_WORD + 1:
            raise PartitionTableError(
                f"line {line.number}: {printable(line.name)} has no room at {offset:#x}"
            )
        if not has_given_place:
            position = offset + size
        yield Partition(
            name=line.name,
            type=line.type,
            subtype=line.subtype,
            offset=offset,
            size=size,
            flags=line.flags,
        )


def to_csv(table: Iterable[Partition]) -> str:
    """Return the text of ``table``.

    Raises:
        PartitionTableError: it has a name that would be another one there.
    """
    return _HEADING + "".join(f"{_text_of(each)}\n" for each in table)


def _text_of(partition: Partition) -> str:
    name = partition.name
    if name != name.strip() or name.startswith(_COMMENT) or not name.isprintable() or "," in name:
        raise PartitionTableError(f"the name {partition.shown_name} cannot be in a CSV file")
    if partition.unknown_flags:
        raise PartitionTableError(
            f"{partition.shown_name} has flags that have no names: {partition.unknown_flags:#x}"
        )
    fields = (
        name,
        partition.type_name,
        partition.subtype_name,
        f"{partition.offset:#x}",
        size_name(partition.size),
        ":".join(partition.flag_names),
    )
    return ",".join(fields)


def _lines(text: str, surroundings: Surroundings) -> Iterator[_Line]:
    count = 0
    for number, line in enumerate(_stripped_lines(text.removeprefix(_BYTE_ORDER_MARK)), 1):
        if not line or line.startswith(_COMMENT):
            continue
        count += 1
        if count > _MAX_COUNT:
            raise PartitionTableError(f"line {number}: a table has no more than {_MAX_COUNT} rows")
        try:
            yield _parse(number, line, surroundings)
        except ValueError as exc:
            raise PartitionTableError(f"line {number}: {exc}") from None
    if not count:
        raise PartitionTableError("it has no partitions")


def _stripped_lines(text: str) -> Iterator[str]:
    """Yield the lines of ``text`` one at a time: all at once may take many times its memory."""
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()].strip()
        start = end.end()
    yield text[start:].strip()


def _parse(number: int, line: str, surroundings: Surroundings) -> _Line:
    """Return what a line says. Raises :exc:`ValueError`, which says what is wrong."""
    fields = [field.strip() for field in line.split(",", _MAX_FIELDS)]
    if any(fields[_MAX_FIELDS:]):
        raise ValueError(f"it has more than {_MAX_FIELDS} fields")
    name, kind, subtype_word, offset, size, flags = (fields + [""] * _MAX_FIELDS)[:_MAX_FIELDS]
    if not name.isprintable():
        raise ValueError(f"the name {_shown(name)} has characters that cannot be printed")
    if len(name.encode()) >= NAME_SIZE:
        raise ValueError(f"the name {_shown(name)} has more than {NAME_SIZE - 1} bytes")
    if not kind:
        raise ValueError("the type is missing")
    type_number = _kind(kind, TYPES, "type")
    subtype = _subtype(subtype_word, type_number)
    given = _given_place(type_number, subtype, surroundings)
    if "offset" not in given and offset:
        given["offset"] = _number(offset, 0, "offset")
    return _Line(
        number=number,
        name=name,
        type=type_number,
        subtype=subtype,
        offset=given.get("offset"),
        size=given.get("size", 0) or _number(size, -_MAX_WORD, "size"),
        flags=_flags(flags),
    )


def _given_place(kind: int, subtype: int, surroundings: Surroundings) -> dict[str, int]:
    """Return what a row for a bootloader or a table does not choose, whatever its fields say."""
    if kind == TABLE:
        place = {"offset": surroundings.table_offset} if subtype == PRIMARY else {}
        return {**place, "size": SECTOR_SIZE}
    if kind != BOOTLOADER:
        return {}
    if surroundings.bootloader is None:
        raise ValueError("where the bootloader is depends on the chip, which is not known")
    size = {"size": surroundings.table_offset - surroundings.bootloader}
    if subtype == PRIMARY:
        return {"offset": surroundings.bootloader, **size}
    if subtype != RECOVERY:
        return size
    if surroundings.recovery is None:
        raise ValueError("where the bootloader for recovery is, is not known")
    return {"offset": surroundings.recovery, **size}


def _subtype(word: str, kind: int) -> int:
    if word:
        return _kind(word, SUBTYPES.get(kind, {}), "subtype")
    if kind == APP:
        raise ValueError("the subtype is missing: an app needs one")
    return UNDEFINED


def _kind(word: str, names: Mapping[str, int], what: str) -> int:
    known = names.get(word.lower())
    if known is not None:
        return known
    try:
        return whole(word, 0, _MAX_KIND)
    except ValueError:
        others = f", one of {', '.join(names)}" if names else ""
        raise ValueError(
            f"the {what} {_shown(word)} is no number from 0 to {_MAX_KIND}{others}"
        ) from None


def _number(word: str, low: int, what: str) -> int:
    """Return a number of bytes: ``4096``, ``0x1000``, ``4K``, ``1M``."""
    if not word:
        raise ValueError(f"the {what} is missing")
    unit = _UNITS.get(word[-1].lower(), 1)
    digits = word if unit == 1 else word[:-1]
    try:
        return unit * whole(digits, -(-low // unit), _MAX_WORD // unit)
    except ValueError:
        raise ValueError(f"the {what} {_shown(word)} is no number that fits") from None


def _flags(text: str) -> int:
    found = 0
    for word in filter(None, text.split(":")):
        if word not in FLAGS:
            raise ValueError(f"the flag {_shown(word)} is none of {', '.join(FLAGS)}")
        found |= FLAGS[word]
    return found


def _shown(word: str) -> str:
    text = printable(word[:MAX_TEXT_SIZE])
    return text if len(word) <= MAX_TEXT_SIZE else f"{text}..."
