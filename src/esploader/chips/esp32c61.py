"""ESP32-C61.

Sources:

* eFuses: ESP-IDF, ``components/efuse/esp32c61/esp_efuse_table.csv``; addresses: BLOCK0 and BLOCK1
  where esptool 5.6.0 reads them, the other blocks behind them as on the ESP32-C3.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names, features and where they are in BLOCK1: what esptool 5.6.0 prints for given eFuses (each
  bit alone, and every package, capacity, vendor and grade of temperature).
* Registers: ESP-IDF, ``components/soc/esp32c61/``: ``reg_base.h``, ``gpio_reg.h`` (GPIO_STRAP_REG),
  ``uart_reg.h`` (UART_DATE); the offsets in SPI1 are those that esptool 5.6.0 uses.
* Memory: ESP-IDF, ``components/soc/esp32c61/include/soc/soc.h``, "Overall memory map".
* Straps: esptool documentation, "Boot Mode Selection"; ESP-IDF,
  ``components/soc/esp32c61/include/soc/boot_mode.h``.
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: those of esptool 5.6.0; compare ESP-IDF,
  ``components/efuse/esp32c61/include/esp_efuse_chip.h``.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: that of esptool 5.6.0; the registry of microsoft/uf2 does not have it.
* Watchdogs: the registers that esptool 5.6.0 writes.
* ROM loader: the ROM itself (revision 1.0), run instruction by instruction.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, UNKNOWN, Architecture, Chip, Region
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.efuse_layout import EfuseProtection, EfuseSpan
from esploader.chips.model.labels import Field, Label, When
from esploader.chips.model.layouts import (
    FLASH_MODES,
    FLASH_SIZES,
    LOCKS_OF_BLOCKS,
    eleven_efuse_blocks,
    read_protection_of_keys,
    spi_memory_registers,
)
from esploader.chips.model.watchdog import RtcWatchdog, SuperWatchdog
from esploader.protocol import dialect

_EFUSE: Final = 0x600B_4800
_UART: Final = 0x6000_0000
_GPIO_STRAP: Final = 0x6009_1000


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


ESP32_C61: Final = Chip(
    name="ESP32-C61",
    architecture=Architecture.RISCV,
    image_chip_id=20,
    magic=None,
    security_info_size=20,
    rom=dialect.ROM,
    rom_inflates_safely=True,
    rom_boots_on=UNKNOWN,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block1(2, 4, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(2, 0, 4)),
    fields=(
        Field(
            "package_code",
            BitField(_block1(2, 26, 3)),
            names=(
                (3, "LA"),
                (4, "?"),
                (5, "?"),
                (6, "?"),
                (7, "?"),
            ),
        ),
        Field(
            "flash_capacity",
            BitField(_block1(2, 13, 3)),
            names=(
                (1, "4MB"),
                (2, "8MB"),
            ),
        ),
        Field(
            "flash_code",
            BitField(_block1(2, 13, 3)),
            names=(
                (1, "F4"),
                (2, "F8"),
                (3, "F?"),
                (4, "F?"),
                (5, "F?"),
                (6, "F?"),
                (7, "F?"),
            ),
        ),
        Field(
            "psram_capacity",
            BitField(_block1(2, 19, 3)),
            names=(
                (1, "2MB"),
                (2, "8MB"),
            ),
        ),
        Field(
            "psram_code",
            BitField(_block1(2, 19, 3)),
            names=(
                (1, "R2"),
                (2, "R8"),
                (3, "R?"),
                (4, "R?"),
                (5, "R?"),
                (6, "R?"),
                (7, "R?"),
            ),
        ),
        Field(
            "temperature_code",
            BitField(_block1(2, 24, 2)),
            names=(
                (0, "N"),
                (1, "H"),
                (2, "?"),
                (3, "?"),
            ),
        ),
    ),
    descriptions=(
        Label(
            "ESP32-C61{temperature_code}{flash_code}{psram_code}{package_code}",
            (
                When("temperature_code", (0, 1)),
                When("flash_capacity", (0, 1, 2)),
                When("psram_capacity", (0, 1, 2)),
                When("package_code", (0, 1, 2, 3)),
            ),
        ),
        Label("Unknown ESP32-C61{temperature_code}{flash_code}{psram_code}{package_code}"),
    ),
    features=(
        (Label("Wi-Fi 6"),),
        (Label("BT 5 (LE)"),),
        (Label("Single Core"),),
        (Label("160MHz"),),
        (
            Label("Embedded Flash {flash_capacity}", (When("flash_capacity", (1, 2)),)),
            Label("No Embedded Flash", (When("flash_capacity", (0,)),)),
            Label("Unknown Embedded Flash"),
        ),
        (
            Label("Embedded PSRAM {psram_capacity}", (When("psram_capacity", (1, 2)),)),
            Label("No Embedded PSRAM", (When("psram_capacity", (0,)),)),
            Label("Unknown Embedded PSRAM"),
        ),
    ),
    efuse_blocks=eleven_efuse_blocks(_EFUSE),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 32)),
        covers=(
            (0, EfuseSpan("BLOCK0", 32, 7)),
            (2, EfuseSpan("BLOCK0", 45, 2)),
            (4, EfuseSpan("BLOCK0", 55, 3)),
            (5, EfuseSpan("BLOCK0", 58, 1)),
            (6, EfuseSpan("BLOCK0", 59, 1)),
            (7, EfuseSpan("BLOCK0", 60, 1)),
            (8, EfuseSpan("BLOCK0", 64, 4)),
            (9, EfuseSpan("BLOCK0", 68, 4)),
            (10, EfuseSpan("BLOCK0", 72, 4)),
            (11, EfuseSpan("BLOCK0", 76, 4)),
            (12, EfuseSpan("BLOCK0", 80, 4)),
            (13, EfuseSpan("BLOCK0", 84, 4)),
            (15, EfuseSpan("BLOCK0", 90, 1)),
            (16, EfuseSpan("BLOCK0", 91, 1)),
            (18, EfuseSpan("BLOCK0", 100, 1)),
            *LOCKS_OF_BLOCKS,
        ),
    ),
    efuse_read_protection=read_protection_of_keys(_EFUSE),
    flash_crypt_count=BitField(_block0(1, 23, 3)),
    secure_boot_v1=None,
    secure_boot_v2=BitField(_block0(2, 26, 1)),
    secure_download=BitField(_block0(3, 4, 1)),
    security_flags=(
        ("SECURE_BOOT_AGGRESSIVE_REVOKE", BitField(_block0(2, 27, 1))),
        ("SECURE_BOOT_KEY_REVOKE0", BitField(_block0(1, 26, 1))),
        ("SECURE_BOOT_KEY_REVOKE1", BitField(_block0(1, 27, 1))),
        ("SECURE_BOOT_KEY_REVOKE2", BitField(_block0(1, 28, 1))),
        ("HARD_DIS_JTAG", BitField(_block0(1, 13, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 14, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=None,
    flash_key_purposes=(frozenset({4}),),
    key_purposes=(
        BitField(_block0(2, 0, 4)),
        BitField(_block0(2, 4, 4)),
        BitField(_block0(2, 8, 4)),
        BitField(_block0(2, 12, 4)),
        BitField(_block0(2, 16, 4)),
        BitField(_block0(2, 20, 4)),
    ),
    key_purpose_names=(
        (0, "USER/EMPTY"),
        (1, "ECDSA_KEY"),
        (4, "XTS_AES_128_KEY"),
        (9, "SECURE_BOOT_DIGEST0"),
        (10, "SECURE_BOOT_DIGEST1"),
        (11, "SECURE_BOOT_DIGEST2"),
    ),
    spi=spi_memory_registers(0x6000_3000),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x8C,
    crystal=Crystal(choices_mhz=(40,), bounds_mhz=(), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=(
        Region("drom", 0x4200_0000, 0x4400_0000),
        Region("irom", 0x4200_0000, 0x4400_0000),
        Region("drom_mask", 0x4000_0000, 0x4004_0000),
        Region("irom_mask", 0x4000_0000, 0x4004_0000),
        Region("dram", 0x4080_0000, 0x4085_0000),
        Region("iram", 0x4080_0000, 0x4085_0000),
    ),
    bootloader_offset=0x0,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=True,
    mmu_page_sizes=(8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB),
    uf2_family=0x77D8_50C4,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 3, 1),
    boot_strap_gpio=9,
    has_usb_serial_jtag=True,
    usb_otg_pid=None,
    rtc_watchdog=RtcWatchdog(
        config0=0x600B_1C00,
        config1=0x600B_1C04,
        write_protect=0x600B_1C18,
        key=0x50D8_3AA1,
        delay=_block0(1, 21, 2),
    ),
    super_watchdog=SuperWatchdog(
        feeds_itself=Bits(0x600B_1C1C, 18, 1),
        write_protect=0x600B_1C20,
        key=0x50D8_3AA1,
    ),
    watchdog_resets=True,
    force_download=None,
    stub_files=(Label("esp32c61"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset(),
)
