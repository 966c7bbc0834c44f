"""ESP32-E22, of which little is known: enough to recognise it, not to write to it.

What is absent here is what esptool 5.6.0 marks as to be done, or has for this chip only
because its class inherits it from that of the ESP32.

Sources:

* Image chip id, MAC address, UART, straps: the numbers that esptool 5.6.0 has for this chip
  itself.
* Description, features and crystals: what esptool 5.6.0 prints, whatever the eFuses hold.
* USB product id: the image chip id, as on the other chips with USB-OTG; esptool 5.6.0 expects
  it.
* ROM loader: it has not been published.
"""

from __future__ import annotations

from typing import Final

from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.chip import UNKNOWN, Chip
from esploader.chips.model.crystals import Crystal
from esploader.chips.model.labels import Label
from esploader.protocol import dialect

_EFUSE: Final = 0xC400_8000
_UART: Final = 0xC310_2000
_GPIO_STRAP: Final = 0xC310_D000


def _block1(word: int, lsb: int, width: int) -> Bits:
    return Bits(_EFUSE + 0x44 + 4 * word, lsb, width)


ESP32_E22: Final = Chip(
    name="ESP32-E22",
    architecture=UNKNOWN,
    image_chip_id=31,
    magic=None,
    security_info_size=20,
    # Its ROM has not been published: no more than the hardware holds is assumed of it.
    rom=dialect.ANY_ROM,
    rom_inflates_safely=UNKNOWN,
    rom_boots_on=UNKNOWN,
    mac=BitField(_block1(1, 0, 16), _block1(0, 0, 32)),
    mac_extension=None,
    mac_oui_code=None,
    mac_ouis=(),
    unique_id=None,
    # Where the revision is has not been said.
    major_revision=None,
    major_revision_codes=(),
    minor_revision=None,
    fields=(),
    descriptions=(Label("ESP32-E22"),),
    features=(
        (Label("Wi-Fi 6E (tri-band, 2x2 MU-MIMO)"),),
        (Label("BT 5.4 (LE) + Classic"),),
        (Label("Dual Core"),),
        (Label("500MHz"),),
    ),
    efuse_blocks=UNKNOWN,
    efuse_write_protection=UNKNOWN,
    efuse_read_protection=UNKNOWN,
    flash_crypt_count=UNKNOWN,
    secure_boot_v1=UNKNOWN,
    secure_boot_v2=UNKNOWN,
    secure_download=UNKNOWN,
    security_flags=UNKNOWN,
    manual_encrypt_disabled=UNKNOWN,
    flash_crypt_config=UNKNOWN,
    flash_crypt_config_hidden=UNKNOWN,
    fixed_flash_key=UNKNOWN,
    flash_key_in_manager=UNKNOWN,
    flash_key_purposes=UNKNOWN,
    key_purposes=UNKNOWN,
    key_purpose_names=UNKNOWN,
    spi=UNKNOWN,
    flash_pads=(),
    flash_pin_choices=UNKNOWN,
    octal_flash=UNKNOWN,
    flash_supply=UNKNOWN,
    uart_clock_divider=Bits(_UART + 0x14, 0, 12),
    uart_date_register=_UART + 0x8C,
    crystal=Crystal(choices_mhz=(26, 40, 48), bounds_mhz=(33, 45), uart_clock_ratio=1),
    assumed_crystal=None,
    memory=UNKNOWN,
    bootloader_offset=UNKNOWN,
    flash_sizes=UNKNOWN,
    flash_frequencies=UNKNOWN,
    flash_modes=UNKNOWN,
    encrypted_write_alignment=UNKNOWN,
    supports_4_byte_addresses=UNKNOWN,
    mmu_page_sizes=UNKNOWN,
    uf2_family=UNKNOWN,
    strapping=Bits(_GPIO_STRAP, 0, 16),
    boot_strap=Bits(_GPIO_STRAP, 3, 1),
    boot_strap_gpio=UNKNOWN,
    has_usb_serial_jtag=False,
    usb_otg_pid=0x001F,
    rtc_watchdog=UNKNOWN,
    super_watchdog=UNKNOWN,
    watchdog_resets=False,
    force_download=UNKNOWN,
    stub_files=(),
    stub_hook=None,
    flash_power=None,
    quirks=frozenset(),
)
