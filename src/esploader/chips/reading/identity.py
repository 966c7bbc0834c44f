"""Who a device is: words of registers turned into typed values.

Pure functions. The layer above reads the registers that :func:`identity_addresses`
lists, all in one burst, and hands their words to :func:`identify`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.bits import BitField
from esploader.chips.model.labels import MAJOR, MINOR
from esploader.chips.model.quirks import Quirk
from esploader.chips.model.revision import Revision
from esploader.classes import frozen
from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.labels import Label

MAC_SIZE: Final = 6
"""Bytes of a MAC address."""

MAC_EXTENSION_SIZE: Final = 2
"""Bytes that make an EUI-64 of a MAC address."""

_OUI_SIZE: Final = 3

_OUI_LSB: Final = 24
_PAD_WIDTH: Final = 6  # in the argument of SPI_ATTACH
_HZ_PER_MHZ: Final = 1e6

_BLOCK_MAJOR: Final = "block_major_version"
_BLOCK_MINOR: Final = "block_minor_version"
_ECO0_BLOCK_VERSION: Final = (1, 1)
_ECO0_MINOR_MASK: Final = 0b111


@frozen(kw_only=True)
class Identity:
    """What the eFuses of a device say about it."""

    description: str
    """Variant and package: ``ESP32-D0WD-V3``, ``ESP32-C3 (QFN32)``."""

    revision: Revision | None
    """``None`` where the silicon does not tell (ESP8266)."""

    features: tuple[str, ...] = attrs.field(repr=False)
    """Radios, cores, embedded flash and PSRAM, in the words tools look for."""

    crystal_mhz: int
    """Nominal frequency of the crystal in MHz."""

    mac_bytes: bytes
    """The MAC address from the factory, 6 bytes in the order of transmission."""

    mac_extension: bytes | None
    """The 2 bytes in the middle of the EUI-64; ``None`` on a chip without one."""

    unique_id: int | None
    """The number that users of the ESP8266 know as its chip id; ``None`` on later chips."""

    flash_pads: int = attrs.field(repr=False)
    """Argument of SPI_ATTACH for the pads that the eFuses give the flash; 0 for the usual
    ones, and where the ROM looks them up by itself."""

    @property
    def mac(self) -> str:
        """The MAC address as six pairs of hexadecimal digits."""
        return self.mac_bytes.hex(":")

    @property
    def eui64(self) -> str | None:
        """The EUI-64 as eight pairs of hexadecimal digits; ``None`` on a chip without one."""
        if self.mac_extension is None:
            return None
        mac = self.mac_bytes
        return (mac[:_OUI_SIZE] + self.mac_extension + mac[_OUI_SIZE:]).hex(":")


def identity_addresses(chip: Chip) -> tuple[int, ...]:
    """Return the addresses of the registers that :func:`identify` needs, each once."""
    return tuple(sorted({address for bits in _needed(chip) for address in bits.addresses}))


def identify(chip: Chip, words: Mapping[int, int], baudrate: int) -> Identity:
    """Return what ``words`` say about the device they were read from.

    ``words`` holds at least the registers of :func:`identity_addresses`. ``baudrate`` is
    the rate in baud at which the loader listens, needed to tell the crystal.

    Raises :exc:`~esploader.errors.UnsupportedError` when the eFuses hold only half of the
    MAC address, and a code for the other half that is not known.
    """
    revision = _revision(chip, words)
    values = {field.name: field.bits.extract(words) for field in chip.fields}
    names = {field.name: field.name_of(values[field.name]) for field in chip.fields}
    if revision is not None:
        values |= {MAJOR: revision.major, MINOR: revision.minor}
    (description,) = texts_of((chip.descriptions,), values, names)
    return Identity(
        description=description,
        revision=revision,
        features=tuple(texts_of(chip.features, values, names)),
        crystal_mhz=crystal_mhz(chip, words, baudrate),
        mac_bytes=_mac(chip, words),
        mac_extension=None
        if chip.mac_extension is None
        else chip.mac_extension.extract(words).to_bytes(MAC_EXTENSION_SIZE, "big"),
        unique_id=None if chip.unique_id is None else chip.unique_id.extract(words),
        flash_pads=_flash_pads(chip, words),
    )


def _needed(chip: Chip) -> Iterator[BitField]:
    for bits in (
        chip.mac,
        chip.mac_extension,
        chip.mac_oui_code,
        chip.unique_id,
        chip.major_revision,
        chip.minor_revision,
    ):
        if bits is not None:
            yield bits
    for field in chip.fields:
        yield field.bits
    yield from chip.flash_pads
    if _has_choice_of_crystal(chip):
        yield BitField(chip.uart_clock_divider)


def _revision(chip: Chip, words: Mapping[int, int]) -> Revision | None:
    if chip.major_revision is None or chip.minor_revision is None:
        return None
    major = chip.major_revision.extract(words)
    minor = chip.minor_revision.extract(words)
    if chip.major_revision_codes:
        major = dict(chip.major_revision_codes).get(major, 0)
    if Quirk.ECO0_READS_AS_LATER_REVISION in chip.quirks and _is_eco0(chip, words, minor):
        return Revision(0, 0)
    return Revision(major, minor)


def _is_eco0(chip: Chip, words: Mapping[int, int], minor: int) -> bool:
    block_version = (
        chip.field(_BLOCK_MAJOR).bits.extract(words),
        chip.field(_BLOCK_MINOR).bits.extract(words),
    )
    return block_version == _ECO0_BLOCK_VERSION and minor & _ECO0_MINOR_MASK == 0


def texts_of(
    groups: Iterable[tuple[Label, ...]], values: Mapping[str, int], names: Mapping[str, str]
) -> Iterator[str]:
    """Return of each group the text of the first label that applies, if any does."""
    for group in groups:
        for label in group:
            if all(values.get(when.field) in when.values for when in label.when):
                yield label.text.format_map(names)
                break


def _mac(chip: Chip, words: Mapping[int, int]) -> bytes:
    mac = chip.mac.extract(words)
    is_oui_burnt = mac >> _OUI_LSB != 0
    if chip.mac_oui_code is not None and not is_oui_burnt:
        code = chip.mac_oui_code.extract(words)
        oui = dict(chip.mac_ouis).get(code)
        if oui is None:
            raise UnsupportedError(
                "reading the MAC address", f"the code {code:#04x} of its upper half is not known"
            )
        mac |= oui << _OUI_LSB
    return mac.to_bytes(MAC_SIZE, "big")


def _has_choice_of_crystal(chip: Chip) -> bool:
    return len(chip.crystal.choices_mhz) > 1


def crystal_mhz(chip: Chip, words: Mapping[int, int], baudrate: int) -> int:
    """Return the nominal frequency of the crystal in MHz.

    ``words`` has that of :attr:`Chip.uart_clock_divider`; ``baudrate`` is the rate in baud
    at which the loader listens.
    """
    crystal = chip.crystal
    if not _has_choice_of_crystal(chip):
        return crystal.choices_mhz[0]
    divider = chip.uart_clock_divider.extract(words)
    estimate_mhz = baudrate * divider / crystal.uart_clock_ratio / _HZ_PER_MHZ
    return crystal.choices_mhz[bisect_left(crystal.bounds_mhz, estimate_mhz)]


def _flash_pads(chip: Chip, words: Mapping[int, int]) -> int:
    packed = 0
    for pad in chip.flash_pads:
        packed = (packed << _PAD_WIDTH) | pad.extract(words)
    return packed
