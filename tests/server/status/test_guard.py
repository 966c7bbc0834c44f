"""Which requests are heard, and which may change something: the rules alone, without a network."""

from __future__ import annotations

import pytest

from esploader.server.status.guard import (
    MAX_ADDRESSES,
    MAX_WRONG_TOKENS,
    PERIOD,
    Asker,
    HostNames,
    TokenGuard,
    judge_site,
)

TOKEN = b"0123456789abcdef"
LOCAL = HostNames(is_loopback=True, names=frozenset({"lab.example"}))
OPEN = HostNames(is_loopback=False, names=frozenset({"bench"}))


def asker(
    *hosts: str,
    address: str = "127.0.0.1",
    has_tls: bool = False,
    headers: dict[str, str] | None = None,
) -> Asker:
    return Asker(
        address=address, has_tls=has_tls, hosts=hosts or ("localhost",), headers=headers or {}
    )


def with_token(token: str, address: str = "127.0.0.1", *, has_tls: bool = False) -> Asker:
    headers = {"Authorization": f"Bearer {token}"}
    return asker(address=address, has_tls=has_tls, headers=headers)


@pytest.mark.parametrize(
    ("names", "host", "is_known"),
    [
        (LOCAL, "localhost", True),
        (LOCAL, "LOCALHOST:22218", True),
        (LOCAL, "localhost.", True),
        (LOCAL, "127.0.0.1:80", True),
        (LOCAL, "[::1]:22218", True),
        (LOCAL, "Lab.Example:22218", True),
        (LOCAL, "evil.example", False),
        (LOCAL, "localhost.evil.example", False),
        (LOCAL, "192.0.2.7", False),
        (LOCAL, "[2001:db8::7]", False),
        (OPEN, "192.0.2.7:22218", True),
        (OPEN, "[2001:db8::7]:1", True),
        (OPEN, "bench", True),
        (OPEN, "bench.evil.example", False),
        (OPEN, "0x7f000001", False),
    ],
)
def test_only_names_that_nobody_else_can_point_here_are_known(
    names: HostNames,
    host: str,
    is_known: bool,  # noqa: FBT001 - a column of the table
) -> None:
    denied = names.judge(asker(host))
    assert (denied is None) is is_known
    assert denied is None or denied.status == 403


@pytest.mark.parametrize(
    "hosts", [("",), ("a", "a"), ("a b",), ("localhost:x",), ("http://localhost",), ("[::1",)]
)
def test_a_request_names_one_host(hosts: tuple[str, ...]) -> None:
    denied = LOCAL.judge(asker(*hosts))
    assert denied is not None
    assert denied.status == 400


@pytest.mark.parametrize(
    ("headers", "is_page", "is_heard"),
    [
        ({}, False, True),
        ({"Sec-Fetch-Site": "none"}, False, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, False, True),
        ({"Sec-Fetch-Site": "same-site"}, False, False),
        ({"Sec-Fetch-Site": "cross-site"}, False, False),
        ({"Sec-Fetch-Site": "anything"}, True, False),
        ({"Origin": "http://evil.example"}, False, False),
        ({"Origin": "https://localhost"}, False, False),
        ({"Origin": "http://localhost:1"}, False, False),
        ({"Origin": "null"}, False, False),
        # A link to the page is followed, and nothing else.
        (
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            },
            True,
            True,
        ),
        (
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            },
            False,
            False,
        ),
        (
            {
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "iframe",
            },
            True,
            False,
        ),
    ],
)
def test_pages_of_other_sites_are_not_heard(
    headers: dict[str, str],
    is_page: bool,  # noqa: FBT001 - a column of the table
    is_heard: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert (judge_site(asker(headers=headers), is_page=is_page) is None) is is_heard


def test_the_origin_of_a_page_by_tls_is_another_one() -> None:
    with_tls = asker(has_tls=True, headers={"Origin": "https://localhost"})
    assert judge_site(with_tls, is_page=False) is None


def test_without_a_token_file_nobody_changes_anything() -> None:
    denied = TokenGuard(None).judge(with_token(TOKEN.decode()), 0.0)
    assert denied is not None
    assert (denied.status, denied.reason) == (
        403,
        "nothing can be changed here: the server has no token file (--token-file)",
    )


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("Basic abc", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        (f"Bearer {TOKEN.decode()}x", 401),
        ("Bearer \udcff\u00e9", 401),
        (f"Bearer {TOKEN.decode()}", None),
        (f"bearer  {TOKEN.decode()} ", None),
    ],
)
def test_who_knows_the_token_may_change_something(given: str | None, status: int | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    denied = TokenGuard(TOKEN).judge(asker(headers=headers), 0.0)
    assert (None if denied is None else denied.status) == status


@pytest.mark.parametrize(
    ("address", "has_tls", "is_heard"),
    [
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("192.0.2.7", False, False),
        ("192.0.2.7", True, True),
        ("2001:db8::7", False, False),
        ("2001:db8::7", True, True),
    ],
)
def test_a_token_does_not_cross_the_network_in_the_clear(
    address: str,
    has_tls: bool,  # noqa: FBT001 - a column of the table
    is_heard: bool,  # noqa: FBT001 - a column of the table
) -> None:
    denied = TokenGuard(TOKEN).judge(with_token(TOKEN.decode(), address, has_tls=has_tls), 0.0)
    assert (denied is None) is is_heard
    assert denied is None or "in the clear" in denied.reason


def test_who_guesses_has_to_wait_and_nobody_else_has_to() -> None:
    guard = TokenGuard(TOKEN)
    for _ in range(MAX_WRONG_TOKENS):
        assert _status(guard, "wrong", 10.0) == 401
    assert _status(guard, "wrong", 11.0) == 429
    assert _status(guard, TOKEN.decode(), 11.0) == 429
    assert _status(guard, TOKEN.decode(), 11.0, "192.0.2.7") is None
    assert _status(guard, TOKEN.decode(), 10.0 + PERIOD) is None


def test_the_addresses_of_one_ipv6_network_are_one() -> None:
    guard = TokenGuard(TOKEN)
    for number in range(MAX_WRONG_TOKENS):
        assert _status(guard, "wrong", 0.0, f"2001:db8::{number}") == 401
    assert _status(guard, TOKEN.decode(), 0.0, "2001:db8::ffff") == 429
    assert _status(guard, TOKEN.decode(), 0.0, "2001:db8:0:1::1") is None


def test_what_is_remembered_of_those_who_guess_is_bounded() -> None:
    guard = TokenGuard(TOKEN)
    for number in range(3 * MAX_ADDRESSES):
        _status(guard, "wrong", 0.0, f"10.{number >> 8}.{number & 255}.1")
    assert len(guard._wrong) == MAX_ADDRESSES  # noqa: SLF001 - it is seen nowhere else


def _status(guard: TokenGuard, token: str, now: float, address: str = "192.0.2.1") -> int | None:
    denied = guard.judge(with_token(token, address, has_tls=True), now)
    return None if denied is None else denied.status
