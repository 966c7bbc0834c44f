"""ESP32-P4.

Sources:

* eFuses: ESP-IDF, ``components/efuse/esp32p4/esp_efuse_table.csv``; addresses of BLOCK0 and BLOCK1:
  those that esptool 5.6.0 reads; the other blocks follow as on the ESP32-C3.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names, features and where they are in BLOCK1: what esptool 5.6.0 prints for given eFuses (each
  bit alone, and every package, capacity, vendor and grade of temperature).
* Registers: SPI1, GPIO_STRAP_REG and UART_DATE as esptool 5.6.0 uses them; UART0 by the latter.
* Memory: ESP-IDF, ``components/soc/esp32p4/include/soc/soc.h``, "Overall memory map".
* Straps: esptool documentation, "Boot Mode Selection"; the bit is that of esptool 5.6.0 and of
  ``components/soc/esp32p4/include/soc/boot_mode.h``.
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Key purposes: those of esptool 5.6.0; compare ESP-IDF,
  ``components/efuse/esp32p4/include/esp_efuse_chip.h``.
* From revision 3.0 on the key purposes have a fifth bit each (``esp_efuse_table_v3.0.csv``), which
  before that was part of other fields (DCDC_VSET, PXA0_TIEH_SEL_2; espefuse 5.6.0 of both
  revisions). It is left out, as esptool 5.6.0 does.
* USB product id: the image chip id, as on the other chips with USB-OTG; esptool 5.6.0 expects
  it.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS;
  that of BLOCK10, which it does not list: ESP-IDF,
  ``components/efuse/esp32h4/esp_efuse_table.csv``, as on all chips with such a block.
* UF2 family: the registry ``utils/uf2families.json`` of microsoft/uf2.
* Watchdogs: the registers that esptool 5.6.0 writes.
* How the flash gets its power in download mode: the writes that esptool 5.6.0 makes to a simulated
  device of revision 3.1, in their order; the names of the bits: ESP-IDF,
  ``components/soc/esp32p4/register/soc/pmu_struct.h``; the eFuse DOWNLOAD_MODE_XPD_ON:
  esp-stub-lib, ``flash.c`` of the ESP32-P4.
* ROM loader: the ROM itself (revisions 0.0 and 3.0), run instruction by instruction.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, UNKNOWN, Architecture, Chip, Region
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.efuse_layout import EfuseProtection, EfuseSpan
from esploader.chips.model.flash_power import FlashPower, Setting
from esploader.chips.model.labels import MAJOR, Field, Label, When
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

_EFUSE: Final = 0x5012_D000
_UART: Final = 0x500C_A000
_GPIO_STRAP: Final = 0x500E_0038
_PAD_GROUP_POWER: Final = 0x5011_010C
_FLASH_LDO: Final = 0x5011_51B8
_FLASH_LDO_ANALOG: Final = 0x5011_51BC
_PMU_DATE: Final = 0x5011_53FC


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


ESP32_P4: Final = Chip(
    name="ESP32-P4",
    architecture=Architecture.RISCV,
    image_chip_id=18,
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
    major_revision=BitField(_block1(2, 23, 1), _block1(2, 4, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block1(2, 0, 4)),
    fields=(Field("package", BitField(_block1(2, 20, 3))),),
    descriptions=(
        Label("ESP32-P4", (When("package", (0,)),)),
        Label("Unknown ESP32-P4"),
    ),
    features=(
        (Label("Dual Core + LP Core"),),
        (Label("400MHz"),),
    ),
    efuse_blocks=eleven_efuse_blocks(_EFUSE),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 32)),
        covers=(
            (0, EfuseSpan("BLOCK0", 32, 7)),
            (1, EfuseSpan("BLOCK0", 74, 1)),
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
    ),
    manual_encrypt_disabled=BitField(_block0(1, 20, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=BitField(_block0(2, 10, 1)),
    flash_key_purposes=(frozenset({4}), frozenset({2, 3})),
    key_purposes=six_key_purposes(_EFUSE),
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
    ),
    spi=spi_memory_registers(0x5008_D000),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x8C,
    crystal=Crystal(choices_mhz=(40,), bounds_mhz=(), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=(
        Region("drom", 0x4000_0000, 0x4400_0000),
        Region("irom", 0x4000_0000, 0x4400_0000),
        Region("extram", 0x4800_0000, 0x4C00_0000),
        Region("drom_mask", 0x4FC0_0000, 0x4FC2_0000),
        Region("irom_mask", 0x4FC0_0000, 0x4FC2_0000),
        Region("dram", 0x4FF0_0000, 0x4FFC_0000),
        Region("iram", 0x4FF0_0000, 0x4FFC_0000),
        Region("rtc_iram", 0x5010_8000, 0x5011_0000),
        Region("rtc_dram", 0x5010_8000, 0x5011_0000),
    ),
    bootloader_offset=0x2000,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("26m", 0x1), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=True,
    mmu_page_sizes=(64 * KIB,),
    uf2_family=0x3D30_8E94,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 3, 1),
    boot_strap_gpio=35,
    has_usb_serial_jtag=True,
    usb_otg_pid=0x0012,
    rtc_watchdog=RtcWatchdog(
        config0=0x5011_6000,
        config1=0x5011_6004,
        write_protect=0x5011_6018,
        key=0x50D8_3AA1,
    ),
    super_watchdog=SuperWatchdog(
        feeds_itself=Bits(0x5011_601C, 18, 1),
        write_protect=0x5011_6020,
        key=0x50D8_3AA1,
    ),
    watchdog_resets=True,
    force_download=Bits(0x5011_0008, 2, 1),
    stub_files=(
        Label("esp32p4-rev1", (When(MAJOR, (0, 1, 2)),)),
        Label("esp32p4"),
    ),
    stub_hook=None,
    flash_power=FlashPower(
        revisions=((3, 1), (3, 2)),
        settings=(
            Setting(Bits(_PAD_GROUP_POWER, 0, 32), 1, wait_us=10_000),
            Setting(Bits(_FLASH_LDO_ANALOG, 27, 1), 1),
            Setting(Bits(_FLASH_LDO, 7, 1), 1),
            Setting(Bits(_PMU_DATE, 0, 2), 3, wait_us=50),
            Setting(Bits(_FLASH_LDO_ANALOG, 27, 1), 0),
            Setting(Bits(_FLASH_LDO, 23, 8), 0),
            # As long as that is 0, the voltage is the one of the eFuses.
            Setting(Bits(_FLASH_LDO, 7, 1), 1),
            Setting(Bits(_FLASH_LDO, 7, 1), 0, wait_us=1800),
        ),
        rom_revision=(3, 2),
        rom_turns_on=_block0(2, 16, 1),
        forced=Bits(_PMU_DATE, 0, 2),
    ),
    quirks=frozenset({Quirk.OTG_LINES_DO_NOT_RESET, Quirk.STUB_RESTARTS_UART}),
)
