"""The chips this library knows, and how to find one: only what is found is built.

A chip is some hundred facts; to build all chips takes longer than to ask one who it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from esploader.classes import override
from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.chips.model.chip import Chip

_IGNORED: Final = str.maketrans("", "", "-()")


def registered(*chips: Chip) -> tuple[Chip, ...]:
    """Return ``chips``, made sure that each can be told from the others.

    Raises :exc:`ValueError` when two share a name, a chip id or a magic word.
    """
    for values in (
        [chip.key for chip in chips],
        [chip.image_chip_id for chip in chips if chip.image_chip_id is not None],
        [chip.magic for chip in chips if chip.magic is not None],
    ):
        if len(set(values)) != len(values):
            raise ValueError(f"two chips share one of {values}")
    return chips


def _esp8266() -> Chip:
    from esploader.chips.esp8266 import ESP8266

    return ESP8266


def _esp32() -> Chip:
    from esploader.chips.esp32 import ESP32

    return ESP32


def _esp32s2() -> Chip:
    from esploader.chips.esp32s2 import ESP32_S2

    return ESP32_S2


def _esp32s3() -> Chip:
    from esploader.chips.esp32s3 import ESP32_S3

    return ESP32_S3


def _esp32c3() -> Chip:
    from esploader.chips.esp32c3 import ESP32_C3

    return ESP32_C3


def _esp32c2() -> Chip:
    from esploader.chips.esp32c2 import ESP32_C2

    return ESP32_C2


def _esp32c6() -> Chip:
    from esploader.chips.esp32c6 import ESP32_C6

    return ESP32_C6


def _esp32h2() -> Chip:
    from esploader.chips.esp32h2 import ESP32_H2

    return ESP32_H2


def _esp32p4() -> Chip:
    from esploader.chips.esp32p4 import ESP32_P4

    return ESP32_P4


def _esp32c61() -> Chip:
    from esploader.chips.esp32c61 import ESP32_C61

    return ESP32_C61


def _esp32c5() -> Chip:
    from esploader.chips.esp32c5 import ESP32_C5

    return ESP32_C5


def _esp32h21() -> Chip:
    from esploader.chips.esp32h21 import ESP32_H21

    return ESP32_H21


def _esp32h4() -> Chip:
    from esploader.chips.esp32h4 import ESP32_H4

    return ESP32_H4


def _esp32e22() -> Chip:
    from esploader.chips.esp32e22 import ESP32_E22

    return ESP32_E22


def _esp32s31() -> Chip:
    from esploader.chips.esp32s31 import ESP32_S31

    return ESP32_S31


class _Row(NamedTuple):
    """What tells one chip from the others, without it."""

    key: str
    image_chip_id: int | None
    magic: int | None
    uf2_family: int | None
    load: Callable[[], Chip]


class _KnownChips(Sequence["Chip"]):
    """Chips that are built when somebody asks for them."""

    def __init__(self, *rows: _Row) -> None:
        self.rows = rows

    @override
    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Chip: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Chip]: ...
    @override
    def __getitem__(self, index: int | slice) -> Chip | Sequence[Chip]:
        if isinstance(index, slice):
            return [row.load() for row in self.rows[index]]
        return self.rows[index].load()


CHIPS: Final = _KnownChips(
    _Row("esp8266", None, 0xFFF0_C101, 0x7EAB_61ED, _esp8266),
    _Row("esp32", 0, 0x00F0_1D83, 0x1C5F_21B0, _esp32),
    _Row("esp32s2", 2, 0x0000_07C6, 0xBFDD_4EEE, _esp32s2),
    _Row("esp32s3", 9, None, 0xC47E_5767, _esp32s3),
    _Row("esp32c3", 5, None, 0xD42B_A06C, _esp32c3),
    _Row("esp32c2", 12, None, 0x2B88_D29C, _esp32c2),
    _Row("esp32c6", 13, None, 0x540D_DF62, _esp32c6),
    _Row("esp32h2", 16, None, 0x3327_26F6, _esp32h2),
    _Row("esp32p4", 18, None, 0x3D30_8E94, _esp32p4),
    _Row("esp32c61", 20, None, 0x77D8_50C4, _esp32c61),
    _Row("esp32c5", 23, None, 0xF71C_0343, _esp32c5),
    _Row("esp32h21", 25, None, 0xB6DD_00AF, _esp32h21),
    _Row("esp32h4", 28, None, 0x9E0B_AA8A, _esp32h4),
    _Row("esp32e22", 31, None, None, _esp32e22),
    _Row("esp32s31", 32, None, 0x3101_F7C1, _esp32s31),
)
"""All chips: those told apart by a magic word, the others roughly as they came out."""


def chip_by_name(name: str, chips: Iterable[Chip] = CHIPS) -> Chip:
    """Return that of ``chips`` with that name; case, ``-``, ``(`` and ``)`` do not matter.

    Raises :exc:`~esploader.errors.UnsupportedError`, which lists the names, when no chip
    has it.
    """
    return _row_by_name(name, chips).load()


def uf2_family_of(name: str) -> int | None:
    """Return the UF2 family of the chip of that name, without building it.

    It is ``None`` where nobody knows it. Raises as :func:`chip_by_name`.
    """
    return _row_by_name(name, CHIPS).uf2_family


def _row_by_name(name: str, chips: Iterable[Chip]) -> _Row:
    wanted = name.lower().translate(_IGNORED)
    rows = _rows(chips)
    for row in rows:
        if row.key == wanted:
            return row
    keys = ", ".join(row.key for row in rows)
    raise UnsupportedError(f"chip {name!r}", f"it is not known; these are: {keys}")


def chip_by_image_id(image_chip_id: int, chips: Iterable[Chip] = CHIPS) -> Chip | None:
    """Return the chip with that id in images and in GET_SECURITY_INFO, if there is one."""
    return next((row.load() for row in _rows(chips) if row.image_chip_id == image_chip_id), None)


def chip_by_magic(magic: int, chips: Iterable[Chip] = CHIPS) -> Chip | None:
    """Return the chip with that word at 0x4000_1000, if there is one."""
    return next((row.load() for row in _rows(chips) if row.magic == magic), None)


def chip_by_uf2_family(family: int) -> Chip | None:
    """Return the chip that UF2 files with that family are for, if there is one."""
    return next((row.load() for row in CHIPS.rows if row.uf2_family == family), None)


def _rows(chips: Iterable[Chip]) -> Sequence[_Row]:
    if isinstance(chips, _KnownChips):
        return chips.rows
    return [
        _Row(
            chip.key,
            chip.image_chip_id,
            chip.magic,
            chip.uf2_family if chip.knows("uf2_family") else None,
            _returning(chip),
        )
        for chip in chips
    ]


def _returning(chip: Chip) -> Callable[[], Chip]:
    return lambda: chip
