"""What a device demands of the content of its flash, from its registers or from its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model.bits import value_or_zero
from esploader.chips.model.revision import Revision
from esploader.classes import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.security import SecurityInfo


_SECURE_BOOT_V2_SINCE: Final = Revision(3, 0)
"""Of a chip that has Secure Boot V1, too: earlier revisions do not know V2."""


@frozen(kw_only=True)
class SecurityState:
    """What a device demands of the content of its flash."""

    secure_boot_v1: bool
    """The ROM boots only the bootloader whose digest was burnt in with the device's key."""

    secure_boot_v2: bool
    """The ROM boots only a signed bootloader."""

    flash_encryption: bool
    """What is in the flash is decrypted as it is read."""

    key_manager: bool
    """The key of flash encryption comes from the key manager, as far as is known."""

    encrypts_downloads: bool | None
    """The loader can encrypt what it writes; ``None`` where that cannot be told."""

    @property
    def secure_boot(self) -> bool:
        """The ROM does not boot just any bootloader."""
        return self.secure_boot_v1 or self.secure_boot_v2


def security_state_addresses(chip: Chip) -> tuple[int, ...]:
    """Return the registers that :func:`security_state` needs, each once; maybe none."""
    fields = (
        chip.secure_boot_v1,
        chip.secure_boot_v2,
        chip.flash_crypt_count,
        chip.flash_key_in_manager,
        chip.manual_encrypt_disabled,
    )
    return tuple(sorted({word for bits in fields if bits is not None for word in bits.addresses}))


def security_state(
    chip: Chip, words: Mapping[int, int], revision: Revision | None
) -> SecurityState:
    """Return what ``words`` say about the device of that revision they were read from.

    ``words`` holds at least the registers of :func:`security_state_addresses`.
    """
    knows_v2 = chip.secure_boot_v1 is None or (
        revision is not None and revision >= _SECURE_BOOT_V2_SINCE
    )
    return SecurityState(
        secure_boot_v1=value_or_zero(chip.secure_boot_v1, words) != 0,
        secure_boot_v2=knows_v2 and value_or_zero(chip.secure_boot_v2, words) != 0,
        flash_encryption=value_or_zero(chip.flash_crypt_count, words).bit_count() % 2 == 1,
        key_manager=value_or_zero(chip.flash_key_in_manager, words) != 0,
        encrypts_downloads=chip.manual_encrypt_disabled is not None
        and chip.manual_encrypt_disabled.extract(words) == 0,
    )


def security_state_from_info(info: SecurityInfo) -> SecurityState:
    """Return what GET_SECURITY_INFO tells where no register can be read.

    Whether the loader can encrypt is not part of that, and neither is the key manager. The
    chips that know the command have no Secure Boot V1.
    """
    return SecurityState(
        secure_boot_v1=False,
        secure_boot_v2=info.secure_boot,
        flash_encryption=info.flash_encryption,
        key_manager=False,
        encrypts_downloads=None,
    )
