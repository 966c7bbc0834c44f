"""A reset played from afar becomes the reset that was meant, and nothing else becomes one."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covering import covering_parameters
from esploader.server.lines import USB_SERIAL_JTAG_IDS, Lines
from esploader.server.recogniser import (
    ASSERTED,
    IN_RESET,
    PATIENCE,
    RELEASED,
    REPETITION,
    STRAPPED,
    Pair,
    Recogniser,
    ResetPolicy,
)
from esploader.transport.com_port import Code, Control, Setting
from esploader.transport.reset import (
    HARD_RESET,
    LONG_STRAP_DELAY,
    USB_SERIAL_JTAG,
    classic,
    parse_custom,
    tight,
)
from esploader.transport.steps import ResetSequence, ResetStep, Wait
from esploader.transport.vendors import ESPRESSIF_VID
from relays import FakePeer, TimedTransport
from virtual_link import VirtualServer, make_server

if TYPE_CHECKING:
    from collections.abc import Sequence

Step: TypeAlias = "tuple[str, bool] | float"
"""A request for the line D or R, or a pause in seconds."""

POLL = 0.05
"""How often pyserial looks whether a request has been acknowledged, in seconds."""

OPEN: list[Step] = [("D", True), ("R", True)]
"""What pyserial sends when it opens a port."""

RELEASE: list[Step] = [("D", False), ("R", False)]


def with_dtr_again(steps: Sequence[Step]) -> list[Step]:
    """Return the steps with DTR sent again after each RTS, as clients do for Windows."""
    repeated: list[Step] = []
    dtr = False
    for step in steps:
        repeated.append(step)
        if isinstance(step, tuple):
            if step[0] == "D":
                dtr = step[1]
            else:
                repeated.append(("D", dtr))
    return repeated


def one_by_one(sequence: ResetSequence, first: str) -> list[Step]:
    """Return the requests of a client that has to send two lines as two requests."""
    steps: list[Step] = []
    for step in sequence:
        if isinstance(step, Wait):
            steps.append(step.seconds)
            continue
        both = {"D": step.dtr, "R": step.rts}
        for line in (first, "R" if first == "D" else "D"):
            asserted = both[line]
            if asserted is not None:
                steps.append((line, asserted))
    return steps


def of_classic(delay: float) -> list[Step]:
    return [
        ("D", False),
        ("R", True),
        0.1,
        ("D", True),
        ("R", False),
        delay,
        ("D", False),
    ]


def of_restart(hold: float = 0.1) -> list[Step]:
    return [("R", True), hold, ("R", False)]


OF_USB_SERIAL_JTAG: list[Step] = [
    ("R", False),
    ("D", False),
    0.1,
    ("D", True),
    ("R", False),
    0.1,
    ("R", True),
    ("D", False),
    ("R", True),
    0.1,
    ("D", False),
    ("R", False),
]

DOWNLOADS: dict[str, list[Step]] = {
    "classic": of_classic(0.05),
    "classic, long": of_classic(0.55),
    "classic, DTR again": with_dtr_again(of_classic(0.05)),
    "tight, DTR first": one_by_one(tight(), "D"),
    "tight, RTS first": one_by_one(tight(), "R"),
    "tight, long": one_by_one(tight(0.55), "D"),
}
RESTARTS: dict[str, list[Step]] = {
    "restart": of_restart(),
    "restart, DTR again": with_dtr_again(of_restart()),
    "restart, DTR first": [("D", False), *of_restart()],
    "restart, long": of_restart(0.2),
}
USB = {
    "as it is": OF_USB_SERIAL_JTAG,
    "DTR again": with_dtr_again(OF_USB_SERIAL_JTAG),
    "ours": one_by_one(USB_SERIAL_JTAG, "D"),
}
BEFORE: dict[str, list[Step]] = {
    "untouched": [],
    "opened": OPEN,
    "opened and released": [*OPEN, 0.1, *RELEASE],
    "released": RELEASE,
}
ROUND_TRIPS = (0.0, 0.001, 0.03, 0.1, 0.25, 0.5, 1.0)


@attrs.define
class Afar:
    """A client that is a round trip away from the server."""

    server: VirtualServer
    round_trip: float
    waits: bool
    """It waits for each acknowledgement, as pyserial does unless told otherwise."""

    jitter: float = 0.0
    peer: FakePeer = attrs.field(factory=FakePeer)
    _time: float = 0.0
    _arrived: float = 0.0
    _chance: random.Random = attrs.field(factory=lambda: random.Random(7))  # noqa: S311

    def __attrs_post_init__(self) -> None:
        self.server.relay.attach(self.peer)

    def play(self, steps: Sequence[Step]) -> None:
        """Play the steps at the times of the client."""
        for step in steps:
            if isinstance(step, tuple):
                self._request(*step)
            else:
                self._time += step

    def rest(self, seconds: float = 5.0) -> None:
        """Do nothing for a while."""
        self._time += seconds
        self.server.clock.advance_to(self._time + self.round_trip + self.jitter)

    @property
    def console(self) -> bytes:
        """What the chip said."""
        return b"".join(each for each in self.peer.heard if isinstance(each, bytes))

    def _request(self, line: str, asserted: bool) -> None:  # noqa: FBT001 - a step has no names
        on, off = {
            "D": (Control.DTR_ON, Control.DTR_OFF),
            "R": (Control.RTS_ON, Control.RTS_OFF),
        }[line]
        latency = self.round_trip / 2 + self._chance.uniform(0, self.jitter)
        self._arrived = max(self._arrived, self._time + latency)
        self.server.clock.advance_to(self._arrived)
        answers = len(self.peer.words)
        self.server.relay.request(Setting(Code.SET_CONTROL, on if asserted else off))
        self.server.run_until(self.server.clock.now())
        if not self.waits:
            return
        while len(self.peer.words) == answers:
            self.server.clock.advance_to(self.server.next_moment)
        answered = self.server.clock.now() + self.round_trip / 2 - self._time
        self._time += (answered // POLL + 1) * POLL


def afar(
    round_trip: float = 0.0,
    *,
    waits: bool = True,
    jitter: float = 0.0,
    policy: ResetPolicy | None = None,
) -> Afar:
    server = make_server(policy=policy)
    return Afar(server, round_trip, waits, jitter)


def boots(client: Afar) -> list[str]:
    """Return into what the chip booted, in order."""
    parts = client.console.split(b"rst:")[1:]
    return ["download" if b"waiting for download" in part else "application" for part in parts]


@pytest.mark.parametrize(
    ("name", "before", "waits", "round_trip"),
    covering_parameters(
        list(itertools.product([*DOWNLOADS, *RESTARTS], BEFORE, (True, False), ROUND_TRIPS)),
        lambda name, before, waits, round_trip: (
            (name, before, waits),
            (name, round_trip),
            (before, waits, round_trip),
        ),
    ),
)
def test_every_sequence_ends_in_the_boot_mode_that_it_is_for(
    name: str,
    before: str,
    waits: bool,  # noqa: FBT001 - of the table
    round_trip: float,
) -> None:
    for jitter in (0.0, round_trip / 4):
        client = afar(round_trip, waits=waits, jitter=jitter)
        client.play(BEFORE[before])
        client.rest(0.3)
        client.play(DOWNLOADS.get(name) or RESTARTS[name])
        client.rest()

        if name in DOWNLOADS:
            assert boots(client) == ["download"]
        elif before == "opened" and name != "restart, DTR first":
            # With DTR asserted RTS resets no chip, and neither would it on a local port.
            assert boots(client) == []
        else:
            assert boots(client) == ["application"]


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "blind"])
def test_a_session_of_esptool_resets_twice_and_never_else(
    waits: bool,  # noqa: FBT001 - of the table
    round_trip: float,
) -> None:
    client = afar(round_trip, waits=waits)
    client.play(OPEN)
    client.play(with_dtr_again(of_classic(0.05)))
    client.rest(3.0)
    client.play(with_dtr_again(of_restart()))
    client.rest(1.0)
    client.server.relay.detach()
    client.server.clock.sleep(5.0)

    assert boots(client) == ["download", "application"]
    assert client.server.relay.traffic.resets == 2


@pytest.mark.parametrize(
    "steps",
    [
        OPEN,
        [*OPEN, *RELEASE],
        [*OPEN, 3.0, *RELEASE],
        [*OPEN, 3.0, ("R", False), ("D", False)],
        [("R", False), ("D", False), 1.0, *OPEN],
        [("D", True), 5.0, ("D", False)],
        [*OPEN, 0.5, ("D", False), 0.1, ("D", True), 1.0, *RELEASE],
        [*OPEN, *RELEASE] * 5,
        [("R", True), ("D", True)],
        [("R", True), ("D", True), 5.0, *RELEASE],
        [("R", True), ("D", True), 5.0, ("R", False), ("D", False)],
    ],
)
def test_opening_and_tidying_a_port_resets_nothing(steps: list[Step]) -> None:
    for round_trip in ROUND_TRIPS:
        client = afar(round_trip)
        client.play(steps)
        client.rest()
        client.server.relay.detach()
        client.server.clock.sleep(5.0)

        assert client.server.relay.traffic.resets == 0, f"{round_trip} seconds away"
        assert boots(client) == [], f"{round_trip} seconds away"


def test_a_chip_that_is_held_in_reset_on_purpose_is_let_go_of_when_the_client_says_so() -> None:
    client = afar()
    client.play([("R", True), 5.0])
    client.rest(0.0)
    assert boots(client) == []
    client.play([("D", True)])
    client.rest()
    assert boots(client) == ["application"]


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
def test_the_reset_of_a_monitor_restarts_the_chip_once(round_trip: float) -> None:
    client = afar(round_trip)
    client.play(OPEN)
    client.rest(1.0)
    client.play([("R", False), ("D", False), ("R", True), ("D", False), 0.005, ("R", False)])
    client.rest()

    assert boots(client) == ["application"]


def test_a_download_reset_that_is_repeated_holds_the_strap_longer_every_other_time() -> None:
    recogniser = Recogniser(ResetPolicy(), sets_at_once=True, is_usb_serial_jtag=False)

    def reset(now: float) -> ResetSequence:
        recogniser.request(now=now, dtr=False)
        recogniser.request(now=now, rts=True)
        recogniser.request(now=now, dtr=True)
        steps = recogniser.request(now=now, rts=False)
        recogniser.request(now=now + 0.1, dtr=False)
        return steps

    short, long = tight(), tight(LONG_STRAP_DELAY)
    assert [reset(0), reset(1), reset(2), reset(3)] == [short, long, short, long]
    assert reset(20) == short
    assert reset(20 + REPETITION + 1) == short
    recogniser.request(now=32, rts=True)
    assert recogniser.request(now=32, rts=False) == HARD_RESET
    assert reset(33) == short


@pytest.mark.parametrize(
    ("policy", "at_once", "is_usb", "expected"),
    [
        (ResetPolicy(), True, False, tight()),
        (ResetPolicy(), False, False, classic()),
        (ResetPolicy(), True, True, USB_SERIAL_JTAG),
        (ResetPolicy(long_strap_delay=True), True, False, tight(LONG_STRAP_DELAY)),
        (
            ResetPolicy(download_mode=parse_custom("R1|W1|R0")),
            True,
            True,
            parse_custom("R1|W1|R0"),
        ),
    ],
    ids=["at once", "one by one", "USB-Serial/JTAG", "r0", "custom"],
)
def test_a_download_reset_is_played_as_it_suits_the_port(
    policy: ResetPolicy,
    at_once: bool,  # noqa: FBT001 - of the table
    is_usb: bool,  # noqa: FBT001 - of the table
    expected: ResetSequence,
) -> None:
    recogniser = Recogniser(policy, sets_at_once=at_once, is_usb_serial_jtag=is_usb)
    recogniser.request(now=0, rts=True)
    recogniser.request(now=0, dtr=True)
    assert recogniser.request(now=0, rts=False) == expected


@pytest.mark.parametrize("at_once", [True, False])
def test_the_sequence_of_usb_serial_jtag_means_download_mode_at_usb_otg(
    at_once: bool,  # noqa: FBT001 - of the table
) -> None:
    recogniser = Recogniser(
        ResetPolicy(), sets_at_once=at_once, is_usb_serial_jtag=False, is_usb_otg=True
    )
    played: list[ResetStep] = []
    for step in OF_USB_SERIAL_JTAG:
        if isinstance(step, tuple):
            dtr, rts = (step[1] if step[0] == line else None for line in "DR")
            played += recogniser.request(now=0, dtr=dtr, rts=rts)
    sequence = tight() if at_once else classic()
    assert tuple(played[-len(sequence) :]) == sequence


class PortOfIds(TimedTransport):
    """A port that is known on USB."""

    def __init__(self, vid: int, pid: int) -> None:
        super().__init__()
        self._capabilities = attrs.evolve(self._capabilities, usb_vid=vid, usb_pid=pid)


def test_a_port_that_comes_back_as_another_one_gets_the_sequence_of_that() -> None:
    ports = [PortOfIds(ESPRESSIF_VID, 0x4001), PortOfIds(*USB_SERIAL_JTAG_IDS)]
    lines = Lines(ports[0])
    lines.reopen(ports[1], now=0.0)
    lines.request(now=0.0, rts=True)
    lines.request(now=0.0, dtr=True)
    lines.request(now=0.0, rts=False)
    for moment in (0.15, 0.3, 0.45):
        lines.pump(moment)
    assert pairs_at(ports[0]) == []
    assert pairs_at(ports[1])[-4:] == [STRAPPED, ASSERTED, IN_RESET, RELEASED]


def test_a_restart_of_its_own_is_played_where_there_is_one() -> None:
    own = parse_custom("R1|W1|R0")
    recogniser = Recogniser(
        ResetPolicy(hard_reset=own), sets_at_once=True, is_usb_serial_jtag=False
    )
    recogniser.request(now=0, rts=True)
    assert recogniser.request(now=0, rts=False) == own


@attrs.define
class UsbSerialJtag:
    """What the chip's own port makes of its lines: the table of the TRM of the ESP32-C3."""

    boots: list[str] = attrs.field(factory=list)
    _downloads: bool = False

    def take(self, pair: Pair) -> None:
        if pair == RELEASED:
            self._downloads = False
        elif pair == STRAPPED:
            self._downloads = True
        elif pair == IN_RESET:
            self.boots.append("download" if self._downloads else "application")


