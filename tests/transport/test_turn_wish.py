"""A URL says what to do about a port that somebody else has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.errors import PortBusyError, UrlError
from esploader.transport import turns
from esploader.transport.clock import VirtualClock
from esploader.transport.rfc2217_opening import wait_for_turn
from esploader.transport.rfc2217_url import parse_rfc2217_url
from esploader.transport.turn_wish import TOKEN_VARIABLE, TurnWish, who_we_are

if TYPE_CHECKING:
    from pathlib import Path

URL = "rfc2217://bench:2217"
TOKEN = b"0123456789abcdef"
SIGNATURE = b"esploader 0.1.0 bench " + turns.token(bytes(16))


@pytest.mark.parametrize(
    ("options", "wish"),
    [
        ("", TurnWish()),
        ("?wait=60", TurnWish(wait=60)),
        ("?takeover", TurnWish(takes_over=True)),
        ("?takeover&wait=0.5", TurnWish(takes_over=True, wait=0.5)),
        ("?takeover=force", TurnWish(takes_over=True, is_forced=True)),
        (
            "?takeover=force&token-file=/etc/a%20token",
            TurnWish(takes_over=True, is_forced=True, token_file="/etc/a token"),  # noqa: S106
        ),
        ("?yield", TurnWish(gives_way=True)),
    ],
)
def test_what_a_url_says(options: str, wish: TurnWish) -> None:
    found = parse_rfc2217_url(URL + options).wish
    assert found == wish
    assert found.is_patient == (wish != TurnWish())


@pytest.mark.parametrize(
    "options",
    [
        "?wait",
        "?wait=0",
        "?wait=-1",
        "?wait=nan",
        "?wait=86401",
        "?takeover=please",
        "?takeover&token-file=x",
        "?token-file=x",
        "?takeover=force&token-file=",
        "?yield=1",
        "?takeover&takeover",
    ],
)
def test_what_makes_no_sense_is_refused(options: str) -> None:
    with pytest.raises(UrlError):
        parse_rfc2217_url(URL + options)


def test_a_takeover_by_force_needs_a_token_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(UrlError, match=f"takeover=force needs token-file=, or {TOKEN_VARIABLE}"):
        parse_rfc2217_url(f"{URL}?takeover=force").wish.with_token(URL)


def test_the_url_names_the_token_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_bytes(TOKEN)
    path.chmod(0o600)
    monkeypatch.setenv(TOKEN_VARIABLE, str(tmp_path / "missing"))
    wish = parse_rfc2217_url(f"{URL}?takeover=force&token-file={path}").wish.with_token(URL)
    assert wish.token == TOKEN
    assert "0123" not in repr(wish)
    with pytest.raises(UrlError, match=f"missing: the token cannot be read.*{TOKEN_VARIABLE}"):
        parse_rfc2217_url(f"{URL}?takeover=force").wish.with_token(URL)


def test_only_a_takeover_by_force_looks_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "/no/such/file")
    wish = TurnWish(takes_over=True, wait=1.0)
    assert wish.with_token(URL) == wish


def test_what_is_asked_of_the_server() -> None:
    wish = TurnWish(wait=5, takes_over=True, is_forced=True, token=TOKEN, gives_way=True)
    ask = wish.ask(SIGNATURE)
    assert (ask.who, ask.wait, ask.gives_way) == (who_we_are(), 5, True)
    assert ask.proof is not None
    assert turns.proves(ask.proof, TOKEN, SIGNATURE)
    assert TurnWish(takes_over=True).ask(SIGNATURE).proof is None


def test_who_has_no_name_is_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", fail)
    assert who_we_are().startswith("somebody@")


class BusyPort:
    """A port that is free at a moment."""

    def __init__(self, free_at: float) -> None:
        self.clock = VirtualClock()
        self.waits: list[float] = []
        self._free_at = free_at

    def open_once(self, wish: TurnWish) -> str:
        self.waits.append(wish.wait)
        if self.clock.now() < self._free_at:
            raise PortBusyError(URL, "the server says 'Port already in use'")
        return "open"


def test_a_server_that_knows_no_turns_is_asked_again_until_the_port_is_free() -> None:
    port = BusyPort(free_at=3.5)
    assert wait_for_turn(port.open_once, TurnWish(wait=10), port.clock) == "open"
    assert port.waits == [10, 9, 8, 7, 6]


def test_it_is_not_asked_for_longer_than_that() -> None:
    port = BusyPort(free_at=100.0)
    with pytest.raises(PortBusyError):
        wait_for_turn(port.open_once, TurnWish(wait=2.5), port.clock)
    assert port.waits == [2.5, 1.5, 0.5, 0.0]


def test_without_a_wish_to_wait_it_is_asked_once() -> None:
    port = BusyPort(free_at=100.0)
    with pytest.raises(PortBusyError):
        wait_for_turn(port.open_once, TurnWish(takes_over=True), port.clock)
    assert port.waits == [0.0]
