"""ESP32-H4.

Sources:

* eFuses: ESP-IDF, ``components/soc/esp32h4/register/soc/efuse_struct.h``; the table of eFuses in
  ESP-IDF is that of the chip that had this name before.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names, features and where they are in BLOCK1: what esptool 5.6.0 prints for given eFuses (each
  bit alone, and every package, capacity, vendor and grade of temperature).
* Registers: ESP-IDF, ``components/soc/esp32h4/``: ``reg_base.h``, ``gpio_reg.h`` (GPIO_STRAP_REG),
  ``uart_reg.h`` (UART_DATE); the offsets in SPI1 are those that esptool 5.6.0 uses.
* Memory: ESP-IDF, ``components/soc/esp32h4/include/soc/soc.h``, "Overall memory map".
* Straps: esptool documentation, "Boot Mode Selection". What ``gpio_reg.h`` says of their bits is
  copied from another chip.
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: those of esptool 5.6.0; compare ESP-IDF,
  ``components/efuse/esp32h4/include/esp_efuse_chip.h``.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS;
  that of BLOCK10, which it does not list: ESP-IDF,
  ``components/efuse/esp32h4/esp_efuse_table.csv``, as on all chips with such a block.
* UF2 family: that of esptool 5.6.0; the registry of microsoft/uf2 does not have it.
* Watchdogs: the registers that esptool 5.6.0 writes.
* ROM loader: nobody has looked into it.
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

_EFUSE: Final = 0x600B_1800
_UART: Final = 0x6001_2000
_GPIO_STRAP: Final = 0x6009_3000


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


ESP32_H4: Final = Chip(
    name="ESP32-H4",
    architecture=Architecture.RISCV,
    image_chip_id=28,
    magic=None,
    security_info_size=20,
    rom=dialect.ROM,
    rom_inflates_safely=UNKNOWN,
    rom_boots_on=UNKNOWN,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=BitField(_block1(1, 16, 16)),
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block1(3, 22, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(3, 18, 4)),
    fields=(
        Field("package", BitField(_block1(4, 12, 3))),
        Field("flash_capacity", BitField(_block1(4, 0, 2), _block1(3, 31, 1)), names=((1, "4MB"),)),
        Field(
            "flash_code",
            BitField(_block1(4, 0, 2), _block1(3, 31, 1)),
            names=(
                (1, "4"),
                (2, "?"),
                (3, "?"),
                (4, "?"),
                (5, "?"),
                (6, "?"),
                (7, "?"),
            ),
        ),
        Field(
            "flash_vendor",
            BitField(_block1(4, 2, 3)),
            names=(
                (1, "FM"),
                (2, "XMC"),
                (3, "PY"),
            ),
        ),
        Field("flash_voltage_code", BitField(_block1(4, 2, 3)), names=((3, "L"),)),
        Field(
            "psram_capacity",
            BitField(_block1(4, 5, 3)),
            names=(
                (1, "8MB"),
                (2, "2MB"),
            ),
        ),
        Field(
            "psram_code",
            BitField(_block1(4, 5, 3)),
            names=(
                (1, "R8"),
                (2, "R2"),
                (3, "R?"),
                (4, "R?"),
                (5, "R?"),
                (6, "R?"),
                (7, "R?"),
            ),
        ),
        Field("psram_vendor", BitField(_block1(4, 8, 2)), names=((1, "AP"),)),
        Field(
            "temperature_code",
            BitField(_block1(4, 10, 2)),
            names=(
                (0, "?"),
                (1, "H"),
                (2, "?"),
                (3, "?"),
            ),
        ),
    ),
    descriptions=(
        Label(
            "ESP32-H4{temperature_code}{psram_code}",
            (
                When("temperature_code", (1,)),
                When("flash_capacity", (0,)),
                When("psram_capacity", (0, 1, 2)),
            ),
        ),
        Label(
            "ESP32-H4{temperature_code}F{flash_voltage_code}{flash_code}{psram_code}",
            (
                When("temperature_code", (1,)),
                When("flash_capacity", (1,)),
                When("psram_capacity", (0, 1, 2)),
            ),
        ),
        Label("Unknown ESP32-H4{temperature_code}{psram_code}", (When("flash_capacity", (0,)),)),
        Label(
            "Unknown ESP32-H4{temperature_code}F{flash_voltage_code}{flash_code}{psram_code}",
            (When("flash_capacity", (1,)),),
        ),
        Label("Unknown ESP32-H4{temperature_code}F{flash_code}{psram_code}"),
    ),
    features=(
        (Label("BT 5 (LE)"),),
        (Label("IEEE802.15.4"),),
        (Label("Dual Core"),),
        (Label("96MHz"),),
        (
            Label(
                "Embedded Flash {flash_capacity} ({flash_vendor})", (When("flash_capacity", (1,)),)
            ),
            Label("No Embedded Flash", (When("flash_capacity", (0,)),)),
            Label("Unknown Embedded Flash"),
        ),
        (
            Label(
                "Embedded PSRAM {psram_capacity} ({psram_vendor})",
                (When("psram_capacity", (1, 2)),),
            ),
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
            (8, EfuseSpan("BLOCK0", 64, 5)),
            (9, EfuseSpan("BLOCK0", 69, 5)),
            (10, EfuseSpan("BLOCK0", 74, 5)),
            (11, EfuseSpan("BLOCK0", 79, 5)),
            (12, EfuseSpan("BLOCK0", 84, 5)),
            (13, EfuseSpan("BLOCK0", 89, 5)),
            (15, EfuseSpan("BLOCK0", 101, 1)),
            (16, EfuseSpan("BLOCK0", 102, 1)),
            (17, EfuseSpan("BLOCK0", 116, 1)),
            (18, EfuseSpan("BLOCK0", 131, 1)),
            *LOCKS_OF_BLOCKS,
            (31, EfuseSpan("BLOCK0", 171, 3)),
        ),
    ),
    efuse_read_protection=read_protection_of_keys(_EFUSE),
    flash_crypt_count=BitField(_block0(1, 23, 3)),
    secure_boot_v1=None,
    secure_boot_v2=BitField(_block0(3, 5, 1)),
    secure_download=BitField(_block0(4, 3, 1)),
    security_flags=(
        ("SECURE_BOOT_AGGRESSIVE_REVOKE", BitField(_block0(3, 6, 1))),
        ("SECURE_BOOT_KEY_REVOKE0", BitField(_block0(1, 26, 1))),
        ("SECURE_BOOT_KEY_REVOKE1", BitField(_block0(1, 27, 1))),
        ("SECURE_BOOT_KEY_REVOKE2", BitField(_block0(1, 28, 1))),
        ("SOFT_DIS_JTAG", BitField(_block0(5, 11, 3))),
        ("HARD_DIS_JTAG", BitField(_block0(1, 13, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 14, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=BitField(_block0(3, 20, 1)),
    flash_key_purposes=(frozenset({4}), frozenset({2, 3})),
    key_purposes=(
        BitField(_block0(2, 0, 5)),
        BitField(_block0(2, 5, 5)),
        BitField(_block0(2, 10, 5)),
        BitField(_block0(2, 15, 5)),
        BitField(_block0(2, 20, 5)),
        BitField(_block0(2, 25, 5)),
    ),
    key_purpose_names=(
        (0, "USER/EMPTY"),
        (1, "ECDSA_KEY"),
        (2, "XTS_AES_256_KEY_FLASH_1"),
        (3, "XTS_AES_256_KEY_FLASH_2"),
        (4, "XTS_AES_128_KEY"),
        (5, "HMAC_DOWN_ALL"),
        (6, "HMAC_DOWN_JTAG"),
        (7, "HMAC_DOWN_DIGITAL_SIGNATURE"),
        (8, "HMAC_UP"),
        (9, "SECURE_BOOT_DIGEST0"),
        (10, "SECURE_BOOT_DIGEST1"),
        (11, "SECURE_BOOT_DIGEST2"),
        (12, "KM_INIT_KEY"),
        (13, "XTS_AES_256_KEY_PSRAM_1"),
        (14, "XTS_AES_256_KEY_PSRAM_2"),
        (15, "XTS_AES_128_KEY_PSRAM"),
        (16, "ECDSA_KEY_P192"),
        (17, "ECDSA_KEY_P384_L"),
        (18, "ECDSA_KEY_P384_H"),
    ),
    spi=spi_memory_registers(0x6009_9000),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x8C,
    crystal=Crystal(choices_mhz=(32,), bounds_mhz=(), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=(
        Region("drom", 0x4200_0000, 0x4400_0000),
        Region("irom", 0x4200_0000, 0x4400_0000),
        Region("drom_mask", 0x4000_0000, 0x4002_0000),
        Region("irom_mask", 0x4000_0000, 0x4002_0000),
        Region("dram", 0x4081_0000, 0x4086_0000),
        Region("iram", 0x4081_0000, 0x4086_0000),
    ),
    bootloader_offset=0x2000,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("24m", 0x0), ("48m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=True,
    mmu_page_sizes=(8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB),
    uf2_family=0x9E0B_AA8A,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=UNKNOWN,
    boot_strap_gpio=14,
    has_usb_serial_jtag=True,
    usb_otg_pid=None,
    rtc_watchdog=RtcWatchdog(
        config0=0x6009_0048,
        config1=0x6009_004C,
        write_protect=0x6009_0064,
        key=0x50D8_3AA1,
    ),
    super_watchdog=SuperWatchdog(
        feeds_itself=Bits(0x600B_5420, 18, 1),
        write_protect=0x600B_5424,
        key=0x50D8_3AA1,
    ),
    watchdog_resets=False,
    force_download=None,
    stub_files=(Label("esp32h4"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset(),
)
