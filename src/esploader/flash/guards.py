"""What secure boot and flash encryption forbid: checks before anything is erased.

Pure functions. The layer above reads the registers that :func:`security_state_addresses`
lists, all in one burst, and hands their words to :func:`security_state`.

Sources: ESP-IDF, "Secure Boot", "Secure Boot V2" and "Flash Encryption" for each chip, and
``components/efuse/*/esp_efuse_table.csv``; what the loader needs to encrypt: the chapters
on flash encryption of the technical reference manuals. From which offset on the ESP32 lets its
bootloader alone, and what is refused in which state, was read off what esptool 5.6.0 does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.chips.model.bits import WORD_SIZE, value_or_zero
from esploader.errors import PlanError, UnsupportedError
from esploader.loader.stub_folders import remedy
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.efuse_layout import EfuseBlock
    from esploader.chips.reading.security import SecurityInfo
    from esploader.chips.reading.security_state import SecurityState
    from esploader.flash.plan import Piece
    from esploader.protocol.dialect import Dialect

SECURE_BOOT_V1_END: Final = 0x8000
"""In front of this offset are the bootloader and its digest, which Secure Boot V1 checks."""

KEY_MANAGER_END: Final = 0x2000
"""In front of this offset is what the key manager recovers its keys from."""


def check_write(pieces: Iterable[Piece], state: SecurityState) -> None:
    """Refuse to write ``pieces``, as they are, where the device could not boot after that.

    Raises:
        PlanError: a piece reaches into a bootloader under Secure Boot V1, or into what the
            key manager needs; or it is plain where flash is encrypted and the loader does not
            encrypt, or does not tell.
    """
    pieces = list(pieces)
    is_plain = any(not piece.encrypted for piece in pieces)
    if is_plain and state.flash_encryption and not state.encrypts_downloads:
        loader = (
            "in Secure Download Mode nobody can tell whether the loader may encrypt"
            if state.encrypts_downloads is None
            else "the loader may not encrypt"
        )
        raise PlanError(
            f"flash encryption is on and {loader}: the device would decrypt, "
            "and so destroy, whatever is not encrypted already"
        )
    for piece in pieces:
        if state.flash_encryption and state.key_manager and piece.offset < KEY_MANAGER_END:
            raise PlanError(
                "the key manager has the key of flash encryption: writing at "
                f"{piece.offset:#x} would touch what is in front of {KEY_MANAGER_END:#x}, from "
                "which it recovers that key"
            )
        if state.secure_boot_v1 and piece.offset < SECURE_BOOT_V1_END:
            raise PlanError(
                f"Secure Boot V1 is on: writing at {piece.offset:#x} would touch what is in front "
                f"of {SECURE_BOOT_V1_END:#x}, the only bootloader that the device accepts"
            )


def encryption_addresses(chip: Chip) -> tuple[int, ...]:
    """Return the registers that :func:`check_encryption` needs, each once; maybe none."""
    fields = (
        chip.manual_encrypt_disabled,
        chip.flash_key_in_manager,
        chip.flash_crypt_config,
        chip.flash_crypt_config_hidden,
        *chip.key_purposes,
    )
    words = {word for bits in fields if bits is not None for word in bits.addresses}
    if chip.fixed_flash_key is not None:
        words |= {*chip.fixed_flash_key.read_protected.addresses}
        words |= {*_block_addresses(chip.fixed_flash_key.block)}
    return tuple(sorted(words))


def check_encryption(
    chip: Chip, words: Mapping[int, int], *, ignore_configuration: bool = False
) -> None:
    """Refuse to let the loader encrypt what the device could not decrypt.

    ``words`` holds at least the registers of :func:`encryption_addresses`.
    ``ignore_configuration`` leaves it at the question whether the loader encrypts at all.

    Raises:
        PlanError: the loader is kept from encrypting, the configuration of the encryption
            is not the one that it uses, or there is no key.
    """
    if value_or_zero(chip.manual_encrypt_disabled, words):
        raise PlanError(f"an eFuse of this {chip.name} keeps its loader from encrypting")
    if ignore_configuration:
        return
    if chip.flash_crypt_config is not None and not value_or_zero(
        chip.flash_crypt_config_hidden, words
    ):
        config = chip.flash_crypt_config.extract(words)
        expected = (1 << chip.flash_crypt_config.width) - 1
        if config != expected:
            raise PlanError(
                f"FLASH_CRYPT_CONFIG is {config:#x}, and has to be {expected:#x}: the device "
                "could not decrypt what the loader encrypts"
            )
    _require_flash_key(is_there=_has_flash_key(chip, words))


def check_encryption_from_info(chip: Chip, info: SecurityInfo) -> None:
    """Refuse to let the loader encrypt without a key, as far as GET_SECURITY_INFO tells of keys.

    That is, unless the key has a place of its own, or may come from the key manager.

    Raises:
        PlanError: no key block is for flash encryption.
    """
    purposes = set(info.key_purposes[: len(chip.key_purposes)])
    if chip.flash_key_purposes and chip.flash_key_in_manager is None:
        _require_flash_key(is_there=_is_flash_key(chip, purposes))


def check_encrypted_pieces(pieces: Iterable[Piece], chip: Chip) -> None:
    """Refuse to have those of ``pieces`` encrypted that the chip cannot encrypt.

    Raises:
        PlanError: an offset is not at the beginning of a unit of encryption.
        UnsupportedError: the chip has no flash encryption.
    """
    unit = chip.encrypted_write_alignment
    for piece in pieces:
        if not piece.encrypted:
            continue
        if unit is None:
            raise UnsupportedError("encrypting", f"{chip.name} has no flash encryption")
        if piece.offset % unit:
            raise PlanError(
                f"what is to be encrypted at {piece.offset:#x} has to begin at a multiple of "
                f"{unit} bytes"
            )


def check_loader_encrypts(loader: Dialect) -> None:
    """Refuse to have a loader encrypt that does not know how.

    Raises:
        UnsupportedError: a ROM loader does not; a stub does.
    """
    if not loader.begin_has_encrypt_word:
        raise UnsupportedError(
            "encrypting", f"the {loader.name} loader cannot; a stub can{remedy()}"
        )


def check_loader_erases_everything(loader: Dialect) -> None:
    """Refuse to have a loader erase the whole flash that has no command for it.

    Raises:
        UnsupportedError: a ROM loader has none; a stub has, if there may be one.
    """
    if Opcode.MEM_BEGIN not in loader.opcodes:
        raise UnsupportedError(
            "erasing the whole flash", "the device is in Secure Download Mode, which has no stub"
        )
    if Opcode.ERASE_FLASH not in loader.opcodes:
        raise UnsupportedError(
            "erasing the whole flash", f"the {loader.name} loader cannot; a stub can{remedy()}"
        )


def check_erase(state: SecurityState) -> None:
    """Refuse to erase flash whose content the device insists on.

    Raises:
        PlanError: secure boot or flash encryption is on.
    """
    reasons = {"secure boot": state.secure_boot, "flash encryption": state.flash_encryption}
    active = [name for name, is_on in reasons.items() if is_on]
    if active:
        verb = "is" if len(active) == 1 else "are"
        raise PlanError(
            f"{' and '.join(active)} {verb} on: with its flash erased, the device may never "
            "boot again"
        )


def _has_flash_key(chip: Chip, words: Mapping[int, int]) -> bool:
    fixed = chip.fixed_flash_key
    if fixed is not None:
        return fixed.read_protected.extract(words) != 0 or any(
            words[address] for address in _block_addresses(fixed.block)
        )
    if value_or_zero(chip.flash_key_in_manager, words):
        return True
    return _is_flash_key(chip, {bits.extract(words) for bits in chip.key_purposes})


def _is_flash_key(chip: Chip, purposes: set[int]) -> bool:
    return any(needed <= purposes for needed in chip.flash_key_purposes)


def _require_flash_key(*, is_there: bool) -> None:
    if not is_there:
        raise PlanError("no flash encryption key has been burnt: there is nothing to encrypt with")


def _block_addresses(block: EfuseBlock) -> range:
    return range(block.address, block.address + WORD_SIZE * block.word_count, WORD_SIZE)
