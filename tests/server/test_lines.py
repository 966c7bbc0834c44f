"""A reset over a network reaches the port as the reset that was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader.server.lines import HOLD_TIME, Lines
from esploader.transport.clock import Clock, VirtualClock
from fake_transport import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Iterator


class TimelessTransport(FakeTransport):
    """A port in virtual time."""

    def __init__(self, *, set_lines: bool = True, set_lines_at_once: bool = False) -> None:
        super().__init__(set_lines=set_lines, set_lines_at_once=set_lines_at_once)
        self.virtual_clock = VirtualClock()

    @property
    @override
    def clock(self) -> Clock:
        return self.virtual_clock

    def changes(self) -> list[object]:
        """Return the changes of lines so far."""
        happenings = []
        while not self.happenings.empty():
            happenings.append(self.happenings.get()[1])
        return happenings


@pytest.fixture
def port() -> Iterator[TimelessTransport]:
    with TimelessTransport() as transport:
        yield transport


def test_the_neutral_moment_within_a_reset_is_left_out(port: TimelessTransport) -> None:
    lines = Lines(port)
    lines.set_dtr(False)
    lines.set_rts(True)
    port.virtual_clock.sleep(0.1)
    lines.set_dtr(True)
    port.virtual_clock.sleep(0.1)
    lines.settle_in_time()
    assert lines.dtr
    lines.set_rts(False)
    port.virtual_clock.sleep(0.05)
    lines.set_dtr(False)

    assert port.changes() == [(False, None), (None, True), (True, False), (False, None)]


def test_dtr_is_not_kept_back_for_ever(port: TimelessTransport) -> None:
    lines = Lines(port)
    lines.set_rts(True)
    lines.set_dtr(True)
    assert lines.seconds_to_wait() == HOLD_TIME
    port.virtual_clock.sleep(HOLD_TIME)
    lines.settle_in_time()

    assert port.changes() == [(None, True), (True, None)]
    assert lines.seconds_to_wait() is None


def test_what_depends_on_dtr_comes_after_it(port: TimelessTransport) -> None:
    lines = Lines(port)
    lines.set_rts(True)
    lines.set_dtr(True)
    lines.settle()

    assert port.changes() == [(None, True), (True, None)]


def test_a_dtr_that_is_taken_back_never_shows(port: TimelessTransport) -> None:
    lines = Lines(port)
    lines.set_rts(True)
    lines.set_dtr(True)
    lines.set_dtr(False)
    lines.settle()

    assert port.changes() == [(None, True)]


def test_outside_of_a_reset_nothing_is_kept_back(port: TimelessTransport) -> None:
    lines = Lines(port)
    lines.set_dtr(True)
    lines.set_rts(True)
    lines.set_dtr(True)
    lines.set_dtr(False)

    assert port.changes() == [(True, None), (None, True), (True, None), (False, None)]


@pytest.mark.parametrize(
    ("at_once", "changes"),
    [(False, [(None, False), (False, None)]), (True, [(False, False)])],
    ids=["one by one", "at once"],
)
def test_release_never_leaves_rts_alone_asserted(
    at_once: bool,  # noqa: FBT001 - a parameter of the table
    changes: list[object],
) -> None:
    with TimelessTransport(set_lines_at_once=at_once) as port:
        lines = Lines(port)
        lines.set_dtr(True)
        lines.set_rts(True)
        port.changes()
        lines.release()
        lines.release()

        assert port.changes() == changes


def test_a_port_without_lines_is_never_asked_to_set_them() -> None:
    with TimelessTransport(set_lines=False) as port:
        lines = Lines(port)
        lines.set_rts(True)
        lines.set_dtr(True)
        lines.settle()
        lines.set_rts(False)
        lines.release()

        assert port.changes() == []
