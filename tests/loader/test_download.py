"""Downloads end, whatever the other end does, and come from whom they should come from."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from certificates import Authority
from esploader.errors import StubDownloadError, StubInstallError
from esploader.loader.download import download, may_lead
from esploader.loader.known_stubs import KNOWN_STUBS, LATEST
from esploader.loader.stub_sources import from_place, from_release
from esploader.loader.stub_store import checked, version_of
from https_server import content, cut, endless, gibberish, hang_up, https_server, redirect
from stub_files import stub_file

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1000
DATA = bytes(range(250)) * 4

ANSWERS = {
    "/data": content(DATA),
    "/cut": cut(DATA[:-1]),
    "/too-large": content(DATA + b"x"),
    "/endless": endless,
    "/hang-up": hang_up,
    "/gibberish": gibberish,
    "/moved": redirect("/data"),
    "/moved-twice": redirect("moved"),
    "/loop": redirect("/loop"),
    "/elsewhere": redirect("https://127.0.0.1:1/data"),
    "/unsafe": redirect("http://localhost/data"),
    "/file": redirect("file:///etc/passwd"),
    "/nowhere": redirect("https://["),
    "/folder/esp32.json": content(stub_file()),
}


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(name="server")
def _server(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    with https_server(authority.issue("server"), ANSWERS) as url:
        yield url


@pytest.mark.parametrize("path", ["/data", "/moved", "/moved-twice"])
def test_what_is_there_is_downloaded(path: str, server: str) -> None:
    assert download([f"{server}{path}"] * 2, max_size=SIZE) == [DATA, DATA]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "the server answers 404 Not Found"),
        ("/cut", "it broke off after 999 of 1000 bytes"),
        ("/too-large", "it is larger than the 1000 bytes that are taken"),
        ("/endless", "it is larger than the 1000 bytes that are taken"),
        ("/hang-up", "the server hung up"),
        ("/gibberish", "no answer of a web server"),
        ("/loop", "no end to its redirects"),
        ("/elsewhere", "it leads elsewhere: 'https://127.0.0.1:1/data'"),
        ("/unsafe", "it leads elsewhere: 'http://localhost/data'"),
        ("/file", "it leads elsewhere: 'file:///etc/passwd'"),
        ("/nowhere", "it leads elsewhere|it is no address"),
    ],
)
def test_what_cannot_be_had_is_an_error(path: str, reason: str, server: str) -> None:
    with pytest.raises(StubDownloadError, match=reason) as caught:
        download([f"{server}/data", f"{server}{path}"], max_size=SIZE)
    assert caught.value.name == f"{server}{path}"


def test_a_server_that_says_nothing_is_given_up(server: str) -> None:
    with pytest.raises(StubDownloadError, match=r"it was not there after 0\.2 s"):
        download([f"{server}/silent"], max_size=SIZE, seconds=0.2)


def test_a_server_that_nobody_vouches_for_is_not_asked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StubDownloadError, match="no certificate that is trusted"):
        download([f"{server}/data"], max_size=SIZE)


def test_who_does_not_speak_tls_is_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=answer_once, args=(listener,))
        thread.start()
        with pytest.raises(StubDownloadError, match="does not speak TLS, or breaks its rules"):
            download([f"https://127.0.0.1:{port}/data"], max_size=SIZE)
        thread.join()


def answer_once(listener: socket.socket) -> None:
    """Answer a client with plain HTTP."""
    client, _ = listener.accept()
    with client:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        client.recv(1024)


def test_where_nobody_listens_nothing_is_reached() -> None:
    with pytest.raises(StubDownloadError, match="cannot be reached: Connection refused"):
        download(["https://127.0.0.1:1/data"], max_size=SIZE)


@pytest.mark.parametrize("url", ["http://localhost/", "https://", "https://[", "data", "HTTP://x/"])
def test_what_is_no_https_url_is_refused(url: str) -> None:
    with pytest.raises(StubInstallError, match="begins with https://"):
        download([url], max_size=SIZE)


@pytest.mark.parametrize(
    ("target", "may"),
    [
        ("https://release-assets.githubusercontent.com/a?b", True),
        ("https://github.com/other", True),
        ("https://GitHub.com/other", True),
        ("https://githubusercontent.com.example.org/", False),
        ("https://evilgithubusercontent.com/", False),
        ("http://release-assets.githubusercontent.com/", False),
        ("https://user@example.org/github.com", False),
    ],
)
def test_where_a_release_page_may_lead(target: str, *, may: bool) -> None:
    assert may_lead("github.com", target) == may


def test_no_other_host_may_lead_to_where_github_keeps_its_files() -> None:
    assert not may_lead("localhost", "https://release-assets.githubusercontent.com/")


def test_a_release_is_downloaded_file_by_file(
    authority: Authority, known_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    answers = {f"/{LATEST}/{name}.json": content(data) for name, data in known_files.items()}
    with https_server(authority.issue("server"), answers) as url:
        found = from_release(releases=url)
        assert from_place(f"{url}/{LATEST}/").files == found.files
        one = from_place(f"{url}/{LATEST}/esp32.json?x=y")
    assert set(found.files) == set(KNOWN_STUBS)
    assert found.origin == f"{url}/{LATEST}/"
    assert version_of([checked(*item) for item in found.files.items()]) == LATEST
    assert one.files == {"esp32": found.files["esp32"]}


def test_a_folder_on_the_web_needs_all_stubs(server: str) -> None:
    with pytest.raises(StubDownloadError, match=r"esp32c2\.json: the server answers 404"):
        from_place(f"{server}/folder/")
