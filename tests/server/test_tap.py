"""Whoever listens to a port hears all of it from then on, and the end of what was before."""

from __future__ import annotations

from esploader.server.tap import HISTORY_SIZE, Tap


def test_who_listens_hears_all_that_is_said_from_then_on() -> None:
    tap, heard = Tap(), bytearray()
    tap.hear(b"before ")
    tap.listen(heard.extend)
    tap.hear(b"now ")
    tap.stop(heard.extend)
    tap.hear(b"later")
    assert heard == b"now "
    assert tap.history == b"before now later"


def test_the_history_is_the_end_of_what_was_said() -> None:
    tap = Tap()
    said = bytes(range(256)) * 100
    for start in range(0, len(said), 1000):
        tap.hear(said[start : start + 1000])
    assert tap.history == said[-HISTORY_SIZE:]
    tap.hear(bytes(2 * HISTORY_SIZE))
    assert tap.history == bytes(HISTORY_SIZE)


def test_one_that_stops_while_it_listens_does_not_cost_the_others_a_word() -> None:
    tap, heard = Tap(), bytearray()

    def once(_: bytes) -> None:
        tap.stop(once)

    tap.listen(once)
    tap.listen(heard.extend)
    assert tap.listener_count == 2
    tap.hear(b"a")
    tap.hear(b"b")
    assert heard == b"ab"
    assert tap.listener_count == 1


def test_who_does_not_listen_can_stop() -> None:
    tap, heard = Tap(), bytearray()
    tap.listen(heard.extend)
    tap.stop(bytearray().extend)
    tap.hear(b"a")
    tap.stop(heard.extend)
    tap.stop(heard.extend)
    tap.hear(b"b")
    assert heard == b"a"
    assert tap.listener_count == 0
