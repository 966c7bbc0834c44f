"""The port of a device that talks by itself, opened again whenever it is lost.

Whoever reads it waits for nothing else: an attempt to open it again is made where :meth:`read`
comes by when one is due. Where the port of a server is lent to somebody else, what the device says
to that one is read, too.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from esploader.classes import define
from esploader.errors import (
    BaudrateError,
    FlashFileError,
    PortBusyError,
    PortPermissionError,
    PortTakenOverError,
    TlsError,
    TransportClosedError,
    TransportError,
)
from esploader.loader.download_mode import ways_into_download_mode
from esploader.transport import reset
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.turns import Lent, Offered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.transport.base import Transport
    from esploader.transport.clock import Clock
    from esploader.transport.steps import ResetSequence
    from esploader.transport.turns import ServerTurn

FIRST_DELAY: Final = 0.1
"""From the loss of a port to the first attempt to open it again, in seconds."""

LONGEST_DELAY: Final = 0.5
"""Between two attempts at most, in seconds: a device that is plugged in begins to talk at once."""

LONGEST_REMOTE_DELAY: Final = 2.0
"""The same for a port on a network, where an attempt costs somebody else something."""

_GROWTH: Final = 1.5

PERMISSION_TIME: Final = 5.0
"""For how long it may not be allowed to open a port that has come back, in seconds: udev needs a
moment for that."""

_FINAL: Final = (PortTakenOverError, TlsError, BaudrateError, FlashFileError)
"""What no waiting helps against."""


class Witness(Protocol):
    """Hears what becomes of the port."""

    def lost(self, reason: str) -> None:
        """Hear that the port is gone, or why it still is, when that is another reason."""

    def regained(self) -> None:
        """Hear that it has been opened again."""

    def lent(self, to: str) -> None:
        """Hear that somebody else has it for a while."""

    def returned(self) -> None:
        """Hear that it is ours again."""


@define(eq=False)
class Console:
    """A port that is read for as long as somebody wants to, and comes back after every loss."""

    name: str
    """Name or URL of the port, as people know it."""

    _open: Callable[[], Transport]
    """Opens the port, and later the port of the same device."""

    _witness: Witness

    resets: reset.Resets = attrs.field(factory=reset.Resets)
    """How the lines of the port reset the device."""

    _transport: Transport | None = None
    """A port that is open already; without it :meth:`connect` opens one."""

    clock: Clock = attrs.field(init=False)
    """The clock that deadlines refer to; there is one once a port has been open."""

    _ways: Iterator[ResetSequence] | None = attrs.field(default=None, init=False)
    _delays: Iterator[float] = attrs.field(factory=lambda: iter(()), init=False)
    _next_attempt: float = attrs.field(default=0.0, init=False)
    _lost_at: float = attrs.field(default=0.0, init=False)
    _reason: str = attrs.field(default="", init=False)
    _is_remote: bool = attrs.field(default=False, init=False)
    _lent_to: str | None = attrs.field(default=None, init=False)
    """Who has the port; ``None`` when it is ours."""

    def __attrs_post_init__(self) -> None:
        if self._transport is not None:
            self._use(self._transport)

    def connect(self) -> None:
        """Open the port for the first time.

        Raises:
            EsploaderError: that cannot be done.
        """
        self._use(self._open())

    @property
    def is_connected(self) -> bool:
        """The port is open, whoever has it."""
        return self._transport is not None

    @property
    def can_reset(self) -> bool:
        """The port has lines."""
        return self._transport is not None and self._transport.capabilities.set_lines

    def read(self, deadline: float) -> bytes:
        """Return what has come, at once; wait for it until ``deadline``.

        A port that is lost is opened again meanwhile, where that is due.

        Raises:
            PortTakenOverError: somebody else has taken the port for good.
            EsploaderError: it can never come back.
        """
        if self._transport is None:
            self._look_for_port(deadline)
            return b""
        try:
            return self._transport.read(deadline)
        except TransportError as exc:
            self._lose(exc)
            return b""

    def write(self, data: bytes) -> None:
        """Send something to the device; to a port that is lost just then it does not come.

        Raises:
            PortBusyError: somebody else has the port for a while.
            TransportClosedError: the port is away.
            EsploaderError: as :meth:`read`.
        """
        self._do(lambda transport: transport.write(data))

    def reset(self) -> None:
        """Restart the device, so that it runs its application.

        Raises:
            CapabilityError: the port has no lines.
            EsploaderError: as :meth:`write`.
        """
        self._do(lambda transport: reset.play(self.resets.hard, transport))

    def enter_download_mode(self) -> None:
        """Restart the device into its ROM loader, each time by the next way that suits the port.

        Whether it got there is for it to say. Raises as :meth:`reset`.
        """

        def play_next(transport: Transport) -> None:
            transport.require_lines()
            if self._ways is None:
                self._ways = ways_into_download_mode(transport, "default-reset", self.resets)
            reset.play(next(self._ways), transport)

        self._do(play_next)

    def close(self) -> None:
        """Release the port. Closing twice is allowed."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _do(self, action: Callable[[Transport], None]) -> None:
        if self._transport is None:
            raise TransportClosedError(self.name, "the port is away")
        try:
            action(self._transport)
        except PortBusyError:
            # It is lent, and still ours.
            raise
        except TransportError as exc:
            self._lose(exc)

    def _use(self, transport: Transport) -> None:
        self._transport = transport
        self.clock = transport.clock
        self._is_remote = transport.capabilities.remote
        self._ways = None
        self._lent_to = None
        if isinstance(transport, Rfc2217Transport):
            transport.on_turn = self._turn
            if transport.turn is not None:
                self._turn(transport.turn)

    def _turn(self, turn: ServerTurn) -> None:
        match turn:
            case Lent(to) if to != self._lent_to:
                self._lent_to = to
                self._witness.lent(to)
            case Offered() if self._lent_to is not None:
                self._lent_to = None
                self._witness.returned()
            case _:
                pass

    def _lose(self, exc: TransportError) -> None:
        self.close()
        if isinstance(exc, _FINAL):
            raise exc
        now = self.clock.now()
        self._lost_at = now
        longest = LONGEST_REMOTE_DELAY if self._is_remote else LONGEST_DELAY
        growing = (FIRST_DELAY * _GROWTH**number for number in range(20))
        self._delays = itertools.chain(
            itertools.takewhile(lambda delay: delay < longest, growing), itertools.repeat(longest)
        )
        self._next_attempt = now + next(self._delays)
        self._reason = exc.reason
        self._witness.lost(exc.reason)

    def _look_for_port(self, deadline: float) -> None:
        now = self.clock.now()
        self.clock.sleep(min(self._next_attempt, deadline) - now)
        if self.clock.now() < self._next_attempt:
            return
        try:
            transport = self._open()
        except _FINAL:
            raise
        except TransportError as exc:
            now = self.clock.now()
            if isinstance(exc, PortPermissionError) and now > self._lost_at + PERMISSION_TIME:
                raise
            self._next_attempt = now + next(self._delays)
            if exc.reason != self._reason:
                self._reason = exc.reason
                self._witness.lost(exc.reason)
            return
        self._witness.regained()
        self._use(transport)