@pytest.mark.parametrize(
    ("name", "round_trip", "before"),
    covering_parameters(
        list(itertools.product(USB, ROUND_TRIPS, BEFORE)),
        lambda name, round_trip, before: (
            (name, round_trip),
            (name, before),
            (before, round_trip),
        ),
    ),
)
def test_the_sequence_of_usb_serial_jtag_is_played_as_a_whole_on_any_port(
    name: str, round_trip: float, before: str
) -> None:
    chip = UsbSerialJtag()
    port = TimedTransport()
    client = Afar(VirtualServer.around(port, port.virtual_clock), round_trip, waits=True)
    client.play(BEFORE[before])
    client.rest(0.3)
    client.play(USB[name])
    client.rest()
    client.play(of_restart())
    client.rest()
    for pair in pairs_at(port):
        chip.take(pair)

    assert chip.boots == ["download", "application"]


def pairs_at(port: TimedTransport) -> list[Pair]:
    """Return the states that the lines of a port went through."""
    dtr = rts = False
    pairs: list[Pair] = []
    for _, kind, what in port.happened:
        if kind == "lines":
            assert isinstance(what, tuple)
            dtr = dtr if what[0] is None else what[0]
            rts = rts if what[1] is None else what[1]
            pairs.append((dtr, rts))
    return pairs


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from("DR"),
        st.booleans(),
        st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0, 1.9, 2.1, 4.0]),
    ),
    max_size=12,
)


