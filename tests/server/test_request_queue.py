"""The queue of a client keeps its order, and nothing a client does makes it work for long."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from esploader.server.relay import MAX_DISCARDS, MAX_STEPS, Relay
from esploader.server.request_queue import Malformed, Request, RequestQueue
from esploader.server.served_port import serve_transport
from esploader.transport.com_port import Code, Control, Purge, Setting
from esploader.transport.gates import Arm, Delay, Gate, SizeRule
from relays import FakePeer, TimedTransport, run

if TYPE_CHECKING:
    from collections.abc import Callable

PURGE = Setting(Code.PURGE_DATA, Purge.TRANSMIT)
RATE = Setting(Code.SET_BAUDRATE, 300)
CALLS_PER_STEP = 100
"""More than anything here takes for one request, in calls of functions."""

REQUESTS = st.one_of(
    st.binary(min_size=1, max_size=10_000),
    st.builds(Arm, st.integers(0, 9)),
    st.builds(Malformed, st.integers(0, 9)),
    st.sampled_from([RATE, PURGE, Gate(rule=SizeRule(1), timeout=1.0)]),
)


def work(function: Callable[[], None]) -> int:
    """Return how many calls of functions something takes."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def joined(requests: list[Request]) -> list[Request]:
    """Return the requests, neighbouring bytes as one."""
    result: list[Request] = []
    for request in requests:
        if result and isinstance(request, bytes) and isinstance(result[-1], bytes):
            result[-1] += request
        else:
            result.append(request)
    return result


def taken(queue: RequestQueue, piece: int) -> list[Request]:
    """Return all that a queue holds, in pieces."""
    requests: list[Request] = []
    while (head := queue.head) is not None:
        if isinstance(head, bytes):
            requests.append(head[:piece])
            queue.consume(len(head[:piece]))
        else:
            requests.append(head)
            queue.pop()
    return joined(requests)


@given(requests=st.lists(REQUESTS, max_size=30), piece=st.integers(1, 5000))
def test_everything_leaves_in_the_order_in_which_it_came(
    requests: list[Request], piece: int
) -> None:
    queue = RequestQueue()
    for request in requests:
        queue.append(request)
    assert taken(queue, piece) == joined(requests)
    assert queue.size == queue.arm_count == 0


@given(st.lists(REQUESTS, max_size=30), st.lists(REQUESTS, max_size=5))
def test_only_bytes_in_front_of_the_first_arm_can_be_dropped(
    before: list[Request], after: list[Request]
) -> None:
    queue = RequestQueue()
    for request in before:
        queue.append(request)
    queue.drop_bytes()
    for request in after:
        queue.append(request)
    arm = next((n for n, each in enumerate(before) if isinstance(each, Arm)), len(before))
    kept = [each for each in before[:arm] if not isinstance(each, bytes)]
    assert taken(queue, 5000) == joined([*kept, *before[arm:], *after])
    assert queue.size == 0


@given(st.lists(REQUESTS, max_size=30))
def test_what_is_discarded_ends_at_an_arm_or_a_purge(requests: list[Request]) -> None:
    queue = RequestQueue()
    for request in requests:
        queue.append(request)
    while queue.begins_with_waste:
        queue.discard(2)
    end = (n for n, each in enumerate(requests) if isinstance(each, Arm) or each is PURGE)
    assert taken(queue, 5000) == joined(requests[next(end, len(requests)) :])


def test_a_flood_of_purges_costs_no_more_behind_a_long_queue() -> None:
    port = TimedTransport()
    relay, count = Relay(serve_transport(port)), 500
    relay.attach(FakePeer())
    relay.request(*[Setting(Code.SET_CONTROL, Control.ASK_DTR)] * 20_000)
    flood: list[Request] = [b"x", PURGE] * count

    assert work(lambda: relay.request(*flood)) < 2 * count * CALLS_PER_STEP
    assert work(relay.pump) < MAX_STEPS * CALLS_PER_STEP
    run(relay, port.virtual_clock)
    assert port.written == b""


def test_failure_after_failure_costs_no_more_in_front_of_a_long_queue() -> None:
    port = TimedTransport()
    relay, peer, count = Relay(serve_transport(port)), FakePeer(), 5000
    relay.attach(peer)
    failures: list[Request] = [Malformed(1), RATE, Arm(1)] * count
    relay.request(Arm(0), Delay(2.0), *failures)
    relay.pump()
    port.virtual_clock.sleep(2.0)
    pumps = 0
    while relay.queue_size:
        assert work(relay.pump) < MAX_STEPS * CALLS_PER_STEP
        pumps += 1

    assert pumps <= 2 * count
    assert len(peer.words) == 1 + 2 * count


def test_what_a_failure_leaves_behind_is_thrown_away_a_part_at_a_time() -> None:
    port = TimedTransport()
    relay, peer = Relay(serve_transport(port)), FakePeer()
    relay.attach(peer)
    relay.request(Arm(0), Malformed(1), *[RATE] * 20_000)
    while relay.queue_size:
        assert relay.seconds_to_wait == 0
        assert work(relay.pump) < 10 * MAX_DISCARDS + MAX_STEPS * CALLS_PER_STEP

    relay.request(RATE, Arm(1), b"alive")
    run(relay, port.virtual_clock)
    assert port.written == b"alive"
    assert len(peer.words) == 3
