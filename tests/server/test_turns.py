"""Our client gets its turn at a port that somebody else has, over real sockets."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import TYPE_CHECKING

import pytest

from esploader.errors import (
    PortBusyError,
    PortPermissionError,
    PortTakenOverError,
    TransportError,
)
from esploader.server.config import PortConfig, ServerConfig
from esploader.transport.clock import RealClock
from esploader.transport.gates import Gate, ResponseRule
from esploader.transport.network_url import parse_network_url
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.tcp import SocketTransport, TcpPipe
from esploader.transport.turn_wish import TOKEN_VARIABLE, TurnWish, who_we_are
from esploader.transport.turns import Lent, Offered
from eventually import eventually
from pseudo_terminal import PseudoTerminal
from served import PATIENCE, Places, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.server.place import Place
    from esploader.transport.base import Transport

pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of nothing


@contextlib.contextmanager
def bench(
    *, watched: bool = False, takeover: bool = False, token_file: Path | None = None
) -> Iterator[tuple[Place, PseudoTerminal]]:
    """Serve a pseudo-terminal; yield where it is, and its other end."""
    with contextlib.closing(PseudoTerminal()) as device:
        port = PortConfig(source=device.path, name="bench 1", watch_port=0 if watched else None)
        config = ServerConfig(ports=(port,), tcp_port=0, takeover=takeover, token_file=token_file)
        with serving(config) as places:
            yield first(places), device


def first(places: Places) -> Place:
    return places.wait(1)[0]


def opened(url: str) -> Rfc2217Transport:
    """Return a client that has the port, as soon as that is there."""

    def attempt() -> Rfc2217Transport:
        return Rfc2217Transport.open(url)

    return eventually(attempt, TransportError)


def token_in(folder: Path, text: str = SECRET) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(0o600)
    return path


def read(transport: Transport, size: int) -> bytes:
    data = b""
    deadline = transport.clock.now() + PATIENCE
    while len(data) < size and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


def read_on(transport: Transport) -> None:
    """Read until the port is gone."""
    deadline = transport.clock.now() + PATIENCE
    while transport.clock.now() < deadline:
        transport.read(deadline)


def wait_for(transport: Rfc2217Transport, kind: type) -> None:
    """Read until the server has said that of turns."""
    deadline = transport.clock.now() + PATIENCE
    while not isinstance(transport.turn, kind):
        assert transport.clock.now() < deadline
        transport.read(transport.clock.now() + 0.05)


class Waiter:
    """A client that waits for the port in a thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.transport: Rfc2217Transport | None = None
        self.failure: TransportError | None = None
        self._thread = threading.Thread(target=self._open, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        try:
            self.transport = Rfc2217Transport.open(self._url)
        except TransportError as exc:
            self.failure = exc

    def result(self) -> Rfc2217Transport:
        self._thread.join(PATIENCE)
        assert self.transport is not None, self.failure
        return self.transport


def require_record(caplog: pytest.LogCaptureFixture, event: str, count: int = 1) -> dict[str, str]:
    found: list[dict[str, str]] = [
        record.__dict__["fields"]
        for record in caplog.records
        if record.__dict__.get("event") == event
    ]
    assert len(found) >= count
    return found[-1]


def seen(caplog: pytest.LogCaptureFixture, event: str, count: int = 1) -> dict[str, str]:
    """Return the fields of an event in the log, once it is there that often."""
    return eventually(lambda: require_record(caplog, event, count), AssertionError)


@pytest.fixture(name="log")
def _log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "esploader.server")
    return caplog


def test_the_log_says_who_comes(log: pytest.LogCaptureFixture) -> None:
    with bench() as (place, _), opened(place.url):
        came = seen(log, "client-came")
        assert came["client"].startswith("127.0.0.1:")
        assert seen(log, "client-named")["who"] == who_we_are()


def test_without_a_wish_a_port_in_use_is_refused_at_once() -> None:
    with (
        bench() as (place, _),
        opened(place.url),
        pytest.raises(PortBusyError, match=r"the port is in use by 127\.0\.0\.1:"),
    ):
        Rfc2217Transport.open(place.url)


def test_who_waits_gets_the_port_when_it_is_free_and_can_use_it(
    log: pytest.LogCaptureFixture,
) -> None:
    with bench() as (place, device):
        holder = opened(place.url)
        waiter = Waiter(f"{place.url}?wait=60")
        seen(log, "client-waits")
        holder.write(b"first")
        assert device.read(5) == b"first"
        holder.close()
        with waiter.result() as second:
            assert isinstance(second.turn, Offered)
            assert second.capabilities.gated
            second.write(b"second")
            assert device.read(6) == b"second"
            device.write(b"answer")
            assert read(second, 6) == b"answer"
            second.set_baudrate(57600)