@attrs.define
class Outcome:
    """What some requests led to."""

    pairs: list[Pair]
    requested: Pair
    is_reset_asked: bool
    """RTS was asserted by a request while DTR was released."""

    is_left_in_reset: bool
    """The client left RTS alone asserted for as long as something may be withheld."""


def carry_out(requests: list[tuple[str, bool, float]], *, at_once: bool) -> Outcome:
    """Make requests, each followed by a pause, and wait until all is done."""
    port = TimedTransport(at_once=at_once)
    lines, clock = Lines(port), port.virtual_clock
    is_reset_asked = is_left_in_reset = False

    def wait(until: float) -> None:
        while (moment := lines.next_at) is not None and moment <= until:
            clock.advance_to(moment)
            lines.pump(clock.now())
        clock.advance_to(until)

    for line, asserted, pause in requests:
        while lines.is_playing:  # as the relay does: the queue stands still
            wait(lines.next_at or 0.0)
        if line == "D":
            lines.request(now=clock.now(), dtr=asserted)
        else:
            lines.request(now=clock.now(), rts=asserted)
            is_reset_asked |= asserted and not lines.dtr
        is_left_in_reset |= (lines.dtr, lines.rts) == IN_RESET and pause >= PATIENCE
        wait(clock.now() + pause)
    is_left_in_reset |= (lines.dtr, lines.rts) == IN_RESET
    wait(clock.now() + 3 * PATIENCE)
    return Outcome(pairs_at(port), (lines.dtr, lines.rts), is_reset_asked, is_left_in_reset)


