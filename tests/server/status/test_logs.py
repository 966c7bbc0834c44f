"""What was said last: for any number of readers, none of whom is waited for."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from esploader.server.journal import Entry, Journal
from esploader.server.status.logs import MAX_EVENTS, MAX_SIZE, BoardLog, EventLog
from esploader.transport.clock import VirtualClock


def test_a_reader_gets_each_event_once_and_in_pieces() -> None:
    log = EventLog()
    for number in range(5):
        log.hear(Entry(logging.INFO, "event", str(number)))
    first, lost, position = log.since(0, 3)
    rest, _, end = log.since(position, 3)
    assert [each.entry.text for each in (*first, *rest)] == list("01234")
    assert (lost, log.since(end, 3)) == (0, ([], 0, 5))


def test_who_reads_too_slowly_is_told_how_many_are_missing() -> None:
    log = EventLog()
    for number in range(MAX_EVENTS + 7):
        log.hear(Entry(logging.INFO, "event", str(number)))
    events, lost, _ = log.since(0, 1)
    assert (events[0].entry.text, lost) == ("7", 7)
    assert log.beginning == 7


@given(st.lists(st.tuples(st.binary(max_size=50_000), st.integers(1, 70_000)), max_size=12))
def test_what_a_reader_got_and_what_it_missed_is_all_that_was_said(
    steps: list[tuple[bytes, int]],
) -> None:
    log = BoardLog()
    said, position = b"", 0
    for data, limit in steps:
        log.hear(data)
        said += data
        read, lost, after = log.since(position, limit)
        assert after == position + lost + len(read)
        assert read == said[position + lost : after]
        assert len(said) - (position + lost) <= MAX_SIZE
        position = after


def test_of_what_a_board_said_long_ago_the_size_is_left() -> None:
    log = BoardLog()
    said = b"".join(b"line %5d\n" % number for number in range(MAX_SIZE // 5))
    for start in range(0, len(said), 1000):
        log.hear(said[start : start + 1000])
    assert log.beginning == len(said) - MAX_SIZE
    assert log.since(0, 11) == (said[-MAX_SIZE:][:11], log.beginning, log.beginning + 11)
    assert log.since(len(said) - 5, 11) == (said[-5:], 0, len(said))


def test_a_journal_tells_a_listener_what_logging_would_leave_out() -> None:
    journal = Journal(VirtualClock())
    heard: list[Entry] = []
    journal.listener = heard.append
    level = logging.getLogger("esploader").level
    logging.getLogger("esploader").setLevel(logging.ERROR)
    try:
        journal.note("client-came", port="bench 1")
        journal.note("asked", level=logging.DEBUG)
    finally:
        logging.getLogger("esploader").setLevel(level)
    assert heard == [Entry(logging.INFO, "client-came", 'client-came port="bench 1"')]
