"""The wire-level differences between loaders, as data.

Sources: Espressif, "Serial Protocol" (esptool documentation); recorded answers of real
loaders (``tests/vectors/README.md``). The sizes of the receive rings were read off the
symbol tables of the ROM ELF files that Espressif publishes.
"""

from __future__ import annotations

from typing import Final

import attrs

from esploader.classes import frozen
from esploader.protocol.opcodes import Opcode

_ESP8266_ROM_OPCODES: Final = frozenset(
    {
        Opcode.FLASH_BEGIN,
        Opcode.FLASH_DATA,
        Opcode.FLASH_END,
        Opcode.MEM_BEGIN,
        Opcode.MEM_END,
        Opcode.MEM_DATA,
        Opcode.SYNC,
        Opcode.WRITE_REG,
        Opcode.READ_REG,
    }
)

_ESP32_ROM_OPCODES: Final = _ESP8266_ROM_OPCODES | {
    Opcode.SPI_SET_PARAMS,
    Opcode.SPI_ATTACH,
    Opcode.READ_FLASH_SLOW,
    Opcode.CHANGE_BAUDRATE,
    Opcode.FLASH_DEFL_BEGIN,
    Opcode.FLASH_DEFL_DATA,
    Opcode.FLASH_DEFL_END,
    Opcode.SPI_FLASH_MD5,
}

_SECURITY_INFO_ROM_OPCODES: Final = _ESP32_ROM_OPCODES | {Opcode.GET_SECURITY_INFO}

_SECURE_DOWNLOAD_OPCODES: Final = frozenset(
    {
        Opcode.SYNC,
        Opcode.FLASH_BEGIN,
        Opcode.FLASH_DATA,
        Opcode.FLASH_END,
        Opcode.SPI_SET_PARAMS,
        Opcode.SPI_ATTACH,
        Opcode.CHANGE_BAUDRATE,
        Opcode.GET_SECURITY_INFO,
    }
)
"""What Secure Download Mode leaves of a ROM loader: writing and erasing, uncompressed, blindly."""

_STUB_OPCODES: Final = (_SECURITY_INFO_ROM_OPCODES - {Opcode.READ_FLASH_SLOW}) | {
    Opcode.ERASE_FLASH,
    Opcode.ERASE_REGION,
    Opcode.READ_FLASH,
    Opcode.RUN_USER_CODE,
}


@frozen(kw_only=True)
class Dialect:
    """How one kind of loader differs from the others on the wire."""

    name: str

    opcodes: frozenset[Opcode] = attrs.field(repr=False)
    """The commands it knows."""

    status_size: int
    """Status bytes at the end of a response, reserved ones included."""

    reason_in_first_byte: bool
    """The error byte is the first of the status; otherwise the second."""

    refuses_under_previous_opcode: bool
    """An unknown command is answered with the opcode of the one before it."""

    flash_must_be_attached: bool
    """It does not find the flash and its size by itself."""

    answers_before_writing: bool
    """A block is answered when it has arrived; what goes wrong with it later is said in
    the answer to the next command, which is not carried out."""

    md5_is_hex: bool
    """SPI_FLASH_MD5 returns 32 hexadecimal digits; otherwise 16 raw bytes."""

    spi_attach_size: int
    """Body of SPI_ATTACH in bytes."""

    begin_has_encrypt_word: bool
    """FLASH_BEGIN and FLASH_DEFL_BEGIN take a fifth word, the encryption flag."""

    receive_ring_size: int | None
    """Bytes that may arrive while a command is being worked on, or be outstanding in a
    burst; ``None`` where one command at a time is all that is safe."""

    stray_end_inverts_framing: bool
    """An END too many makes it take frames for gaps, until another one comes."""

    max_write_reg_entries: int
    """Register writes that one WRITE_REG may carry."""

    flash_block_size: int
    """The largest block of FLASH_DATA and FLASH_DEFL_DATA in bytes."""

    ram_block_size: int
    """The largest block of MEM_DATA in bytes."""

    checks_ram_blocks: bool
    """It refuses a block of MEM_DATA whose checksum is wrong."""


