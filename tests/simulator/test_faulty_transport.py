"""A line with faults hits the same bytes whatever the pieces in which they come."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from esploader.errors import HostUnreachableError, TransportClosedError
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import UNPACED
from esploader.simulator.line.faults import (
    BaudMismatch,
    Corrupt,
    Cut,
    Delay,
    Direction,
    Drop,
    Duplicate,
    Fault,
    Jitter,
    Overflow,
    Split,
    Stall,
)
from esploader.simulator.line.faulty_transport import FaultyRealTimeTransport, FaultyTransport
from esploader.simulator.line.transport import RealTimeTransport
from esploader.transport.base import Capabilities, Transport
from esploader.transport.clock import Clock, VirtualClock
from esploader.urls import open_transport
from simulated import READ_MAGIC, make_bench

if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWER = bytes.fromhex("c0010a04006f50311b00000000c0")


@attrs.define
class Pipe(Transport):
    """The far end of a line: keeps what it gets, with the time, and says what it is told to."""

    _clock: VirtualClock = attrs.field(factory=VirtualClock)
    to_say: list[tuple[float, bytes]] = attrs.field(factory=list)
    got: list[tuple[float, bytes]] = attrs.field(factory=list, init=False)
    lines: list[tuple[float, bool | None]] = attrs.field(factory=list, init=False)
    is_closed: bool = attrs.field(default=False, init=False)

    @property
    @override
    def name(self) -> str:
        return "pipe"

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(set_lines=True, set_lines_at_once=True, set_baudrate=True)

    @property
    @override
    def clock(self) -> Clock:
        return self._clock

    @property
    @override
    def baudrate(self) -> int:
        return 115200

    @override
    def read(self, deadline: float) -> bytes:
        if self.to_say and self.to_say[0][0] <= max(deadline, self._clock.now()):
            moment, data = self.to_say.pop(0)
            self._clock.advance_to(moment)
            return data
        self._clock.advance_to(deadline)
        return b""

    @override
    def write(self, data: bytes) -> None:
        self.got.append((self._clock.now(), data))

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.lines.append((self._clock.now(), rts))

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self.lines.append((self._clock.now(), None))

    @override
    def discard_input(self) -> bytes:
        now, dropped = self._clock.now(), b""
        while self.to_say and self.to_say[0][0] <= now:
            dropped += self.to_say.pop(0)[1]
        return dropped

    @override
    def close(self) -> None:
        self.is_closed = True

    @property
    def received(self) -> bytes:
        """All that came."""
        return b"".join(data for _, data in self.got)


class GatedPipe(Pipe):
    """A pipe whose far end obeys gates, or says so."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return attrs.evolve(super().capabilities, gated=True)


def sent_through(faults: Iterable[Fault], *chunks: bytes, seed: int = 7) -> bytes:
    """Return what arrives of bytes that are written."""
    pipe = Pipe()
    transport = FaultyTransport(pipe, tuple(faults), seed)
    for chunk in chunks:
        transport.write(chunk)
    return pipe.received


def read_all(transport: Transport, seconds: float = 100.0) -> bytes:
    received = b""
    deadline = transport.clock.now() + seconds
    while data := transport.read(deadline):
        received += data
    return received


contents = st.binary(max_size=300)
rates = st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0])
some_positions = st.frozensets(st.integers(0, 300), max_size=3)
harmless = (
    st.builds(Delay, rate=rates, seconds=st.just(0.0))
    | st.builds(Jitter, rate=rates, seconds=st.just(0.0))
    | st.builds(Split, rate=rates, positions=some_positions)
    | st.builds(BaudMismatch, factor=st.floats(0.98, 1.02))
)
"""What changes neither the bytes nor, on this pipe, their times."""
any_faults = st.lists(
    st.builds(Drop, rate=rates, positions=some_positions)
    | st.builds(Corrupt, rate=rates, whole_byte=st.booleans())
    | st.builds(Duplicate, rate=rates, positions=some_positions)
    | st.builds(Overflow, rate=rates, positions=some_positions, count=st.integers(1, 50))
    | st.builds(BaudMismatch, factor=st.floats(0.5, 2.0))
    | harmless,
    max_size=3,
)