@given(requests=REQUESTS, at_once=st.booleans())
def test_in_the_end_the_port_is_always_as_it_was_last_asked_for(
    requests: list[tuple[str, bool, float]],
    at_once: bool,  # noqa: FBT001 - of the strategy
) -> None:
    outcome = carry_out(requests, at_once=at_once)
    assert outcome.pairs[-1:] == ([outcome.requested] if requests else [])


@given(requests=REQUESTS, at_once=st.booleans())
def test_without_a_request_for_a_reset_there_is_none(
    requests: list[tuple[str, bool, float]],
    at_once: bool,  # noqa: FBT001 - of the strategy
) -> None:
    outcome = carry_out(requests, at_once=at_once)
    if not outcome.is_reset_asked and not outcome.is_left_in_reset:
        assert IN_RESET not in outcome.pairs


@given(requests=REQUESTS)
def test_there_are_never_more_resets_than_requests_for_one(
    requests: list[tuple[str, bool, float]],
) -> None:
    pairs = carry_out(requests, at_once=True).pairs
    begun = [
        pair for index, pair in enumerate(pairs) if pair == IN_RESET and pairs[index - 1] != pair
    ]
    asked = [request for request in requests if request[:2] in {("R", True), ("D", False)}]
    assert len(begun) <= len(asked)


