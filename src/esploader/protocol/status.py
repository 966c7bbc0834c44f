"""What the status bytes at the end of a response say.

Source: Espressif, "Serial Protocol" (esptool documentation), "Error codes"; which byte
is significant was read off recorded answers (``tests/vectors``): the ROM loader says
1 in the first byte and the reason in the second, and leaves the second stale on success;
the stub says the reason in the first.
"""

from __future__ import annotations

from typing import Final

STATUS_SIZE: Final = 2
"""Bytes of a status that mean something; a ROM may append reserved ones."""

ROM_INVALID_MESSAGE: Final = 0x05
"""The ROM loader's reason for an unknown opcode or a malformed request."""

ROM_WRITE_FAILED: Final = 0x08
"""The ROM loader's reason when the flash does not hold what it has written."""

STUB_INVALID_COMMAND: Final = 0xC3
STUB_NOT_IMPLEMENTED: Final = 0xFF

RECOVERABLE_CODES: Final = frozenset(
    {0x05, 0x07, 0x08, 0x0B, 0x0C} | {0xC0, 0xC1, 0xC4, 0xC7, 0xC8, 0xC9}
)
"""Refusals that a bad line or a failed block explains, of the ROM and of the stub. Others
mean what they say, when they come twice (:mod:`esploader.protocol.refusals`)."""

ROM_MEANINGS: Final[dict[int, str]] = {
    0x00: "undefined error",
    0x01: "a parameter is invalid",
    0x02: "out of memory",
    0x03: "sending failed",
    0x04: "receiving failed",
    0x05: "the message is invalid or the command unknown",
    0x06: "the operation failed",
    0x07: "the checksum is wrong",
    0x08: "writing to flash failed",
    0x09: "reading from flash failed",
    0x0A: "the size to read is invalid",
    0x0B: "decompression failed",
    0x0C: "the Adler-32 of the decompressed data is wrong",
    0x0D: "a parameter of the decompression is invalid",
    0x0E: "the size in RAM is invalid",
    0x0F: "the address in RAM is invalid",
    0x64: "a parameter is invalid",
    0x65: "the format is invalid",
    0x66: "the description is too long",
    0x67: "the encoding is invalid",
    0x69: "there is not enough storage",
}

STUB_MEANINGS: Final[dict[int, str]] = {
    0xC0: "the size of the request is wrong",
    0xC1: "the checksum is wrong",
    0xC2: "the block size is invalid",
    0xC3: "the command is unknown",
    0xC4: "the SPI flash failed",
    0xC5: "unlocking the flash failed",
    0xC6: "no flash download is in progress",
    0xC7: "decompression failed",
    0xC8: "there is too little data",
    0xC9: "there is too much data",
    0xCA: "programming the NAND flash failed",
    0xCB: "erasing the NAND flash failed",
    0xFF: "the command is not implemented",
}
