"""What the eFuses of a device hold, field by field and block by block.

Pure functions. The layer above reads the registers that :func:`efuse_addresses` lists, all
in one burst, and hands their words to :func:`efuses_of`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.bits import WORD_SIZE, WORD_WIDTH, BitField, Bits
from esploader.chips.model.efuse_layout import EfuseSpan
from esploader.classes import frozen, override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection

KEY_BLOCK_PREFIX: Final = "BLOCK_"
"""In front of what a block with a key is called where it is a field: ``key0``."""

_KEY_PURPOSE: Final = "key_purpose_"

_FACTS: Final = (
    "mac",
    "mac_extension",
    "mac_oui_code",
    "unique_id",
    "major_revision",
    "minor_revision",
    "flash_crypt_count",
    "secure_boot_v1",
    "secure_boot_v2",
    "secure_download",
    "flash_key_in_manager",
    "manual_encrypt_disabled",
    "flash_crypt_config",
    "flash_crypt_config_hidden",
    "octal_flash",
)
"""Facts of a chip that are one field each, which is called the same."""

_PADS: Final = ("hd", "cs", "d", "q", "clk")
"""The pads of the flash, in the order of :attr:`Chip.flash_pads`."""

_STATES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "secure_boot_v1": ("secure boot V1 off", "secure boot V1 on"),
        "secure_boot_v2": ("secure boot V2 off", "secure boot V2 on"),
        "secure_download": ("Secure Download Mode off", "Secure Download Mode on"),
        "manual_encrypt_disabled": ("the loader may encrypt", "the loader may not encrypt"),
        "octal_flash": ("quad flash", "octal flash"),
    }
)
"""What single eFuses mean, 0 and 1."""


@frozen(kw_only=True)
class EfuseValue:
    """One field of eFuses of one device."""

    name: str

    positions: tuple[EfuseSpan, ...]
    """Where it is, most significant part first."""

    value: int = attrs.field(repr=hex)
    """0 where it cannot be read, whatever it is."""

    meaning: str
    """What the value means; empty where there is nothing to add to the number."""

    read_protected: bool | None
    """Some of it cannot be read; ``None`` where the chip protects nothing that is known."""

    write_protected: bool | None
    """Some of it cannot be burnt any more; ``None`` as above."""

    @property
    def block(self) -> str:
        """The name of the block that it is in, or begins in."""
        return self.positions[0].block

    @property
    def width(self) -> int:
        """How many eFuses it has."""
        return sum(span.width for span in self.positions)


@frozen(kw_only=True)
class EfuseBlockContent:
    """One block of eFuses of one device, as it is read."""

    words: tuple[int, ...]
    """32 bits each; what cannot be read is 0."""

    read_protected: bool | None
    """Nothing of it can be read; ``None`` where the chip protects nothing that is known."""

    write_protected: bool | None
    """Nothing of it can be burnt any more; ``None`` as above."""

    @property
    def data(self) -> bytes:
        """The words as bytes, the lowest first."""
        return struct.pack(f"<{len(self.words)}I", *self.words)


@frozen(eq=False)
class Efuses(Mapping[str, EfuseValue]):
    """The eFuses of one device: a mapping from the names of fields, and all blocks."""

    _values: Mapping[str, EfuseValue]

    blocks: Mapping[str, EfuseBlockContent]
    """By their names, in the order of the chip."""

    @override
    def __getitem__(self, name: str) -> EfuseValue:
        return self._values[name]

    @override
    def __repr__(self) -> str:
        return f"<Efuses: {len(self._values)} fields in {len(self.blocks)} blocks>"

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @override
    def __len__(self) -> int:
        return len(self._values)


def efuse_fields(chip: Chip) -> dict[str, BitField]:
    """Return the fields of eFuses that are known of a chip, by name.

    Some are spread over eFuses and other registers.

    Raises :exc:`~esploader.errors.UnsupportedError` when its eFuses are not known.
    """
    named = {name: getattr(chip, name) for name in _FACTS}
    fields: dict[str, BitField] = {
        name: bits for name, bits in named.items() if isinstance(bits, BitField)
    }
    fields |= {field.name: field.bits for field in chip.fields}
    fields |= {name.lower(): bits for name, bits in chip.security_flags}
    fields |= {f"flash_pad_{pad}": bits for pad, bits in zip(_PADS, chip.flash_pads, strict=False)}
    if chip.flash_supply is not None:
        control = attrs.asdict(chip.flash_supply.efuse, recurse=False)
        fields |= {
            f"flash_supply_{name}": BitField(bit)
            for name, bit in control.items()
            if bit is not None
        }
    fields |= {f"{_KEY_PURPOSE}{index}": bits for index, bits in enumerate(chip.key_purposes)}
    fields |= {
        block.name.removeprefix(KEY_BLOCK_PREFIX).lower(): whole_block(block)
        for block in chip.efuse_blocks
        if block.name.startswith(f"{KEY_BLOCK_PREFIX}KEY")
    }
    if chip.fixed_flash_key is not None:
        fields["flash_key"] = whole_block(chip.fixed_flash_key.block)
        fields["flash_key_read_protected"] = chip.fixed_flash_key.read_protected
    if chip.flash_power is not None:
        fields["download_mode_xpd_on"] = BitField(chip.flash_power.rom_turns_on)
    if chip.efuse_write_protection is not None:
        fields["write_protection"] = chip.efuse_write_protection.register
    if chip.efuse_read_protection is not None:
        fields["read_protection"] = chip.efuse_read_protection.register
    words = {address for block in chip.efuse_blocks for address in _addresses(block)}
    return {name: bits for name, bits in fields.items() if not words.isdisjoint(bits.addresses)}


def whole_block(block: EfuseBlock) -> BitField:
    """Return a block as one number, the first word lowest."""
    words = (Bits(address, 0, WORD_WIDTH) for address in _addresses(block))
    return BitField(*reversed(tuple(words)))


def efuse_addresses(chip: Chip) -> tuple[int, ...]:
    """Return the addresses of the registers that :func:`efuses_of` needs, each once.

    Raises :exc:`~esploader.errors.UnsupportedError` when its eFuses are not known.
    """
    words = [address for block in chip.efuse_blocks for address in _addresses(block)]
    others = (address for bits in efuse_fields(chip).values() for address in bits.addresses)
    return tuple(dict.fromkeys((*words, *others)))


def efuses_of(chip: Chip, words: Mapping[int, int]) -> Efuses:
    """Return what ``words`` say about the eFuses of the device they were read from.

    ``words`` holds at least the registers of :func:`efuse_addresses`.
    """
    hidden = protected_spans(chip.efuse_read_protection, words)
    fixed = protected_spans(chip.efuse_write_protection, words)
    values: dict[str, EfuseValue] = {}
    for name, bits in efuse_fields(chip).items():
        value, spans = bits.extract(words), _spans(bits, chip)
        values[name] = EfuseValue(
            name=name,
            positions=spans,
            value=value,
            meaning=_meaning(name, value, bits.width, chip),
            read_protected=_touch(spans, hidden),
            write_protected=_touch(spans, fixed),
        )
    blocks: dict[str, EfuseBlockContent] = {}
    for block in chip.efuse_blocks:
        blocks[block.name] = EfuseBlockContent(
            words=tuple(words[address] for address in _addresses(block)),
            read_protected=_fill(block, hidden),
            write_protected=_fill(block, fixed),
        )
    return Efuses(MappingProxyType(values), MappingProxyType(blocks))


def protected_spans(
    protection: EfuseProtection | None, words: Mapping[int, int]
) -> tuple[EfuseSpan, ...] | None:
    """Return what is protected, given the words of the register that says so.

    ``None`` where nothing can be.
    """
    if protection is None:
        return None
    register = protection.register.extract(words)
    return tuple(span for bit, span in protection.covers if register >> bit & 1)


def _touch(spans: tuple[EfuseSpan, ...], others: tuple[EfuseSpan, ...] | None) -> bool | None:
    if others is None:
        return None
    return any(span.overlaps(other) for span in spans for other in others)


def _fill(block: EfuseBlock, spans: tuple[EfuseSpan, ...] | None) -> bool | None:
    if spans is None:
        return None
    # A table names nothing twice.
    width = sum(span.width for span in spans if span.block == block.name)
    return width == WORD_WIDTH * block.word_count


def _addresses(block: EfuseBlock) -> range:
    return range(block.address, block.address + WORD_SIZE * block.word_count, WORD_SIZE)


def _spans(bits: BitField, chip: Chip) -> tuple[EfuseSpan, ...]:
    """Return where in the blocks a field is; what is in other registers is left out."""
    spans: list[EfuseSpan] = []
    for part in bits.parts:
        for block in chip.efuse_blocks:
            if part.address in _addresses(block):
                first = (part.address - block.address) * WORD_WIDTH // WORD_SIZE + part.lsb
                spans.append(EfuseSpan(block.name, first, part.width))
                break
    return tuple(_joined(spans))


def _joined(spans: list[EfuseSpan]) -> list[EfuseSpan]:
    """Return spans, most significant first, with those that continue each other as one."""
    joined: list[EfuseSpan] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is not None and last.block == span.block and span.first + span.width == last.first:
            joined[-1] = EfuseSpan(span.block, span.first, span.width + last.width)
        else:
            joined.append(span)
    return joined


def _meaning(name: str, value: int, width: int, chip: Chip) -> str:
    special = _MEANINGS.get(name)
    if special is not None:
        return special(value, width)
    if name in _STATES:
        return _STATES[name][value]
    if name.startswith(_KEY_PURPOSE):
        return dict(chip.key_purpose_names).get(value, "")
    if name == "major_revision" and chip.major_revision_codes:
        return str(dict(chip.major_revision_codes).get(value, 0))
    return next((field.name_of(value) for field in chip.fields if field.name == name), "")


def _as_bytes(value: int, width: int) -> str:
    return value.to_bytes((width + 7) // 8, "big").hex(":")


def _as_encryption(value: int, _width: int) -> str:
    return f"flash encryption {'on' if value.bit_count() % 2 else 'off'}"


_MEANINGS: Final[Mapping[str, Callable[[int, int], str]]] = MappingProxyType(
    {"mac": _as_bytes, "mac_extension": _as_bytes, "flash_crypt_count": _as_encryption}
)
