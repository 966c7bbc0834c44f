"""A relay keeps the order of what a client wants, without ever waiting."""

from __future__ import annotations

import pytest

from esploader.errors import TransportClosedError
from esploader.server.recogniser import ResetPolicy
from esploader.server.relay import Relay
from esploader.server.request_queue import MAX_QUEUE_SIZE
from esploader.server.served_port import WRITE_AHEAD, serve_transport
from esploader.transport.com_port import Code, Control, Purge, Setting
from esploader.transport.reset import HARD_RESET
from esploader.transport.steps import SetLines
from esploader.transport.turns import Ask
from relays import FakePeer, TimedTransport, run

AS_THEY_ARE = ResetPolicy(is_recognised=False)


def control(value: Control) -> Setting:
    return Setting(Code.SET_CONTROL, value)


def attached(port: TimedTransport, policy: ResetPolicy | None = None) -> tuple[Relay, FakePeer]:
    relay, peer = Relay(serve_transport(port), policy), FakePeer()
    relay.attach(peer)
    port.happened.clear()
    return relay, peer


def test_what_is_said_while_a_port_goes_back_to_whoever_listens_reaches_it() -> None:
    port, peer = TimedTransport(), FakePeer()
    peer.ask = Ask(gives_way=True)
    relay = Relay(serve_transport(port))
    port.say(b"while it was away")
    relay.attach(peer)
    # What comes in the next moment would be lost otherwise, too.
    assert "discarded" not in [kind for _, kind, _ in port.happened]
    run(relay, port.virtual_clock)
    assert peer.heard == [b"while it was away"]


def test_what_was_said_before_is_not_for_whoever_comes() -> None:
    port = TimedTransport()
    port.say(b"to somebody else")
    relay, peer = attached(port)
    run(relay, port.virtual_clock)
    assert peer.heard == []


def test_bytes_and_settings_keep_their_order() -> None:
    port = TimedTransport()
    relay, peer = attached(port, AS_THEY_ARE)
    relay.request(b"a", control(Control.RTS_ON), b"b", Setting(Code.SET_BAUDRATE, 9600), b"c")
    run(relay, port.virtual_clock)

    assert [(kind, what) for _, kind, what in port.happened] == [
        ("written", b"a"),
        ("lines", (None, True)),
        ("written", b"b"),
        ("baudrate", 9600),
        ("written", b"c"),
    ]
    assert peer.heard == [control(Control.RTS_ON), Setting(Code.SET_BAUDRATE, 9600)]
    assert relay.seconds_to_wait is None


def test_a_rate_waits_until_what_was_written_at_the_old_one_is_on_the_wire() -> None:
    port = TimedTransport()
    relay, _ = attached(port)
    relay.request(bytes(1152), Setting(Code.SET_BAUDRATE, 9600))
    run(relay, port.virtual_clock)

    moment, *what = port.happened[-1]
    assert what == ["baudrate", 9600]
    assert moment == pytest.approx(0.1)


def test_bytes_are_handed_over_just_ahead_of_the_wire_which_never_falls_silent() -> None:
    port = TimedTransport()
    relay, _ = attached(port)
    relay.request(bytes(11520))
    run(relay, port.virtual_clock)

    written = 0
    for moment, _, what in port.happened:
        assert isinstance(what, bytes)
        assert moment <= written * 10 / 115200
        written += len(what)
        assert written * 10 / 115200 - moment <= WRITE_AHEAD
    assert written == 11520


def test_what_the_port_says_passes_while_much_is_being_written() -> None:
    port = TimedTransport()
    relay, peer = attached(port)
    relay.request(bytes(11520))
    port.say(b"meanwhile", at=0.5)
    run(relay, port.virtual_clock, until=0.5)

    assert peer.heard == [b"meanwhile"]
    assert len(port.written) < 11520 * 0.55


def test_a_client_faster_than_the_port_has_to_wait() -> None:
    port = TimedTransport()
    relay, _ = attached(port)
    assert relay.wants_client
    relay.request(bytes(MAX_QUEUE_SIZE))
    assert not relay.wants_client
    relay.pump()
    assert relay.wants_client