@given(content=contents, kinds=any_faults, cuts=st.lists(st.integers(0, 300), max_size=5))
def test_chunking_never_matters(content: bytes, kinds: list[Fault], cuts: list[int]) -> None:
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    chunks = [content[start:end] for start, end in pairwise(edges)]
    single_bytes = [content[i : i + 1] for i in range(len(content))]

    whole = sent_through(kinds, content)
    assert sent_through(kinds, *chunks) == whole
    assert sent_through(kinds, *single_bytes) == whole


@given(content=contents, seed=st.integers(0, 5))
def test_a_line_without_faults_changes_nothing(content: bytes, seed: int) -> None:
    assert sent_through((), content, seed=seed) == content
    assert sent_through((Drop(rate=0.0), Corrupt()), content, seed=seed) == content


def test_seeds_and_directions_differ() -> None:
    content = bytes(10_000)
    kinds = (Corrupt(rate=0.01),)
    pipe = Pipe(to_say=[(0.0, content)])
    transport = FaultyTransport(pipe, kinds, 7)

    assert sent_through(kinds, content) == sent_through(kinds, content)
    assert sent_through(kinds, content) != sent_through(kinds, content, seed=8)
    assert read_all(transport) != sent_through(kinds, content)


@pytest.mark.parametrize("rate", [1e-5, 1e-3, 0.5])
def test_the_rate_is_that_of_the_bytes_hit(rate: float) -> None:
    content = bytes(min(1_000_000, round(50_000 / rate)))
    lost = len(content) - len(sent_through((Drop(rate=rate),), content))
    corrupted = sum(map(bool, sent_through((Corrupt(rate=rate),), content)))

    assert lost == pytest.approx(len(content) * rate, rel=0.1, abs=10)
    assert corrupted == pytest.approx(len(content) * rate, rel=0.1, abs=10)


def test_rare_faults_are_found_among_many_bytes() -> None:
    """It would take minutes to look at every byte."""
    received = sent_through((Drop(rate=1e-7), Corrupt(rate=1e-7)), *[bytes(1 << 24)] * 10)

    assert 0 < (10 << 24) - len(received) < 50
    assert 0 < len(received) - received.count(0) < 50


def test_chosen_bytes_are_hit_in_their_direction_only() -> None:
    kinds = (Drop(positions=(1, 5), direction=Direction.TO_DEVICE),)
    pipe = Pipe(to_say=[(0.0, b"abcdefg")])
    transport = FaultyTransport(pipe, kinds)
    transport.write(b"abc")
    transport.write(b"defg")

    assert pipe.received == b"acdeg"
    assert read_all(transport) == b"abcdefg"


@pytest.mark.parametrize("whole_byte", [False, True])
def test_a_corrupt_byte_is_another(*, whole_byte: bool) -> None:
    kinds = (Corrupt(positions=range(200), whole_byte=whole_byte),)
    flipped = [value.bit_count() for value in sent_through(kinds, bytes(200))]

    assert len(flipped) == 200
    assert 0 not in flipped
    assert (set(flipped) == {1}) == (not whole_byte)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Drop(rate=rate)


def test_faults_apply_one_after_the_other() -> None:
    """The second counts what the first has left."""
    kinds = (Drop(positions=(0,)), Drop(positions=(0,)))

    assert sent_through(kinds, b"abc") == b"c"


