"""Whether a board is in a place of a needle bed: by its port, or by its answers.

A port that comes and goes does so with its board. One that stays, as that of an adapter which is
part of the bed, says nothing: there a board is in place as long as it answers. That takes a reset
of the board each time, so a port that was once seen to vanish is only looked for from then on.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import (
    EsploaderError,
    HostUnreachableError,
    PortNotFoundError,
    SilentDeviceError,
    TransportError,
)
from esploader.fleet.connecting import connect_job, fitting_ports, open_job
from esploader.fleet.events import Waiting
from esploader.fleet.watch import REAL_CLOCK, InterruptedWorkError, Watch, WatchedClock
from esploader.loader.resetting import After
from esploader.server.discovery import UsbIdentity
from esploader.transport.ports import find_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.fleet.events import FleetEvent
    from esploader.fleet.job import Job
    from esploader.transport.clock import Clock

PORT_INTERVAL: Final = 0.25
"""Between two looks for a port, in seconds."""

ANSWER_INTERVAL: Final = 1.0
"""Between two attempts to have a board answer, in seconds."""

GONE_AFTER: Final = 2
"""So many silences in a row mean that no board is there any more: one may be an accident."""

_AWAY: Final = (PortNotFoundError, HostUnreachableError)


@define(eq=False)
class Presence:
    """Waits for boards to be put into one place, and to be taken out of it."""

    _job: Job
    _watch: Watch
    _post: Callable[[FleetEvent], None]
    _clock: Clock = REAL_CLOCK
    _comes_and_goes: bool = attrs.field(default=False, init=False)
    """The port was seen to vanish."""

    def await_board(self) -> str | None:
        """Return the MAC of the next board, if it tells, as soon as one is there."""
        clock = WatchedClock(self._clock, self._watch)
        self._say()
        trouble: str | None = None
        while True:
            interval = ANSWER_INTERVAL
            try:
                return self._look(attempts=None if self._comes_and_goes else 1)
            except _AWAY:
                self._comes_and_goes, interval, trouble = True, PORT_INTERVAL, None
            except TransportError as exc:
                if trouble != str(exc):
                    self._say(trouble=exc)
                trouble = str(exc)
            except SilentDeviceError:
                if self._comes_and_goes:
                    return None
            except EsploaderError:
                # Whatever is wrong with it, something is there.
                return None
            clock.sleep(interval)

    def await_removal(self, mac: str | None) -> None:
        """Return when the board with that MAC is not there any more, or another one is."""
        clock = WatchedClock(self._clock, self._watch)
        self._say(for_removal=True)
        silences = 0
        while silences < GONE_AFTER:
            if self._comes_and_goes:
                clock.sleep(PORT_INTERVAL)
                if not self._is_port_there():
                    return
                continue
            clock.sleep(ANSWER_INTERVAL)
            try:
                if self._look(attempts=1, after=self._job.after) != mac:
                    return
            except _AWAY:
                self._comes_and_goes = True
                return
            except SilentDeviceError:
                silences += 1
            except EsploaderError:
                silences = 0
            else:
                silences = 0

    def leave(self) -> None:
        """Leave the board that is there as the job says, as far as that can be done."""
        try:
            self._look(attempts=1, after=self._job.after)
        except EsploaderError as exc:
            self._say(for_removal=True, trouble=exc)

    def _look(self, *, attempts: int | None, after: After = After.NO_RESET) -> str | None:
        """Return the MAC of the board that answers, if it tells.

        Raises:
            EsploaderError: none does, or the port is away.
        """
        with connect_job(self._job, self._watch, attempts=attempts, open_attempts=1) as device:
            mac = None if device.is_in_secure_download_mode else device.mac
            try:
                device.reset(device.way_to_reset(after))
            except InterruptedWorkError:
                # Nobody comes back to this board.
                with contextlib.suppress(EsploaderError):
                    device.reset(device.way_to_reset(self._job.after))
                raise
        return mac

    def _is_port_there(self) -> bool:
        """Tell whether the port is there, without touching it where that can be told."""
        port = self._job.port
        if isinstance(port, UsbIdentity):
            return bool(fitting_ports(port))
        if isinstance(port, str | os.PathLike) and "://" not in os.fspath(port):
            name = os.fspath(port)
            return os.path.exists(name) or find_port(name) is not None
        try:
            open_job(self._job, self._watch).close()
        except _AWAY:
            return False
        except EsploaderError:
            # Whatever is wrong with it, it is there.
            return True
        return True

    def _say(self, *, for_removal: bool = False, trouble: EsploaderError | None = None) -> None:
        self._post(Waiting(label=self._job.name, for_removal=for_removal, trouble=trouble))
