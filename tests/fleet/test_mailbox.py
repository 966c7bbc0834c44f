"""Events wait in order, and of progress only what says something."""

from __future__ import annotations

import pytest

from esploader.flash.progress import Phase, Progress, Restarted
from esploader.fleet.events import Began, FleetEvent, Progressed
from esploader.fleet.mailbox import Listener, Mailbox


def step(done: int, label: str = "one", phase: Phase = Phase.WRITE) -> Progressed:
    progress = Progress(phase=phase, offset=0x1000, done=done, total=9, wire_bytes=done)
    return Progressed(label=label, progress=progress)


RESTARTED = Progressed(label="one", progress=Restarted(offset=0x1000, reason="no response"))


def taken(*posted: FleetEvent) -> list[FleetEvent]:
    mailbox = Mailbox()
    for event in posted:
        mailbox.post(event)
    found = mailbox.take(0.0)
    assert mailbox.take(0.0) == []
    return found


def test_events_come_in_the_order_in_which_they_were_posted() -> None:
    events: list[FleetEvent] = [Began(label=f"{n % 3}", attempt=n) for n in range(9)]
    assert taken(*events) == events


def test_progress_overtakes_progress_of_the_same_board() -> None:
    assert taken(step(1), step(2), step(1, "two"), step(3)) == [step(3), step(1, "two")]


def test_what_happens_in_between_stays_in_between() -> None:
    events: list[FleetEvent] = [step(5), RESTARTED, step(1), Began(label="one", attempt=2), step(0)]
    assert taken(*events) == events


def test_the_last_step_of_each_phase_stays() -> None:
    events: list[FleetEvent] = [step(9, phase=Phase.COMPARE), step(9), step(9, phase=Phase.VERIFY)]
    assert taken(step(1, phase=Phase.COMPARE), *events) == events


def test_what_is_taken_is_not_overtaken() -> None:
    mailbox = Mailbox()
    mailbox.post(step(1))
    assert mailbox.take(0.0) == [step(1)]
    mailbox.post(step(2))
    assert mailbox.take(0.0) == [step(2)]


def test_what_an_interrupted_listener_was_not_told_it_is_told_afterwards() -> None:
    told: list[FleetEvent] = []

    def on_event(event: FleetEvent) -> None:
        told.append(event)
        if len(told) == 1:
            raise KeyboardInterrupt

    events: list[FleetEvent] = [Began(label="one", attempt=n) for n in range(4)]
    listener = Listener(on_event)
    with pytest.raises(KeyboardInterrupt):
        listener.tell(events[:3])
    listener.tell(events[3:])
    assert told == events
