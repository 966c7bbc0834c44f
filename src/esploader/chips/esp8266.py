"""ESP8266 and ESP8285.

Sources:

* eFuses: ESP8266_RTOS_SDK, ``components/esp8266/include/esp8266/efuse_register.h``. Which
  of them tell an ESP8285 from an ESP8266, and where the MAC address is, was read off what
  esptool 5.6.0 prints for given eFuses (each bit alone, and all combinations of those that
  matter).
* Registers: the same directory, ``spi_register.h``, ``uart_register.h`` and
  ``gpio_register.h`` (the upper half of GPIO_IN holds the straps).
* Memory: esp8266-wiki, "Memory Map".
* Straps and boot modes: esptool documentation, "Boot Mode Selection" for the ESP8266.
* Image header codes: esptool documentation, "Firmware Image Format" for the ESP8266.
* UF2 family: the registry ``utils/uf2families.json`` of microsoft/uf2.
* ROM loader: esptool documentation, "Serial Protocol", and for the ESP8266 "Reset Modes":
  it runs the application when it is told to leave.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import Architecture, Chip, Region
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.efuse_layout import EfuseBlock
from esploader.chips.model.flash_bus import SpiRegisters
from esploader.chips.model.labels import Field, Label, When
from esploader.chips.model.layouts import FLASH_MODES
from esploader.chips.model.quirks import Quirk
from esploader.protocol import dialect

_EFUSE: Final = 0x3FF0_0050
_UART: Final = 0x6000_0000
_GPIO_IN: Final = 0x6000_0318


def _efuse(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 4 * word, lsb, width)


# Either bit marks an ESP8285; devices with both were not seen.
_HAS_FLASH: Final = When("embedded_flash", (0b01, 0b10, 0b11))

ESP8266: Final = Chip(
    name="ESP8266",
    architecture=Architecture.XTENSA,
    image_chip_id=None,
    magic=0xFFF0_C101,
    security_info_size=None,
    rom=dialect.ESP8266_ROM,
    # It inflates nothing.
    rom_inflates_safely=False,
    rom_boots_on=True,
    mac=BitField(_efuse(3, 0, 24), _efuse(1, 0, 16), _efuse(0, 24, 8)),
    mac_extension=None,
    mac_oui_code=BitField(_efuse(1, 16, 8)),
    mac_ouis=((0, 0x18_FE34), (1, 0xAC_D074)),
    unique_id=BitField(_efuse(1, 0, 24), _efuse(0, 24, 8)),
    major_revision=None,
    major_revision_codes=(),
    minor_revision=None,
    fields=(
        Field("embedded_flash", BitField(_efuse(2, 16, 1), _efuse(0, 4, 1))),
        Field("temperature", BitField(_efuse(0, 5, 1)), names=((0, "N"), (1, "H"))),
        # In Mbit. The upper bit is the one that marks an ESP8285, too.
        Field(
            "flash_capacity",
            BitField(_efuse(0, 4, 1), _efuse(3, 25, 3)),
            names=((0b0001, "16"), (0b1000, "08"), (0b1010, "16")),
        ),
    ),
    descriptions=(
        Label(
            "ESP8285{temperature}{flash_capacity}",
            (_HAS_FLASH, When("flash_capacity", (0b0001, 0b1000, 0b1010))),
        ),
        Label("ESP8285", (_HAS_FLASH,)),
        Label("ESP8266EX"),
    ),
    features=(
        (Label("Wi-Fi"),),
        (Label("160MHz"),),
        (Label("Embedded Flash", (_HAS_FLASH,)),),
    ),
    efuse_blocks=(EfuseBlock("BLOCK0", _EFUSE, 4),),
    efuse_write_protection=None,
    efuse_read_protection=None,
    flash_crypt_count=None,
    secure_boot_v1=None,
    secure_boot_v2=None,
    secure_download=None,
    security_flags=(),
    manual_encrypt_disabled=None,
    flash_crypt_config=None,
    flash_crypt_config_hidden=None,
    fixed_flash_key=None,
    flash_key_in_manager=None,
    flash_key_purposes=(),
    key_purposes=(),
    key_purpose_names=(),
    spi=SpiRegisters(
        base=0x6000_0200,
        cmd=0x00,
        addr=0x04,
        usr=0x1C,
        usr1=0x20,
        usr2=0x24,
        mosi_dlen=None,
        miso_dlen=None,
        w0=0x40,
        addr_is_msb_aligned=True,
    ),
    flash_pads=(),
    flash_pin_choices=None,
    octal_flash=None,
    flash_supply=None,
    uart_clock_divider=Bits(_UART + 0x14, 0, 20),
    uart_date_register=_UART + 0x78,
    crystal=Crystal(choices_mhz=(26, 40, 48), bounds_mhz=(33, 45), uart_clock_ratio=2),
    assumed_crystal=None,
    memory=(
        Region("dram", 0x3FFE_8000, 0x4000_0000),
        Region("irom_mask", 0x4000_0000, 0x4001_0000),
        Region("iram", 0x4010_0000, 0x4010_8000),
        # RAM as well, until an application turns it into the cache of its flash.
        Region("cache", 0x4010_8000, 0x4011_0000),
        Region("irom", 0x4020_0000, 0x4030_0000),
    ),
    bootloader_offset=0x0,
    flash_sizes=(
        ("512KB", 0x0),
        ("256KB", 0x1),
        ("1MB", 0x2),
        ("2MB", 0x3),
        ("4MB", 0x4),
        ("2MB-c1", 0x5),
        ("4MB-c1", 0x6),
        ("8MB", 0x8),
        ("16MB", 0x9),
    ),
    flash_frequencies=(("40m", 0x0), ("26m", 0x1), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=None,
    supports_4_byte_addresses=False,
    mmu_page_sizes=(),
    uf2_family=0x7EAB_61ED,
    strapping=Bits(_GPIO_IN, 16, 16),
    boot_strap=Bits(_GPIO_IN, 17, 1),
    boot_strap_gpio=0,
    has_usb_serial_jtag=False,
    usb_otg_pid=None,
    rtc_watchdog=None,
    super_watchdog=None,
    watchdog_resets=False,
    force_download=None,
    stub_files=(Label("esp8266"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset({Quirk.BEGIN_ERASES_HEAD_TWICE}),
)
