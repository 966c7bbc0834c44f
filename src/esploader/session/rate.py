"""Changing the baud rate together with the loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import define
from esploader.errors import BaudrateError, NoResponseError, ProtocolError
from esploader.protocol.commands import ChangeBaudrate, Sync
from esploader.session.ahead import Burst
from esploader.transport.gated import SetBaudrate
from esploader.transport.steps import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.session.session import Session

# Espressif's stub waits 5 ms before the change and 5 ms after it.
_RATE_CHANGE_TIME: Final = 0.05


@define
class RateChange:
    """A change to which the loader has agreed; :meth:`confirm` has to follow."""

    _session: Session
    _baudrate: int
    _confirmation: Iterator[object] | None = None
    """What was sent ahead to find out."""
    _refusal: BaudrateError | None = None
    """What a port behind a server has said before the loader's answer was heard."""

    def confirm(self) -> None:
        """Follow the loader to its new baud rate, and make sure that it is there.

        Raises:
            NoResponseError: the loader cannot be heard at this rate.
            BaudrateError: the port cannot do it.
            TransportError: the port failed.
            CapabilityError: the port has no baud rate.
        """
        if self._refusal is not None:
            raise self._refusal
        session = self._session
        if self._confirmation is not None:
            try:
                next(self._confirmation)
            except (NoResponseError, ProtocolError):
                # A single SYNC is soon lost, and a repetition decides.
                session.resynchronise()
            return
        session.transport.set_baudrate(self._baudrate)
        session.transport.clock.sleep(_RATE_CHANGE_TIME)
        session.wire.keep_noise(session.transport.discard_input())
        session.resynchronise()


def change_baudrate(session: Session, command: ChangeBaudrate, baudrate: int) -> RateChange:
    """Have the loader change its baud rate.

    ``baudrate`` is the rate that comes of it, which the port follows.

    Raises:
        CommandError: it did not agree.
        TransportError: the port failed.
    """
    gated = session.wire.gated
    if gated is None:
        session.execute(command)
        return RateChange(session, baudrate)
    confirmation = Burst(
        commands=[Sync()], items_before=[SetBaudrate(baudrate), Wait(_RATE_CHANGE_TIME)]
    )
    bursts = iter([Burst(commands=[command]), confirmation])
    outcomes = session.after_deferred(gated, bursts)
    try:
        next(outcomes)
    except BaudrateError as exc:
        return RateChange(session, baudrate, refusal=exc)
    return RateChange(session, baudrate, outcomes)