@given(content=contents, first=any_faults, second=any_faults)
def test_faults_in_one_tuple_or_on_two_lines_are_the_same(
    content: bytes, first: list[Fault], second: list[Fault]
) -> None:
    """Chance apart: it depends on the place in the tuple."""
    certain = [attrs.evolve(fault, rate=float(fault.rate > 0.5)) for fault in (*first, *second)]
    plain = [fault for fault in certain if not isinstance(fault, Corrupt)]
    half = sum(not isinstance(fault, Corrupt) for fault in first)
    pipe = Pipe()
    far = FaultyTransport(pipe, tuple(plain[half:]))
    FaultyTransport(far, tuple(plain[:half])).write(content)

    assert pipe.received == sent_through(plain, content)


@given(content=contents, kinds=st.lists(harmless, max_size=3), other=any_faults)
def test_harmless_faults_leave_the_others_what_they_are(
    content: bytes, kinds: list[Fault], other: list[Fault]
) -> None:
    """Behind them: in front they would move the others to another place in the tuple."""
    assert sent_through(kinds, content) == content
    assert sent_through((*other, *kinds), content) == sent_through(other, content)


@given(content=contents, kinds=any_faults, seed=st.integers(0, 3))
def test_the_same_faults_and_seed_give_the_same_line(
    content: bytes, kinds: list[Fault], seed: int
) -> None:
    copies = [attrs.evolve(fault) for fault in kinds]

    assert copies == kinds
    assert sent_through(copies, content, seed=seed) == sent_through(kinds, content, seed=seed)


@given(content=contents, rate=rates, kind=st.sampled_from((Drop, Overflow, Duplicate)))
def test_bytes_are_lost_or_come_twice_and_keep_their_order(
    content: bytes, rate: float, kind: type[Drop | Overflow | Duplicate]
) -> None:
    numbered = bytes(range(len(content) % 256))
    received = list(sent_through((kind(rate=rate),), numbered))

    assert received == sorted(received)
    assert set(received) <= set(numbered)
    if kind is Duplicate:
        assert set(received) == set(numbered)
        assert all(received.count(value) <= 2 for value in numbered)
    else:
        assert len(set(received)) == len(received)


def test_an_overflow_loses_bytes_in_a_row() -> None:
    numbered = bytes(range(100))

    assert sent_through((Overflow(positions=(10, 12, 90), count=5),), numbered) == bytes(
        (*range(10), *range(15, 90), *range(95, 100))
    )


def test_an_overflow_goes_on_in_the_next_piece() -> None:
    kinds = (Overflow(positions=(1,), count=5),)

    assert sent_through(kinds, b"ab", b"cd", b"efgh") == b"agh"


def test_a_duplicate_comes_twice() -> None:
    assert sent_through((Duplicate(positions=(1,)),), b"abc") == b"abbc"


def test_all_bytes_may_be_hit() -> None:
    assert sent_through((Drop(rate=1.0),), b"abc") == b""
    assert sent_through((Duplicate(rate=1.0),), b"abc") == b"aabbcc"


@pytest.mark.parametrize("factor", [0.97, 1.0, 1.03])
def test_clocks_that_differ_a_little_understand_each_other(factor: float) -> None:
    content = bytes(range(256))

    assert sent_through((BaudMismatch(factor=factor),), content) == content


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.2, 2.0])
def test_clocks_that_differ_much_make_other_bytes(factor: float) -> None:
    content = bytes(range(256))
    received = sent_through((BaudMismatch(factor=factor),), content)

    assert received
    assert sum(a == b for a, b in zip(received, content, strict=False)) < 128


def test_a_mismatch_may_hit_one_direction() -> None:
    bench = make_bench()
    kinds = (BaudMismatch(factor=1.5, direction=Direction.FROM_DEVICE),)
    transport = FaultyTransport(bench.transport, kinds)
    transport.write(READ_MAGIC)

    assert read_all(transport, 1.0) not in {ANSWER, b""}
    assert len(bench.device.history.commands) == 1


# Time.


def test_what_is_split_is_read_in_two_pieces_at_the_same_time() -> None:
    pipe = Pipe(to_say=[(1.0, b"abcdef")])
    transport = FaultyTransport(pipe, (Split(positions=(0, 2, 5)),))

    arrivals = []
    while data := transport.read(20.0):
        arrivals.append((transport.clock.now(), data))
    assert arrivals == [(1.0, b"ab"), (1.0, b"cde"), (1.0, b"f")]


