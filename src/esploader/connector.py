"""From a port to a device: reset, SYNC, identification."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from esploader.chips.identity import identify, identity_addresses
from esploader.chips.registry import chip_by_image_id, chip_by_magic, chip_by_name
from esploader.chips.security import SecurityInfo
from esploader.device import Device
from esploader.errors import (
    ConnectError,
    NoisyLineError,
    NoResponseError,
    NoSyncError,
    SilentDeviceError,
    UnknownChipError,
    WrongBootModeError,
    WrongChipError,
)
from esploader.protocol import dialect
from esploader.protocol.commands import Command, GetSecurityInfo, ReadReg
from esploader.session import REMOTE_ALLOWANCE, Session
from esploader.transport import reset
from esploader.transport.base import DEFAULT_BAUDRATE, Transport
from esploader.urls import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import serial

    from esploader.chips.model import Chip

Before: TypeAlias = Literal["default-reset", "usb-reset", "no-reset", "no-reset-no-sync"]
"""What is done to the device before the first command:

* ``default-reset``: reset into download mode by the lines, as suits the port;
* ``usb-reset``: the same by the sequence for the chip's own USB port;
* ``no-reset``: the device is in download mode already;
* ``no-reset-no-sync``: and its loader knows the baud rate already.
"""

DEFAULT_ATTEMPTS: Final = 7

MAGIC_ADDRESS: Final = 0x4000_1000
"""A word of ROM that differs between the older chips."""

_USB_VID: Final = 0x303A
_USB_SERIAL_JTAG_PID: Final = 0x1001

# The ROM is up some 10 ms after EN rises and prints for some 30 ms; five intervals leave
# room for a slow capacitor.
_SYNC_TIMEOUT: Final = 0.6

_BOOT_MODE: Final = re.compile(rb"boot:0x([0-9a-fA-F]{1,8})")
_DOWNLOAD_MODE: Final = re.compile(rb"waiting for download|boot:0x[0-9a-fA-F]+ \(DOWNLOAD")
_READABLE: Final = frozenset(b"\r\n\t\x1b" + bytes(range(0x20, 0x7F)))
_READABLE_SHARE: Final = 0.9


def connect(
    port: str | Transport | serial.SerialBase,
    *,
    chip: str | None = None,
    baudrate: int = DEFAULT_BAUDRATE,
    before: Before = "default-reset",
    attempts: int = DEFAULT_ATTEMPTS,
    reset_sequence: reset.ResetSequence | None = None,
    on_attempt: Callable[[int], None] | None = None,
) -> Device:
    """Open ``port``, reach the loader of the device behind it, and identify the device.

    ``port`` is a name (``/dev/ttyUSB0``, ``COM3``), a URL (``rfc2217://host:port``,
    ``socket://host:port``, ``sim://esp32c3``), a transport, or a port of pyserial that
    is open already. It is released when connecting fails, and by ``Device.close``.

    ``chip`` is a name such as ``esp32c3`` when only that chip will do. ``baudrate`` is
    the rate in baud for everything after identification. ``attempts`` is how often to
    try, 0 for without end. ``reset_sequence`` replaces the usual ways into download
    mode. ``on_attempt`` is called with the number of each attempt, from 1.

    Raises:
        UrlError: the port's name makes no sense.
        TransportError: the port cannot be opened, or failed.
        ConnectError: no loader answered; the subclass says why.
        WrongChipError: another chip than ``chip`` answered.
        UnknownChipError: a chip answered that is not known.
        CapabilityError: the port cannot do what was asked.
    """
    expected = None if chip is None else chip_by_name(chip)
    start_baudrate = min(baudrate, DEFAULT_BAUDRATE)
    if before == "no-reset-no-sync":
        start_baudrate = baudrate
    transport = open_transport(port, baudrate=start_baudrate)
    try:
        if baudrate != DEFAULT_BAUDRATE:
            transport.require_baudrate()
        session = Session.start(transport, dialect.ANY_ROM)
        if before != "no-reset-no-sync":
            is_stub = _reach_loader(session, before, attempts, reset_sequence, on_attempt)
            if is_stub:
                session.dialect = dialect.STUB
        device = _identify(session, expected)
        if baudrate != transport.baudrate:
            device.change_baudrate(baudrate)
    except BaseException:
        transport.close()
        raise
    return device


def _reach_loader(
    session: Session,
    before: Before,
    attempts: int,
    custom: reset.ResetSequence | None,
    on_attempt: Callable[[int], None] | None,
) -> bool:
    """Repeat reset and SYNC until a loader answers; return whether it is a stub."""
    transport = session.transport
    timeout = _SYNC_TIMEOUT + (REMOTE_ALLOWANCE if transport.capabilities.remote else 0)
    sequences = _sequences(transport, before, custom)
    for attempt in itertools.count(1):
        if on_attempt is not None:
            on_attempt(attempt)
        transport.discard_input()
        reset.play(next(sequences), transport)
        try:
            return session.sync(timeout) == 0
        except NoResponseError:
            if attempt == attempts:
                raise diagnose(transport.name, attempts, session.noise) from None
    raise AssertionError  # count() does not end.


def _sequences(
    transport: Transport, before: Before, custom: reset.ResetSequence | None
) -> Iterator[reset.ResetSequence]:
    """Return the ways into download mode, in the order to try them, without end."""
    capabilities = transport.capabilities
    is_usb = (capabilities.usb_vid, capabilities.usb_pid) == (_USB_VID, _USB_SERIAL_JTAG_PID)
    if before == "no-reset" or not capabilities.set_lines:
        return itertools.repeat(())
    if custom is not None:
        return itertools.repeat(custom)
    if before == "usb-reset" or is_usb:
        return itertools.repeat(reset.USB_SERIAL_JTAG)
    delays = (reset.STRAP_DELAY, reset.LONG_STRAP_DELAY)
    ways = [reset.classic(delay) for delay in delays]
    if capabilities.set_lines_at_once:
        ways = [reset.tight(delay) for delay in delays] + ways
    return itertools.cycle(ways)


def diagnose(port: str, attempts: int, received: bytes) -> ConnectError:
    """Return why no loader answered, judged by what was received instead."""
    if not received:
        return SilentDeviceError(port, attempts, received)
    boot_modes = _BOOT_MODE.findall(received)
    downloads = [match.start() for match in _DOWNLOAD_MODE.finditer(received)]
    if downloads and received.rfind(b"boot:0x") <= downloads[-1]:
        return NoSyncError(port, attempts, received)
    if boot_modes:
        return WrongBootModeError(port, attempts, received, int(boot_modes[-1], 16))
    if sum(byte in _READABLE for byte in received) >= _READABLE_SHARE * len(received):
        return WrongBootModeError(port, attempts, received, None)
    return NoisyLineError(port, attempts, received)


@attrs.frozen
class _Answers:
    """What a loader says about its chip, before anything is known of it."""

    magic: int | None
    security_info: SecurityInfo | None


def _identify(session: Session, expected: Chip | None) -> Device:
    """Find out which chip answers, and read its identity."""
    answers = _ask_for_chip(session)
    found = _recognise(answers)
    if expected is not None and found is not expected:
        raise WrongChipError(expected.name, found.name)
    is_stub = session.dialect is dialect.STUB
    if not is_stub:
        session.dialect = found.rom
    security_info = answers.security_info
    if security_info is not None and security_info.secure_download_mode:
        return Device(session, found, None, security_info)
    words = session.read_words(identity_addresses(found))
    identity = identify(found, words, session.transport.baudrate)
    return Device(session, found, identity, security_info)


def _ask_for_chip(session: Session) -> _Answers:
    """Ask for the magic word and the security info, in one burst where that is possible."""
    # The register first: the refusal of a ROM that does not know GET_SECURITY_INFO comes
    # under the opcode of the command before it, and after SYNC it would come eight times.
    commands: list[Command[object]] = [ReadReg(MAGIC_ADDRESS), GetSecurityInfo()]
    magic, info = session.attempt_all(commands)
    return _Answers(
        magic if isinstance(magic, int) else None,
        SecurityInfo.decode(info) if isinstance(info, bytes) else None,
    )


def _recognise(answers: _Answers) -> Chip:
    chip_id = None if answers.security_info is None else answers.security_info.chip_id
    chip = None
    if chip_id is not None:
        chip = chip_by_image_id(chip_id)
    elif answers.magic is not None:
        chip = chip_by_magic(answers.magic)
    if chip is None:
        raise UnknownChipError(chip_id, answers.magic)
    return chip
