"""ESP32-C2, and ESP8684, which is the same chip with its flash inside.

Sources:

* eFuses: ESP-IDF, ``components/efuse/esp32c2/esp_efuse_table.csv``; addresses of BLOCK0, BLOCK2 and
  the key: those that esptool 5.6.0 reads.
* Security flags: where espefuse 5.6.0 has the eFuses of the same names; HARD_DIS_JTAG is
  DIS_PAD_JTAG there.
* Names, features and where they are in BLOCK2: what esptool 5.6.0 prints for given eFuses (each
  bit alone, and every package, capacity, vendor and grade of temperature).
* Registers: SPI1 and UART0 as esptool 5.6.0 uses them; GPIO_STRAP_REG as on the ESP32-C3.
* Memory: ESP-IDF, ``components/soc/esp32c2/include/soc/soc.h``, "Overall memory map".
* Straps: esptool documentation, "Boot Mode Selection"; ESP-IDF,
  ``components/soc/esp32c2/include/soc/boot_mode.h``.
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* The crystal that the ROM assumes: what esptool 5.6.0 asks for at another baud rate, with a
  crystal of 26 MHz.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: the registry ``utils/uf2families.json`` of microsoft/uf2.
* Watchdog: the registers that esptool 5.6.0 writes.
* ROM loader: the ROM itself (revision 1.0), run instruction by instruction; its code.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, Architecture, Chip, Region
from esploader.chips.model.crystals import AssumedCrystal, Crystal
from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection, EfuseSpan, FixedFlashKey
from esploader.chips.model.labels import Field, Label, When
from esploader.chips.model.layouts import FLASH_MODES, FLASH_SIZES, spi_memory_registers
from esploader.chips.model.quirks import Quirk
from esploader.chips.model.watchdog import RtcWatchdog
from esploader.protocol import dialect

_EFUSE: Final = 0x6000_8800
_UART: Final = 0x6000_0000
_GPIO_STRAP: Final = 0x6000_4038


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x2C + 4 * word, lsb, width)


def _block2(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x40 + 4 * word, lsb, width)


# Flash encryption uses all of KEY0, or its lower half where the upper one is for Secure Boot.
_LOWER_KEY: Final = EfuseBlock("BLOCK_KEY0", _EFUSE + 0x60, 4)

ESP32_C2: Final = Chip(
    name="ESP32-C2",
    architecture=Architecture.RISCV,
    image_chip_id=12,
    magic=None,
    security_info_size=20,
    rom=dialect.ROM,
    rom_inflates_safely=True,
    rom_boots_on=False,
    mac=BitField(_block2(1, 0, 16), _block2(0, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(_block2(1, 20, 2)),
    major_revision_codes=(),
    minor_revision=BitField(_block2(1, 16, 4)),
    fields=(
        Field("package", BitField(_block2(1, 22, 3))),
        Field(
            "flash_capacity",
            BitField(_block2(7, 29, 3)),
            names=(
                (1, "4MB"),
                (2, "2MB"),
                (3, "1MB"),
            ),
        ),
        Field(
            "flash_vendor",
            BitField(_block2(7, 24, 3)),
            names=(
                (1, "XMC"),
                (2, "GD"),
                (3, "FM"),
                (4, "TT"),
                (5, "ZBIT"),
            ),
        ),
    ),
    descriptions=(
        Label("ESP32-C2", (When("package", (0,)),)),
        Label("ESP8684H", (When("package", (1,)),)),
        Label("Unknown ESP32-C2"),
    ),
    features=(
        (Label("Wi-Fi"),),
        (Label("BT 5 (LE)"),),
        (Label("Single Core"),),
        (Label("120MHz"),),
        (
            Label(
                "Embedded Flash {flash_capacity} ({flash_vendor})",
                (When("flash_capacity", (1, 2, 3)),),
            ),
            Label(
                "Unknown Embedded Flash ({flash_vendor})", (When("flash_capacity", (4, 5, 6, 7)),)
            ),
        ),
    ),
    efuse_blocks=(
        EfuseBlock("BLOCK0", _EFUSE + 0x2C, 2),
        EfuseBlock("BLOCK1", _EFUSE + 0x34, 3),
        EfuseBlock("BLOCK2", _EFUSE + 0x40, 8),
        EfuseBlock("BLOCK_KEY0", _EFUSE + 0x60, 8),
    ),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 8)),
        covers=(
            (0, EfuseSpan("BLOCK0", 32, 2)),
            (1, EfuseSpan("BLOCK0", 36, 2)),
            (2, EfuseSpan("BLOCK0", 38, 4)),
            (2, EfuseSpan("BLOCK0", 53, 1)),
            (3, EfuseSpan("BLOCK0", 48, 1)),
            (5, EfuseSpan("BLOCK1", 0, 96)),
            (6, EfuseSpan("BLOCK2", 0, 256)),
            (7, EfuseSpan("BLOCK_KEY0", 0, 256)),
        ),
    ),
    efuse_read_protection=EfuseProtection(
        BitField(_block0(1, 0, 2)),
        covers=(
            (0, EfuseSpan("BLOCK_KEY0", 0, 128)),
            (1, EfuseSpan("BLOCK_KEY0", 128, 128)),
        ),
    ),
    flash_crypt_count=BitField(_block0(1, 7, 3)),
    secure_boot_v1=None,
    secure_boot_v2=BitField(_block0(1, 21, 1)),
    secure_download=BitField(_block0(1, 16, 1)),
    security_flags=(
        ("HARD_DIS_JTAG", BitField(_block0(1, 4, 1))),
        ("DIS_DOWNLOAD_ICACHE", BitField(_block0(1, 5, 1))),
    ),
    manual_encrypt_disabled=BitField(_block0(1, 6, 1)),
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=FixedFlashKey(block=_LOWER_KEY, read_protected=BitField(_block0(1, 0, 1))),
    flash_key_in_manager=None,
    flash_key_purposes=(),
    key_purposes=(),
    key_purpose_names=(),
    spi=spi_memory_registers(0x6000_2000),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x7C,
    crystal=Crystal(choices_mhz=(26, 40), bounds_mhz=(33,), uart_clock_ratio=1),
    assumed_crystal=AssumedCrystal(factors=(), numerator=40_000_000),
    memory=(
        Region("drom", 0x3C00_0000, 0x3C40_0000),
        Region("dram", 0x3FCA_0000, 0x3FCE_0000),
        Region("drom_mask", 0x3FF0_0000, 0x3FF5_0000),
        Region("irom_mask", 0x4000_0000, 0x4009_0000),
        Region("iram", 0x4037_C000, 0x403C_0000),
        Region("irom", 0x4200_0000, 0x4240_0000),
    ),
    bootloader_offset=0x0,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("30m", 0x0), ("20m", 0x1), ("15m", 0x2), ("60m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=16,
    supports_4_byte_addresses=False,
    mmu_page_sizes=(16 * KIB, 32 * KIB, 64 * KIB),
    uf2_family=0x2B88_D29C,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 3, 1),
    boot_strap_gpio=9,
    has_usb_serial_jtag=False,
    usb_otg_pid=None,
    rtc_watchdog=RtcWatchdog(
        config0=0x6000_8084,
        config1=0x6000_8088,
        write_protect=0x6000_809C,
        key=0x50D8_3AA1,
    ),
    super_watchdog=None,
    watchdog_resets=True,
    force_download=None,
    stub_files=(Label("esp32c2"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset({Quirk.FIRST_MAJOR_REVISION_BLOCKS_STUB}),
)
