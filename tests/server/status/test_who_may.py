"""Who may do what on a status page: each cell of the table in the guide (docs/status-page.md).

Who is let in is decided by the door, as for the ports; the rest by :mod:`guard`, whose tests have
what only a network of several machines shows: a token that would cross it in the clear.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from certificates import Authority
from esploader.connector import connect
from esploader.errors import ConfigError, TransportError
from esploader.server.access import AllowList, TlsFiles
from esploader.server.status_address import StatusAddress
from eventually import eventually
from status_pages import CONFIG, TOKEN, Page, status_page, token_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOK: Final = ("/", "/status.json", "/metrics", "/events")
CHANGE: Final = ("release", "reset")

STRANGER: Final = "127.0.0.2"
"""Another address of this machine, which stands for one of the network."""


def allowing(*networks: str) -> AllowList:
    return AllowList.parse(networks, "test")


def look(page: Page, path: str) -> int:
    """Return the status of the answer, of a stream when it has begun."""
    with contextlib.closing(page.connection()) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


@pytest.mark.parametrize("has_token_file", [False, True], ids=["no token file", "token file"])
@pytest.mark.parametrize("path", LOOK)
def test_whoever_is_let_in_may_look(
    tmp_path: Path,
    path: str,
    has_token_file: bool,  # noqa: FBT001 - of the table
) -> None:
    token = token_file(tmp_path) if has_token_file else None
    config = attrs.evolve(CONFIG, token_file=token, allow=allowing("127.0.0.1"))
    with status_page(config) as page:
        assert look(page, path) == 200


@pytest.mark.parametrize("path", [*LOOK, "/release", "/reset"])
def test_whose_address_is_not_allowed_may_do_nothing(tmp_path: Path, path: str) -> None:
    config = attrs.evolve(CONFIG, token_file=token_file(tmp_path), allow=allowing("127.0.0.1"))
    with status_page(config) as page:
        stranger = attrs.evolve(page, source=STRANGER)
        method = "POST" if path in {"/release", "/reset"} else "GET"
        answer = stranger.ask(path, method, {"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status, answer.error) == (403, "this server is not for your address")


@pytest.mark.parametrize("kind", CHANGE)
@pytest.mark.parametrize(
    ("has_token_file", "given", "status"),
    [
        (False, None, 403),
        (False, TOKEN, 403),
        (True, None, 401),
        (True, "wrong", 401),
        (True, TOKEN, 200),
    ],
    ids=["no file", "no file, a token", "no token", "another token", "the token"],
)
def test_only_the_token_lets_somebody_change_something(
    tmp_path: Path,
    kind: str,
    has_token_file: bool,  # noqa: FBT001 - of the table
    given: str | None,
    status: int,
) -> None:
    token = token_file(tmp_path) if has_token_file else None
    with status_page(attrs.evolve(CONFIG, token_file=token)) as page:
        url = page.server.place("bench-1").url
        with eventually(lambda: connect(url, stub=False), TransportError) as device:
            answer = page.change(kind, given, wish={"force": True})
            assert answer.status == status
            if status != 200:
                assert device.flash.id().is_plausible
                assert page.port()["holder"] is not None


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def client_context(authority: Authority, certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path))
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


@contextlib.contextmanager
def tls_page(authority: Authority, folder: Path, *, asks_for_certificates: bool) -> Iterator[Page]:
    server = authority.issue("server")
    tls = TlsFiles(cert=server, client_ca=authority.path if asks_for_certificates else None)
    with status_page(attrs.evolve(CONFIG, tls=tls, token_file=token_file(folder))) as page:
        yield page


@pytest.mark.parametrize("has_certificate", [False, True], ids=["none", "certificate"])
@pytest.mark.parametrize("asks", [False, True], ids=["any client", "clients with certificates"])
def test_by_tls_who_has_the_certificate_that_is_asked_for_may_do_the_same(
    authority: Authority,
    tmp_path: Path,
    has_certificate: bool,  # noqa: FBT001 - of the table
    asks: bool,  # noqa: FBT001 - of the table
) -> None:
    own = authority.issue("client") if has_certificate else None
    with tls_page(authority, tmp_path, asks_for_certificates=asks) as bare:
        page = attrs.evolve(bare, context=client_context(authority, own))
        if asks and not has_certificate:
            for path in LOOK:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    page.ask(path)
            for kind in CHANGE:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    page.change(kind)
            return
        for path in LOOK:
            assert look(page, path) == 200
        for kind in CHANGE:
            assert page.change(kind, None).status == 401
            assert page.change(kind, "wrong").status == 401
            assert page.change(kind, wish={"force": True}).status == 200


def test_who_does_not_speak_tls_hears_nothing_of_the_page(
    authority: Authority, tmp_path: Path
) -> None:
    with tls_page(authority, tmp_path, asks_for_certificates=False) as page:
        answer = page.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert len(answer) < 16
        assert b"HTTP" not in answer
        assert page.server.server.status_url == f"https://127.0.0.1:{page.number}/"


def test_a_page_by_tls_has_an_origin_of_its_own(authority: Authority, tmp_path: Path) -> None:
    with tls_page(authority, tmp_path, asks_for_certificates=False) as bare:
        page = attrs.evolve(bare, context=client_context(authority))
        own = {"Origin": f"https://127.0.0.1:{page.number}"}
        assert page.change("release", headers=own).status == 200
        other = {"Origin": f"http://127.0.0.1:{page.number}"}
        assert page.change("release", headers=other).status == 403


# A reload changes who may ---------------------------------------------------------------------


def test_who_may_look_changes_with_a_reload() -> None:
    with status_page() as page:
        with page.events() as events:
            report = page.server.reload(attrs.evolve(CONFIG, allow=allowing("192.0.2.0/24")))
            assert report.settings == ("allow",)
            eventually(lambda: _require(page.ask("/status.json").status == 403), AssertionError)
            # Who is there stays, as at the ports.
            assert events.next("state")
        page.server.reload(CONFIG)
        eventually(lambda: _require(page.ask("/status.json").status == 200), AssertionError)


def test_a_token_may_come_change_and_go_with_a_reload(tmp_path: Path) -> None:
    with status_page() as page:
        assert page.change("release").status == 403
        path = token_file(tmp_path)
        config = attrs.evolve(CONFIG, token_file=path)
        page.server.reload(config)
        eventually(lambda: _require(page.change("release").status == 200), AssertionError)
        path.write_text("another token of the lab", encoding="ascii")
        page.server.reload(config)
        eventually(lambda: _require(page.change("release").status == 401), AssertionError)
        assert page.change("release", "another token of the lab").status == 200
        page.server.reload(CONFIG)
        eventually(lambda: _require(page.change("release").status == 403), AssertionError)


def test_a_certificate_is_renewed_with_a_reload(authority: Authority) -> None:
    certificate = authority.issue("server")
    tls = TlsFiles(cert=certificate)
    config = attrs.evolve(CONFIG, tls=tls)
    with status_page(config) as bare:
        page = attrs.evolve(bare, context=client_context(authority))
        before = shown_certificate(page)
        renewed = authority.issue("renewed")
        certificate.write_bytes(renewed.read_bytes())
        page.server.reload(config)
        eventually(lambda: _require(shown_certificate(page) != before), AssertionError)


def shown_certificate(page: Page) -> bytes:
    with contextlib.closing(page.connection()) as connection:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        found = connection.sock.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_names_of_the_host_change_with_a_reload() -> None:
    with status_page() as page:
        named = {"Host": "bench.example"}
        assert page.ask("/status.json", headers=named).status == 403
        report = page.server.reload(attrs.evolve(CONFIG, status_names=("bench.example",)))
        assert report.settings == ("status-names",)
        eventually(
            lambda: _require(page.ask("/status.json", headers=named).status == 200), AssertionError
        )


@pytest.mark.parametrize("address", [None, StatusAddress(port=1), StatusAddress(host="127.0.0.1")])
def test_the_address_of_the_page_needs_a_restart(address: StatusAddress | None) -> None:
    with status_page() as page:
        report = page.server.reload(attrs.evolve(CONFIG, status=address))
        assert (report.needs_restart, report.kept) == (("status",), ("bench-1",))
        assert page.ask("/status.json").status == 200


def test_a_reload_that_fails_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    with status_page() as page:
        broken = attrs.evolve(
            CONFIG, allow=allowing("192.0.2.0/24"), token_file=tmp_path / "missing"
        )
        with pytest.raises(ConfigError, match="goes on as before"):
            page.server.reload(broken)
        assert page.ask("/status.json").status == 200


def test_ports_come_and_go_on_the_page_with_a_reload() -> None:
    second = attrs.evolve(CONFIG.ports[0], source="sim://esp32s3", name="bench-2")
    with status_page() as page:
        page.server.reload(attrs.evolve(CONFIG, ports=(*CONFIG.ports, second)))
        eventually(lambda: page.port("bench-2"), ValueError)
        with page.events("/events?port=bench-2") as events:
            url = page.server.place("bench-2").url
            eventually(lambda: connect(url, stub=False), TransportError).close()
            events.until("said", "waiting for download")
            renewed = attrs.evolve(second, source="sim://esp32c6")
            page.server.reload(attrs.evolve(CONFIG, ports=(*CONFIG.ports, renewed)))
            url = page.server.place("bench-2").url
            eventually(lambda: connect(url, stub=False), TransportError).close()
            events.until("said", "ESP-ROM:esp32c6")


def _require(condition: bool) -> None:  # noqa: FBT001 - as of assert
    assert condition