def test_who_waits_is_not_refused_in_the_log(log: pytest.LogCaptureFixture) -> None:
    with bench() as (place, _):
        holder = opened(place.url)
        log.clear()
        waiter = Waiter(f"{place.url}?wait=60")
        seen(log, "client-waits")
        holder.close()
        waiter.result().close()
        seen(log, "client-left", 2)
        assert "refused" not in log.text
        with opened(place.url), pytest.raises(PortBusyError):
            Rfc2217Transport.open(place.url)
        assert "in use by" in seen(log, "refused")["reason"]


def test_those_who_wait_are_served_in_the_order_in_which_they_came(
    log: pytest.LogCaptureFixture,
) -> None:
    with bench() as (place, device):
        holder = opened(place.url)
        waiters = []
        for number in range(3):
            waiters.append(Waiter(f"{place.url}?wait=60"))
            seen(log, "client-waits", number + 1)
        holder.close()
        for number, waiter in enumerate(waiters):
            with waiter.result() as transport:
                transport.write(b"%d" % number)
                assert device.read(1) == b"%d" % number


def test_a_place_in_line_is_lost_when_its_time_is_over() -> None:
    with (
        bench() as (place, _),
        opened(place.url),
        pytest.raises(PortBusyError, match="our time in line is over"),
    ):
        Rfc2217Transport.open(f"{place.url}?wait=0.2")


def test_who_gives_up_waiting_leaves_the_line(log: pytest.LogCaptureFixture) -> None:
    with bench() as (place, device):
        holder = opened(place.url)
        pipe = attached_waiter(place.url)
        seen(log, "client-waits")
        second = Waiter(f"{place.url}?wait=60")
        seen(log, "client-waits", 2)
        pipe()
        seen(log, "client-gave-up")
        holder.close()
        with second.result() as transport:
            transport.write(b"x")
            assert device.read(1) == b"x"


def attached_waiter(url: str) -> Callable[[], None]:
    """Have a client wait that can be ended; return what ends it."""
    pipe = TcpPipe.connect(parse_network_url(url, "rfc2217", frozenset()), RealClock())

    def wait() -> None:
        with contextlib.suppress(TransportError):
            Rfc2217Transport.over(pipe, wish=TurnWish(wait=60))

    threading.Thread(target=wait, daemon=True).start()
    return pipe.close


def test_a_takeover_that_is_not_configured_is_refused() -> None:
    with (
        bench() as (place, _),
        opened(place.url) as holder,
    ):
        with pytest.raises(PortPermissionError, match="does not let this port be taken over"):
            Rfc2217Transport.open(f"{place.url}?takeover")
        holder.write(b"x")


def test_a_port_is_not_taken_over_from_who_works_with_it() -> None:
    with bench(takeover=True) as (place, device), opened(place.url) as holder:
        holder.write(b"x")
        assert device.read(1) == b"x"
        with pytest.raises(PortBusyError, match="whoever has it works with it"):
            Rfc2217Transport.open(f"{place.url}?takeover")
        holder.write(b"y")
        assert device.read(1) == b"y"


def test_the_token_takes_a_port_over_in_mid_operation_and_the_loser_is_told_by_whom(
    tmp_path: Path,
) -> None:
    token = token_in(tmp_path)
    with bench(takeover=True, token_file=token) as (place, device):
        holder = opened(place.url)
        holder.send_ahead([b"begun", Gate(rule=ResponseRule(8), timeout=60), b"never sent"])
        assert device.read(5) == b"begun"
        with Rfc2217Transport.open(f"{place.url}?takeover=force&token-file={token}") as winner:
            with pytest.raises(PortTakenOverError, match=rf"\({who_we_are()}\) took the port over"):
                read_on(holder)
            with pytest.raises(PortTakenOverError):
                holder.write(b"lost")
            holder.close()
            winner.write(b"mine")
            assert device.read(4) == b"mine"


def test_the_environment_may_name_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_in(tmp_path)
    monkeypatch.setenv(TOKEN_VARIABLE, str(token))
    with (
        bench(takeover=True, token_file=token) as (place, device),
        opened(place.url),
        Rfc2217Transport.open(f"{place.url}?takeover=force") as winner,
    ):
        winner.write(b"mine")
        assert device.read(4) == b"mine"


def test_a_wrong_token_takes_nothing(tmp_path: Path) -> None:
    token = token_in(tmp_path)
    (tmp_path / "client").mkdir()
    wrong = token_in(tmp_path / "client", SECRET[::-1])
    with bench(takeover=True, token_file=token) as (place, device), opened(place.url) as holder:
        with pytest.raises(PortPermissionError, match="does not accept our token"):
            Rfc2217Transport.open(f"{place.url}?takeover=force&token-file={wrong}")
        holder.write(b"x")
        assert device.read(1) == b"x"


