"""What a chip prints when it starts, and the application that then runs."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from esploader.simulator.nor import NorFlash
    from esploader.simulator.personality import Personality, ResetCause

_IMAGE_MAGIC: Final = 0xE9

# magic u8 | segment count u8 | flash mode u8 | size and frequency u8 | entry u32
_IMAGE_HEADER: Final = struct.Struct("<BBBBI")
_SEGMENT_HEADER: Final = struct.Struct("<II")
_EXTENDED_HEADER_SIZE: Final = 16
_MAX_SEGMENTS: Final = 16

_FLASH_MODES: Final = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}

# A real ROM goes on for ever; the watchdog boots it again and again.
_INVALID_HEADER_LINES: Final = 4

_APPLICATION_OUTPUT: Final = "Hello from the simulated application\r\n"


def rom_log(personality: Personality, cause: ResetCause, *, download: bool) -> bytes:
    """Return what the ROM prints before it loads anything: why it boots, and how."""
    mode = personality.download_mode if download else personality.flash_mode
    line = personality.boot_line.format(cause=personality.causes[cause], mode=mode)
    prompt = personality.prompt if download else ""
    return (personality.banner + line + prompt).encode("ascii")


def flash_log(nor: NorFlash, bootloader_offset: int, *, has_extended_header: bool) -> bytes:
    """Return what the ROM prints while it loads the image at ``bootloader_offset``."""
    header = nor.read(bootloader_offset, _IMAGE_HEADER.size)
    magic, count, mode, _, entry = _IMAGE_HEADER.unpack(header)
    if magic != _IMAGE_MAGIC or count > _MAX_SEGMENTS:
        (word,) = struct.unpack_from("<I", header)
        return f"invalid header: 0x{word:08x}\r\n".encode("ascii") * _INVALID_HEADER_LINES
    lines = [f"mode:{_FLASH_MODES.get(mode, 'SLOW READ')}, clock div:1"]
    offset = bootloader_offset + _IMAGE_HEADER.size
    if has_extended_header:
        offset += _EXTENDED_HEADER_SIZE
    for _ in range(count):
        address, size = _SEGMENT_HEADER.unpack(nor.read(offset, _SEGMENT_HEADER.size))
        lines.append(f"load:0x{address:08x},len:0x{size:x}")
        offset += _SEGMENT_HEADER.size + size
    lines.append(f"entry 0x{entry:08x}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def application_output(nor: NorFlash, bootloader_offset: int) -> bytes:
    """Return what the application prints: nothing when there is none in flash."""
    has_image = nor.read(bootloader_offset, 1)[0] == _IMAGE_MAGIC
    return _APPLICATION_OUTPUT.encode("ascii") if has_image else b""
