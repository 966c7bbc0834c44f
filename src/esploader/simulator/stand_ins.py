"""What a simulated device has where nobody knows what the chip has.

Enough to recognise it by: no eFuses that mean anything, no RAM, and flash behind registers
that no client could guess.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from esploader.chips.model.bits import Bits
from esploader.chips.model.chip import UNKNOWN, Architecture, Chip
from esploader.chips.model.flash_bus import SpiRegisters

if TYPE_CHECKING:
    from collections.abc import Mapping

_STAND_INS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "architecture": Architecture.RISCV,
        # The personality says what its ROM does.
        "rom_inflates_safely": UNKNOWN,
        "rom_boots_on": UNKNOWN,
        "efuse_blocks": (),
        "efuse_write_protection": None,
        "efuse_read_protection": None,
        "flash_crypt_count": None,
        "secure_boot_v1": None,
        "secure_boot_v2": None,
        "secure_download": None,
        "security_flags": (),
        "manual_encrypt_disabled": None,
        "flash_crypt_config": None,
        "flash_crypt_config_hidden": None,
        "fixed_flash_key": None,
        "flash_key_in_manager": None,
        "flash_key_purposes": (),
        "key_purposes": (),
        "key_purpose_names": (),
        "spi": SpiRegisters(
            base=0xFFFF_F000,
            cmd=0x00,
            addr=0x04,
            usr=0x18,
            usr1=0x1C,
            usr2=0x20,
            mosi_dlen=0x24,
            miso_dlen=0x28,
            w0=0x58,
            addr_is_msb_aligned=False,
        ),
        "flash_pin_choices": None,
        "octal_flash": None,
        "flash_supply": None,
        "memory": (),
        "bootloader_offset": 0,
        "flash_sizes": (),
        "flash_frequencies": (),
        "flash_modes": (),
        "encrypted_write_alignment": None,
        "supports_4_byte_addresses": False,
        "mmu_page_sizes": (),
        "uf2_family": 0,
        "boot_strap": Bits(0, 0, 1),
        "boot_strap_gpio": 0,
        "rtc_watchdog": None,
        "super_watchdog": None,
        "force_download": None,
    }
)


def with_stand_ins(chip: Chip) -> Chip:
    """Return a chip that lacks no fact of use here: ``chip`` itself, where it lacks none."""
    names = [field.name for field in attrs.fields(Chip)]
    if all(chip.knows(name) or _STAND_INS[name] is UNKNOWN for name in names):
        return chip
    facts: dict[str, Any] = {
        name: getattr(chip, name) if chip.knows(name) else _STAND_INS[name] for name in names
    }
    return Chip(**facts)
