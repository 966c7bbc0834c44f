"""ESP32-C3, and ESP8685 and ESP8686, which are the same chip in other packages.

Sources:

* eFuses: Technical Reference Manual, "eFuse Controller"; ESP-IDF,
  ``components/efuse/esp32c3/esp_efuse_table.csv``; addresses:
  ``components/soc/esp32c3/register/soc/efuse_reg.h``.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names and features: what esptool 5.6.0 prints for given eFuses (each bit alone, every
  package, capacity and vendor).
* Registers: ESP-IDF, ``components/soc/esp32c3/register/soc/`` (``include/soc/`` in
  older versions): ``reg_base.h``, ``spi_mem_reg.h`` (SPI1), ``uart_reg.h``, ``gpio_reg.h``.
* Memory: ESP-IDF, ``components/soc/esp32c3/include/soc/soc.h``, "Overall memory map".
* Straps: the same directory, ``boot_mode.h``; the book "ESP32-C3 Wireless Adventure",
  5.2.6; esptool documentation, "Boot Mode Selection".
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: ESP-IDF, ``components/efuse/esp32c3/include/esp_efuse_chip.h``.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: the registry ``utils/uf2families.json`` of microsoft/uf2.
* Watchdogs: the registers that esptool 5.6.0 writes.
* ROM loader: the ROM itself (revisions 0.0, 0.3 and 1.1), run instruction by instruction, and
  in an emulator.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, Architecture, Chip, Region
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.efuse_layout import EfuseProtection, EfuseSpan
from esploader.chips.model.flash_bus import FlashPinChoices
from esploader.chips.model.labels import Field, Label, When
from esploader.chips.model.layouts import (
    FLASH_MODES,
    FLASH_SIZES,
    LOCKS_OF_BLOCKS,
    eleven_efuse_blocks,
    read_protection_of_keys,
    six_key_purposes,
    spi_memory_registers,
)
from esploader.chips.model.quirks import Quirk
from esploader.chips.model.watchdog import RtcWatchdog, SuperWatchdog
from esploader.protocol import dialect

_EFUSE: Final = 0x6000_8800
_UART: Final = 0x6000_0000
_GPIO_STRAP: Final = 0x6000_4038


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


ESP32_C3: Final = Chip(
    name="ESP32-C3",
    architecture=Architecture.RISCV,
    image_chip_id=5,
    magic=None,
    security_info_size=20,
    rom=dialect.ROM,
    rom_inflates_safely=True,
    rom_boots_on=False,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block1(5, 24, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(5, 23, 1), _block1(3, 18, 3)),
    fields=(
        Field("package", BitField(_block1(3, 21, 3))),
        Field(
            "flash_capacity",
            BitField(_block1(3, 27, 3)),
            names=((1, "4MB"), (2, "2MB"), (3, "1MB"), (4, "8MB")),
        ),
        Field(
            "flash_vendor",
            BitField(_block1(4, 0, 3)),
            names=((1, "XMC"), (2, "GD"), (3, "FM"), (4, "TT"), (5, "ZBIT")),
        ),
    ),
    descriptions=(
        Label("ESP32-C3 (QFN32)", (When("package", (0,)),)),
        Label("ESP8685 (QFN28)", (When("package", (1,)),)),
        Label("ESP32-C3 AZ (QFN32)", (When("package", (2,)),)),
        Label("ESP8686 (QFN24)", (When("package", (3,)),)),
        Label("Unknown ESP32-C3"),
    ),
    features=(
        (Label("Wi-Fi"),),
        (Label("BT 5 (LE)"),),
        (Label("Single Core"),),
        (Label("160MHz"),),
        (
            Label(
                "Embedded Flash {flash_capacity} ({flash_vendor})",
                (When("flash_capacity", (1, 2, 3, 4)),),
            ),
            Label(
                "Unknown Embedded Flash ({flash_vendor})",
                (When("flash_capacity", (5, 6, 7)),),
            ),
        ),
    ),
    efuse_blocks=eleven_efuse_blocks(_EFUSE),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 32)),
        covers=(
            (0, EfuseSpan("BLOCK0", 32, 7)),
            (2, EfuseSpan("BLOCK0", 42, 1)),
            (2, EfuseSpan("BLOCK0", 51, 2)),
            (4, EfuseSpan("BLOCK0", 82, 3)),
            (5, EfuseSpan("BLOCK0", 85, 1)),
            (6, EfuseSpan("BLOCK0", 86, 1)),
            (7, EfuseSpan("BLOCK0", 87, 1)),
            (8, EfuseSpan("BLOCK0", 88, 4)),
            (9, EfuseSpan("BLOCK0", 92, 4)),
            (10, EfuseSpan("BLOCK0", 96, 4)),
            (11, EfuseSpan("BLOCK0", 100, 4)),
            (12, EfuseSpan("BLOCK0", 104, 4)),
            (13, EfuseSpan("BLOCK0", 108, 4)),
            (15, EfuseSpan("BLOCK0", 116, 1)),
            (16, EfuseSpan("BLOCK0", 117, 1)),
            (18, EfuseSpan("BLOCK0", 133, 1)),
            *LOCKS_OF_BLOCKS,
            (31, EfuseSpan("BLOCK0", 48, 3)),
        ),
    ),
    efuse_read_protection=read_protection_of_keys(_EFUSE),
    flash_crypt_count=BitField(_block0(2, 18, 3)),
    secure_boot_v1=None,
    secure_boot_v2=BitField(_block0(3, 20, 1)),
    secure_download=BitField(_block0(4, 5, 1)),
    security_flags=(
        ("SECURE_BOOT_AGGRESSIVE_REVOKE", BitField(_block0(3, 21, 1))),
        ("SECURE_BOOT_KEY_REVOKE0", BitField(_block0(2, 21, 1))),
        ("SECURE_BOOT_KEY_REVOKE1", BitField(_block0(2, 22, 1))),
        ("SECURE_BOOT_KEY_REVOKE2", BitField(_block0(2, 23, 1))),
        ("SOFT_DIS_JTAG", BitField(_block0(1, 16, 3))),
        ("HARD_DIS_JTAG", BitField(_block0(1, 19, 1))),
        ("DIS_DOWNLOAD_ICACHE", BitField(_block0(1, 10, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 20, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=None,
    flash_key_purposes=(frozenset({4}),),
    key_purposes=six_key_purposes(_EFUSE),
    key_purpose_names=(
        (0, "USER/EMPTY"),
        (1, "RESERVED"),
        (4, "XTS_AES_128_KEY"),
        (5, "HMAC_DOWN_ALL"),
        (6, "HMAC_DOWN_JTAG"),
        (7, "HMAC_DOWN_DIGITAL_SIGNATURE"),
        (8, "HMAC_UP"),
        (9, "SECURE_BOOT_DIGEST0"),
        (10, "SECURE_BOOT_DIGEST1"),
        (11, "SECURE_BOOT_DIGEST2"),
    ),
    spi=spi_memory_registers(0x6000_2000),
    flash_pads=(),
    flash_pin_choices=FlashPinChoices(
        gpios=tuple(range(22)),
        last_hold_gpio=21,
        usb_gpios=(18, 19),
        has_hspi=False,
    ),
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x7C,
    crystal=Crystal(choices_mhz=(40,), bounds_mhz=(), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=(
        Region("drom", 0x3C00_0000, 0x3C80_0000),
        Region("dram", 0x3FC8_0000, 0x3FCE_0000),
        Region("drom_mask", 0x3FF0_0000, 0x3FF2_0000),
        Region("irom_mask", 0x4000_0000, 0x4006_0000),
        Region("iram", 0x4037_C000, 0x403E_0000),
        Region("irom", 0x4200_0000, 0x4280_0000),
        Region("rtc_iram", 0x5000_0000, 0x5000_2000),
        Region("rtc_dram", 0x5000_0000, 0x5000_2000),
    ),
    bootloader_offset=0x0,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("26m", 0x1), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=False,
    mmu_page_sizes=(64 * KIB,),
    uf2_family=0xD42B_A06C,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 3, 1),
    boot_strap_gpio=9,
    has_usb_serial_jtag=True,
    usb_otg_pid=None,
    rtc_watchdog=RtcWatchdog(
        config0=0x6000_8090,
        config1=0x6000_8094,
        write_protect=0x6000_80A8,
        key=0x50D8_3AA1,
        delay=_block0(2, 16, 2),
    ),
    super_watchdog=SuperWatchdog(
        feeds_itself=Bits(0x6000_80AC, 31, 1),
        write_protect=0x6000_80B0,
        key=0x8F1D_312A,
    ),
    watchdog_resets=True,
    force_download=None,
    stub_files=(Label("esp32c3"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset({Quirk.LEGACY_IMAGE_REVISION_IS_MINOR, Quirk.SECURE_BOOT_BLOCKS_STUB}),
)
