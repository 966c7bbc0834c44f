"""Who may do what at a port that somebody else has: each cell of the table in the guide, and more.

Addresses are looked at by the door, before anything else (``test_access.py``); the first test here
shows that it is so for those who only watch, too.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from esploader.errors import CapabilityError, PortBusyError
from esploader.server.access import AllowList
from esploader.server.config import PortConfig, ServerConfig
from esploader.server.journal import Journal
from esploader.server.recogniser import ResetPolicy
from esploader.server.station import Station
from esploader.server.succession import MAX_LISTENING, MAX_WAITING
from esploader.server.turn_rules import QUIET_TIME, TurnRules
from esploader.server.watcher import MAX_WATCHERS, TOO_MANY, Watcher
from esploader.transport.refusal import Refusal
from esploader.transport.turn_wish import TurnWish
from esploader.transport.turns import Denial, Denied, Released, TakenOver
from relays import VirtualTransport
from served import connected, receive_all, serving, tcp_port
from turn_clients import Belief, Client, Link
from virtual_loop import run_virtually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOKEN = b"the token of the lab"
OTHER_TOKEN = b"another one, of another lab"

NOT_CONFIGURED = TurnRules()
TOKEN_WITHOUT_TAKEOVER = TurnRules(token=TOKEN)
CONFIGURED = TurnRules(takeover=True)
WITH_TOKEN = TurnRules(takeover=True, token=TOKEN)

PLAIN = TurnWish(takes_over=True)
PATIENT = TurnWish(takes_over=True, wait=60)
RIGHT = TurnWish(takes_over=True, is_forced=True, token=TOKEN)
WRONG = TurnWish(takes_over=True, is_forced=True, token=OTHER_TOKEN)

GRANTED = Belief.HAS_IT
WAITS = Belief.WAITS

TABLE: dict[str, tuple[TurnRules, TurnWish, Denial | Belief, Denial | Belief]] = {
    # rules, wish, what becomes of it while the holder does nothing, and while it works
    "not configured": (NOT_CONFIGURED, PLAIN, Denial.NOT_ALLOWED, Denial.NOT_ALLOWED),
    "not configured, patient": (NOT_CONFIGURED, PATIENT, Denial.NOT_ALLOWED, Denial.NOT_ALLOWED),
    "not configured, a token": (NOT_CONFIGURED, RIGHT, Denial.NOT_ALLOWED, Denial.NOT_ALLOWED),
    "token alone, the same": (
        TOKEN_WITHOUT_TAKEOVER,
        RIGHT,
        Denial.NOT_ALLOWED,
        Denial.NOT_ALLOWED,
    ),
    "configured": (CONFIGURED, PLAIN, GRANTED, Denial.AT_WORK),
    "configured, patient": (CONFIGURED, PATIENT, GRANTED, WAITS),
    "configured, a token": (CONFIGURED, RIGHT, Denial.TOKEN, Denial.TOKEN),
    "with a token, without": (WITH_TOKEN, PLAIN, GRANTED, Denial.AT_WORK),
    "with a token, the same": (WITH_TOKEN, RIGHT, GRANTED, GRANTED),
    "with a token, another": (WITH_TOKEN, WRONG, Denial.TOKEN, Denial.TOKEN),
}


class Bench:
    """A board that somebody has, and others want."""

    def __init__(self, rules: TurnRules, port: VirtualTransport) -> None:
        self.journal = Journal(port.clock)
        self.station = Station("board", journal=self.journal, policy=ResetPolicy(), rules=rules)
        self.station.borrow(port, lambda _: None)
        self.port = port
        self._numbers = itertools.count(1)

    async def come(self, name: str, wish: TurnWish | None = None) -> Client:
        client = Client(name, self.station, self.journal, wish=wish, number=next(self._numbers))
        await asyncio.sleep(0.5)
        return client

    async def watch(self) -> bytearray:
        heard = bytearray()
        watcher = Watcher("10.0.1.1:1", self.station, journal=self.journal)
        Link(watcher, heard.extend, lambda: None)
        await asyncio.sleep(0.1)
        return heard


def belief_of(client: Client) -> Belief:
    """Return what a client takes to be the case by now."""
    return client.belief


def at_a_bench(
    what_happens: Callable[[Bench], Awaitable[None]],
    rules: TurnRules = NOT_CONFIGURED,
    port: VirtualTransport | None = None,
) -> None:
    """Play something in virtual time."""
    transport = VirtualTransport() if port is None else port

    async def play() -> None:
        bench = Bench(rules, transport)
        await what_happens(bench)
        await bench.station.close()
        await asyncio.sleep(5.0)

    run_virtually(transport.virtual_clock, play())


@pytest.mark.parametrize("is_at_work", [False, True], ids=["holder does nothing", "holder works"])
@pytest.mark.parametrize("case", TABLE)
def test_who_may_take_over(
    case: str,
    is_at_work: bool,  # noqa: FBT001 - of the table
) -> None:
    rules, wish, idle, at_work = TABLE[case]
    expected = at_work if is_at_work else idle

    async def play(bench: Bench) -> None:
        holder = await bench.come("ana")
        await asyncio.sleep(QUIET_TIME)
        if is_at_work:
            holder.write(b"work")
        other = await bench.come("bob", wish)
        if isinstance(expected, Denial):
            assert other.turn == Denied(expected)
            assert other.belief is Belief.REFUSED
        else:
            assert other.belief is expected
        if expected is GRANTED:
            assert holder.turn == TakenOver(f"{other.address} (bob)")
            assert holder.belief is Belief.LOST_IT
        else:
            assert holder.belief is Belief.HAS_IT
        view = bench.station.snapshot()
        assert view.holder is not None
        assert view.holder.who == ("bob" if expected is GRANTED else "ana")
        assert [each.who for each in view.line] == (["bob"] if expected is WAITS else [])

    at_a_bench(play, rules)


@pytest.mark.parametrize("rules", [NOT_CONFIGURED, WITH_TOKEN], ids=["not configured", "token"])
@pytest.mark.parametrize(
    ("wish", "belief"),
    [
        (TurnWish(), Belief.REFUSED),
        (TurnWish(wait=60), Belief.WAITS),
        (TurnWish(gives_way=True), Belief.LISTENS),
    ],
    ids=["comes", "waits", "gives way"],
)
def test_anybody_may_wait_and_listen(rules: TurnRules, wish: TurnWish, belief: Belief) -> None:
    async def play(bench: Bench) -> None:
        holder = await bench.come("ana")
        other = await bench.come("bob", wish)
        assert other.belief is belief
        assert holder.belief is Belief.HAS_IT

    at_a_bench(play, rules)


@pytest.mark.parametrize("is_in_use", [False, True], ids=["free", "in use"])
def test_anybody_may_watch(is_in_use: bool) -> None:  # noqa: FBT001 - of the table
    async def play(bench: Bench) -> None:
        if is_in_use:
            await bench.come("ana")
        heard = await bench.watch()
        bench.port.say(b"hello")
        bench.station.wake()
        await asyncio.sleep(0.1)
        assert heard == b"hello"

    at_a_bench(play)


def test_who_is_not_allowed_to_come_may_not_watch_either() -> None:
    config = ServerConfig(
        ports=(PortConfig(source="sim://esp32c3", watch_port=0),),
        tcp_port=0,
        allow=AllowList.parse(["192.0.2.0/24"], "test"),
        takeover=True,
    )
    with serving(config) as places:
        (place,) = places.wait(1)
        assert place.watch_url is not None
        for number in (place.tcp_port, tcp_port(place.watch_url)):
            with connected(number) as client:
                assert receive_all(client) == f"{Refusal.STRANGER.value}\r\n".encode()


@pytest.mark.parametrize("is_forced", [False, True], ids=["asked", "forced"])
@pytest.mark.parametrize("holder", [None, TurnWish(), TurnWish(gives_way=True)], ids=str)
def test_whoever_looks_after_the_port_may_reset_what_nobody_has(
    holder: TurnWish | None,
    is_forced: bool,  # noqa: FBT001 - of the table
) -> None:
    is_refused = holder == TurnWish() and not is_forced

    async def play(bench: Bench) -> None:
        if holder is not None:
            await bench.come("ana", holder)
        bench.port.happened.clear()
        if is_refused:
            with pytest.raises(PortBusyError):
                bench.station.reset(force=is_forced)
        else:
            bench.station.reset(force=is_forced)
        await asyncio.sleep(1.0)
        lines = [what for _, kind, what in bench.port.happened if kind == "lines"]
        assert lines == ([] if is_refused else [(False, True), (False, False)])

    at_a_bench(play)


def test_nobody_may_reset_a_port_without_lines() -> None:
    async def play(bench: Bench) -> None:
        with pytest.raises(CapabilityError):
            bench.station.reset(force=True)

    at_a_bench(play, port=VirtualTransport(set_lines=False))


@pytest.mark.parametrize("holder", [None, TurnWish(), TurnWish(gives_way=True)], ids=str)
def test_whoever_looks_after_the_port_may_release_it(holder: TurnWish | None) -> None:
    async def play(bench: Bench) -> None:
        client = None if holder is None else await bench.come("ana", holder)
        assert bench.station.release("the lab closes") == (client is not None)
        await asyncio.sleep(0.1)
        if client is not None:
            assert client.turn == Released("the lab closes")
            assert client.belief is Belief.LOST_IT
        assert bench.station.snapshot().holder is None

    at_a_bench(play)


def test_whoever_has_waits_for_or_listens_to_a_port_is_told_why_it_is_gone() -> None:
    async def play(bench: Bench) -> None:
        clients = [
            await bench.come("ana"),
            await bench.come("bob", TurnWish(wait=60)),
            await bench.come("cid", TurnWish(gives_way=True)),
        ]
        await bench.station.close("the lab closes")
        await asyncio.sleep(0.1)
        assert [client.turn for client in clients] == 3 * [Released("the lab closes")]

    at_a_bench(play)


def test_a_released_port_goes_to_the_next_in_line() -> None:
    async def play(bench: Bench) -> None:
        await bench.come("ana")
        waiter = await bench.come("bob", TurnWish(wait=60))
        bench.station.release("the lab closes")
        await asyncio.sleep(0.5)
        assert waiter.belief is Belief.HAS_IT

    at_a_bench(play)


def test_a_patient_takeover_comes_before_the_line_as_soon_as_the_holder_does_nothing() -> None:
    async def play(bench: Bench) -> None:
        holder = await bench.come("ana")
        holder.write(b"work")
        first = await bench.come("bob", TurnWish(wait=300))
        taker = await bench.come("cid", PATIENT)
        assert [each.who for each in bench.station.snapshot().line] == ["cid", "bob"]
        await asyncio.sleep(QUIET_TIME - 2.0)
        assert belief_of(holder) is Belief.HAS_IT
        await asyncio.sleep(3.0)
        assert belief_of(taker) is Belief.HAS_IT
        assert holder.turn == TakenOver(f"{taker.address} (cid)")
        assert belief_of(first) is Belief.WAITS
        taker.leave()
        await asyncio.sleep(0.5)
        assert belief_of(first) is Belief.HAS_IT

    at_a_bench(play, CONFIGURED)


def test_what_the_board_says_is_no_work_of_its_client() -> None:
    async def play(bench: Bench) -> None:
        holder = await bench.come("ana")
        for _ in range(12):
            bench.port.say(b"still here\r\n")
            bench.station.wake()
            await asyncio.sleep(0.5)
        assert b"still here" in holder.heard
        assert (await bench.come("bob", PLAIN)).belief is Belief.HAS_IT

    at_a_bench(play, CONFIGURED)


def test_a_line_and_an_audience_are_bounded() -> None:
    async def play(bench: Bench) -> None:
        await bench.come("ana")
        listeners = [
            await bench.come("lis", TurnWish(gives_way=True)) for _ in range(MAX_LISTENING)
        ]
        late = await bench.come("lis", TurnWish(gives_way=True))
        assert late.turn == Released("too many wait for the port to be free")
        assert all(each.belief is Belief.LISTENS for each in listeners)
        for _ in range(MAX_WAITING):
            assert (await bench.come("bob", TurnWish(wait=600))).belief is Belief.WAITS
        assert (await bench.come("bob", TurnWish(wait=600))).turn == Denied(Denial.LINE_FULL)

    at_a_bench(play)


def test_watchers_are_bounded() -> None:
    async def play(bench: Bench) -> None:
        for _ in range(MAX_WATCHERS):
            await bench.watch()
        assert bench.station.snapshot().watchers == MAX_WATCHERS
        assert await bench.watch() == f"{TOO_MANY}\r\n".encode()

    at_a_bench(play)


def test_an_offer_that_is_not_taken_goes_to_the_next() -> None:
    async def play(bench: Bench) -> None:
        holder = await bench.come("ana")
        gone = await bench.come("bob", TurnWish(wait=60))
        alive = await bench.come("cid", TurnWish(wait=60))
        gone.is_alive = False
        holder.leave()
        await asyncio.sleep(5.0)
        assert belief_of(alive) is Belief.WAITS
        await asyncio.sleep(6.0)
        assert belief_of(alive) is Belief.HAS_IT

    at_a_bench(play)


def test_what_was_sent_before_the_port_was_taken_is_thrown_away() -> None:
    async def play(bench: Bench) -> None:
        holder = await bench.come("ana")
        waiter = await bench.come("bob", TurnWish(wait=60))
        waiter.write(b"stale")
        holder.write(b"work")
        await asyncio.sleep(0.5)
        # On its way while the port changes hands.
        holder.leave()
        waiter.write(b"stale, too")
        await asyncio.sleep(0.5)
        waiter.write(b"fresh")
        await asyncio.sleep(0.5)
        assert bench.port.written == b"workfresh"

    at_a_bench(play)
