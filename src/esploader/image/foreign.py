"""Data that somebody may take for a firmware image: what they are, by what they begin with.

Sources: the ELF specification (gABI), "ELF Identification"; RFC 1952, section 2.3.1; the UF2
specification, "File Format"; APPNOTE.TXT of ZIP, section 4.3.7; Intel, "Hexadecimal Object File
Format Specification".
"""

from __future__ import annotations

from typing import Final

from esploader.image.hexfile import SAMPLE_SIZE, is_hex

_BEGINNINGS: Final = (
    (b"\x7fELF", "an ELF file, from which an image is still to be made"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"UF2\n", "a UF2 file, which is for a bootloader that takes UF2"),
    (b"PK\x03\x04", "a ZIP archive"),
)
_SAMPLE_SIZE: Final = 512
_TEXT: Final = frozenset((*b"\t\n\f\r", *range(0x20, 0x7F)))
_BLANK: Final = b"\xff"


def foreign_kind(data: bytes | memoryview) -> str | None:
    """Return what ``data`` are; ``None`` when that cannot be told."""
    beginning = bytes(data[:SAMPLE_SIZE])
    for magic, kind in _BEGINNINGS:
        if beginning.startswith(magic):
            return kind
    # What fills up the last word of an input is blank, too.
    sample = beginning[:_SAMPLE_SIZE].rstrip(_BLANK)
    if is_hex(beginning.rstrip(_BLANK)):
        return "an Intel HEX file"
    if not sample:
        return "blank"
    return "text" if _TEXT.issuperset(sample) else None