def in_secure_download_mode(rom: Dialect) -> Dialect:
    """Return what a ROM loader still speaks when it is restricted to Secure Download Mode."""
    return attrs.evolve(
        rom,
        name=f"Secure Download Mode {rom.name}",
        opcodes=rom.opcodes & _SECURE_DOWNLOAD_OPCODES,
    )


ESP8266_ROM: Final = Dialect(
    name="ESP8266 ROM",
    opcodes=_ESP8266_ROM_OPCODES,
    status_size=2,
    reason_in_first_byte=False,
    refuses_under_previous_opcode=False,
    flash_must_be_attached=True,
    answers_before_writing=False,
    md5_is_hex=True,
    spi_attach_size=8,
    begin_has_encrypt_word=False,
    receive_ring_size=None,
    stray_end_inverts_framing=False,
    max_write_reg_entries=1,
    flash_block_size=0x400,
    ram_block_size=0x1800,
    checks_ram_blocks=True,
)

ESP32_ROM: Final = Dialect(
    name="ESP32 ROM",
    opcodes=_ESP32_ROM_OPCODES,
    status_size=4,
    reason_in_first_byte=False,
    refuses_under_previous_opcode=True,
    flash_must_be_attached=True,
    answers_before_writing=False,
    md5_is_hex=True,
    spi_attach_size=8,
    begin_has_encrypt_word=False,
    receive_ring_size=0x100,
    stray_end_inverts_framing=False,
    max_write_reg_entries=16,
    flash_block_size=0x1800,
    ram_block_size=0x1800,
    checks_ram_blocks=True,
)

ESP32_S2_ROM: Final = Dialect(
    name="ESP32-S2 ROM",
    opcodes=_SECURITY_INFO_ROM_OPCODES,
    status_size=4,
    reason_in_first_byte=False,
    refuses_under_previous_opcode=True,
    flash_must_be_attached=True,
    answers_before_writing=False,
    md5_is_hex=True,
    spi_attach_size=8,
    begin_has_encrypt_word=True,
    receive_ring_size=0x400,
    stray_end_inverts_framing=False,
    max_write_reg_entries=16,
    flash_block_size=0x1800,
    ram_block_size=0x1800,
    checks_ram_blocks=True,
)

ROM: Final = Dialect(
    name="ROM",
    opcodes=_SECURITY_INFO_ROM_OPCODES,
    status_size=4,
    reason_in_first_byte=False,
    refuses_under_previous_opcode=True,
    flash_must_be_attached=True,
    answers_before_writing=False,
    md5_is_hex=True,
    spi_attach_size=8,
    begin_has_encrypt_word=True,
    receive_ring_size=0x800,
    stray_end_inverts_framing=False,
    max_write_reg_entries=16,
    flash_block_size=0x1800,
    ram_block_size=0x1800,
    checks_ram_blocks=True,
)
"""The ROM loader of every chip from the ESP32-C3 and the ESP32-S3 on."""

ANY_ROM: Final = Dialect(
    name="any ROM",
    opcodes=_SECURITY_INFO_ROM_OPCODES,
    status_size=4,
    reason_in_first_byte=False,
    refuses_under_previous_opcode=True,
    flash_must_be_attached=True,
    answers_before_writing=False,
    md5_is_hex=True,
    spi_attach_size=8,
    begin_has_encrypt_word=False,
    receive_ring_size=0x80,
    stray_end_inverts_framing=False,
    max_write_reg_entries=1,
    flash_block_size=0x400,
    ram_block_size=0x1800,
    checks_ram_blocks=True,
)
"""What is safe to assume of a ROM loader before the chip is known: the hardware of every
UART holds 128 bytes."""

STUB: Final = Dialect(
    name="stub",
    opcodes=_STUB_OPCODES,
    status_size=2,
    reason_in_first_byte=True,
    refuses_under_previous_opcode=False,
    flash_must_be_attached=False,
    answers_before_writing=True,
    md5_is_hex=False,
    spi_attach_size=4,
    begin_has_encrypt_word=True,
    receive_ring_size=None,
    stray_end_inverts_framing=True,
    max_write_reg_entries=16,
    flash_block_size=0x4000,
    ram_block_size=0x1800,
    checks_ram_blocks=False,
)
