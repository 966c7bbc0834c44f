"""One that listens and does not read costs a bounded memory, and is told what it missed."""

from __future__ import annotations

import pytest

from esploader.server.audience import Audience
from esploader.server.peers import MAX_BACKLOG, ComPortPeer, RawPeer
from esploader.server.tap import Tap


def test_it_hears_what_was_said_before_where_it_is_wanted() -> None:
    tap, peer = Tap(), RawPeer("watcher")
    tap.hear(b"before ")
    audience = Audience(tap, peer, lambda: None)
    audience.begin(with_history=True)
    tap.hear(b"now")
    audience.end()
    tap.hear(b"later")
    assert peer.take_output() == b"before now"


def test_it_hears_nothing_of_before_where_it_is_not() -> None:
    tap, peer = Tap(), RawPeer("watcher")
    tap.hear(b"before ")
    Audience(tap, peer, lambda: None).begin(with_history=False)
    tap.hear(b"now")
    assert peer.take_output() == b"now"


@pytest.mark.parametrize("piece_size", [1000, 40_000])
def test_what_it_does_not_read_is_counted_and_not_kept(piece_size: int) -> None:
    tap, peer = Tap(), RawPeer("watcher")
    audience = Audience(tap, peer, lambda: None)
    audience.begin(with_history=False)
    count = 2 * MAX_BACKLOG // piece_size
    for _ in range(count):
        tap.hear(bytes(piece_size))
    assert len(peer.output) < MAX_BACKLOG + piece_size
    kept = len(peer.take_output())
    audience.go_on()
    tap.hear(b"hello")
    lost = count * piece_size - kept
    assert peer.take_output() == b"\r\n[%d bytes lost]\r\nhello" % lost
    audience.go_on()
    assert peer.take_output() == b""


def test_one_that_wants_nothing_for_a_while_is_told_what_it_missed_then() -> None:
    tap, peer = Tap(), ComPortPeer("monitor", "bench 1")
    peer.take_output()
    Audience(tap, peer, lambda: None).begin(with_history=False)
    peer.suspended = True
    tap.hear(b"12345")
    peer.suspended = False
    tap.hear(b"6")
    assert peer.take_output() == b"\r\n[5 bytes lost]\r\n6"
