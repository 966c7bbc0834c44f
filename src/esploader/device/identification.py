"""Finding out which chip a loader belongs to, and which device of its kind it is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.reading.flash_power import power_addresses, power_settings
from esploader.chips.reading.identity import identify, identity_addresses
from esploader.chips.reading.security import SIZE_WITHOUT_CHIP_ID, SecurityInfo
from esploader.chips.registry import chip_by_image_id, chip_by_magic
from esploader.device.context import DeviceContext
from esploader.device.device import Device
from esploader.errors import UnknownChipError, WrongChipError
from esploader.loader.link import Link
from esploader.protocol import dialect
from esploader.protocol.commands import Command, GetSecurityInfo, ReadReg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esploader.chips.model.chip import Chip
    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

MAGIC_ADDRESS: Final = 0x4000_1000
"""A word of ROM that differs between the older chips."""

_ATTEMPTS: Final = 3


@attrs.frozen
class _Answers:
    """What a loader says about its chip, before anything is known of it."""

    magic: int | None
    security_info: SecurityInfo | None


def identify_device(session: Session, expected: Chip | None, chips: Sequence[Chip]) -> Device:
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
    link = Link(session, found)
    if session.dialect is not dialect.STUB:
        session.dialect = link.rom_dialect
    if security_info is not None and security_info.secure_download_mode:
        link.reads_registers = False
        link.expected_security_info = security_info
    if session.dialect is not dialect.STUB:
        session.dialect = link.rom_dialect
    if not link.reads_registers:
        return Device(DeviceContext(link, None, security_info))
    # In front of the next command, as far as it can be known by now: a watchdog may be near.
    link.set_up_registers()
    words = session.read_words((*identity_addresses(found), *power_addresses(found)))
    link.fingerprint = {address: words[address] for address in found.mac.addresses}
    identity = identify(found, words, session.transport.baudrate)
    link.revision = identity.revision
    if security_info is not None and security_info.secure_boot:
        link.stub_hook = found.stub_hook
    link.flash_power = power_settings(found, identity.revision, words)
    if link.flash_power:
        link.set_up_registers()
    return Device(DeviceContext(link, identity, security_info))


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
    magic, info = session.attempt_confirmed(commands)
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
