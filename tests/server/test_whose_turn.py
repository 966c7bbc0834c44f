"""Two people and a script at one board for ten minutes: nobody is ever told what is not so.

They come, wait, take over, give way, watch, leave, and die, as chance has it, and so does the
board, whose port may be its own. Time is virtual; the connections and all behind them are the real
ones.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from esploader.errors import PortBusyError, PortNotFoundError
from esploader.server.journal import Journal
from esploader.server.recogniser import ResetPolicy
from esploader.server.station import Station
from esploader.server.turn_rules import TurnRules
from esploader.server.watcher import Watcher
from esploader.transport.base import DEFAULT_BAUDRATE
from esploader.transport.gates import Arm, Gate, SizeRule, encode
from esploader.transport.turn_wish import TurnWish
from esploader.transport.turns import Lent, Waiting
from esploader.transport.vendors import ESPRESSIF_VID
from relays import VirtualTransport
from turn_clients import LATENCY, Belief, Client, Link
from virtual_loop import run_virtually

if TYPE_CHECKING:
    from esploader.server.station_view import StationView

TOKEN = b"the token of the lab"
OTHER_TOKEN = b"another one, of another lab"
DURATION = 600.0
SETTLING_TIME = 25 * LATENCY
"""After this time a reset has been played, and everybody has heard what was said to it."""

MOST_ROUND_TRIPS = 20
"""What follows from one thing that is said has an end."""

OWN_PORT = (ESPRESSIF_VID, 0x1001)
"""USB vendor and product id of a port that resets may take away."""

RATES = {"ana": 57600, "bob": 230400, "script": 921600}

WISHES = {
    "comes": TurnWish(),
    "waits": TurnWish(wait=40),
    "takes over": TurnWish(takes_over=True),
    "takes over patiently": TurnWish(takes_over=True, wait=40),
    "takes over by force": TurnWish(takes_over=True, is_forced=True, token=TOKEN),
    "takes over with a wrong token": TurnWish(takes_over=True, is_forced=True, token=OTHER_TOKEN),
    "gives way": TurnWish(gives_way=True),
    "gives way and waits": TurnWish(gives_way=True, wait=40),
}

CALAMITIES = ("leaves", "dies", "falls silent")
DEEDS = ("works", "stands before a gate")
UNPLUGGED = {"board is unplugged": 3.0, "board is unplugged for long": 7.0}
"""For how long, in seconds: less, and more, than a port is waited for that a reset took away."""

OF_THE_LAB = ("board speaks", *UNPLUGGED, "released", "reset", "watched")


class Board(VirtualTransport):
    """A port that shows who writes to it, at which rate."""

    def __init__(self, bench: Bench, usb_ids: tuple[int, int] | None) -> None:
        super().__init__(usb_ids=usb_ids)
        self.virtual_clock = bench.clock
        self._bench = bench

    @override
    def write(self, data: bytes) -> None:
        super().write(data)
        self._bench.note_writer(data, self.baudrate)


class Bench:
    """A board behind a server, those who want it, and what all of that comes to."""

    def __init__(self, usb_ids: tuple[int, int] | None) -> None:
        self._usb_ids = usb_ids
        self.clock = VirtualTransport().virtual_clock
        self.said = bytearray()
        self.clients: dict[str, Client] = {}
        self.watchers: list[tuple[Link, bytearray]] = []
        self._silent: list[Client] = []
        self._numbers = itertools.count(1)

    def open(self) -> None:
        """Set up the server; to be called in the loop."""
        self._journal = Journal(self.clock)
        rules = TurnRules(takeover=True, token=TOKEN)
        self.station = Station("board", journal=self._journal, policy=ResetPolicy(), rules=rules)
        self.board = Board(self, self._usb_ids)
        self.station.find(self._plug_in)

    def _plug_in(self) -> VirtualTransport:
        if self.board.is_gone:
            raise PortNotFoundError("board", "unplugged")
        return self.board

    def note_writer(self, data: bytes, baudrate: int) -> None:
        """Show that whoever writes has the port, and that it is set as that wants it."""
        holder = self.station.snapshot().holder
        assert holder is not None
        names = {name for name in RATES if name[:1].encode() in data}
        assert names == {name for name in names if holder.address.startswith(address_of(name))}
        assert all(RATES[name] == baudrate for name in names)

    def act(self, who: str, what: str) -> None:
        """Have somebody do something."""
        client = self.clients.get(who)
        if what in WISHES:
            if client is None or not client.is_here:
                self.clients[who] = Client(
                    who,
                    self.station,
                    self._journal,
                    wish=WISHES[what],
                    baudrate=RATES[who],
                    number=next(self._numbers),
                )
        elif client is None or not client.is_here:
            pass
        elif what == "leaves":
            client.leave()
        elif what == "dies":
            client.leave(ConnectionResetError("it died"))
        elif what == "falls silent":
            client.is_alive = False
            self._silent.append(self.clients.pop(who))
        else:
            self._use(client, what)

    def _use(self, client: Client, what: str) -> None:
        # Also by one that does not have the port, or has it no longer and does not know.
        if what == "works":
            client.write(client.name[:1].encode() * 3)
        else:
            gate = Gate(rule=SizeRule(99), timeout=20.0)
            client.send(encode(Arm(1)) + encode(gate) + client.name[:1].encode())

    def befall(self, what: str) -> None:
        """Have something happen at the bench."""
        match what:
            case "board speaks":
                text = b"line %d\r\n" % next(self._numbers)
                if not self.board.is_gone:
                    self.said += text
                    self.board.say(text)
                    self.station.wake()
            case "board is unplugged" | "board is unplugged for long":
                self.board.is_gone = True
                # As a descriptor that can be read would have it do.
                self.station.wake()
                asyncio.get_running_loop().call_later(UNPLUGGED[what], self._replug)
            case "released":
                self.station.release("the lab closes")
            case "reset":
                self._reset()
            case _:
                heard = bytearray()
                watcher = Watcher("10.0.1.1:1", self.station, journal=self._journal)
                self.watchers.append((Link(watcher, heard.extend, lambda: None), heard))

    def _replug(self) -> None:
        if self.board.is_gone:
            self.board = Board(self, self._usb_ids)

    def _reset(self) -> None:
        is_in_use = self.station.is_in_use
        try:
            self.station.reset()
        except PortBusyError:
            assert is_in_use
        except PortNotFoundError:
            assert self.board.is_gone or self.station.snapshot().device is None
        else:
            assert not is_in_use

    async def hear_all(self) -> None:
        """Wait until nothing is on its way: the server may have said something just now."""
        for _ in range(MOST_ROUND_TRIPS):
            if all(client.is_told for client in self.clients.values()):
                return
            await asyncio.sleep(LATENCY)
        raise AssertionError("they never come to an end")

    def check(self) -> None:
        """Show that what everybody believes is so, and that nobody has a port and does not know."""
        view = self.station.snapshot()
        known = {} if view.holder is None else {view.holder.address: Belief.HAS_IT}
        known |= {each.address: Belief.WAITS for each in view.line}
        known |= {each.address: Belief.LISTENS for each in view.listening}
        if view.holder is None:
            assert view.baudrate in {None, DEFAULT_BAUDRATE}
        for client in self.clients.values():
            believed = client.belief if client.is_here else None
            if believed is Belief.COMING and view.device is None:
                # It is let in when the board is back, as it should be in a moment.
                believed = Belief.HAS_IT
            assert believed == known.get(client.address), client.name
            self._check_words(client, view)

    def _check_words(self, client: Client, view: StationView) -> None:
        turn = client.turn
        holder = "" if view.holder is None else view.holder.address
        if client.belief is Belief.WAITS and isinstance(turn, Waiting):
            line = [each.address for each in view.line]
            assert line.index(client.address) == turn.place - 1
            assert turn.holder.startswith(holder)
        if client.belief is Belief.LISTENS and view.holder is not None:
            assert isinstance(turn, Lent)
            assert turn.to.startswith(holder)

    async def end(self) -> None:
        """Show that whoever comes last has the port, and that nothing was kept from a watcher."""
        for client in (*self.clients.values(), *self._silent):
            client.is_alive = True
            client.leave()
        self._replug()
        await asyncio.sleep(30.0)
        assert self.station.snapshot().holder is None
        assert not self.station.snapshot().line
        assert not self.station.snapshot().listening
        last = Client("ana", self.station, self._journal, baudrate=RATES["ana"], number=9999)
        await asyncio.sleep(1.0)
        assert last.belief is Belief.HAS_IT
        self.befall("board speaks")
        last.write(b"aaa")
        await asyncio.sleep(1.0)
        assert self.board.written.endswith(b"aaa")
        assert bytes(last.heard) == self.said[-len(last.heard) :]
        assert last.heard
        for link, heard in self.watchers:
            assert bytes(heard) == self.said[-len(heard) :]
            link.leave()
        last.leave()
        await asyncio.sleep(5.0)
        await self.station.close()
        await asyncio.sleep(1.0)


def address_of(name: str) -> str:
    return f"10.0.0.{ord(name[0])}:"


PEOPLE = st.tuples(
    st.sampled_from(sorted(RATES)),
    st.one_of(st.sampled_from(sorted(WISHES)), st.sampled_from(DEEDS), st.sampled_from(CALAMITIES)),
)
EVENTS = st.one_of(PEOPLE, PEOPLE, PEOPLE, st.tuples(st.just(""), st.sampled_from(OF_THE_LAB)))
PAUSES = st.sampled_from([None, None, 0.0, 0.01, 0.5, 3.0, 6.0, 15.0])
"""In seconds; with ``None`` the next thing happens at the same moment, and nobody is asked."""

IS_FULL = os.environ.get("ESPLOADER_FULL") == "1"

SCHEDULES = st.lists(st.tuples(EVENTS, PAUSES), min_size=30, max_size=80)


@settings(max_examples=settings().max_examples if IS_FULL else 30)
@given(SCHEDULES, st.sampled_from([None, OWN_PORT]))
@example(
    # Sent away before it has said a word: it is told in a line of text.
    [(("", "board is unplugged"), None), (("ana", "comes"), 0.0), (("", "released"), 0.0)],
    OWN_PORT,
)
@example(
    # The server gives its port up, and hangs up, at the very moment at which all are asked.
    [
        (("", "board speaks"), 15.0),
        (("", "board is unplugged for long"), 0.01),
        (("ana", "comes"), 0.5),
        (("ana", "comes"), 3.0),
    ],
    OWN_PORT,
)
def test_there_are_never_two_writers_and_everybody_is_told_the_truth(
    schedule: list[tuple[tuple[str, str], float | None]], usb_ids: tuple[int, int] | None
) -> None:
    bench = Bench(usb_ids)

    async def play() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
        bench.open()
        await asyncio.sleep(SETTLING_TIME)
        for (who, what), pause in schedule:
            if who:
                bench.act(who, what)
            else:
                bench.befall(what)
            if pause is None:
                continue
            if bench.clock.now() < DURATION:
                await asyncio.sleep(pause)
            await asyncio.sleep(SETTLING_TIME)
            await bench.hear_all()
            bench.check()
            assert not faults
        await bench.end()
        assert not faults

    run_virtually(bench.clock, play())
