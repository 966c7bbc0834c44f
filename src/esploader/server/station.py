"""One serial port in the loop: its relay, whoever has it, and how it is lost and found."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import TYPE_CHECKING, Final

from esploader.errors import (
    PortBusyError,
    PortNotFoundError,
    ProtocolError,
    TransportError,
    TransportTimeoutError,
)
from esploader.server.port_keeper import PortKeeper
from esploader.server.relay import Relay
from esploader.server.station_view import StationView, view_holder, view_station
from esploader.server.succession import Succession
from esploader.server.tap import Tap
from esploader.server.traffic import Totals
from esploader.server.turn_rules import TurnRules
from esploader.server.wake_up import WakeUp
from esploader.transport.refusal import Refusal, refusal_of_port
from esploader.transport.turns import Denial, Released, TakenOver

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.errors import EsploaderError
    from esploader.server.client_end import ClientEnd
    from esploader.server.journal import Field, Journal
    from esploader.server.recogniser import ResetPolicy
    from esploader.server.served_port import ServedPort
    from esploader.transport.base import Transport
    from esploader.transport.turns import Ask, Parting

PLACE_PERIOD: Final = 5.0
"""How often those who wait are told their place in line, in seconds."""

WORK_PERIOD: Final = 0.5
"""How often it is looked whether a holder that waits for something still works, in seconds."""


class Station:
    """A port and at most one client that has it. Lives in one loop.

    It opens its port, and looks for it again when it is lost (:meth:`find`), or is lent one
    (:meth:`borrow`).
    """

    def __init__(
        self,
        label: str,
        *,
        journal: Journal,
        policy: ResetPolicy,
        rules: TurnRules | None = None,
    ) -> None:
        self.label = label
        """What the port is called."""

        self.fallback: ClientEnd | None = None
        """Who has the port when nobody else does, and gives way to everybody."""

        self.tap = Tap()
        """What the port says, for who listens besides its client."""

        self.totals = Totals()
        """Of the clients that have left."""

        self._journal = journal
        self._policy = policy
        self.rules = rules or TurnRules()
        """Who may take the port over."""
        self._loop = asyncio.get_running_loop()
        self._holder: ClientEnd | None = None
        self._holder_name: str | None = None
        self._since = 0.0
        self._since_when = dt.datetime.now(dt.UTC)
        self._succession = Succession()
        self._places_at = 0.0
        self._relay: Relay | None = None
        self._wake_up = WakeUp(self.wake)
        self._keeper = PortKeeper(label, journal, self._wake_up, self._use)

    @property
    def looked(self) -> asyncio.Event:
        """Set once it is known whether the port is there."""
        return self._keeper.looked

    @property
    def usb_ids(self) -> tuple[int, int] | None:
        """USB vendor and product id of the port, where they are known; those that it had last."""
        return self._keeper.usb_ids

    @property
    def missing(self) -> EsploaderError | None:
        """Why the port could not be opened the last time."""
        return self._keeper.missing

    @property
    def is_closing(self) -> bool:
        """Nobody gets the port any more."""
        return self._keeper.closing.is_set()

    @property
    def is_in_use(self) -> bool:
        """Somebody has the port who does not give way."""
        holder = self._holder
        return holder is not None and holder is not self.fallback and not holder.gives_way

    @property
    def _port(self) -> ServedPort | None:
        return self._keeper.port

    # Clients ---------------------------------------------------------------------------

    def why_not(self) -> str | None:
        """Return why no client can have the port now; ``None`` when one can."""
        if self._holder is not None and self.is_in_use:
            since = f"{self._since_when:%Y-%m-%d %H:%M:%S} UTC"
            return f"{Refusal.IN_USE.value} {self._holder.name} since {since}"
        if self._relay is None:
            return refusal_of_port(self.label, self.missing)
        return None

    def attach(self, end: ClientEnd) -> None:
        """Give the port to ``end``."""
        self._make_room_for(end)
        relay = self._relay
        if relay is None:
            end.hang_up()
            return
        self._holder, self._holder_name = end, end.who
        self._since = self._loop.time()
        self._since_when = dt.datetime.now(dt.UTC)
        self.totals.clients += 1
        self._note("client-came", end)
        try:
            relay.attach(end.peer)
        except TransportError as exc:
            self._lose_port(exc)
        self._tell_holder(end)
        self.wake()

    def ask(self, end: ClientEnd, ask: Ask, signature: bytes) -> Denial | None:
        """Give ``end`` its turn, now or later; return why it gets none.

        ``signature`` is what the server has said to the client of itself.
        """
        if not self.is_in_use and self._relay is not None:
            self._give_to(end)
            return None
        if ask.takes_over and self._holder is not None:
            at_work = self._work_left() > 0
            denial = self.rules.judge(ask, signature, at_work=at_work)
            if denial is None:
                self._take_over(end)
            if denial is not Denial.AT_WORK or not ask.wait:
                return denial
        return self._line_up(end, ask)

    def take_in(self, data: bytes) -> None:
        """Take over what the client sent."""
        relay, end = self._relay, self._holder
        if relay is None or end is None:
            return
        try:
            relay.take_in(data)
        except ProtocolError as exc:
            self._send_off(str(exc))
        if end is self._holder and self._holder_name is None and end.who is not None:
            self._holder_name = end.who
            self._note("client-named", end)
            self._tell_holder(end)
        self.wake()

    def let_go(self, end: ClientEnd, reason: str) -> None:
        """Take note that ``end`` is gone, and restore the port if it had it."""
        if self._holder is end:
            self._detach(reason)
        elif self._succession.leave(end):
            self._journal.note("client-gave-up", port=self.label, client=end.address, reason=reason)
            self._tell_places()
        self.wake()

    # Whoever looks after the ports ---------------------------------------------------------

    def snapshot(self) -> StationView:
        """Return what is the case at this moment."""
        holder = view_holder(self._holder, self._since_when, self._relay)
        return view_station(
            self.label, self._keeper, holder, self._succession, self.tap, self.totals
        )

    def release(self, reason: str) -> bool:
        """Send off whoever has the port, which is told ``reason``; tell whether somebody had it."""
        if self._holder is None or self._holder is self.fallback:
            return False
        self._send_off(reason, Released(reason))
        self.wake()
        return True

    def reset(self, *, force: bool = False) -> None:
        """Reset the device into its application; with ``force`` also while somebody has the port.

        How that is done suits the port: a chip's own USB port is not reset as a UART is.

        Raises:
            PortBusyError: somebody has the port.
            PortNotFoundError: the port is not there.
            CapabilityError: the port has no lines.
            TransportError: the port failed.
        """
        relay, port = self._relay, self._port
        if relay is None or port is None:
            raise PortNotFoundError(self.label, "it is not there")
        if self._holder is not None and self.is_in_use and not force:
            raise PortBusyError(self.label, f"{self._holder.name} has it")
        port.transport.require_lines()
        try:
            relay.restart()
            if self._holder is None:
                # Of whoever has the port it counts with the others.
                self.totals.resets += 1
        except TransportError as exc:
            self._lose_port(exc)
            raise
        finally:
            self.wake()

    # The port --------------------------------------------------------------------------

    def find(self, open_port: Callable[[], Transport]) -> None:
        """Open the port, now or when it appears.

        ``open_port`` is called in a thread, again and again until it succeeds. It raises
        :exc:`~esploader.errors.EsploaderError` when the port is not there or not to be had.
        """
        self._keeper.find(open_port)

    def borrow(
        self,
        port: Transport,
        on_loss: Callable[[TransportError], None],
        reopen: Callable[[], Transport] | None = None,
    ) -> None:
        """Use a port that stays the caller's, as :meth:`PortKeeper.borrow` does."""
        self._keeper.borrow(port, on_loss, reopen)

    async def close(self, reason: str | None = None) -> None:
        """Let go of everything; tell clients ``reason``, if it is not that the server ends."""
        self._keeper.closing.set()
        self.fallback = None
        parting = None if reason is None else Released(reason)
        for end in self._succession.clear():
            end.dismiss(parting)
        self._send_off(reason or "the server ends", parting)
        await self._keeper.close()
        self._relay = None

    def wake(self) -> None:
        """Do what can be done at this moment, and wait for what comes next."""
        relay, port = self._relay, self._port
        if relay is not None:
            if self._hand_over():
                return
            try:
                relay.pump()
                if self._holder is None and port is not None:
                    # Nobody listens. It is read all the same: that is how its loss is noticed,
                    # and what a simulated device does meanwhile.
                    port.read()
            except TransportTimeoutError as exc:
                # The port is stuck. The client would wait for ever: let it know.
                self._keeper.complain("port-stuck", str(exc))
                self._send_off("the port accepts no bytes")
                self.wake()
                return
            except TransportError as exc:
                self._lose_port(exc)
        if self._holder is not None and self._relay is not None:
            self._holder.flush()
            self._holder.set_reading(self._relay.wants_client)
        if self._succession.line and self._loop.time() >= self._places_at:
            self._tell_places()
        self._wait()

    def _use(self, port: ServedPort) -> None:
        port.heard = self.tap.hear
        if self._holder is not None:
            self._holder.peer.usb_ids = port.usb_ids
        try:
            if self._relay is None:
                self._relay = Relay(port, policy=self._policy)
            else:
                self._relay.port_back(port)
        except TransportError as exc:
            self._lose_port(exc)
        self.wake()

    def _lose_port(self, exc: TransportError) -> None:
        relay = self._relay
        if self._port is None or relay is None:
            return
        self._keeper.complain("port-lost", str(exc))
        self.totals.losses += 1
        if self._keeper.drop():
            relay.port_lost()
            self._keeper.await_return(self._give_port_up)
        else:
            self._give_port_up("its port is gone")
            self._keeper.find_again(exc)

    def _give_port_up(self, reason: str = "its port did not come back") -> None:
        self._send_off(reason)
        self._relay = None

    def _wait(self) -> None:
        """Have the loop call when the port has something to say, or there is something to do."""
        port, relay = self._port, self._relay
        if port is not None and relay is not None:
            is_heard = self._holder is None or relay.wants_port
            self._wake_up.watch(port.fileno() if is_heard else None)
        # Without its port, too: a client that waits for it hears something now and then.
        moments = [None if relay is None else relay.seconds_to_wait]
        if self._holder is None and port is not None:
            moments.append(port.seconds_to_wait())
        if self._succession.line:
            moments.append(max(0.0, self._places_at - self._loop.time()))
        if self._succession.first_taker is not None and relay is not None:
            moments.append(min(relay.work_left, WORK_PERIOD))
        self._wake_up.call_after(min((each for each in moments if each is not None), default=None))

    # Whose turn it is ------------------------------------------------------------------

    def _hand_over(self) -> bool:
        """Give the port to whoever is next, if it is free or may be taken over by now."""
        if self._holder is None and not self.is_closing:
            end = self._succession.pop()
            if end is not None:
                self._give_to(end)
            elif self.fallback is not None:
                self.attach(self.fallback)
            return end is not None or self.fallback is not None
        taker = self._succession.first_taker
        if taker is None or self._work_left() > 0:
            return False
        self._succession.leave(taker.end)
        self._take_over(taker.end)
        return True

    def _line_up(self, end: ClientEnd, ask: Ask) -> Denial | None:
        """Have a client wait, or listen; return why it can do neither."""
        if ask.wait:
            if not self._succession.join(end, ask):
                return Denial.LINE_FULL
            self._note("client-waits", end)
            self._tell_places()
            self.wake()
            return None
        if not ask.gives_way or self._holder is None:
            return Denial.TIME
        self._note("client-listens", end)
        self._listen(end, has_had_it=False)
        if end in self._succession.listening:
            end.say_holder(self._holder.name)
        return None

    def _give_to(self, end: ClientEnd) -> None:
        end.offer()
        self.attach(end)

    def _take_over(self, end: ClientEnd) -> None:
        self._send_off(f"{end.name} took the port over", TakenOver(end.name))
        self._give_to(end)

    def _work_left(self) -> float:
        """For how long whoever has the port still counts as one that works, in seconds."""
        return 0.0 if self._relay is None else self._relay.work_left

    def _make_room_for(self, end: ClientEnd) -> None:
        """Have whoever gives way do so, and listen; the fallback does not even listen."""
        previous = self._holder
        if previous is None:
            return
        if previous is not self.fallback and previous.gives_way:
            self._detach(f"it gives way to {end.name}", "client-gave-way")
            self._listen(previous, has_had_it=True)
        else:
            self._detach("somebody else came")
            previous.hang_up()

    def _listen(self, end: ClientEnd, *, has_had_it: bool) -> None:
        end.listen()
        superfluous = self._succession.listen(end, has_had_it=has_had_it)
        if superfluous is not None:
            superfluous.part(Released("too many wait for the port to be free"))

    def _tell_holder(self, end: ClientEnd) -> None:
        """Tell those who listen, and those who wait, that ``end`` has the port."""
        for listener in self._succession.listening:
            listener.say_holder(end.name)
        self._tell_places()

    def _tell_places(self) -> None:
        self._places_at = self._loop.time() + PLACE_PERIOD
        holder = "" if self._holder is None else self._holder.name
        for place, waiter in enumerate(self._succession.line, 1):
            waiter.end.say_place(place, holder)

    def _send_off(self, reason: str, parting: Parting | None = None) -> None:
        end = self._holder
        if end is None:
            return
        end.flush()
        self._detach(reason)
        end.dismiss(parting)

    def _detach(self, reason: str, event: str = "client-left") -> None:
        end, relay = self._holder, self._relay
        self._holder = None
        if end is None or relay is None:
            return
        self.totals.add(relay.traffic)
        self._note(
            event,
            end,
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

    def _note(self, event: str, end: ClientEnd, **fields: Field) -> None:
        who: dict[str, Field] = {} if end.who is None else {"who": end.who}
        self._journal.note(
            event, level=logging.INFO, port=self.label, client=end.address, **who, **fields
        )
