"""One serial port in the loop: its relay, whoever has it, and how it is lost and found."""

from __future__ import annotations

import abc
import asyncio
import datetime as dt
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from esploader.errors import (
    EsploaderError,
    PortBusyError,
    PortNotFoundError,
    ProtocolError,
    TransportError,
    TransportTimeoutError,
)
from esploader.server.relay import Relay
from esploader.server.served_port import ServedPort, serve_transport
from esploader.server.station_view import HolderView, StationView
from esploader.server.tap import Tap
from esploader.transport.refusal import Refusal, refusal_of_port
from esploader.transport.vendors import ESPRESSIF_VID

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.journal import Journal
    from esploader.server.peers import Peer
    from esploader.server.recogniser import ResetPolicy
    from esploader.transport.base import Transport

SEARCH_PERIOD: Final = 1.0
"""How often a port that is not there is looked for, in seconds."""

RESET_PERIOD: Final = 0.1
"""The same for a chip's own USB port that a reset took away."""

RESET_TIME: Final = 5.0
"""For how long a client keeps a port that a reset took away, in seconds."""


class ClientEnd(abc.ABC):
    """What a client is to its port."""

    @property
    @abc.abstractmethod
    def address(self) -> str:
        """Who it is."""

    @property
    @abc.abstractmethod
    def peer(self) -> Peer:
        """What it speaks."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Hand over what the peer has to say, as much as is taken at once."""

    @abc.abstractmethod
    def set_reading(self, wanted: bool) -> None:  # noqa: FBT001 - it is what the name says
        """Listen to the client, or do not for a while."""

    @abc.abstractmethod
    def hang_up(self) -> None:
        """Say good-bye: the port is no longer its."""


