"""The eFuses and straps of a simulated device, built from the facts of its chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model import BitField, Bits

if TYPE_CHECKING:
    from esploader.chips.model import Chip, EfuseBlock
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
    known = named_fields(chip)
    for name, value in {**personality.efuses, **config.efuses}.items():
        if name not in known:
            raise ValueError(f"{chip.name} has no field {name!r}")
        _insert(known[name], value, name, words)
    words |= chip.mac.insert(_mac(config, personality), words)
    return words


def named_fields(chip: Chip) -> dict[str, BitField]:
    """Return the fields of a chip that can be set, by name: identity, security and keys."""
    security = {
        "flash_crypt_count": chip.flash_crypt_count,
        "secure_boot_v1": chip.secure_boot_v1,
        "secure_boot_v2": chip.secure_boot_v2,
        "secure_download": chip.secure_download,
        "manual_encrypt_disabled": chip.manual_encrypt_disabled,
        "flash_crypt_config": chip.flash_crypt_config,
        "flash_crypt_config_hidden": chip.flash_crypt_config_hidden,
    }
    keys = {
        block.name.removeprefix("BLOCK_").lower(): _whole(block)
        for block in chip.efuse_blocks
        if block.name.startswith("BLOCK_KEY")
    }
    if chip.fixed_flash_key is not None:
        keys["flash_key"] = _whole(chip.fixed_flash_key.block)
        keys["flash_key_read_protected"] = chip.fixed_flash_key.read_protected
    fields = {field.name: field.bits for field in chip.fields}
    fields |= {f"key_purpose_{index}": bits for index, bits in enumerate(chip.key_purposes)}
    return fields | keys | {name: bits for name, bits in security.items() if bits is not None}


def _whole(block: EfuseBlock) -> BitField:
    """Return a block as one number, the first word lowest."""
    words = (Bits(block.address + 4 * index, 0, 32) for index in range(block.word_count))
    return BitField(*reversed(tuple(words)))


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
