"""ESP32-S2.

Sources:

* eFuses: Technical Reference Manual, "eFuse Controller"; ESP-IDF,
  ``components/efuse/esp32s2/esp_efuse_table.csv``; addresses:
  ``components/soc/esp32s2/register/soc/efuse_reg.h``.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names.
* Names and features: what esptool 5.6.0 prints for given eFuses (each bit alone, every
  version of flash with every version of PSRAM).
* Registers: ESP-IDF, ``components/soc/esp32s2/register/soc/`` (``include/soc/`` in
  older versions): ``reg_base.h``, ``spi_mem_reg.h`` (SPI1), ``uart_reg.h``, ``gpio_reg.h``.
* Memory: ESP-IDF, ``components/soc/esp32s2/include/soc/soc.h``, "Overall memory map";
  the end of ``drom``, which that map runs into the peripherals: ``ext_mem_defs.h`` there.
* Straps: the same directory, ``boot_mode.h``; esptool documentation, "Boot Mode
  Selection".
* Type and supply of the flash: the eFuses FLASH_TYPE and VDD_SPI_*; GPIO_STRAP_REG, the strap
  of GPIO45; what esptool 5.6.0 prints for given bits.
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: ESP-IDF, ``components/efuse/esp32s2/include/esp_efuse_chip.h``.
* USB product id: ESP-IDF Programming Guide, "Device Firmware Upgrade via USB".
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: the registry ``utils/uf2families.json`` of microsoft/uf2.
* Watchdog and the bit for a forced download: what esptool 5.6.0 writes.
* ROM loader: the code of the ROM.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, UNKNOWN, Architecture, Chip, Region
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.efuse_layout import EfuseProtection, EfuseSpan
from esploader.chips.model.flash_bus import FlashPinChoices, FlashSupply, SupplyControl
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
from esploader.chips.model.watchdog import RtcWatchdog
from esploader.protocol import dialect

_EFUSE: Final = 0x3F41_A000
_UART: Final = 0x3F40_0000
_GPIO_STRAP: Final = 0x3F40_4038


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


def _block2(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x5C + 4 * word, lsb, width)


def _embedded(flash: int, psram: int) -> tuple[When, When]:
    return When("flash_version", (flash,)), When("psram_version", (psram,))


ESP32_S2: Final = Chip(
    name="ESP32-S2",
    architecture=Architecture.XTENSA,
    image_chip_id=2,
    magic=0x0000_07C6,
    security_info_size=12,
    rom=dialect.ESP32_S2_ROM,
    rom_inflates_safely=True,
    rom_boots_on=UNKNOWN,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block1(3, 18, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(3, 20, 1), _block1(4, 4, 3)),
    fields=(
        Field(
            "flash_version",
            BitField(_block1(3, 21, 4)),
            names=((0, "No Embedded Flash"), (1, "Embedded Flash 2MB"), (2, "Embedded Flash 4MB")),
        ),
        Field(
            "psram_version",
            BitField(_block1(3, 28, 4)),
            names=((0, "No Embedded PSRAM"), (1, "Embedded PSRAM 2MB"), (2, "Embedded PSRAM 4MB")),
        ),
        Field(
            "block2_version",
            BitField(_block2(4, 4, 3)),
            names=(
                (0, "No calibration in BLK2 of efuse"),
                (1, "ADC and temperature sensor calibration in BLK2 of eFuse V1"),
                (2, "ADC and temperature sensor calibration in BLK2 of eFuse V2"),
            ),
        ),
    ),
    descriptions=(
        Label("ESP32-S2", _embedded(flash=0, psram=0)),
        Label("ESP32-S2FH2", _embedded(flash=1, psram=0)),
        Label("ESP32-S2FH4", _embedded(flash=2, psram=0)),
        Label("ESP32-S2R2", _embedded(flash=0, psram=1)),
        Label("ESP32-S2FNR2", _embedded(flash=2, psram=1)),
        Label("Unknown ESP32-S2"),
    ),
    features=(
        (Label("Wi-Fi"),),
        (Label("Single Core"),),
        (Label("240MHz"),),
        (
            Label("{flash_version}", (When("flash_version", (0, 1, 2)),)),
            Label("Unknown Embedded Flash"),
        ),
        (
            Label("{psram_version}", (When("psram_version", (0, 1, 2)),)),
            Label("Unknown Embedded PSRAM"),
        ),
        (
            Label("{block2_version}", (When("block2_version", (0, 1, 2)),)),
            Label("Unknown calibration in BLK2"),
        ),
    ),
    efuse_blocks=eleven_efuse_blocks(_EFUSE),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 32)),
        covers=(
            (0, EfuseSpan("BLOCK0", 32, 7)),
            (2, EfuseSpan("BLOCK0", 42, 2)),
            (2, EfuseSpan("BLOCK0", 45, 1)),
            (2, EfuseSpan("BLOCK0", 49, 3)),
            (3, EfuseSpan("BLOCK0", 68, 3)),
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
            (18, EfuseSpan("BLOCK0", 137, 1)),
            *LOCKS_OF_BLOCKS,
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
        ("SOFT_DIS_JTAG", BitField(_block0(1, 17, 1))),
        ("HARD_DIS_JTAG", BitField(_block0(1, 18, 1))),
        ("DIS_USB", BitField(_block0(1, 13, 1))),
        ("DIS_DOWNLOAD_DCACHE", BitField(_block0(1, 11, 1))),
        ("DIS_DOWNLOAD_ICACHE", BitField(_block0(1, 10, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 19, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=None,
    flash_key_purposes=(frozenset({4}), frozenset({2, 3})),
    key_purposes=six_key_purposes(_EFUSE),
    key_purpose_names=(
        (0, "USER/EMPTY"),
        (1, "RESERVED"),
        (2, "XTS_AES_256_KEY_1"),
        (3, "XTS_AES_256_KEY_2"),
        (4, "XTS_AES_128_KEY"),
        (5, "HMAC_DOWN_ALL"),
        (6, "HMAC_DOWN_JTAG"),
        (7, "HMAC_DOWN_DIGITAL_SIGNATURE"),
        (8, "HMAC_UP"),
        (9, "SECURE_BOOT_DIGEST0"),
        (10, "SECURE_BOOT_DIGEST1"),
        (11, "SECURE_BOOT_DIGEST2"),
    ),
    spi=spi_memory_registers(0x3F40_2000),
    flash_pads=(),
    flash_pin_choices=FlashPinChoices(
        gpios=(*range(22), *range(26, 47)),
        last_hold_gpio=46,
        usb_gpios=(19, 20),
        has_hspi=False,
    ),
    octal_flash=BitField(_block0(4, 9, 1)),
    flash_supply=FlashSupply(
        software=None,
        software_reference=None,
        efuse=SupplyControl(
            decides=_block0(2, 6, 1),
            enabled=_block0(2, 4, 1),
            tied_high=_block0(2, 5, 1),
            raised=None,
        ),
        strap=Bits(_GPIO_STRAP, 4, 1),
    ),
    uart_clock_divider=Bits(_UART + 0x14, 0, 20),
    uart_date_register=_UART + 0x74,
    crystal=Crystal(choices_mhz=(40,), bounds_mhz=(), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=(
        Region("drom", 0x3F00_0000, 0x3F40_0000),
        Region("extram", 0x3F50_0000, 0x3FF8_0000),
        Region("rtc_dram", 0x3FF9_E000, 0x3FFA_0000),
        Region("dram", 0x3FFB_0000, 0x4000_0000),
        Region("irom_mask", 0x4000_0000, 0x4002_0000),
        Region("iram", 0x4002_0000, 0x4007_0000),
        Region("rtc_iram", 0x4007_0000, 0x4007_2000),
        Region("irom", 0x4008_0000, 0x4080_0000),
        Region("rtc_data", 0x5000_0000, 0x5000_2000),
    ),
    bootloader_offset=0x1000,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("26m", 0x1), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=False,
    mmu_page_sizes=(64 * KIB,),
    uf2_family=0xBFDD_4EEE,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 3, 1),
    boot_strap_gpio=0,
    has_usb_serial_jtag=False,
    usb_otg_pid=0x0002,
    rtc_watchdog=RtcWatchdog(
        config0=0x3F40_8094,
        config1=0x3F40_8098,
        write_protect=0x3F40_80AC,
        key=0x50D8_3AA1,
        delay=_block0(2, 16, 2),
    ),
    super_watchdog=None,
    watchdog_resets=True,
    force_download=Bits(0x3F40_8128, 0, 1),
    stub_files=(Label("esp32s2"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset({Quirk.OTG_RESET_KEEPS_STRAPS, Quirk.STUB_RESTARTS_UART}),
)