def test_what_is_split_is_written_in_two_pieces() -> None:
    pipe = Pipe()
    FaultyTransport(pipe, (Split(positions=(2,)),)).write(b"abcd")

    assert pipe.got == [(0.0, b"ab"), (0.0, b"cd")]


def test_a_purge_takes_all_pieces() -> None:
    pipe = Pipe(to_say=[(0.0, b"abcd")])

    assert FaultyTransport(pipe, (Split(rate=1.0),)).discard_input() == b"abcd"


def test_jitter_delays_by_chance_and_never_overtakes() -> None:
    said = [(float(index), bytes((index,))) for index in range(1, 50)]
    transport = FaultyTransport(Pipe(to_say=list(said)), (Jitter(rate=0.5, seconds=0.5),), 3)
    delays = []
    received = bytearray()
    while data := transport.read(transport.clock.now() + 3.0):
        received += data
        delays.append(transport.clock.now() - said[len(received) - 1][0])

    assert received == bytes(range(1, 50))
    assert all(0.0 <= delay <= 0.5 for delay in delays)
    assert len({round(delay, 6) for delay in delays}) > 10


def test_what_is_delayed_comes_later_and_in_order() -> None:
    pipe = Pipe(to_say=[(1.0, b"abcd"), (1.5, b"efgh"), (9.0, b"ijkl")])
    transport = FaultyTransport(pipe, (Delay(positions=(2,), seconds=2.0),))

    arrivals = []
    while data := transport.read(20.0):
        arrivals.append((transport.clock.now(), data))
    assert arrivals == [(1.0, b"ab"), (3.0, b"cdefgh"), (9.0, b"ijkl")]


def test_what_is_delayed_on_its_way_out_goes_while_one_reads() -> None:
    pipe = Pipe()
    transport = FaultyTransport(pipe, (Delay(positions=(2,), seconds=2.0),))
    transport.write(b"abcd")
    transport.read(10.0)

    assert pipe.got == [(0.0, b"ab"), (2.0, b"cd")]
    assert transport.clock.now() == 10.0


def test_a_stall_holds_up_both_directions() -> None:
    pipe = Pipe(to_say=[(0.5, b"answer"), (0.7, b"s")])
    transport = FaultyTransport(
        pipe, (Stall(positions=(2,), direction=Direction.TO_DEVICE, seconds=2.0),)
    )
    transport.write(b"abcd")

    assert transport.read(1.0) == b""
    assert transport.read(10.0) == b"answers"
    assert transport.clock.now() == 2.0
    assert pipe.got == [(0.0, b"ab"), (2.0, b"cd")]


def test_late_answers_survive_a_purge() -> None:
    pipe = Pipe(to_say=[(0.0, b"abcd")])
    transport = FaultyTransport(pipe, (Delay(positions=(2,), seconds=2.0),))

    assert transport.discard_input() == b"ab"
    assert transport.read(10.0) == b"cd"


def test_lines_and_rate_change_after_what_was_written() -> None:
    pipe = Pipe()
    transport = FaultyTransport(pipe, (Delay(positions=(0,), seconds=2.0),))
    transport.write(b"abcd")
    transport.set_lines(rts=True)
    transport.set_baudrate(9600)

    assert pipe.got == [(2.0, b"abcd")]
    assert pipe.lines == [(2.0, True), (2.0, None)]


# The end of the connection.


def test_a_cut_loses_what_is_under_way() -> None:
    pipe = Pipe()
    transport = FaultyTransport(pipe, (Cut(positions=(3,), seconds=1.0),))
    with pytest.raises(TransportClosedError):
        transport.write(b"abcdef")
    pipe.to_say.append((0.5, b"nobody hears this"))

    for use in (
        lambda: transport.read(0.0),
        lambda: transport.write(b"x"),
        lambda: transport.set_lines(rts=True),
        transport.discard_input,
    ):
        with pytest.raises(TransportClosedError):
            use()
    transport.clock.sleep(1.0)
    transport.write(b"ghi")
    assert pipe.received == b"abcghi"
    assert transport.read(2.0) == b""


