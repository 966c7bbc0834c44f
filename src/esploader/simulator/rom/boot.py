"""What a chip prints when it starts, and what it makes of the image in its flash.

Sources: boot logs as chips print them (Espressif, "Boot Mode Selection", esptool
documentation; logs in public reports). The layout of images is that of
:mod:`esploader.image`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from esploader.chips.model.chip import KIB
from esploader.classes import frozen
from esploader.errors import ImageError
from esploader.simulator.personality import POWER_CAUSES, ResetCause
from esploader.simulator.rom.command import CHECKSUM_SEED, xor_checksum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.chips.model.chip import Chip
    from esploader.image.firmware import ImageLayout
    from esploader.image.header import ImageHeader
    from esploader.simulator.flash.nor import NorFlash
    from esploader.simulator.personality import LoadLog, Personality

MAX_IMAGE_SIZE: Final = 1024 * KIB
"""What does not fit into so many bytes no ROM loads: all RAM of a chip is smaller."""

BOOT_LOOP_TIME: Final = 1.0
"""From the moment at which a boot has failed until the watchdog repeats it, in seconds; about."""

_FLASH_MODES: Final = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}

_CLOCK_DIVIDERS: Final = {0x0: 2, 0x1: 3, 0x2: 4, 0xF: 1}

_MAX_HEADER_SIZE: Final = 24
_ROW_SIZE: Final = 16
_SEGMENT_HEADER_SIZE: Final = 8


@frozen
class Loading:
    """How it went to load the image."""

    log: bytes
    """What the ROM printed meanwhile."""

    succeeded: bool
    """The application starts."""


def rom_log(personality: Personality, cause: ResetCause, *, download: bool) -> bytes:
    """Return what the ROM prints before it loads anything: why it boots, and how."""
    mode = personality.download_mode if download else personality.flash_mode
    code = personality.causes.get(cause, personality.causes[ResetCause.WATCHDOG])
    line = personality.boot_line.format(cause=code, mode=mode)
    where = "" if cause in POWER_CAUSES else personality.saved_pc
    prompt = personality.prompt if download else ""
    return (personality.banner + line + where + prompt).encode("ascii")


def load_image(nor: NorFlash, chip: Chip, style: LoadLog) -> Loading:
    """Load the image at the chip's bootloader offset, as its ROM does."""
    import hashlib

    from esploader.image.firmware import DIGEST_SIZE, parse_image
    from esploader.image.header import parse_header

    offset = chip.bootloader_offset
    head = nor.read(offset, _MAX_HEADER_SIZE)
    try:
        header = parse_header(head, chip)
    except ImageError:
        (word,) = struct.unpack_from("<I", head)
        return Loading(style.invalid_header.format(word=word).encode("ascii"), succeeded=False)
    data = nor.read(offset, min(nor.size - offset, MAX_IMAGE_SIZE))
    try:
        layout = parse_image(data, chip)
    except ImageError:
        text = _preamble(header, style) + style.bad_segments
        return Loading(text.encode("ascii"), succeeded=False)
    lines = [_preamble(header, style), *_segment_lines(data, layout, style)]
    computed, stored = _checksum(data, layout), data[layout.checksum_offset]
    lines.append(style.checksum.format(stored=stored))
    if computed != stored:
        lines.append(style.bad_checksum.format(computed=computed, stored=stored))
        return Loading("".join(lines).encode("ascii"), succeeded=False)
    if style.bad_digest is not None and layout.header.has_digest:
        digest = hashlib.sha256(memoryview(data)[: layout.digest_offset]).hexdigest()
        expected = data[layout.digest_offset :][:DIGEST_SIZE].hex()
        if digest != expected:
            # It boots all the same.
            lines.append(style.bad_digest.format(computed=digest, stored=expected))
    lines.append(style.entry.format(entry=header.entry))
    return Loading("".join(lines).encode("ascii"), succeeded=True)


def _preamble(header: ImageHeader, style: LoadLog) -> str:
    return style.preamble.format(
        mode=_FLASH_MODES.get(header.flash_mode, "SLOW READ"),
        divider=_CLOCK_DIVIDERS.get(header.flash_frequency, 2),
    )


def _segment_lines(data: bytes, layout: ImageLayout, style: LoadLog) -> Iterator[str]:
    """Yield what is printed of each segment; only the ESP8266 tells of rows and checksums."""
    room, checksum = _ROW_SIZE, CHECKSUM_SEED
    for segment in layout.segments:
        tail = (segment.size - room) % _ROW_SIZE
        checksum ^= xor_checksum(data[segment.offset : segment.end]) ^ CHECKSUM_SEED
        yield style.segment.format(
            address=segment.address, size=segment.size, room=room, tail=tail, checksum=checksum
        )
        room = -(tail + _SEGMENT_HEADER_SIZE) % _ROW_SIZE


def _checksum(data: bytes, layout: ImageLayout) -> int:
    contents = (data[segment.offset : segment.end] for segment in layout.segments)
    return xor_checksum(b"".join(contents))
