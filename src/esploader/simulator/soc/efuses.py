"""The eFuses and straps of a simulated device, built from the facts of its chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model.bits import WORD_SIZE, WORD_WIDTH
from esploader.chips.reading.efuses import efuse_fields, protected_spans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.bits import BitField
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.efuse_layout import EfuseBlock, EfuseSpan
    from esploader.simulator.config import DeviceConfig
    from esploader.simulator.personality import Personality

_SEED_MASK: Final = 0xFF_FFFF


def build_efuses(config: DeviceConfig, personality: Personality) -> dict[int, int]:
    """Return the words by address.

    Raises:
        ValueError: a value does not fit, or the chip has no such field.
    """
    chip = config.chip
    words = {
        block.address + 4 * index: 0
        for block in chip.efuse_blocks
        for index in range(block.word_count)
    }
    _insert_revision(config.revision, personality.revision, chip, words)
    words |= chip.mac.insert(_mac(config, personality), words)
    known = efuse_fields(chip)
    for name, value in {**personality.efuses, **config.efuses}.items():
        if name not in known:
            raise ValueError(f"{chip.name} has no field {name!r}")
        _insert(known[name], value, name, words)
    return words


def readable_words(chip: Chip, words: Mapping[int, int]) -> dict[int, int]:
    """Return what can be read of eFuses: those that are protected from that are 0."""
    readable = dict(words)
    hidden = protected_spans(chip.efuse_read_protection, words) or ()
    for block in chip.efuse_blocks:
        for span in hidden:
            if span.block == block.name:
                _hide(block, span, readable)
    return readable


def _hide(block: EfuseBlock, span: EfuseSpan, words: dict[int, int]) -> None:
    for bit in range(span.first, span.first + span.width):
        index, position = divmod(bit, WORD_WIDTH)
        words[block.address + WORD_SIZE * index] &= ~(1 << position)


def _insert(field: BitField, value: int, name: str, words: dict[int, int]) -> None:
    try:
        words |= field.insert(value, words)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc


def _insert_revision(
    asked: tuple[int, int] | None, usual: tuple[int, int], chip: Chip, words: dict[int, int]
) -> None:
    if chip.major_revision is None or chip.minor_revision is None:
        if asked is not None:
            raise ValueError(f"{chip.name} does not tell its revision")
        return
    major, minor = usual if asked is None else asked
    codes = {meaning: code for code, meaning in chip.major_revision_codes}
    if codes and major not in codes:
        raise ValueError(f"{chip.name} has no major revision {major}")
    _insert(chip.major_revision, codes.get(major, major), "major revision", words)
    _insert(chip.minor_revision, minor, "minor revision", words)


def _mac(config: DeviceConfig, personality: Personality) -> int:
    if config.mac is not None:
        return int.from_bytes(config.mac, "big")
    return personality.mac + ((config.seed + 1) & _SEED_MASK)
