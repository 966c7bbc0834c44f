"""ESP32-C5.

Sources:

* eFuses: ESP-IDF, ``components/efuse/esp32c5/esp_efuse_table.csv``; addresses: BLOCK0 and BLOCK1
  where esptool 5.6.0 reads them, the other blocks behind them as on the ESP32-C3.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names, features and where they are in BLOCK1: what esptool 5.6.0 prints for given eFuses (each
  bit alone, and every package, capacity, vendor and grade of temperature).
* Registers: ESP-IDF, ``components/soc/esp32c5/``: ``reg_base.h``, ``gpio_reg.h`` (GPIO_STRAP_REG),
  ``uart_reg.h`` (UART_DATE); the offsets in SPI1 are those that esptool 5.6.0 uses.
* Memory: ESP-IDF, ``components/soc/esp32c5/include/soc/soc.h``, "Overall memory map".
* Straps: esptool documentation, "Boot Mode Selection"; ESP-IDF,
  ``components/soc/esp32c5/register/soc/gpio_reg.h`` (bit 3 is GPIO27, bit 4 is GPIO28), with which
  the boot modes of a real device agree (espressif/esptool, pull request 1140: 0x18).
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: those of esptool 5.6.0; compare ESP-IDF,
  ``components/efuse/esp32c5/include/esp_efuse_chip.h``.
* The crystal that the ROM assumes: in PCR_SYSCLK_CONF_REG, where esptool 5.6.0 looks for it before
  it asks for another baud rate.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: that of esptool 5.6.0; the registry of microsoft/uf2 does not have it.
* Watchdogs: the registers that esptool 5.6.0 writes.
* ROM loader: the ROM itself (revision 1.0), run instruction by instruction.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, UNKNOWN, Architecture, Chip, Region
from esploader.chips.model.crystals import AssumedCrystal, Crystal
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
_PCR_SYSCLK_CONF: Final = 0x6009_6110


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


ESP32_C5: Final = Chip(
    name="ESP32-C5",
    architecture=Architecture.RISCV,
    image_chip_id=23,
    magic=None,
    security_info_size=20,
    rom=dialect.ROM,
    rom_inflates_safely=True,
    rom_boots_on=UNKNOWN,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=BitField(_block1(1, 16, 16)),
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block1(2, 4, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(2, 0, 4)),
    fields=(
        Field("package", BitField(_block1(2, 26, 3))),
        Field("flash_capacity", BitField(_block1(2, 13, 3)), names=((1, "4MB"),)),
        Field(
            "flash_code",
            BitField(_block1(2, 13, 3)),
            names=(
                (1, "F4"),
                (2, "F?"),
                (3, "F?"),
                (4, "F?"),
                (5, "F?"),
                (6, "F?"),
                (7, "F?"),
            ),
        ),
        Field("flash_vendor", BitField(_block1(2, 16, 3)), names=((1, "XMC"),)),
        Field(
            "psram_capacity",
            BitField(_block1(2, 19, 3)),
            names=(
                (1, "4MB"),
                (2, "8MB"),
            ),
        ),
        Field(
            "psram_code",
            BitField(_block1(2, 19, 3)),
            names=(
                (1, "R4"),
                (2, "R8"),
                (3, "R?"),
                (4, "R?"),
                (5, "R?"),
                (6, "R?"),
                (7, "R?"),
            ),
        ),
        Field("psram_vendor", BitField(_block1(2, 22, 2)), names=((1, "AP_3v3"),)),
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
            "ESP32-C5{temperature_code}{flash_code}{psram_code}",
            (
                When("temperature_code", (0, 1)),
                When("flash_capacity", (0, 1)),
                When("psram_capacity", (0, 1, 2)),
            ),
        ),
        Label("Unknown ESP32-C5{temperature_code}{flash_code}{psram_code}"),
    ),
    features=(
        (Label("Wi-Fi 6 (dual-band)"),),
        (Label("BT 5 (LE)"),),
        (Label("IEEE802.15.4"),),
        (Label("Single Core + LP Core"),),
        (Label("240MHz"),),
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
            (1, EfuseSpan("BLOCK0", 75, 1)),
            (2, EfuseSpan("BLOCK0", 51, 2)),
            (4, EfuseSpan("BLOCK0", 80, 3)),
            (5, EfuseSpan("BLOCK0", 83, 1)),
            (6, EfuseSpan("BLOCK0", 84, 1)),
            (7, EfuseSpan("BLOCK0", 85, 1)),
            (8, EfuseSpan("BLOCK0", 86, 5)),
            (9, EfuseSpan("BLOCK0", 91, 5)),
            (10, EfuseSpan("BLOCK0", 96, 5)),
            (11, EfuseSpan("BLOCK0", 101, 5)),
            (12, EfuseSpan("BLOCK0", 106, 5)),
            (13, EfuseSpan("BLOCK0", 111, 5)),
            (15, EfuseSpan("BLOCK0", 121, 1)),
            (16, EfuseSpan("BLOCK0", 122, 1)),
            (18, EfuseSpan("BLOCK0", 133, 1)),
            *LOCKS_OF_BLOCKS,
            (31, EfuseSpan("BLOCK0", 48, 3)),
        ),
    ),
    efuse_read_protection=read_protection_of_keys(_EFUSE),
    flash_crypt_count=BitField(_block0(2, 16, 3)),
    secure_boot_v1=None,
    secure_boot_v2=BitField(_block0(3, 25, 1)),
    secure_download=BitField(_block0(4, 5, 1)),
    security_flags=(
        ("SECURE_BOOT_AGGRESSIVE_REVOKE", BitField(_block0(3, 26, 1))),
        ("SECURE_BOOT_KEY_REVOKE0", BitField(_block0(2, 19, 1))),
        ("SECURE_BOOT_KEY_REVOKE1", BitField(_block0(2, 20, 1))),
        ("SECURE_BOOT_KEY_REVOKE2", BitField(_block0(2, 21, 1))),
        ("SOFT_DIS_JTAG", BitField(_block0(1, 16, 3))),
        ("HARD_DIS_JTAG", BitField(_block0(1, 19, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 20, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=BitField(_block0(2, 11, 1)),
    flash_key_purposes=(frozenset({4}),),
    key_purposes=(
        BitField(_block0(2, 22, 5)),
        BitField(_block0(2, 27, 5)),
        BitField(_block0(3, 0, 5)),
        BitField(_block0(3, 5, 5)),
        BitField(_block0(3, 10, 5)),
        BitField(_block0(3, 15, 5)),
    ),
    key_purpose_names=(
        (0, "USER/EMPTY"),
        (1, "ECDSA_KEY"),
        (4, "XTS_AES_128_KEY"),
        (5, "HMAC_DOWN_ALL"),
        (6, "HMAC_DOWN_JTAG"),
        (7, "HMAC_DOWN_DIGITAL_SIGNATURE"),
        (8, "HMAC_UP"),
        (9, "SECURE_BOOT_DIGEST0"),
        (10, "SECURE_BOOT_DIGEST1"),
        (11, "SECURE_BOOT_DIGEST2"),
        (12, "KM_INIT_KEY"),
        (15, "XTS_AES_128_PSRAM_KEY"),
        (16, "ECDSA_KEY_P192"),
        (17, "ECDSA_KEY_P384_L"),
        (18, "ECDSA_KEY_P384_H"),
    ),
    spi=spi_memory_registers(0x6000_3000),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x8C,
    crystal=Crystal(choices_mhz=(40, 48), bounds_mhz=(45,), uart_clock_ratio=1),
    assumed_crystal=AssumedCrystal(
        factors=(BitField(Bits(_PCR_SYSCLK_CONF, 24, 7)),), numerator=1_000_000
    ),
    memory=(
        Region("drom", 0x4200_0000, 0x4400_0000),
        Region("irom", 0x4200_0000, 0x4400_0000),
        Region("drom_mask", 0x4000_0000, 0x4005_0000),
        Region("irom_mask", 0x4000_0000, 0x4005_0000),
        Region("dram", 0x4080_0000, 0x4086_0000),
        Region("iram", 0x4080_0000, 0x4086_0000),
        Region("rtc_iram", 0x5000_0000, 0x5000_4000),
        Region("rtc_dram", 0x5000_0000, 0x5000_4000),
    ),
    bootloader_offset=0x2000,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=True,
    mmu_page_sizes=(64 * KIB,),
    uf2_family=0xF71C_0343,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 4, 1),
    boot_strap_gpio=28,
    has_usb_serial_jtag=True,
    usb_otg_pid=None,
    rtc_watchdog=RtcWatchdog(
        config0=0x600B_1C00,
        config1=0x600B_1C04,
        write_protect=0x600B_1C18,
        key=0x50D8_3AA1,
    ),
    super_watchdog=SuperWatchdog(
        feeds_itself=Bits(0x600B_1C1C, 18, 1),
        write_protect=0x600B_1C20,
        key=0x50D8_3AA1,
    ),
    watchdog_resets=True,
    force_download=None,
    stub_files=(Label("esp32c5"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset(),
)
