"""ESP32-S31.

Sources:

* eFuses: ESP-IDF, ``components/efuse/esp32s31/esp_efuse_table.csv``; addresses:
  ``components/soc/esp32s31/register/soc/efuse_struct.h``.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names, features and where they are in BLOCK1: what esptool 5.6.0 prints for given eFuses (each
  bit alone, and every package, capacity, vendor and grade of temperature).
* Registers: ESP-IDF, ``components/soc/esp32s31/``: ``reg_base.h``, ``gpio_reg.h`` (GPIO_STRAP_REG),
  ``uart_reg.h`` (UART_DATE); the offsets in SPI1 are those that esptool 5.6.0 uses.
* Memory: ESP-IDF, ``components/soc/esp32s31/include/soc/soc.h``, "Overall memory map".
* Straps: esptool documentation, "Boot Mode Selection". The bit is the one that the boot logs agree
  on which users have published: 0x58 and 0x5f for the flash, 0x69 for the download mode. What
  ``boot_mode.h`` says of bit 3 is copied from another chip.
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: those of esptool 5.6.0; compare ESP-IDF,
  ``components/efuse/esp32s31/include/esp_efuse_chip.h``.
* MAC_EXT is in the table of eFuses, too; no tool is known to make an EUI-64 of it.
* USB product id: the image chip id, as on the other chips with USB-OTG; esptool 5.6.0 expects
  it.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: that of esptool 5.6.0; the registry of microsoft/uf2 does not have it.
* Watchdogs: the registers that esptool 5.6.0 writes.
* ROM loader: nobody has looked into it.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, UNKNOWN, Architecture, Chip, Region
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection, EfuseSpan
from esploader.chips.model.labels import Field, Label, When
from esploader.chips.model.layouts import FLASH_MODES, FLASH_SIZES, spi_memory_registers
from esploader.chips.model.quirks import Quirk
from esploader.chips.model.watchdog import RtcWatchdog, SuperWatchdog
from esploader.protocol import dialect

_EFUSE: Final = 0x2071_5000
_UART: Final = 0x2038_A000
_GPIO_STRAP: Final = 0x2058_3000


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x50 + 4 * word, lsb, width)


ESP32_S31: Final = Chip(
    name="ESP32-S31",
    architecture=Architecture.RISCV,
    image_chip_id=32,
    magic=None,
    security_info_size=20,
    rom=dialect.ROM,
    rom_inflates_safely=UNKNOWN,
    rom_boots_on=UNKNOWN,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block1(3, 22, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(3, 18, 4)),
    fields=(Field("package", BitField(_block1(4, 6, 2))),),
    descriptions=(
        Label("ESP32-S31", (When("package", (0,)),)),
        Label("unknown ESP32-S31"),
    ),
    features=(
        (Label("Wi-Fi 6"),),
        (Label("BT 5.4 (LE)"),),
        (Label("IEEE802.15.4"),),
        (Label("Dual Core + LP Core"),),
        (Label("300MHz"),),
    ),
    efuse_blocks=(
        EfuseBlock("BLOCK0", _EFUSE + 0x2C, 9),
        EfuseBlock("BLOCK1", _EFUSE + 0x50, 6),
        EfuseBlock("BLOCK2", _EFUSE + 0x68, 8),
        EfuseBlock("BLOCK3", _EFUSE + 0x88, 8),
        EfuseBlock("BLOCK_KEY0", _EFUSE + 0xA8, 8),
        EfuseBlock("BLOCK_KEY1", _EFUSE + 0xC8, 8),
        EfuseBlock("BLOCK_KEY2", _EFUSE + 0xE8, 8),
        EfuseBlock("BLOCK_KEY3", _EFUSE + 0x108, 8),
        EfuseBlock("BLOCK_KEY4", _EFUSE + 0x128, 8),
        EfuseBlock("BLOCK9", _EFUSE + 0x148, 8),
    ),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 32)),
        covers=(
            (0, EfuseSpan("BLOCK0", 32, 7)),
            (1, EfuseSpan("BLOCK0", 77, 1)),
            (2, EfuseSpan("BLOCK0", 51, 2)),
            (4, EfuseSpan("BLOCK0", 85, 3)),
            (5, EfuseSpan("BLOCK0", 88, 1)),
            (6, EfuseSpan("BLOCK0", 89, 1)),
            (7, EfuseSpan("BLOCK0", 90, 1)),
            (8, EfuseSpan("BLOCK0", 96, 5)),
            (9, EfuseSpan("BLOCK0", 101, 5)),
            (10, EfuseSpan("BLOCK0", 106, 5)),
            (11, EfuseSpan("BLOCK0", 111, 5)),
            (12, EfuseSpan("BLOCK0", 116, 5)),
            (15, EfuseSpan("BLOCK0", 130, 1)),
            (16, EfuseSpan("BLOCK0", 131, 1)),
            (18, EfuseSpan("BLOCK0", 149, 1)),
            (20, EfuseSpan("BLOCK1", 0, 192)),
            (21, EfuseSpan("BLOCK2", 0, 256)),
            (22, EfuseSpan("BLOCK3", 0, 256)),
            (23, EfuseSpan("BLOCK_KEY0", 0, 256)),
            (24, EfuseSpan("BLOCK_KEY1", 0, 256)),
            (25, EfuseSpan("BLOCK_KEY2", 0, 256)),
            (26, EfuseSpan("BLOCK_KEY3", 0, 256)),
            (27, EfuseSpan("BLOCK_KEY4", 0, 256)),
            (28, EfuseSpan("BLOCK9", 0, 256)),
            (31, EfuseSpan("BLOCK0", 48, 3)),
        ),
    ),
    efuse_read_protection=EfuseProtection(
        BitField(_block0(1, 0, 7)),
        covers=(
            (0, EfuseSpan("BLOCK_KEY0", 0, 256)),
            (1, EfuseSpan("BLOCK_KEY1", 0, 256)),
            (2, EfuseSpan("BLOCK_KEY2", 0, 256)),
            (3, EfuseSpan("BLOCK_KEY3", 0, 256)),
            (4, EfuseSpan("BLOCK_KEY4", 0, 256)),
            (5, EfuseSpan("BLOCK9", 0, 256)),
        ),
    ),
    flash_crypt_count=BitField(_block0(2, 21, 3)),
    secure_boot_v1=None,
    secure_boot_v2=BitField(_block0(4, 2, 1)),
    secure_download=BitField(_block0(4, 21, 1)),
    security_flags=(
        ("SECURE_BOOT_AGGRESSIVE_REVOKE", BitField(_block0(4, 3, 1))),
        ("SECURE_BOOT_KEY_REVOKE0", BitField(_block0(2, 24, 1))),
        ("SECURE_BOOT_KEY_REVOKE1", BitField(_block0(2, 25, 1))),
        ("SECURE_BOOT_KEY_REVOKE2", BitField(_block0(2, 26, 1))),
        ("SOFT_DIS_JTAG", BitField(_block0(1, 16, 3))),
        ("HARD_DIS_JTAG", BitField(_block0(1, 19, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 20, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=BitField(_block0(2, 13, 1)),
    flash_key_purposes=(frozenset({4}), frozenset({2, 3})),
    key_purposes=(
        BitField(_block0(3, 0, 5)),
        BitField(_block0(3, 5, 5)),
        BitField(_block0(3, 10, 5)),
        BitField(_block0(3, 15, 5)),
        BitField(_block0(3, 20, 5)),
    ),
    key_purpose_names=(
        (0, "USER/EMPTY"),
        (1, "ECDSA_KEY"),
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
        (12, "KM_INIT_KEY"),
        (13, "XTS_AES_256_PSRAM_KEY_1"),
        (14, "XTS_AES_256_PSRAM_KEY_2"),
        (15, "XTS_AES_128_PSRAM_KEY"),
        (16, "ECDSA_KEY_P192"),
        (17, "ECDSA_KEY_P384_L"),
        (18, "ECDSA_KEY_P384_H"),
        (19, "SDC_KEY_DIGEST"),
    ),
    spi=spi_memory_registers(0x2050_1000),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x8C,
    crystal=Crystal(choices_mhz=(40,), bounds_mhz=(), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=(
        Region("rtc_iram", 0x2E00_0000, 0x2E00_8000),
        Region("rtc_dram", 0x2E00_0000, 0x2E00_8000),
        Region("dram", 0x2F00_0000, 0x2F08_0000),
        Region("iram", 0x2F00_0000, 0x2F08_0000),
        Region("drom_mask", 0x2F80_0000, 0x2F85_0000),
        Region("irom_mask", 0x2F80_0000, 0x2F85_0000),
        Region("drom", 0x4000_0000, 0x4400_0000),
        Region("irom", 0x4000_0000, 0x4400_0000),
        Region("extram", 0x5000_0000, 0x5400_0000),
    ),
    bootloader_offset=0x2000,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=True,
    mmu_page_sizes=(32 * KIB, 64 * KIB, 128 * KIB, 256 * KIB),
    uf2_family=0x3101_F7C1,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 4, 1),
    boot_strap_gpio=61,
    has_usb_serial_jtag=True,
    usb_otg_pid=0x0020,
    rtc_watchdog=RtcWatchdog(
        config0=0x2080_1000,
        config1=0x2080_1004,
        write_protect=0x2080_1018,
        key=0x50D8_3AA1,
    ),
    super_watchdog=SuperWatchdog(
        feeds_itself=Bits(0x2080_101C, 18, 1),
        write_protect=0x2080_1020,
        key=0x50D8_3AA1,
    ),
    watchdog_resets=True,
    force_download=None,
    stub_files=(Label("esp32s31"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset({Quirk.OTG_LINES_DO_NOT_RESET}),
)
