"""What a lab has to load into an ESP32-C3: a file of each kind, all of one application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from elf_programs import app_descriptor
from elf_writer import Section, elf_for
from esploader.chips.esp32c3 import ESP32_C3
from esploader.image.build import build_image
from esploader.image.options import ImageOptions
from images import small_image
from made_builds import esp_idf, put, table

if TYPE_CHECKING:
    from pathlib import Path

TABLE_OFFSET = 0x8000
APP_OFFSET = 0x1_0000
"""Of the application that boots, by the table of :mod:`made_builds`."""

SECTIONS = (
    Section(".flash.appdesc", 0x3C01_0020, app_descriptor()),
    Section(".flash.text", 0x4201_0020, b"text" * 10),
    Section(".iram0.text", 0x4037_C000, b"code" * 100),
)


@attrs.frozen
class LabFiles:
    """Paths, and the bytes that are to be in flash."""

    elf: Path
    app: Path
    merged: Path
    hex: Path
    build: Path
    image: bytes
    """Of the application."""
    whole: bytes
    """Of the merged file, from offset 0 on."""
    parts: tuple[tuple[int, bytes], ...]
    """Of the build: offsets, and what belongs there."""


def make_lab_files(folder: Path) -> LabFiles:
    """Put them into ``folder``."""
    elf = elf_for(ESP32_C3, list(SECTIONS), entry=0x4037_C004).build()
    image = build_image(elf, ESP32_C3, ImageOptions()).data
    whole = small_image(ESP32_C3).ljust(TABLE_OFFSET, b"\xff") + table()
    whole = whole.ljust(APP_OFFSET, b"\xff") + image
    build = folder / "build"
    parts = tuple((offset, data) for _, offset, data in esp_idf(build, ESP32_C3))
    return LabFiles(
        elf=put(folder, "app.elf", elf),
        app=put(folder, "app.bin", image),
        merged=put(folder, "merged.bin", whole),
        hex=put(folder, "app.hex", _hex(APP_OFFSET, image[:64])),
        build=build,
        image=image,
        whole=whole,
        parts=parts,
    )


def _hex(offset: int, data: bytes) -> bytes:
    """Return an Intel HEX file of a few bytes below 16 MiB."""
    records = [(4, 0, (offset >> 16).to_bytes(2, "big"))]
    records += [
        (0, (offset & 0xFFFF) + start, data[start : start + 16])
        for start in range(0, len(data), 16)
    ]
    records.append((1, 0, b""))
    lines = []
    for kind, address, content in records:
        record = bytes((len(content),)) + address.to_bytes(2, "big") + bytes((kind,)) + content
        lines.append(f":{record.hex().upper()}{-sum(record) & 0xFF:02X}\n")
    return "".join(lines).encode()
