"""The log has fields, cannot be forged by a peer, and does not grow without end."""

from __future__ import annotations

import logging

import pytest

from esploader.server.journal import MAX_EVENTS, PERIOD, Journal
from esploader.transport.clock import VirtualClock


@pytest.fixture(name="clock")
def _clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(name="journal")
def _journal(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> Journal:
    caplog.set_level(logging.INFO, logger="esploader.server.journal")
    return Journal(clock)


def test_an_event_reads_well_and_is_there_for_programs(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.note("client-left", port="/dev/ttyUSB0", seconds=3.25, sent=17, took=2.0)
    assert caplog.messages == ["client-left port=/dev/ttyUSB0 seconds=3.25 sent=17 took=2"]
    (record,) = caplog.records
    assert vars(record)["event"] == "client-left"
    assert vars(record)["fields"] == {
        "port": "/dev/ttyUSB0",
        "seconds": 3.25,
        "sent": 17,
        "took": 2.0,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a\nclient-left sent=9", r'"a\nclient-left sent=9"'),
        ('say "hello"', r'"say \"hello\""'),
        ("\x1b[2J", r'"\x1b[2J"'),
    ],
)
def test_what_a_peer_says_stays_one_value(
    value: str, shown: str, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.note("refused", text=value)
    assert caplog.messages == [f"refused text={shown}"]


def test_a_flood_of_events_is_counted_and_not_written(
    journal: Journal, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        journal.note("refused")
    journal.note("client-left")
    assert caplog.messages == ["refused"] * MAX_EVENTS + ["client-left"]

    clock.sleep(PERIOD)
    caplog.clear()
    journal.note("refused")
    assert caplog.messages == [f"left-out event=refused count={1000 - MAX_EVENTS}", "refused"]


def test_what_nobody_wants_is_not_counted_either(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MAX_EVENTS):
        journal.note("refused", level=logging.DEBUG)
    journal.note("refused")
    assert caplog.messages == ["refused"]


def raised(number: int) -> Exception:
    with pytest.raises(LookupError) as caught:
        raise LookupError(f"fault {number}")
    return caught.value


def test_what_leaves_a_callback_is_written_within_the_same_bounds(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2 * MAX_EVENTS):
        journal.fault(None, {"message": "in a callback", "exception": raised(number)})
    assert len(caplog.messages) == MAX_EVENTS
    assert caplog.messages[0].startswith(
        "fault reason=\"LookupError('fault 0')\" trace=test_journal"
    )


def test_a_fault_without_an_exception_is_said_as_well(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.fault(None, {"message": "something else"})
    assert caplog.messages == ['fault reason="something else"']
