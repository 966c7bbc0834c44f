"""The serial line: bytes with times, and what a wrong rate makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.simulator.soc.uart import Receiver, Stretch, Transmitter, rates_match, resample

rates = st.sampled_from([9600, 74880, 115200, 230400, 460800, 921600, 2_000_000])


@given(st.binary(max_size=300), rates)
def test_at_the_right_rate_nothing_changes(data: bytes, rate: int) -> None:
    assert resample(data, rate, rate) == data


@given(st.binary(max_size=300), rates)
def test_a_rate_within_tolerance_changes_nothing(data: bytes, rate: int) -> None:
    assert resample(data, rate, int(rate * 1.02)) == data


@given(st.binary(max_size=300), rates, rates)
def test_resampling_depends_on_its_arguments_only(data: bytes, sent: int, seen: int) -> None:
    first = resample(data, sent, seen)

    assert first == resample(data, sent, seen)
    assert len(first) <= len(data) * max(1.0, seen / sent) + 1


@pytest.mark.parametrize(
    ("data", "sent", "seen", "received"),
    [
        # Only every other bit is seen: three of the eight, then stop bit and idle line.
        (b"\x00", 115200, 57600, b"\xf8"),
        # One long low, seen at twice the rate: a zero byte whose stop bit is missing.
        (b"\x00", 57600, 115200, b"\x00"),
        # The start bit alone is long enough for start bit and first data bit.
        (b"\xff", 57600, 115200, b"\xfe"),
        (b"", 9600, 115200, b""),
    ],
)
def test_vectors(data: bytes, sent: int, seen: int, received: bytes) -> None:
    assert resample(data, sent, seen) == received


@pytest.mark.parametrize(
    ("sent", "seen", "match"),
    [
        (115200, 115200, True),
        (117000, 115200, True),
        (119000, 115200, False),
        (74880, 115200, False),
    ],
)
def test_rates_match_within_three_percent(sent: int, seen: int, *, match: bool) -> None:
    assert rates_match(sent, seen) == match


@given(st.integers(1, 600), st.sampled_from([300, 115200, 2_000_000]), st.floats(0, 1e6))
def test_every_byte_is_complete_at_its_time(size: int, rate: int, start: float) -> None:
    stretch = Stretch(bytes(size), start, 10 / rate, rate)

    for index in {0, size // 2, size - 1}:
        assert stretch.complete_count(stretch.time_of(index)) == index + 1
    assert stretch.complete_count(start) == 0
    assert stretch.complete_count(stretch.end + 1) == size


def test_what_is_sent_comes_out_byte_by_byte() -> None:
    transmitter = Transmitter(paced=True)
    transmitter.send(b"abcd", 1.0, 1000)

    assert transmitter.take(1.0, 1000) == b""
    assert transmitter.take(1.025, 1000) == b"ab"
    assert transmitter.next_time() == pytest.approx(1.04)
    assert transmitter.take(1.04, 1000) == b"cd"
    assert transmitter.next_time() == float("inf")


def test_what_is_sent_waits_for_what_is_being_sent() -> None:
    transmitter = Transmitter(paced=True)
    transmitter.send(b"a" * 10, 0.0, 1000)
    transmitter.send(b"b", 0.01, 1000)

    assert transmitter.free_at == pytest.approx(0.11)
    assert transmitter.take(0.109, 1000) == b"a" * 10
    assert transmitter.take(0.11, 1000) == b"b"


def test_what_another_line_sends_arrives_behind_what_is_under_way() -> None:
    receiver = Receiver(paced=True)
    first = receiver.receive(b"first", 1.0, 9600, 9600)
    second = receiver.receive(b"second", 1.0, 115200, 9600)
    assert first == pytest.approx(1.0 + 50 / 9600)
    assert second == pytest.approx(first + 60 / 115200)


def test_a_reset_cuts_off_what_is_being_sent() -> None:
    transmitter = Transmitter(paced=True)
    transmitter.send(b"a" * 2000, 0.0, 1000)
    transmitter.cut_off(0.035)
    transmitter.send(b"b", 0.1, 1000)

    assert transmitter.take(100.0, 1000) == b"aaab"


def test_a_listener_at_another_rate_gets_something_else() -> None:
    transmitter = Transmitter(paced=True)
    transmitter.send(b"waiting for download", 0.0, 74880)

    received = transmitter.take(1.0, 115200)

    assert received == resample(b"waiting for download", 74880, 115200)
    assert received != b"waiting for download"


def test_a_listener_that_follows_understands_every_rate() -> None:
    transmitter = Transmitter(paced=False)
    transmitter.send(b"x", 0.0, 12345)

    assert transmitter.take(0.0, None) == b"x"


@pytest.mark.parametrize(("rate", "first"), [(115200, 512), (460800, 1152), (921600, 2304)])
def test_an_adapter_gathers_more_at_a_high_rate(rate: int, first: int) -> None:
    transmitter = Transmitter(paced=True)
    transmitter.send(bytes(4096), 0.0, rate)

    assert transmitter.next_time() == pytest.approx(first * 10 / rate)
    assert len(transmitter.take(transmitter.next_time(), rate)) == first


def test_an_adapter_hands_over_whole_pieces() -> None:
    transmitter = Transmitter(paced=True)
    transmitter.send(b"a" * 10, 0.0, 1000)
    transmitter.send(b"b" * 10, 0.1, 1000)

    assert transmitter.take(0.099, 1000, in_pieces=True) == b""
    assert transmitter.take(0.199, 1000, in_pieces=True) == b"a" * 10
    assert transmitter.take(0.2, 1000, in_pieces=True) == b"b" * 10