def test_a_bare_client_is_told_in_words_and_ours_understands_them(tmp_path: Path) -> None:
    token = token_in(tmp_path)
    with bench(takeover=True, token_file=token) as (place, device):
        opened(place.url).close()
        with SocketTransport.open(f"socket://127.0.0.1:{place.tcp_port}") as holder:
            # It knows telnet, and nothing of turns.
            holder.write(b"\xff\xfb\x2chello")
            assert device.read(5) == b"hello"
            Rfc2217Transport.open(f"{place.url}?takeover=force&token-file={token}").close()
            with pytest.raises(PortTakenOverError, match=r"the port was taken over by 127\.0"):
                read_on(holder)


def test_a_client_that_gives_way_listens_while_somebody_else_has_the_port(
    log: pytest.LogCaptureFixture,
) -> None:
    with bench() as (place, device), opened(f"{place.url}?yield") as monitor:
        seen(log, "client-named")
        monitor.set_baudrate(57600)
        turns: list[object] = []
        monitor.on_turn = turns.append
        with Rfc2217Transport.open(place.url) as flasher:
            wait_for(monitor, Lent)
            with pytest.raises(PortBusyError, match=r"127\.0\.0\.1:\d+.* has the port for now"):
                monitor.write(b"lost")
            with pytest.raises(PortBusyError):
                monitor.set_lines(dtr=True)
            flasher.write(b"flash")
            assert device.read(5) == b"flash"
            device.write(b"done")
            assert read(flasher, 4) == b"done"
            assert read(monitor, 4) == b"done"
        wait_for(monitor, Offered)
        assert [type(each) for each in turns] == [Lent, Lent, Offered]
        # Who it is has been said a moment after it came.
        assert who_we_are() in str(turns[1])
        monitor.write(b"mine")
        assert device.read(4) == b"mine"
        assert monitor.baudrate == 57600


def test_a_client_that_gives_way_may_come_while_somebody_else_has_the_port(
    log: pytest.LogCaptureFixture,
) -> None:
    with bench() as (place, device):
        holder = opened(place.url)
        with Rfc2217Transport.open(f"{place.url}?yield") as monitor:
            assert isinstance(monitor.turn, Lent)
            seen(log, "client-listens")
            device.write(b"hello")
            assert read(holder, 5) == b"hello"
            assert read(monitor, 5) == b"hello"
            holder.close()
            wait_for(monitor, Offered)
            monitor.write(b"mine")
            assert device.read(4) == b"mine"


def test_who_waits_comes_before_who_gives_way(log: pytest.LogCaptureFixture) -> None:
    with bench() as (place, device), opened(f"{place.url}?yield") as monitor:
        seen(log, "client-named")
        holder = Rfc2217Transport.open(place.url)
        wait_for(monitor, Lent)
        waiter = Waiter(f"{place.url}?wait=60")
        seen(log, "client-waits")
        holder.close()
        with waiter.result() as second:
            second.write(b"x")
            assert device.read(1) == b"x"
            assert isinstance(monitor.turn, Lent)
        wait_for(monitor, Offered)


def test_who_waits_is_told_its_place_and_who_has_the_port(log: pytest.LogCaptureFixture) -> None:
    with bench() as (place, _):
        holder = opened(place.url)
        seen(log, "client-named")
        waiter = Waiter(f"{place.url}?wait=60")
        text = rf"127.0.0.1:.*{who_we_are()}.* has the port; our place in line is 1"
        eventually(lambda: require_text(log, text), AssertionError)
        holder.close()
        waiter.result().close()


def require_text(log: pytest.LogCaptureFixture, pattern: str) -> None:
    assert re.search(pattern, log.text)


def test_those_who_watch_hear_all_that_the_port_says_and_what_it_said_before() -> None:
    with bench(watched=True) as (place, device), opened(place.url) as holder:
        device.write(b"before ")
        assert read(holder, 7) == b"before "
        assert place.watch_url is not None
        with (
            watching(place.watch_url, b"before ") as one,
            watching(place.watch_url, b"before ") as two,
        ):
            two.write(b"this goes nowhere")
            device.write(b"now")
            assert read(holder, 3) == read(one, 3) == read(two, 3) == b"now"
            holder.write(b"x")
            assert device.read(1) == b"x"


@contextlib.contextmanager
def watching(url: str, history: bytes) -> Iterator[Transport]:
    with SocketTransport.open(url) as watcher:
        assert read(watcher, len(history)) == history
        yield watcher


def test_a_port_that_is_open_already_can_be_lent() -> None:
    with bench() as (place, _), Rfc2217Transport.open(place.url) as watcher:
        with pytest.raises(PortBusyError):
            Rfc2217Transport.open(place.url)
        watcher.give_way()
        with eventually(lambda: Rfc2217Transport.open(place.url), PortBusyError):
            wait_for(watcher, Lent)
        wait_for(watcher, Offered)
