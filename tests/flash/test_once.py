"""What many threads ask for is worked out by one of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from esploader.errors import ElfError
from esploader.flash.once import Once

PATIENCE = 20.0


def test_who_asks_while_another_works_gets_what_that_one_finds() -> None:
    once, begun, go_on = Once(4), threading.Event(), threading.Event()

    def work() -> object:
        begun.set()
        assert go_on.wait(PATIENCE)
        return object()

    with ThreadPoolExecutor() as threads:
        first = threads.submit(once.get, "key", work)
        assert begun.wait(PATIENCE)
        others = [threads.submit(once.get, "key", object) for _ in range(3)]
        # What has another key does not wait.
        assert once.get("other", lambda: 1) == 1
        go_on.set()
        assert {id(each.result(PATIENCE)) for each in others} == {id(first.result(PATIENCE))}


def test_what_fails_is_not_kept() -> None:
    once = Once(4)

    def fail() -> None:
        raise ElfError("it is damaged")

    for _ in range(2):
        with pytest.raises(ElfError, match="it is damaged"):
            once.get("key", fail)
    assert once.get("key", lambda: 2) == 2


def test_what_was_asked_for_least_recently_is_forgotten_first() -> None:
    once = Once(2)
    for key in ("first", "second", "first", "third"):
        once.get(key, f"the {key} one".upper)
    assert once.get("first", str) == "THE FIRST ONE"
    assert once.get("second", str) == ""