class Station:
    """A port and at most one client. Lives in one loop.

    It opens its port, and looks for it again when it is lost (:meth:`find`), or is lent one
    (:meth:`borrow`).
    """

    def __init__(
        self,
        label: str,
        *,
        journal: Journal,
        policy: ResetPolicy,
    ) -> None:
        self.label = label
        """What the port is called."""

        self.fallback: ClientEnd | None = None
        """Who has the port when nobody else does, and gives way to everybody."""

        self.tap = Tap()
        """What the port says, for who listens besides its client."""

        self.looked = asyncio.Event()
        """Set once it is known whether the port is there."""

        self._open_port: Callable[[], Transport] | None = None
        self._on_loss: Callable[[TransportError], None] | None = None
        self._journal = journal
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._missing: EsploaderError | None = None
        """Why the port could not be opened the last time."""

        self._holder: ClientEnd | None = None
        self._since = 0.0
        self._since_when = dt.datetime.now(dt.UTC)
        self._last_error: tuple[str, dt.datetime] | None = None
        self._port: ServedPort | None = None
        self._relay: Relay | None = None
        self._watched: int | None = None
        self._writing: int | None = None
        self._timer: asyncio.Handle | None = None
        self._search: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def usb_ids(self) -> tuple[int, int] | None:
        """USB vendor and product id of the port, where they are known."""
        return None if self._port is None else self._port.usb_ids

    @property
    def is_closing(self) -> bool:
        """Nobody gets the port any more."""
        return self._closing.is_set()

    # Clients ---------------------------------------------------------------------------

    def why_not(self) -> str | None:
        """Return why no client can have the port now; ``None`` when one can."""
        if self._holder is not None and self._holder is not self.fallback:
            since = f"{self._since_when:%Y-%m-%d %H:%M:%S} UTC"
            return f"{Refusal.IN_USE.value} {self._holder.address} since {since}"
        if self._port is None:
            return refusal_of_port(self.label, self._missing)
        return None

    def attach(self, end: ClientEnd) -> None:
        """Give the port to ``end``."""
        relay = self._relay
        if relay is None:
            end.hang_up()
            return
        previous = self._holder
        if previous is not None:
            self._detach("somebody else came")
            previous.hang_up()
        self._holder = end
        self._since = self._loop.time()
        self._since_when = dt.datetime.now(dt.UTC)
        self._journal.note("client-came", port=self.label, client=end.address)
        try:
            relay.attach(end.peer)
        except TransportError as exc:
            self._lose_port(exc)
        self.wake()

    def take_in(self, data: bytes) -> None:
        """Take over what the client sent."""
        relay = self._relay
        if relay is None or self._holder is None:
            return
        try:
            relay.take_in(data)
        except ProtocolError as exc:
            self._send_off(str(exc))
        else:
            self.wake()

    def let_go(self, end: ClientEnd, reason: str) -> None:
        """Take note that ``end`` is gone, and restore the port."""
        if self._holder is end:
            self._detach(reason)
            self.wake()

    # Whoever looks after the ports ---------------------------------------------------------

    def snapshot(self) -> StationView:
        """Return what is the case at this moment."""
        port, missing, last_error = self._port, self._missing, self._last_error
        return StationView(
            label=self.label,
            device=None if port is None else port.transport.name,
            usb_ids=self.usb_ids,
            usb_port=None if port is None else port.transport.usb_port,
            missing=None if missing is None else str(missing),
            baudrate=None if port is None else port.transport.baudrate,
            holder=self._view_holder(),
            watchers=self.tap.listener_count,
            last_error=None if last_error is None else last_error[0],
            last_error_at=None if last_error is None else last_error[1],
        )

    def release(self, reason: str) -> bool:
        """Send off whoever has the port, which is told ``reason``; tell whether somebody had it."""
        if self._holder is None or self._holder is self.fallback:
            return False
        self._send_off(reason)
        self.wake()
        return True

    def reset(self, *, force: bool = False) -> None:
        """Reset the device into its application; with ``force`` also while somebody has the port.

        Raises:
            PortBusyError: somebody has the port.
            PortNotFoundError: the port is not there.
            CapabilityError: the port has no lines.
            TransportError: the port failed.
        """
        relay, port = self._relay, self._port
        if relay is None or port is None:
            raise PortNotFoundError(self.label, "it is not there")
        if self._holder is not None and self._holder is not self.fallback and not force:
            raise PortBusyError(self.label, f"{self._holder.address} has it")
        port.transport.require_lines()
        try:
            relay.restart()
        except TransportError as exc:
            self._lose_port(exc)
            raise
        finally:
            self.wake()

    def _view_holder(self) -> HolderView | None:
        end, relay = self._holder, self._relay
        if end is None or relay is None:
            return None
        return HolderView(
            address=end.address,
            who=None,
            since=self._since_when,
            to_port=relay.traffic.to_port,
            to_client=relay.traffic.to_client,
            resets=relay.traffic.resets,
            gates=relay.traffic.gates,
            failures=relay.traffic.failures,
        )

    # The port --------------------------------------------------------------------------

    def find(self, open_port: Callable[[], Transport]) -> None:
        """Open the port, now or when it appears.

        ``open_port`` is called in a thread, again and again until it succeeds. It raises
        :exc:`~esploader.errors.EsploaderError` when the port is not there or not to be had.
        """
        self._open_port = open_port
        self._search = self._loop.create_task(self._find_port(open_port))

    def borrow(self, port: Transport, on_loss: Callable[[TransportError], None]) -> None:
        """Use a port that stays the caller's; ``on_loss`` is called when it fails."""
        self._on_loss = on_loss
        self._use(port)

    async def close(self) -> None:
        """Let go of everything."""
        self._closing.set()
        self.fallback = None
        self._send_off("the server ends")
        if self._search is not None:
            await self._search
        self._close_port()
        self._relay = None

    def wake(self) -> None:
        """Do what can be done at this moment, and wait for what comes next."""
        relay, port = self._relay, self._port
        if relay is not None:
            if self._holder is None and self.fallback is not None and port is not None:
                self.attach(self.fallback)
                return
            try:
                relay.pump()
                if self._holder is None and port is not None:
                    # Nobody listens. It is read all the same: that is how its loss is noticed,
                    # and what a simulated device does meanwhile.
                    port.read()
            except TransportTimeoutError as exc:
                # The port is stuck. The client would wait for ever: let it know.
                self._complain("port-stuck", str(exc))
                self._send_off("the port accepts no bytes")
            except TransportError as exc:
                self._lose_port(exc)
        self._serve_holder()
        self._watch()
        self._set_timer()

    def _serve_holder(self) -> None:
        if self._holder is not None and self._relay is not None:
            self._holder.flush()
            self._holder.set_reading(self._relay.wants_client)

    async def _find_port(
        self,
        open_port: Callable[[], Transport],
        period: float = SEARCH_PERIOD,
        patience: float | None = None,
    ) -> None:
        """Open the port, however long it takes; give up its client after ``patience``."""
        last_reason = ""
        give_up_at = None if patience is None else self._loop.time() + patience
        while not self._closing.is_set():
            try:
                transport = await self._loop.run_in_executor(None, open_port)
            except EsploaderError as exc:
                reason = str(exc)
                self._missing = exc
            else:
                self._found(transport)
                self.looked.set()
                return
            self.looked.set()
            if reason != last_reason:
                last_reason = reason
                self._complain("port-missing", reason)
            if give_up_at is not None and self._loop.time() >= give_up_at:
                give_up_at, period = None, SEARCH_PERIOD
                self._send_off("its port did not come back")
                self._relay = None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), period)

    def _found(self, transport: Transport) -> None:
        if self._closing.is_set():
            self._close_transport(transport)
            return
        self._journal.note("port-open", port=self.label, device=transport.name)
        self._use(transport)

    def _use(self, transport: Transport) -> None:
        self._missing = None
        self._port = serve_transport(transport)
        self._port.heard = self.tap.hear
        try:
            if self._relay is None:
                self._relay = Relay(self._port, policy=self._policy)
            else:
                self._relay.port_back(self._port)
        except TransportError as exc:
            self._lose_port(exc)
        self.wake()

    def _lose_port(self, exc: TransportError) -> None:
        port, relay = self._port, self._relay
        if port is None or relay is None:
            return
        self._complain("port-lost", str(exc))
        is_reset = port.transport.capabilities.usb_vid == ESPRESSIF_VID
        self._close_port()
        open_port = self._open_port
        if is_reset and self._holder is not None and open_port is not None:
            relay.port_lost()
            search = self._find_port(open_port, RESET_PERIOD, RESET_TIME)
            self._search = self._loop.create_task(search)
            return
        self._send_off("its port is gone")
        self._relay = None
        if open_port is not None:
            self._search = self._loop.create_task(self._find_port(open_port))
        elif self._on_loss is not None:
            self._on_loss(exc)

    def _close_port(self) -> None:
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        port, self._port = self._port, None
        if port is not None:
            port.close()
            if self._on_loss is None:
                self._close_transport(port.transport)

    def _close_transport(self, transport: Transport) -> None:
        try:
            transport.close()
        except TransportError as exc:
            self._complain("port-not-closed", str(exc))

    def _complain(self, event: str, reason: str) -> None:
        self._last_error = (reason, dt.datetime.now(dt.UTC))
        self._journal.note(event, level=logging.WARNING, port=self.label, reason=reason)

    def _send_off(self, reason: str) -> None:
        end = self._holder
        if end is not None:
            end.flush()
            self._detach(reason)
            end.hang_up()

    def _detach(self, reason: str) -> None:
        end, relay = self._holder, self._relay
        self._holder = None
        if end is None or relay is None:
            return
        self._journal.note(
            "client-left",
            port=self.label,
            client=end.address,
            seconds=self._loop.time() - self._since,
            to_port=relay.traffic.to_port,
            to_client=relay.traffic.to_client,
            resets=relay.traffic.resets,
            gates=relay.traffic.gates,
            errors=relay.traffic.failures,
            reason=reason,
        )
        try:
            relay.detach()
        except TransportError as exc:
            self._lose_port(exc)

    # Waiting ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Have the loop tell when the port has something to say."""
        port, relay = self._port, self._relay
        if port is None or relay is None:
            return
        fileno = port.fileno()
        wanted = fileno if self._holder is None or relay.wants_port else None
        if wanted == self._watched:
            return
        self._unwatch()
        if wanted is not None:
            self._loop.add_reader(wanted, self.wake)
            self._watched = wanted

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._relay is None:
            return
        # Without its port, too: a client that waits for it hears something now and then.
        moments = [self._relay.seconds_to_wait]
        if self._holder is None and self._port is not None:
            moments.append(self._port.seconds_to_wait())
        seconds = min((each for each in moments if each is not None), default=None)
        if seconds is None:
            return
        if seconds <= 0:
            self._timer = self._loop.call_soon(self.wake)
        else:
            self._timer = self._loop.call_later(seconds, self.wake)
