"""The eFuses and straps of a simulated device, built from the facts of its chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model import Quirk

if TYPE_CHECKING:
    from esploader.chips.model import BitField, Chip
    from esploader.simulator.config import DeviceConfig
    from esploader.simulator.personality import Personality

MAC_SIZE: Final = 6

# The major revision as the three bits that the ESP32 spreads over three registers.
_SCATTERED_MAJOR: Final = (0b000, 0b001, 0b011, 0b111)

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
    major, minor = config.revision if config.revision is not None else personality.revision
    _insert(chip.major_revision, _major_code(chip, major), "major revision", words)
    _insert(chip.minor_revision, minor, "minor revision", words)
    for name, value in {**personality.efuses, **config.efuses}.items():
        try:
            field = chip.field(name)
        except KeyError:
            raise ValueError(f"{chip.name} has no field {name!r}") from None
        _insert(field.bits, value, name, words)
    words |= chip.mac.insert(_mac(config, personality), words)
    return words


def _insert(field: BitField, value: int, name: str, words: dict[int, int]) -> None:
    if not 0 <= value < 1 << field.width:
        raise ValueError(f"{name} {value} does not fit {field.width} bits")
    words |= field.insert(value, words)


def _major_code(chip: Chip, major: int) -> int:
    if Quirk.SCATTERED_MAJOR_REVISION not in chip.quirks:
        return major
    if not 0 <= major < len(_SCATTERED_MAJOR):
        raise ValueError(f"{chip.name} has no major revision {major}")
    return _SCATTERED_MAJOR[major]


def _mac(config: DeviceConfig, personality: Personality) -> int:
    if config.mac is not None:
        return int.from_bytes(config.mac, "big")
    return personality.mac + ((config.seed + 1) & _SEED_MASK)
