"""ESP32.

Sources:

* eFuses: Technical Reference Manual 5.2, "eFuse Controller"; ESP-IDF,
  ``components/efuse/esp32/esp_efuse_table.csv`` and
  ``components/soc/esp32/include/soc/efuse_reg.h`` (packages, SPI pads). The three bits of
  the major revision: ESP-IDF, ``components/hal/esp32/efuse_hal.c``.
* Names and features: what esptool 5.6.0 prints for given eFuses (each bit alone, every
  package with every number of cores and major revision).
* Registers: ESP-IDF, ``components/soc/esp32/include/soc/``: ``reg_base.h``, ``spi_reg.h``
  (SPI1), ``uart_reg.h``, ``gpio_reg.h``.
* Memory: the same directory, ``soc.h``, "Overall memory map".
* Straps: Technical Reference Manual 5.2, "IO_MUX and GPIO Matrix", GPIO_STRAP_REG;
  esptool documentation, "Boot Mode Selection".
* Image header codes: esptool documentation, "Firmware Image Format"; chip id: ESP-IDF,
  ``components/bootloader_support/include/esp_app_format.h``.
* Supply of the flash: ESP-IDF, ``components/soc/esp32/include/soc/rtc_cntl_reg.h`` and
  ``components/esp_hw_support/port/esp32/rtc_init.c``, ``rtc_vddsdio_get_config``;
  ``components/bootloader_support``, ``bootloader_common_vddsdio_configure`` (1.9 V).
* Layout of the argument of SPI_ATTACH: observed, see ``flash_pads``.
* Flash encryption: Technical Reference Manual 5.2, "eFuse Controller" (BLOCK1 holds the
  key, ``flash_crypt_config``); ESP-IDF, "Flash Encryption" for the ESP32, and the table of
  eFuses above (``RD_DIS.BLOCK1``, and bit 19 for ``FLASH_CRYPT_CONFIG``).
* What the ROM takes the crystal to be: its own calibration, in RTCCALICFG1 of timer group 0
  (``timer_group_reg.h``) and the eFuse CK8M_FREQ; how it goes into the baud rate was read
  off the rates that esptool 5.6.0 asks for.
* Protection of eFuses: what espefuse 5.6.0 says of them for every bit of WR_DIS and RD_DIS.
* UF2 family: the registry ``utils/uf2families.json`` of microsoft/uf2.
* ROM loader: the ROM itself (revisions 0 and 3.0), read, and run in an emulator.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import KIB, Architecture, Chip, Region
from esploader.chips.model.crystals import AssumedCrystal, Crystal
from esploader.chips.model.efuse_layout import EfuseBlock, EfuseProtection, EfuseSpan, FixedFlashKey
from esploader.chips.model.flash_bus import (
    FlashPinChoices,
    FlashSupply,
    SpiRegisters,
    SupplyControl,
)
from esploader.chips.model.labels import MAJOR, Field, Label, When
from esploader.chips.model.layouts import FLASH_MODES, FLASH_SIZES
from esploader.chips.model.quirks import Quirk
from esploader.protocol import dialect

_EFUSE: Final = 0x3FF5_A000
_UART: Final = 0x3FF4_0000
_GPIO_STRAP: Final = 0x3FF4_4038
_SDIO_CONF: Final = 0x3FF4_8074
_SYSCON_DATE: Final = 0x3FF6_607C
_RTC_CALIBRATION: Final = 0x3FF5_F06C


def _block0(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 4 * word, lsb, width)


def _package(number: int) -> When:
    return When("package", (number,))


_BLOCK1: Final = EfuseBlock("BLOCK1", _EFUSE + 0x38, 8)
_SINGLE_CORE: Final = When("app_cpu_disabled", (1,))
_V3: Final = When(MAJOR, (3,))

ESP32: Final = Chip(
    name="ESP32",
    architecture=Architecture.XTENSA,
    image_chip_id=0,
    magic=0x00F0_1D83,
    security_info_size=None,
    rom=dialect.ESP32_ROM,
    rom_inflates_safely=False,
    rom_boots_on=True,
    mac=BitField(_block0(2, 0, 16), _block0(1, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    major_revision=BitField(Bits(_SYSCON_DATE, 31, 1), _block0(5, 20, 1), _block0(3, 15, 1)),
    major_revision_codes=((0b000, 0), (0b001, 1), (0b011, 2), (0b111, 3)),
    minor_revision=BitField(_block0(5, 24, 2)),
    fields=(
        Field("package", BitField(_block0(3, 2, 1), _block0(3, 9, 3))),
        Field("app_cpu_disabled", BitField(_block0(3, 0, 1))),
        Field("bluetooth_disabled", BitField(_block0(3, 1, 1))),
        # Rated at all, and if so, low.
        Field("cpu_frequency", BitField(_block0(3, 13, 1), _block0(3, 12, 1))),
        Field("block3_reserved", BitField(_block0(3, 14, 1))),
        Field("adc_vref", BitField(_block0(4, 8, 5))),
        Field(
            "coding_scheme",
            BitField(_block0(6, 0, 2)),
            names=(
                (0, "None"),
                (1, "3/4"),
                (2, "Repeat (UNSUPPORTED)"),
                (3, "None (may contain encoding data)"),
            ),
        ),
    ),
    descriptions=(
        Label("ESP32-S0WDQ6", (_package(0), _SINGLE_CORE)),
        Label("ESP32-D0WDQ6-V3", (_package(0), _V3)),
        Label("ESP32-D0WDQ6", (_package(0),)),
        Label("ESP32-S0WD", (_package(1), _SINGLE_CORE)),
        Label("ESP32-D0WD-V3", (_package(1), _V3)),
        Label("ESP32-D0WD", (_package(1),)),
        Label("ESP32-D2WD", (_package(2),)),
        Label("ESP32-U4WDH", (_package(4),)),
        Label("ESP32-PICO-V3", (_package(5), _V3)),
        Label("ESP32-PICO-D4", (_package(5),)),
        Label("ESP32-PICO-V3-02", (_package(6),)),
        Label("ESP32-D0WDR2-V3", (_package(7),)),
        Label("Unknown ESP32"),
    ),
    features=(
        (Label("Wi-Fi"),),
        (Label("BT", (When("bluetooth_disabled", (0,)),)),),
        (Label("Single Core + LP Core", (_SINGLE_CORE,)), Label("Dual Core + LP Core")),
        (
            Label("240MHz", (When("cpu_frequency", (0b10,)),)),
            Label("160MHz", (When("cpu_frequency", (0b11,)),)),
        ),
        (Label("Embedded Flash", (When("package", (2, 4, 5, 6)),)),),
        (Label("Embedded PSRAM", (_package(6),)),),
        (Label("Vref calibration in eFuse", (When("adc_vref", tuple(range(1, 32))),)),),
        (Label("BLK3 partially reserved", (When("block3_reserved", (1,)),)),),
        (Label("Coding Scheme {coding_scheme}"),),
    ),
    efuse_blocks=(
        EfuseBlock("BLOCK0", _EFUSE, 7),
        _BLOCK1,
        EfuseBlock("BLOCK2", _EFUSE + 0x58, 8),
        EfuseBlock("BLOCK3", _EFUSE + 0x78, 8),
    ),
    efuse_write_protection=EfuseProtection(
        BitField(_block0(0, 0, 16)),
        covers=(
            (0, EfuseSpan("BLOCK0", 16, 4)),
            (1, EfuseSpan("BLOCK0", 0, 16)),
            (2, EfuseSpan("BLOCK0", 20, 7)),
            (3, EfuseSpan("BLOCK0", 32, 48)),
            (3, EfuseSpan("BLOCK0", 96, 2)),
            (4, EfuseSpan("BLOCK0", 136, 5)),
            (5, EfuseSpan("BLOCK0", 142, 3)),
            (6, EfuseSpan("BLOCK0", 160, 20)),
            (7, EfuseSpan("BLOCK1", 0, 256)),
            (8, EfuseSpan("BLOCK2", 0, 256)),
            (9, EfuseSpan("BLOCK3", 0, 256)),
            (10, EfuseSpan("BLOCK0", 110, 1)),
            (10, EfuseSpan("BLOCK0", 188, 6)),
            (12, EfuseSpan("BLOCK0", 196, 1)),
            (13, EfuseSpan("BLOCK0", 197, 1)),
            (15, EfuseSpan("BLOCK0", 199, 1)),
        ),
    ),
    efuse_read_protection=EfuseProtection(
        BitField(_block0(0, 16, 4)),
        covers=(
            (0, EfuseSpan("BLOCK1", 0, 256)),
            (1, EfuseSpan("BLOCK2", 0, 256)),
            (2, EfuseSpan("BLOCK3", 0, 256)),
            (3, EfuseSpan("BLOCK0", 110, 1)),
            (3, EfuseSpan("BLOCK0", 188, 6)),
        ),
    ),
    flash_crypt_count=BitField(_block0(0, 20, 7)),
    secure_boot_v1=BitField(_block0(6, 4, 1)),
    secure_boot_v2=BitField(_block0(6, 5, 1)),
    secure_download=None,
    security_flags=(),
    manual_encrypt_disabled=BitField(_block0(6, 7, 1)),
    flash_crypt_config=BitField(_block0(5, 28, 4)),
    flash_crypt_config_hidden=BitField(_block0(0, 19, 1)),
    fixed_flash_key=FixedFlashKey(block=_BLOCK1, read_protected=BitField(_block0(0, 16, 1))),
    flash_key_in_manager=None,
    flash_key_purposes=(),
    key_purposes=(),
    key_purpose_names=(),
    spi=SpiRegisters(
        base=0x3FF4_2000,
        cmd=0x00,
        addr=0x04,
        usr=0x1C,
        usr1=0x20,
        usr2=0x24,
        mosi_dlen=0x28,
        miso_dlen=0x2C,
        w0=0x80,
        addr_is_msb_aligned=True,
    ),
    # esptool 5.6.0 sends them to this ROM, and to no later one, in SPI_ATTACH.
    flash_pads=(
        BitField(_block0(3, 4, 5)),
        BitField(_block0(5, 15, 5)),
        BitField(_block0(5, 10, 5)),
        BitField(_block0(5, 5, 5)),
        BitField(_block0(5, 0, 5)),
    ),
    flash_pin_choices=FlashPinChoices(
        gpios=(*range(30), 32, 33),
        last_hold_gpio=33,
        usb_gpios=(),
        has_hspi=True,
    ),
    octal_flash=None,
    flash_supply=FlashSupply(
        software=SupplyControl(
            decides=Bits(_SDIO_CONF, 22, 1),
            enabled=Bits(_SDIO_CONF, 31, 1),
            tied_high=Bits(_SDIO_CONF, 23, 1),
            raised=Bits(_SDIO_CONF, 29, 2),
        ),
        software_reference=Bits(_SDIO_CONF, 25, 6),
        efuse=SupplyControl(
            decides=_block0(4, 16, 1),
            enabled=_block0(4, 14, 1),
            tied_high=_block0(4, 15, 1),
            raised=None,
        ),
        strap=Bits(_GPIO_STRAP, 5, 1),
    ),
    uart_clock_divider=Bits(_UART + 0x14, 0, 20),
    uart_date_register=_UART + 0x78,
    crystal=Crystal(choices_mhz=(26, 40, 48), bounds_mhz=(33, 45), uart_clock_ratio=1),
    assumed_crystal=AssumedCrystal(
        # How many periods of the crystal go into some of the RC oscillator, and the
        # frequency of that.
        factors=(BitField(Bits(_RTC_CALIBRATION, 7, 25)), BitField(_block0(4, 0, 8))),
        numerator=15625,
        denominator=40,
    ),
    memory=(
        Region("drom", 0x3F40_0000, 0x3F80_0000),
        Region("extram", 0x3F80_0000, 0x3FC0_0000),
        Region("rtc_dram", 0x3FF8_0000, 0x3FF8_2000),
        Region("dram", 0x3FFA_E000, 0x4000_0000),
        Region("irom_mask", 0x4000_0000, 0x4007_0000),
        Region("cache_pro", 0x4007_0000, 0x4007_8000),
        Region("cache_app", 0x4007_8000, 0x4008_0000),
        Region("iram", 0x4008_0000, 0x400A_0000),
        Region("diram", 0x400A_0000, 0x400C_0000),
        Region("rtc_iram", 0x400C_0000, 0x400C_2000),
        Region("irom", 0x400D_0000, 0x4040_0000),
        Region("rtc_data", 0x5000_0000, 0x5000_2000),
    ),
    bootloader_offset=0x1000,
    flash_sizes=FLASH_SIZES,
    flash_frequencies=(("40m", 0x0), ("26m", 0x1), ("20m", 0x2), ("80m", 0xF)),
    flash_modes=FLASH_MODES,
    encrypted_write_alignment=32,
    supports_4_byte_addresses=False,
    mmu_page_sizes=(64 * KIB,),
    uf2_family=0x1C5F_21B0,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 4, 1),
    boot_strap_gpio=0,
    has_usb_serial_jtag=False,
    usb_otg_pid=None,
    rtc_watchdog=None,
    super_watchdog=None,
    watchdog_resets=False,
    force_download=None,
    stub_files=(Label("esp32"),),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset({Quirk.SHORT_LAST_PAGE_IS_NOT_MAPPED, Quirk.STUB_RESTARTS_UART}),
)
