"""Programs as linkers leave them, made up by a seed: for every chip, and every option of images.

They stay clear of what esptool 5.6.0 does wrong: tests/peer/test_elf2image.py has that by name.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import attrs

from elf_writer import (
    FINI_ARRAY,
    INIT_ARRAY,
    NOBITS,
    NOTE,
    PREINIT_ARRAY,
    PROGBITS,
    Program,
    Section,
    elf_for,
)
from esploader.chips.model.chip import KIB, MIB
from esploader.chips.model.revision import Revision
from esploader.image.options import ImageOptions, Signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.chips.model.chip import Chip

WITH_BYTES: Final = (*(PROGBITS,) * 12, INIT_ARRAY, FINI_ARRAY, PREINIT_ARRAY)
SIZES: Final = (1, 2, 3, 4, 7, 8, 20, 31, 36, 100, 256, 1000, 4000)
GAPS: Final = (4, 8, 12, 16, 28, 64, 1000)
ALIGNMENTS: Final = (1, 4, 4, 8, 16, 32)
PLACES: Final = (0x20, 0x20, 0x20, 0, 0x100, 0x1234)
"""Where in a page what is mapped begins: mostly right behind the headers of an image."""

PAGE: Final = 64 * KIB
IROM_OF_ESP8266: Final = 0x4020_0000


@attrs.frozen
class MadeUp:
    """An ELF file, and what is asked of its image: by us, and in the words of esptool."""

    elf: bytes = attrs.field(repr=False)
    options: ImageOptions
    theirs: dict[str, bool | int | str]


def made_up(chip: Chip, number: int) -> MadeUp:
    """Return one of any number of programs for ``chip``."""
    source = random.Random(f"{chip.key} {number}")  # noqa: S311 - the same in every run
    asked = _options(chip, source)
    hides_mapped = bool(asked.get("ram_only_header", False))
    sections = [*_in_ram(chip, source)]
    if source.random() < 0.3:
        source.shuffle(sections)
    if chip.image_chip_id is None:
        address = IROM_OF_ESP8266 + source.choice((0x1010, 0x1_0010))
        sections += _run(source, ".irom0.text", address)
    else:
        page = max(*chip.mmu_page_sizes, PAGE)
        sections += _mapped(chip, source, page, with_descriptor=not hides_mapped)
    programs = [Program(0, each.address, each.data) for each in sections if each.type != NOBITS]
    sections += [Section(".debug_info", 0, b"debug"), Section(".note", 0, b"note", NOTE, flags=0)]
    elf = elf_for(chip, sections, programs, entry=source.randrange(1 << 32)).build()
    return MadeUp(elf, _ours(asked), asked)


def app_descriptor(mmu_page_size: int = 0) -> bytes:
    """Return the descriptor of an application; source: ESP-IDF, ``esp_app_desc.h``."""
    return b"".join(
        (
            (0xABCD_5432).to_bytes(4, "little"),
            (7).to_bytes(4, "little"),
            bytes(8),
            b"1.2.3-dirty".ljust(32, b"\0"),
            b"blinky".ljust(32, b"\0"),
            b"12:34:56".ljust(16, b"\0"),
            b"Feb 29 2024".ljust(16, b"\0"),
            b"v5.4.1".ljust(32, b"\0"),
            bytes(32),
            (3).to_bytes(2, "little"),
            (199).to_bytes(2, "little"),
            bytes((mmu_page_size.bit_length() - 1 if mmu_page_size else 0,)),
            bytes(75),
        )
    )


def bootloader_descriptor() -> bytes:
    """Return the descriptor of a bootloader; source: ESP-IDF, ``esp_bootloader_desc.h``."""
    return b"".join(
        (
            b"\x50\0\0\0",
            (42).to_bytes(4, "little"),
            b"v5.4.1".ljust(32, b"\0"),
            b"Feb 29 2024 12:34:56".ljust(24, b"\0"),
            bytes(16),
        )
    )


def _run(source: random.Random, name: str, address: int) -> Iterator[Section]:
    """Yield sections beside each other, without a gap."""
    for _ in range(source.randrange(1, 4)):
        size = source.choice(SIZES)
        yield Section(name, address, source.randbytes(size), source.choice(WITH_BYTES))
        address += -(-size // 4) * 4


def _in_ram(chip: Chip, source: random.Random) -> Iterator[Section]:
    regions = {region.name: region for region in chip.memory}
    # Each once: one of them means something.
    names = [".dram0.bootdesc", ".data", ".text", ".iram0.text", ".dram0.data", ".noinit"]
    source.shuffle(names)
    starts = [regions["dram"].start + 0x1_0000, regions["iram"].start + 0x2000]
    if chip.image_chip_id is None:
        starts[0] = regions["dram"].start
    for start in starts:
        address = start
        for _ in range(source.randrange(1, 4)):
            alignment = source.choice(ALIGNMENTS)
            size = source.choice(SIZES)
            # A program without any bytes is another matter.
            kinds = WITH_BYTES if address == start else (*WITH_BYTES, NOBITS)
            data, kind = source.randbytes(size), source.choice(kinds)
            yield Section(names.pop(), address, data, kind, alignment=alignment)
            address += -(-size // 4) * 4
            if source.random() < 0.4:
                address += source.choice(GAPS)


def _mapped(
    chip: Chip, source: random.Random, page: int, *, with_descriptor: bool
) -> Iterator[Section]:
    regions = {region.name: region for region in chip.memory}
    is_first = True
    for name, shift in (("drom", 0), ("irom", MIB)):
        start = regions[name].start + shift
        for _ in range(source.randrange(0, 3)):
            address = start + source.choice(PLACES)
            if is_first and with_descriptor and name == "drom" and source.random() < 0.5:
                address = start + 0x20
                yield Section(".flash.appdesc", address, app_descriptor())
                address += 0x100
                is_first = False
            section = ".flash.text" if name == "irom" else ".flash.rodata"
            found = [*_run(source, section, address)]
            if source.random() < 0.2:
                # Ends close to the end of a page, on either side.
                size = page - found[-1].address % page + source.choice((-4, 0, 4, 0x20, 0x24))
                found[-1] = attrs.evolve(found[-1], data=source.randbytes(size))
            yield from found
            # On an ESP32 some room behind the end of a page is needed.
            start = found[-1].address + len(found[-1].data) + 4
            start += -start % page


def _options(chip: Chip, source: random.Random) -> dict[str, bool | int | str]:
    """Return options as esptool calls them."""
    possible: dict[str, bool | int | str] = {
        "flash_mode": source.choice(chip.flash_modes)[0],
        "flash_freq": source.choice(chip.flash_frequencies)[0],
        "flash_size": source.choice(("1MB", "2MB", "4MB", "16MB")),
        "min_rev": source.randrange(0x100),
        "min_rev_full": source.randrange(0x1_0000),
        "max_rev_full": source.randrange(0x1_0000),
        "use_segments": True,
    }
    if len(chip.mmu_page_sizes) > 1:
        possible["flash_mmu_page_size"] = f"{source.choice(chip.mmu_page_sizes) // KIB}KB"
    found = {name: value for name, value in possible.items() if source.random() < 0.25}
    if chip.image_chip_id is None:
        return {**found, "version": source.choice("123")}
    exclusive: list[dict[str, bool | int | str]] = [
        {"append_digest": False},
        {"ram_only_header": True},
        {"pad_to_size": source.choice(("1MB", "2MB"))},
        {"secure_pad": True},
        {"secure_pad_v2": True},
        {},
        {},
    ]
    return {**found, **source.choice(exclusive)}


def _ours(asked: dict[str, bool | int | str]) -> ImageOptions:
    """Return options as they are called here."""

    def revision(name: str, usual: int) -> Revision:
        return Revision(*divmod(int(asked.get(name, usual)), 100))

    page = str(asked.get("flash_mmu_page_size", "")).removesuffix("KB")
    pad_to = str(asked.get("pad_to_size", "")).removesuffix("MB")
    signature = Signature.V1 if asked.get("secure_pad") else None
    return ImageOptions(
        flash_mode=str(asked.get("flash_mode", "qio")),
        flash_frequency=None if "flash_freq" not in asked else str(asked["flash_freq"]),
        flash_size=str(asked.get("flash_size", "1MB")),
        legacy_minimum_revision=int(asked.get("min_rev", 0)),
        minimum_revision=revision("min_rev_full", 0),
        maximum_revision=revision("max_rev_full", 0xFFFF),
        has_digest=bool(asked.get("append_digest", True)),
        signature=Signature.V2 if asked.get("secure_pad_v2") else signature,
        pad_to=int(pad_to) * MIB if pad_to else None,
        use_segments=bool(asked.get("use_segments", False)),
        mmu_page_size=int(page) * KIB if page else None,
        ram_only_header=bool(asked.get("ram_only_header", False)),
        esp8266_version=int(asked.get("version", 1)),
    )