@pytest.mark.parametrize("which", [Purge.TRANSMIT, Purge.BOTH])
def test_a_purge_takes_the_bytes_that_wait_but_no_settings(which: Purge) -> None:
    port = TimedTransport()
    relay, peer = attached(port)
    relay.request(bytes(60000), Setting(Code.SET_BAUDRATE, 9600))
    relay.request(Setting(Code.PURGE_DATA, which), b"fresh")
    run(relay, port.virtual_clock)

    assert peer.heard == [Setting(Code.SET_BAUDRATE, 9600), Setting(Code.PURGE_DATA, which)]
    assert port.written == b"fresh"


def test_a_suspended_client_is_sent_nothing() -> None:
    port = TimedTransport()
    relay, peer = attached(port)
    peer.suspended = True
    port.say(b"later")
    run(relay, port.virtual_clock)
    assert not relay.wants_port
    assert peer.heard == []

    peer.suspended = False
    run(relay, port.virtual_clock)
    assert peer.heard == [b"later"]


def test_what_a_client_still_wanted_goes_with_it() -> None:
    port = TimedTransport()
    relay, _ = attached(port)
    relay.request(b"too late")
    relay.detach()
    relay.attach(FakePeer())
    run(relay, port.virtual_clock)

    assert port.written == b""


def test_a_reset_is_played_to_its_end_though_its_client_leaves() -> None:
    port = TimedTransport()
    relay, _ = attached(port)
    relay.request(control(Control.RTS_ON))
    run(relay, port.virtual_clock, until=0.1)
    relay.request(control(Control.RTS_OFF), b"x")
    relay.pump()
    relay.detach()
    assert relay.is_busy
    run(relay, port.virtual_clock)

    assert not relay.is_busy
    assert [what for _, kind, what in port.happened if kind == "lines"] == [
        (step.dtr, step.rts) for step in HARD_RESET if isinstance(step, SetLines)
    ]
    assert port.written == b""


def test_bytes_wait_for_the_reset_in_front_of_them_and_the_answer_does_not() -> None:
    port = TimedTransport()
    relay, peer = attached(port)
    relay.request(control(Control.RTS_ON), control(Control.RTS_OFF), b"x")
    relay.pump()
    assert peer.heard == [control(Control.RTS_ON), control(Control.RTS_OFF)]
    run(relay, port.virtual_clock)

    moment, *what = port.happened[-1]
    assert what == ["written", b"x"]
    assert moment == pytest.approx(0.1)
    assert relay.traffic.resets == 1


def test_a_port_that_comes_back_is_set_as_it_was_and_gets_what_waited() -> None:
    port = TimedTransport()
    relay, peer = attached(port)
    relay.request(Setting(Code.SET_BAUDRATE, 921600), control(Control.RTS_OFF))
    run(relay, port.virtual_clock)
    port.is_gone = True
    relay.request(b"lost", Setting(Code.NOTIFY_LINESTATE))
    with pytest.raises(TransportClosedError):
        relay.pump()
    relay.port_lost()
    relay.request(Setting(Code.PURGE_DATA, Purge.RECEIVE))
    assert relay.seconds_to_wait is None
    peer.heard.clear()

    back = TimedTransport()
    relay.port_back(serve_transport(back))
    run(relay, back.virtual_clock)
    assert [(kind, what) for _, kind, what in back.happened] == [
        ("baudrate", 921600),
        ("lines", (False, False)),
        ("discarded", b""),
    ]
    assert peer.heard == [
        Setting(Code.NOTIFY_LINESTATE),
        Setting(Code.PURGE_DATA, Purge.RECEIVE),
    ]


def test_a_client_that_leaves_while_the_port_is_gone_leaves_nothing_to_the_next() -> None:
    port = TimedTransport()
    relay, _ = attached(port)
    relay.request(Setting(Code.SET_BAUDRATE, 921600))
    run(relay, port.virtual_clock)
    relay.port_lost()
    relay.detach()
    relay.attach(FakePeer())
    back = TimedTransport()
    relay.port_back(serve_transport(back))
    run(relay, back.virtual_clock)

    assert back.happened == []
