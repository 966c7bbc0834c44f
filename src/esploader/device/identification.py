"""Finding out which chip a loader belongs to, and which device of its kind it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.reading.flash_power import power_addresses, power_settings
from esploader.chips.reading.identity import identify as identity_of
from esploader.chips.reading.identity import identity_addresses
from esploader.chips.reading.security import SIZE_WITHOUT_CHIP_ID, SecurityInfo
from esploader.chips.registry import chip_by_image_id, chip_by_magic
from esploader.classes import frozen
from esploader.errors import UnknownChipError, WrongChipError
from esploader.loader.set_up import rom_dialect_of, set_up_registers
from esploader.protocol import dialect
from esploader.protocol.commands import Command, GetSecurityInfo, ReadReg
from esploader.session.confirming import attempt_confirmed, read_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_power import Setting
    from esploader.chips.reading.identity import Identity
    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

MAGIC_ADDRESS: Final = 0x4000_1000
"""A word of ROM that differs between the older chips."""

_ATTEMPTS: Final = 3


@frozen
class _Answers:
    """What a loader says about its chip, before anything is known of it."""

    magic: int | None
    security_info: SecurityInfo | None


@frozen(kw_only=True)
class Identified:
    """Which chip answers, and which device of its kind it is."""

    chip: Chip
    identity: Identity | None
    """``None`` in Secure Download Mode."""
    security_info: SecurityInfo | None
    fingerprint: Mapping[int, int] = attrs.field(factory=dict)
    """Words of registers that tell this device from others of its kind."""
    flash_power: tuple[Setting, ...] = ()
    """What turns on the supply of its flash."""

    @property
    def stub_hook(self) -> int | None:
        """What its ROM has to be hooked by for a stub to start."""
        info = self.security_info
        return self.chip.stub_hook if info is not None and info.secure_boot else None


def identify(session: Session, expected: Chip | None, chips: Sequence[Chip]) -> Identified:
    """Find out which of ``chips`` answers, and read its identity.

    Raises:
        WrongChipError: it is not the ``expected`` one.
        UnknownChipError: no such chip is known.
        EsploaderError: as :meth:`Session.execute`.
    """
    answers = _ask_for_chip(session)
    found = _recognise(answers, chips)
    if expected is not None and found is not expected:
        raise WrongChipError(expected.name, found.name)
    security_info = answers.security_info
    is_restricted = security_info is not None and security_info.secure_download_mode
    if session.dialect is not dialect.STUB:
        session.dialect = rom_dialect_of(session, found, is_restricted=is_restricted)
    if is_restricted:
        return Identified(chip=found, identity=None, security_info=security_info)
    # In front of the next command, as far as it can be known by now: a watchdog may be near.
    set_up_registers(session, found, ())
    words = read_words(session, (*identity_addresses(found), *power_addresses(found)))
    identity = identity_of(found, words, session.transport.baudrate)
    flash_power = power_settings(found, identity.revision, words)
    if flash_power:
        set_up_registers(session, found, flash_power)
    return Identified(
        chip=found,
        identity=identity,
        security_info=security_info,
        fingerprint={address: words[address] for address in found.mac.addresses},
        flash_power=flash_power,
    )


def _ask_for_chip(session: Session) -> _Answers:
    """Ask for the magic word and the security info, in one burst where that is possible.

    For each twice: nothing protects them on the line, and one bit makes a refusal of a request
    and another chip, or another state of security, of an answer.

    Raises:
        ProtocolError: the answers differ every time.
        EsploaderError: as :meth:`Session.attempt_all`.
    """
    # The register first: the refusal of a ROM that does not know GET_SECURITY_INFO comes
    # under the opcode of the command before it, and after SYNC it would come eight times.
    commands: list[Command[object]] = [ReadReg(MAGIC_ADDRESS), GetSecurityInfo()]
    magic, info = attempt_confirmed(session, commands)
    return _Answers(
        magic if isinstance(magic, int) else None,
        SecurityInfo.decode(info) if isinstance(info, bytes) else None,
    )


def _recognise(answers: _Answers, chips: Sequence[Chip]) -> Chip:
    chip_id = None if answers.security_info is None else answers.security_info.chip_id
    chip = None
    if chip_id is not None:
        chip = chip_by_image_id(chip_id, chips)
    elif answers.magic is not None:
        chip = chip_by_magic(answers.magic, chips)
    elif answers.security_info is not None:
        # Only Secure Download Mode refuses to read a word of ROM.
        chip = next((chip for chip in chips if _has_nameless_security_info(chip)), None)
    if chip is None:
        raise UnknownChipError(chip_id, answers.magic)
    return chip


def _has_nameless_security_info(chip: Chip) -> bool:
    return chip.security_info_size == SIZE_WITHOUT_CHIP_ID