def test_what_was_read_before_a_cut_is_not_lost() -> None:
    pipe = Pipe(to_say=[(0.0, b"abcdef")])
    transport = FaultyTransport(pipe, (Cut(positions=(3,)),))

    assert transport.read(1.0) == b"abc"
    with pytest.raises(TransportClosedError):
        transport.read(1.0)
    assert transport.read(1.0) == b""


def test_a_cut_line_can_be_opened_again() -> None:
    pipe = Pipe()
    first = FaultyTransport(pipe, (Cut(positions=(1, 3), seconds=1.0),))
    with pytest.raises(TransportClosedError):
        first.write(b"ab")
    first.close()
    with pytest.raises(HostUnreachableError):
        first.reopen()
    first.clock.sleep(1.0)

    with first.reopen() as second:
        second.write(b"c")
        with pytest.raises(TransportClosedError):
            first.write(b"d")
        with pytest.raises(TransportClosedError):
            second.write(b"d")
    assert pipe.received == b"ac"
    assert not pipe.is_closed
    pipe.clock.sleep(1.0)
    with first.reopen():
        pass
    assert pipe.is_closed


def test_a_closed_port_says_so() -> None:
    pipe = Pipe()
    transport = FaultyTransport(pipe)
    transport.close()
    transport.close()

    assert pipe.is_closed
    with pytest.raises(TransportClosedError):
        transport.read(0.0)


def test_it_works_in_front_of_a_simulated_device() -> None:
    bench = make_bench()
    spoilt = Corrupt(positions=(2,), direction=Direction.FROM_DEVICE)
    transport = FaultyTransport(bench.transport, (spoilt,))
    transport.write(READ_MAGIC)
    first = read_all(transport)
    transport.write(READ_MAGIC)

    assert (first[:2], first[3:]) == (ANSWER[:2], ANSWER[3:])
    assert first[2] != ANSWER[2]
    assert read_all(transport) == ANSWER
    assert (transport.name, transport.baudrate, transport.round_trip) == ("sim://", 115200, 0.0)
    assert transport.capabilities.set_lines


# In front of any port.


def test_the_port_of_another_library_may_be_behind_it() -> None:
    faults: tuple[Fault, ...] = (Corrupt(positions=(1,), direction=Direction.TO_DEVICE),)
    with FaultyTransport(open_transport("loop://"), faults) as transport:
        transport.write(b"abc")
        received = bytearray()
        deadline = transport.clock.now() + 10.0
        while len(received) < 3:
            received += transport.read(deadline)
            assert transport.clock.now() < deadline

    assert received[::2] == b"ac"
    assert (received[1] ^ ord("b")).bit_count() == 1


def test_nothing_is_sent_ahead_past_the_faults() -> None:
    pipe = Pipe()

    assert FaultyTransport(pipe).capabilities == pipe.capabilities
    assert not FaultyTransport(GatedPipe()).capabilities.gated


def test_a_faulty_line_in_real_time_knows_when_it_goes_on() -> None:
    device = SimulatedDevice("esp32c3", state="download", timings=UNPACED)
    fault = Delay(positions={0}, seconds=1000.0, direction=Direction.FROM_DEVICE)
    with FaultyRealTimeTransport(RealTimeTransport(device), (fault,)) as transport:
        assert transport.next_event() is None

        transport.write(READ_MAGIC)
        now = transport.clock.now()
        moment = transport.next_event()
        assert moment is not None
        assert moment <= now

        assert transport.read(now) == b""
        moment = transport.next_event()
        assert moment is not None
        assert now < moment <= transport.clock.now() + 1000.0
