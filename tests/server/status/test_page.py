"""The page, its document, its metrics and its events, as they are asked for over a network."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from esploader.connector import connect
from esploader.errors import ListenError, PortTakenOverError, TransportError
from esploader.server.access import AllowList, Limits
from esploader.server.config import PortConfig, ServerConfig
from esploader.server.exposure import is_status_exposed
from esploader.server.port_server import PortServer
from esploader.server.status.answers import MAX_BODY_SIZE, REASON
from esploader.server.status.files import static_files
from esploader.server.status.guard import MAX_WRONG_TOKENS
from esploader.server.status.live import MAX_STREAMS_PER_ADDRESS
from esploader.server.status.serving import MAX_CONNECTIONS_PER_ADDRESS
from esploader.server.status.visit import HEADERS, MAX_REQUEST_SIZE
from esploader.server.status_address import StatusAddress
from eventually import eventually
from programs import esploader, free_port, read_line, run, running
from served import connected
from status_pages import BENCH, CONFIG, TOKEN, status_page, token_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from status_pages import Page

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"

HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e\\"
"""A name that tries what it can."""


@pytest.fixture(name="page", scope="module")
def _page() -> Iterator[Page]:
    with status_page() as page:
        eventually(lambda: _require(page.port()["device"] is not None), AssertionError)
        yield page


@pytest.fixture(name="changeable")
def _changeable(tmp_path: Path) -> Iterator[Page]:
    config = attrs.evolve(CONFIG, token_file=token_file(tmp_path))
    with status_page(config) as page:
        eventually(lambda: _require(page.port()["device"] is not None), AssertionError)
        yield page


def _require(condition: bool) -> None:  # noqa: FBT001 - as of assert
    assert condition


def in_use(page: Page) -> dict[str, object]:
    port = page.port()
    assert isinstance(port["holder"], dict)
    return port


# What is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/icon.svg"])
def test_the_page_is_files_of_our_own_and_nothing_is_put_into_them(page: Page, path: str) -> None:
    answer = page.ask(path)
    assert answer.status == 200
    assert answer.body == static_files()[path].content
    assert b"http" not in answer.body.replace(b"http://www.w3.org/2000/svg", b"")


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/status.json", "/metrics", "/nothing", "/release", "/events?x=%00"]
)
def test_every_answer_forbids_what_a_page_does_not_need(page: Page, path: str) -> None:
    if path.startswith("/events"):
        with contextlib.closing(page.connection()) as connection:
            connection.request("GET", path)
            found = dict(connection.getresponse().getheaders())
    else:
        found = dict(page.ask(path).headers)
    assert {name: found.get(name) for name in HEADERS} == HEADERS
    assert "default-src 'none'" in found["Content-Security-Policy"]
    assert not [name for name in found if name.startswith("Access-Control")]


def test_the_document_is_what_its_schema_says(page: Page) -> None:
    schema = json.loads((SCHEMAS / "status.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = page.ask("/status.json").document
    validator.validate(document)
    place = page.server.place("bench-1")
    port = page.port()
    assert (port["url"], port["tcp_port"]) == (place.url, place.tcp_port)
    assert (port["holder"], port["missing"], port["can_reset"]) == (None, None, True)
    assert document["can_change"] is False
    with eventually(lambda: connect(place.url, stub=False), TransportError):
        validator.validate(page.ask("/status.json").document)
    assert not validator.is_valid({**document, "more": 1})


def test_who_has_a_port_and_what_went_through_it_is_told(page: Page) -> None:
    place = page.server.place("bench-1")
    before = total(page)
    with eventually(lambda: connect(place.url, stub=False), TransportError):
        port = eventually(lambda: in_use(page), AssertionError)
        holder = port["holder"]
        assert isinstance(holder, dict)
        assert holder["address"].startswith("127.0.0.1:")
        assert "@" in holder["who"]
        assert holder["resets"] >= 1
    eventually(lambda: _require(page.port()["holder"] is None), AssertionError)
    after = total(page)
    assert after["clients"] > before["clients"]
    assert after["to_device_bytes"] > before["to_device_bytes"]
    assert after["to_client_bytes"] > before["to_client_bytes"]
    assert after["resets"] > before["resets"]


def total(page: Page) -> dict[str, int]:
    found = page.port()["total"]
    assert isinstance(found, dict)
    return found


def test_a_client_that_is_sent_away_counts(page: Page) -> None:
    before = total(page)["refusals"]
    with connected(page.server.place("bench-1").tcp_port) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(4096)
    eventually(lambda: _require(total(page)["refusals"] > before), AssertionError)


def test_metrics_are_what_prometheus_reads(page: Page) -> None:
    answer = page.ask("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {each.name: each for each in text_string_to_metric_families(answer.body.decode())}
    samples = {
        sample.name: (sample.labels, sample.value)
        for family in families.values()
        for sample in family.samples
    }
    of_port = {name for name, (labels, _) in samples.items() if labels == {"port": "bench-1"}}
    assert of_port == {
        "esploader_port_present",
        "esploader_port_in_use",
        "esploader_port_waiting",
        "esploader_port_watching",
        "esploader_port_to_device_bytes_total",
        "esploader_port_to_client_bytes_total",
        "esploader_port_resets_total",
        "esploader_port_clients_total",
        "esploader_port_refusals_total",
        "esploader_port_losses_total",
    }
    assert samples["esploader_port_present"][1] == 1.0
    assert samples["esploader_port_resets_total"][1] <= total(page)["resets"]
    assert abs(samples["esploader_start_time_seconds"][1] - time.time()) < 3600
    assert "version" in samples["esploader_info"][0]


def test_a_port_that_is_missing_says_why() -> None:
    config = attrs.evolve(CONFIG, ports=(PortConfig(source="/dev/no such port"),))
    with status_page(config) as page:
        port = eventually(lambda: missing(page), AssertionError)
        assert "there is no such device" in str(port["missing"])
        assert port["last_error"] is not None
        assert 'esploader_port_present{port="/dev/no such port"} 0.0' in (
            page.ask("/metrics").body.decode()
        )


def missing(page: Page) -> dict[str, object]:
    port = page.port("/dev/no such port")
    assert port["missing"]
    return port


def test_names_from_outside_stay_text_in_each_form() -> None:
    name = HOSTILE + "\udc80"
    config = attrs.evolve(CONFIG, ports=(attrs.evolve(BENCH, name=name),))
    with status_page(config) as page:
        document = page.ask("/status.json")
        assert document.headers["Content-Type"] == "application/json"
        ports = document.document["ports"]
        assert isinstance(ports, list)
        assert ports[0]["name"] == name
        families = text_string_to_metric_families(page.ask("/metrics").body.decode())
        labels = {label for each in families for s in each.samples for label in s.labels.values()}
        assert f"{HOSTILE}\\udc80" in labels


# What happens, as it happens ------------------------------------------------------------------


def test_the_log_of_the_server_is_told_as_it_grows(page: Page) -> None:
    place = page.server.place("bench-1")
    with page.events() as events:
        assert events.next("state")["ports"]
        with eventually(lambda: connect(place.url, stub=False), TransportError):
            assert "client-came port=bench-1" in events.until("log", "client-came")
        assert "client-left port=bench-1" in events.until("log", "client-left")


def test_what_a_board_says_is_told_with_what_it_said_before(page: Page) -> None:
    place = page.server.place("bench-1")
    with eventually(lambda: connect(place.url, stub=False), TransportError) as device:
        for path in ("/events?port=bench-1", f"/events?tcp_port={place.tcp_port}"):
            with page.events(path) as events:
                assert "waiting for download" in events.until("said", "waiting for download")
                eventually(lambda: _require(page.port()["watcher_count"] == 1), AssertionError)
                device.reset()
                events.until("said", "ESP-ROM")
    eventually(lambda: _require(page.port()["watcher_count"] == 0), AssertionError)


def test_nothing_is_said_of_a_board_that_is_not_asked_for(page: Page) -> None:
    with page.events("/events?port=nobody") as events:
        assert events.next("state")
    with page.events() as events:
        assert events.next("state")
        assert page.port()["watcher_count"] == 0


@pytest.mark.slow
def test_something_is_said_when_nothing_happens(page: Page) -> None:
    with page.events() as events:
        first = events.next("state")
        second = events.next("state")
        assert first["now"] != second["now"]


def test_who_follows_is_bounded_and_makes_room_when_gone(page: Page) -> None:
    page = attrs.evolve(page, source="127.0.0.4")
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STREAMS_PER_ADDRESS):
            stack.enter_context(page.events())
        refused = page.ask("/events")
        assert (refused.status, refused.error) == (503, "too many follow what happens here")

    def follow() -> None:
        with page.events() as events:
            events.next("state")

    eventually(follow, AssertionError)


# What is changed ------------------------------------------------------------------------------


def test_a_port_is_released_and_its_client_told_why(changeable: Page) -> None:
    place = changeable.server.place("bench-1")
    with eventually(lambda: connect(place.url, stub=False), TransportError) as device:
        answer = changeable.change("release", wish={"reason": "the lab closes"})
        assert (answer.status, answer.document) == (200, {"released": True})
        with pytest.raises(PortTakenOverError, match="the lab closes"):
            device.memory.read_register(0x6000_7058)
    assert changeable.port()["holder"] is None
    assert changeable.change("release").document == {"released": False}


def test_who_gives_no_reason_has_one_all_the_same(changeable: Page) -> None:
    place = changeable.server.place("bench-1")
    with eventually(lambda: connect(place.url, stub=False), TransportError) as device:
        assert changeable.change("release", wish={"port": place.tcp_port}).status == 200
        with pytest.raises(PortTakenOverError, match=REASON):
            device.memory.read_register(0x6000_7058)


def test_a_board_is_reset_and_in_use_only_by_force(changeable: Page) -> None:
    place = changeable.server.place("bench-1")
    before = total(changeable)["resets"]
    assert changeable.change("reset").document == {"reset": True}
    assert total(changeable)["resets"] > before
    with eventually(lambda: connect(place.url, stub=False), TransportError):
        refused = changeable.change("reset")
        assert refused.status == 409
        assert "has it" in refused.error
        assert changeable.change("reset", wish={"force": True}).status == 200


@pytest.mark.parametrize(
    ("kind", "wish", "status", "reason"),
    [
        ("release", {"port": "nobody"}, 404, "this server has no such port"),
        ("release", {"port": 1}, 404, "this server has no such port"),
        ("release", {"port": None}, 400, "port is missing"),
        ("release", {"port": True}, 400, "port is missing"),
        ("release", {"port": "bench-1", "reason": 1}, 400, "reason is no text"),
        ("release", {"port": "bench-1", "reason": "x" * 201}, 400, "reason is no text"),
        ("reset", {"port": "bench-1", "force": "yes"}, 400, "neither true nor false"),
        ("reset", {"port": "bench-1", "reason": "x" * MAX_BODY_SIZE}, 413, "more than"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    changeable: Page, kind: str, wish: dict[str, object], status: int, reason: str
) -> None:
    refused = changeable.change(kind, wish=wish)
    assert refused.status == status
    assert reason in refused.error


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 4000])
def test_a_body_that_is_no_object_is_refused(changeable: Page, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    assert changeable.ask("/release", "POST", headers, body).status == 400


def test_two_ports_of_one_name_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    twin = attrs.evolve(BENCH, source="sim://esp32s3")
    config = attrs.evolve(CONFIG, ports=(BENCH, twin), token_file=token_file(tmp_path))
    with status_page(config) as page:
        refused = page.change("release")
        assert (refused.status, "more than one" in refused.error) == (404, True)
        for place in page.server.server.places:
            assert page.change("release", wish={"port": place.tcp_port}).status == 200


@pytest.mark.parametrize("kind", ["release", "reset"])
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "DELETE"])
def test_nothing_is_changed_but_by_post(changeable: Page, kind: str, method: str) -> None:
    answer = changeable.ask(f"/{kind}", method, {"Authorization": f"Bearer {TOKEN}"})
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


def test_who_guesses_is_stopped(changeable: Page) -> None:
    for _ in range(MAX_WRONG_TOKENS):
        assert changeable.change("release", "wrong").status == 401
    assert changeable.change("release", "wrong").status == 429
    assert changeable.change("release").status == 429
    assert attrs.evolve(changeable, source="127.0.0.9").change("release").status == 200


# Who is not heard -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/events", "/page.js"])
def test_a_page_under_a_name_that_is_not_ours_sees_nothing(page: Page, path: str) -> None:
    refused = page.ask(path, headers={"Host": "evil.example"})
    assert refused.status == 403
    assert "is not called 'evil.example': ask by 127.0.0.1 or localhost" in refused.error


def test_a_tcp_port_that_is_no_number_is_no_port_to_follow(page: Page) -> None:
    refused = page.ask("/events?tcp_port=abc")
    assert (refused.status, refused.error) == (400, "tcp_port is the number of a TCP port")


def test_a_name_that_the_server_knows_is_heard() -> None:
    with status_page(attrs.evolve(CONFIG, status_names=("lab.example",))) as page:
        assert page.ask("/status.json", headers={"Host": "LAB.example:80"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_changes_nothing_not_even_with_the_token(
    changeable: Page, headers: dict[str, str]
) -> None:
    refused = changeable.change("reset", headers=headers)
    assert refused.status == 403
    assert "other sites" in refused.error
    assert changeable.ask("/events", headers=headers).status == 403


def test_a_form_of_another_site_cannot_even_say_what_it_wants(changeable: Page) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/plain"}
    assert changeable.ask("/release", "POST", headers, b'{"port": "bench-1"}').status == 415


# Bad requests, and many -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n",
        b"POST /release HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /release HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_request_is_refused_and_does_no_harm(page: Page, data: bytes) -> None:
    answer = page.raw(data)
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:200]
    assert b"aiohttp" not in answer
    assert b"Traceback" not in answer
    assert page.ask("/status.json").status == 200


def test_a_request_with_no_end_is_cut_off(page: Page) -> None:
    line = b"X-%d: " + b"x" * 100 + b"\r\n"
    data = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    data += b"".join(line % number for number in range(2 * MAX_REQUEST_SIZE // len(line)))
    assert len(data) > MAX_REQUEST_SIZE
    assert b"200 OK" not in page.raw(data)
    assert page.ask("/status.json").status == 200


def test_requests_in_one_piece_are_answered_one_after_the_other(page: Page) -> None:
    request = b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = page.raw(request * 100 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 100
    assert b"HTTP/1.1 404 Not Found" in answer.rpartition(b"HTTP/1.1 200 OK")[2]


def test_who_takes_too_long_to_ask_is_cut_off() -> None:
    with (
        status_page(attrs.evolve(CONFIG, limits=Limits(handshake_time=0.3))) as page,
        socket.create_connection(("127.0.0.1", page.number), 10.0) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert slow.recv(100) == b""
        assert time.monotonic() - begun < 5.0
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        assert page.ask("/release", "POST", headers, b"{}").status == 403


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    config = attrs.evolve(
        CONFIG, limits=Limits(handshake_time=0.3), token_file=token_file(tmp_path)
    )
    with status_page(config) as page:
        head = (
            f"POST /release HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
        )
        assert page.raw(head.encode()).startswith(b"HTTP/1.1 408 ")


def test_connections_are_bounded_and_those_that_are_there_go_on() -> None:
    with status_page() as page:
        check_connections(page)


def check_connections(page: Page) -> None:
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(contextlib.closing(page.connection()))
        kept.request("GET", "/status.json")
        kept.getresponse().read()
        for _ in range(MAX_CONNECTIONS_PER_ADDRESS - 1):
            stack.enter_context(socket.create_connection(("127.0.0.1", page.number), 10.0))
        answer = eventually(lambda: refused_connection(page), AssertionError)
        assert b"the server has too many connections" in answer
        assert b"Content-Security-Policy" in answer
        kept.request("GET", "/status.json")
        assert kept.getresponse().read()
        # Somebody else is let in.
        assert attrs.evolve(page, source="127.0.0.3").ask("/status.json").status == 200
    eventually(lambda: _require(page.ask("/status.json").status == 200), AssertionError)


def refused_connection(page: Page) -> bytes:
    answer = page.raw(b"")
    assert answer.startswith(b"HTTP/1.1 503 ")
    return answer


def test_the_fewer_connections_that_the_configuration_allows_count() -> None:
    with (
        status_page(attrs.evolve(CONFIG, limits=Limits(connections=1))) as page,
        socket.create_connection(("127.0.0.1", page.number), 10.0),
    ):
        eventually(lambda: refused_connection(page), AssertionError)


# The program ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing_module", ["aiohttp", pytest.param("prometheus_client", marks=pytest.mark.slow)]
)
def test_without_its_extra_one_sentence_says_what_to_install(missing_module: str) -> None:
    program = (
        f"import sys; sys.modules[{missing_module!r}] = None\n"
        "from esploader.cli import main\n"
        "sys.exit(main(['serve', '--exit-codes', 'detailed', '--status=0', 'sim://esp32c3']))"
    )
    done = run(sys.executable, "-c", program)
    assert done.exit_code == 6
    sentence = f"the status page: it needs {missing_module}: pip install 'esploader[status]'"
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Serving" not in done.stdout


def test_who_has_no_page_loads_nothing_of_it() -> None:
    program = (
        "import sys, esploader.commands.serving as serving\n"
        "from esploader.commands.parser import parse\n"
        "serving.PortServer(serving.make_config(parse(['serve', 'sim://esp32c3'])[1]),"
        " on_place=print).close()\n"
        "print([name for name in sys.modules if 'aiohttp' in name or 'prometheus' in name"
        " or name.startswith('esploader.server.status.')])"
    )
    assert run(sys.executable, "-c", program).stdout.strip() == "[]"


def test_the_program_says_where_the_page_is_and_ends_with_it() -> None:
    command = esploader("serve", "-p", "0", "--json", "--status", "127.0.0.1:0", "sim://esp32c3")
    with running(*command) as process:
        text = ""
        while not text.endswith("\n}\n"):
            text += read_line(process)
        url = json.loads(text)["status_url"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        process.terminate()
        assert process.wait(20.0) == 0


def test_a_tcp_port_that_somebody_has_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = attrs.evolve(CONFIG, status=StatusAddress(port=taken.getsockname()[1]))
        with (
            PortServer(config, on_place=lambda _: None) as server,
            pytest.raises(ListenError, match="cannot listen on"),
        ):
            server.listen()


@pytest.mark.parametrize(
    ("host", "allow", "exposed"),
    [(None, (), False), ("127.0.0.1", (), False), ("0.0.0.0", (), True), ("::", ("::1",), False)],  # noqa: S104
)
def test_a_page_is_exposed_when_others_can_see_it(
    host: str | None,
    allow: tuple[str, ...],
    exposed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    config = ServerConfig(status=StatusAddress(host=host), allow=AllowList.parse(allow, "test"))
    assert is_status_exposed(config) is exposed


def test_ports_do_not_get_the_number_of_the_page() -> None:
    first = free_port()
    config = ServerConfig(
        ports=(BENCH, attrs.evolve(BENCH, source="sim://esp32s3")),
        tcp_port=first,
        bind=("127.0.0.1",),
        status=StatusAddress(port=first + 1),
    )
    with status_page(config) as page:
        assert page.number == first + 1
        assert [place.tcp_port for place in page.server.server.places] == [first, first + 2]