@pytest.mark.parametrize("pair", [STRAPPED, IN_RESET])
def test_what_nothing_decides_is_passed_on_as_it_is(pair: Pair) -> None:
    port = TimedTransport()
    lines, clock = Lines(port), port.virtual_clock
    lines.request(now=0.0, dtr=pair[0], rts=pair[1])
    clock.advance_to(PATIENCE - 0.01)
    lines.pump(clock.now())
    assert port.happened == []
    clock.advance_to(PATIENCE)
    lines.pump(clock.now())
    assert pairs_at(port) == [pair]


def test_a_reset_by_dtr_is_played_when_it_is_clear_that_rts_stays() -> None:
    steps = [("R", False, 0.1), ("R", True, 0.1), ("D", True, 4.0)]
    outcome = carry_out(steps, at_once=True)
    assert outcome.pairs == [RELEASED, IN_RESET, ASSERTED]


def test_a_port_that_is_opened_with_rts_first_is_neutral_in_one_step() -> None:
    outcome = carry_out([("R", True, 0.1), ("D", True, 4.0)], at_once=True)
    assert outcome.pairs == [ASSERTED]


def test_a_server_told_so_passes_everything_on_one_line_at_a_time() -> None:
    port = TimedTransport()
    lines = Lines(port, ResetPolicy(is_recognised=False))
    for step in of_classic(0.05):
        if isinstance(step, tuple):
            line, asserted = step
            if line == "D":
                lines.request(now=0.0, dtr=asserted)
            else:
                lines.request(now=0.0, rts=asserted)
    assert [what for _, _, what in port.happened] == [
        (False, None),
        (None, True),
        (True, None),
        (None, False),
        (False, None),
    ]


def test_a_port_without_lines_is_never_asked_to_set_them() -> None:
    port = TimedTransport(set_lines=False)
    lines = Lines(port)
    lines.request(now=0.0, rts=True)
    lines.request(now=0.0, rts=False)
    lines.pump(10.0)
    lines.release(10.0)
    assert port.happened == []
    assert not lines.is_playing


def test_a_reset_that_looks_like_half_of_another_is_one_when_nothing_follows() -> None:
    recogniser = Recogniser(ResetPolicy(), sets_at_once=True, is_usb_serial_jtag=False)
    for now, (dtr, rts) in enumerate((IN_RESET, ASSERTED, IN_RESET)):
        recogniser.request(dtr=dtr, rts=rts, now=now / 10)
    # As when DTR is still to come, of two lines that were changed in one step.
    assert recogniser.request(rts=False, now=0.3) == ()
    assert recogniser.deadline == 0.3 + PATIENCE
    assert recogniser.give_up(0.3 + PATIENCE) == HARD_RESET
    assert recogniser.reset_count == 1
