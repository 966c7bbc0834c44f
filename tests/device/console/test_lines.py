"""Lines, the times in front of them, and whether they are text at all."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.device.console.garbage import GarbageWatch
from esploader.device.console.lines import MAX_LINE_SIZE, LineCollector
from esploader.device.console.stamps import LineStamper, Timestamps
from esploader.transport.clock import VirtualClock

texts = st.text(alphabet="ab\n", max_size=30)
NOON = dt.datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=dt.UTC)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[start:end] for start, end in pairwise(edges)]


def test_a_line_has_the_time_of_its_beginning() -> None:
    clock = VirtualClock()
    stamper = LineStamper(Timestamps.RELATIVE, clock.now)
    clock.sleep(1.5)
    shown = stamper.feed("begin")
    clock.sleep(2)
    shown += stamper.feed(" end\nnext\n\n")
    assert shown == "[     1.500] begin end\n[     3.500] next\n[     3.500] \n"


def test_the_time_of_day_has_its_date() -> None:
    stamper = LineStamper(Timestamps.ABSOLUTE, VirtualClock().now, lambda: NOON)
    assert stamper.feed("a\n") == "[2026-03-01 12:00:00.250] a\n"


def test_without_timestamps_nothing_is_added() -> None:
    stamper = LineStamper(Timestamps.NONE, VirtualClock().now)
    assert stamper.feed("a\nb") == "a\nb"


def test_nothing_is_no_beginning_of_a_line() -> None:
    clock = VirtualClock()
    stamper = LineStamper(Timestamps.RELATIVE, clock.now)
    assert stamper.feed("") == ""
    clock.sleep(2)
    assert stamper.feed("a") == "[     2.000] a"


@given(texts, st.lists(st.integers(0, 30)))
def test_every_line_has_one_time_however_it_comes(text: str, cuts: list[int]) -> None:
    stamper = LineStamper(Timestamps.RELATIVE, VirtualClock().now)
    shown = "".join(map(stamper.feed, pieces_of(text, cuts)))
    mark = "[     0.000] "
    assert shown == "".join(f"{mark}{line}" for line in text.splitlines(keepends=True))


@given(texts, st.lists(st.integers(0, 30)))
def test_lines_are_found_however_they_come(text: str, cuts: list[int]) -> None:
    collector = LineCollector()
    found = [each for piece in pieces_of(text, cuts) for each in collector.feed(piece)]
    assert "".join(piece for piece, _ in found) == text
    *whole, rest = text.split("\n")
    assert [line for _, line in found if line is not None] == whole
    assert collector.open == rest


def test_lines_are_looked_at_without_colours() -> None:
    collector = LineCollector()
    assert [line for _, line in collector.feed("\x1b[0;31mE (1) it\x1b[0m\n")] == ["E (1) it"]


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    collector = LineCollector()
    found = [line for _, line in collector.feed("x" * (MAX_LINE_SIZE + 1))]
    assert found == ["x" * MAX_LINE_SIZE]
    assert collector.open == ""


@pytest.mark.parametrize(
    ("said", "is_garbage"),
    [
        (b"ets Jan  8 2013,rst cause:1, boot mode:(3,6)\r\n" * 10, False),
        ("Wärme: 21 °C, alles läuft\r\n".encode() * 20, False),
        (b"\x1b[0;32mI (31) boot: ESP-IDF\x1b[0m\r\n" * 10, False),
        (bytes(range(256)) * 2, True),
        (b"\x00\xfe\x80\x1c" * 100, True),
        (b"\xff" * 100, False),
    ],
    ids=["boot log", "umlauts", "colours", "all bytes", "wrong rate", "too little to tell"],
)
def test_what_is_no_text_is_noticed(said: bytes, is_garbage: bool) -> None:  # noqa: FBT001
    watch = GarbageWatch()
    found = [watch.feed(said[start : start + 7]) for start in range(0, len(said), 7)]
    assert any(found) is is_garbage
    assert sum(found) <= 1
