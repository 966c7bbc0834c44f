"""What esptool prints, as far as other tools look for it."""

from __future__ import annotations

import re

# As far as both programs print it.
TOKEN = re.compile(
    r"Detecting chip type\.\.\. |Chip type: |Features: |Crystal frequency: "
    r"|MAC: |BASE MAC: |MAC_EXT: "
    r"|Manufacturer: |Device: |Detected flash size: |Flash type set in eFuse: "
    r"|Flash voltage set by |Flags: 0x|  BLOCK_KEY|Chip ID: |API Version: "
    r"|Secure Boot: |Flash Encryption: |SPI Boot Crypt Count \(SPI_BOOT_CRYPT_CNT\): "
)

COMMANDS = ("flash-id", "read-mac", "chip-id", "get-security-info")

# Without it two outputs that say nothing would be equal.
PROOF = {
    "flash-id": "Detected flash size: 4MB",
    "read-mac": "MAC: ",
    "chip-id": "Features: ",
    "get-security-info": "Flash Encryption: Disabled",
}


def tokens(output: str) -> list[str]:
    """Return the lines that other tools look for."""
    return [line for line in output.splitlines() if TOKEN.match(line)]
