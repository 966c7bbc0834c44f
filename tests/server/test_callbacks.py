"""Nothing leaves a callback of the loop, wherever in a conversation a peer vanishes."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import functools
import inspect
import itertools
import os
import resource
import signal
import socket
import ssl
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

import esploader.server
from certificates import Authority
from covering import covering_parameters
from esploader.errors import PortNotFoundError
from esploader.server.access import AllowList, Limits, TlsFiles
from esploader.server.config import Protocol
from esploader.server.connection import PAUSE, Connection
from esploader.server.directory import Inquirer
from esploader.server.door import CROWD, Door, listen
from esploader.server.journal import Journal
from esploader.server.pty_end import PseudoTerminal, PtyEnd
from esploader.server.recogniser import ResetPolicy
from esploader.server.runner import Runner
from esploader.server.station import Station
from esploader.server.watcher import Watcher
from esploader.transport.clock import RealClock
from esploader.transport.com_port import Signature
from esploader.transport.com_port import encode as encode_com_port
from esploader.transport.gates import Arm, Gate, ResponseRule, encode
from esploader.transport.telnet_framing import Option, encode_subnegotiation
from esploader.transport.turns import Ask
from esploader.transport.turns import encode as encode_turn
from eventually import eventually
from fake_transport import WatchedTransport
from served import PATIENCE, connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from esploader.transport.base import Transport

SERVER = Path(inspect.getfile(esploader.server)).parent

# What is given to a loop or to the system to be called, as the source has it, by where the
# callable stands among the arguments.
REGISTRARS = {
    "call_later": 1,
    "call_soon": 0,
    "call_soon_threadsafe": 0,
    "add_reader": 1,
    "add_writer": 1,
    "add_done_callback": 0,
    "set_exception_handler": 0,
}

# What each of them is called when it runs; a protocol's methods stand below.
CALLBACKS = {
    "self.wake": {"Station.wake"},
    "self._station.wake": {"Station.wake"},
    "self._accept": {"Door._accept"},
    "go_on": {"Door._rest.<locals>.go_on"},
    "done": {"Door.let_in.<locals>.done"},
    "give_back": {"give_back"},
    "look": {"Connection._watch_for_end.<locals>.look"},
    "look_again": {"Connection._watch_for_stall.<locals>.look_again"},
    "callback": {
        "Guest.abort",
        "Inquirer.connection_made.<locals>.<lambda>",
        "Connection._has_waited",
        "Connection._has_waited_in_vain",
        "Connection._say_why",
        "Connection.hang_up",
        "TlsLayer.abort",
        "TlsLayer._is_late",
    },
    "self._read": {"TlsLayer._read"},
    "self._readable": {"PtyEnd._readable"},
    # Of the standard library, but for what is bound to them.
    "self._stopping.set": set[str](),
    "self._tasks.discard": set[str](),
    # Begins what test_reload.py shows.
    "self._begin_reload": set[str](),
    "note": {"Journal.note"},
    # What is shown here is that it is never called.
    "journal.fault": set[str](),
}

METHODS = {
    "connection_made",
    "get_buffer",
    "buffer_updated",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
}
PROTOCOLS = {f"{owner}.{method}" for owner in ("Guest", "TlsLayer") for method in METHODS} | {
    "Connection.connection_made",
    "Connection.eof_received",
    "Connection.pause_writing",
    "Connection.resume_writing",
    "Connection.connection_lost",
    "Inquirer.connection_made",
    "Inquirer.data_received",
    "Watcher.connection_made",
    "Watcher.data_received",
    "Watcher.resume_writing",
    "Watcher.connection_lost",
}

IMPATIENT = Limits(
    connections=1000, connections_per_address=1000, handshake_time=2.0, stall_time=0.2
)
HASTY = attrs.evolve(IMPATIENT, handshake_time=0.4)
"""For those whose point is that this time is over: nobody else has to be quick."""

ARMED = encode(Arm(1))
GATE = encode(Gate(rule=ResponseRule(opcode=77), timeout=0.1))
PURGE = encode_subnegotiation(Option.COM_PORT, b"\x0c\x03")
LINES = encode_subnegotiation(Option.COM_PORT, b"\x05\x0b")

WORDS = (
    b"\xff",
    b"\xfb\x2c",
    encode_subnegotiation(Option.COM_PORT, b"\x00"),
    ARMED,
    GATE + b"behind a gate",
    LINES,
    PURGE + b"bytes",
    b"\xff\xfa\x2c\x05",
)
"""What a client says, piece by piece."""


def test_every_callback_that_is_handed_out_is_among_those_that_are_driven() -> None:
    found = {
        ast.unparse(node.args[REGISTRARS[node.func.attr]])
        for file in SERVER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in REGISTRARS
    }
    assert found == CALLBACKS.keys()


CALLED = {each.rpartition(".")[2] for each in PROTOCOLS}
"""What a loop calls of a protocol."""


def test_every_protocol_of_the_server_is_among_those_that_are_driven() -> None:
    found = {
        node.name
        for file in SERVER.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(
            ast.unparse(base).startswith(("asyncio.", "Guest", "RawGuest")) for base in node.bases
        )
        and any(isinstance(each, ast.FunctionDef) and each.name in CALLED for each in node.body)
    }
    assert found == {each.partition(".")[0] for each in PROTOCOLS}


class Watched(Runner):
    """A server of one port, which takes note of what runs in its loop and what leaves it."""

    def __init__(
        self, protocol: Protocol, tls: TlsFiles | None = None, limits: Limits = IMPATIENT
    ) -> None:
        super().__init__()
        self._protocol = protocol
        self._limits = limits
        self._context = None if tls is None else tls.make_context()
        self.port = WatchedTransport()
        self._ports: list[Transport] = [self.port]
        self._listener = listen("127.0.0.1", 0)
        self.tcp_port = self._listener.getsockname()[1]
        self._watch_listener = listen("127.0.0.1", 0)
        self.watch_port = self._watch_listener.getsockname()[1]
        self._directory_listener = listen("127.0.0.1", 0)
        self.directory_port = self._directory_listener.getsockname()[1]
        self.faults: list[str] = []
        self.ran: set[str] = set()
        self.terminal = PseudoTerminal()

    @override
    def close(self) -> None:
        super().close()
        self._listener.close()
        self._watch_listener.close()
        self._directory_listener.close()
        self.terminal.close()
        self.port.device.close()
        self.port.close()
        assert self.faults == []

    @override
    async def _serve(self, stopping: asyncio.Event) -> None:
        def note_fault(_: object, context: dict[str, object]) -> None:
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

        def note_call(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and "/esploader/server/" in frame.f_code.co_filename:
                self.ran.add(frame.f_code.co_qualname)

        asyncio.get_running_loop().set_exception_handler(note_fault)
        journal = Journal(RealClock())
        station = Station("usb", journal=journal, policy=ResetPolicy())
        door = Door(journal, AllowList(), self._limits, self._context)
        sys.setprofile(note_call)
        try:
            station.find(self._open)
            await station.looked.wait()
            if self._protocol is Protocol.RAW:
                station.fallback = PtyEnd(self.terminal, station)
                station.wake()
            door.open(
                self._listener,
                functools.partial(
                    Connection,
                    station=station,
                    protocol=self._protocol,
                    limits=self._limits,
                    journal=journal,
                ),
            )
            inquire = functools.partial(
                Inquirer,
                places=tuple,
                server="this one",
                seconds=self._limits.handshake_time,
                journal=journal,
            )
            door.open(self._directory_listener, inquire)
            watch = functools.partial(Watcher, station=station, journal=journal)
            door.open(self._watch_listener, watch)
            await stopping.wait()
            await station.close()
            await door.close()
            # What was still to be called is.
            await asyncio.sleep(0)
        finally:
            sys.setprofile(None)

    def _open(self) -> Transport:
        if not self._ports:
            raise PortNotFoundError("usb", "not plugged in")
        return self._ports.pop()


@contextlib.contextmanager
def watched(
    protocol: Protocol, tls: TlsFiles | None = None, limits: Limits = IMPATIENT
) -> Iterator[Watched]:
    """Serve; show at the end that nothing left a callback."""
    with Watched(protocol, tls, limits) as server:
        server.start()
        eventually(lambda: require(server, "Door.open"), LookupError)
        yield server


def reset(client: socket.socket) -> None:
    """Go without a good-bye."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def end(client: socket.socket) -> None:
    """Say good-bye, and read what is said to it."""
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    client.close()


MANNERS: dict[str, Callable[[socket.socket], None]] = {
    "closes": lambda client: client.close(),
    "resets": reset,
    "ends": end,
}


def say(client: socket.socket, words: tuple[bytes, ...]) -> None:
    with contextlib.suppress(OSError):
        for word in words:
            client.sendall(word)


MANNERS_BY_PROTOCOL = covering_parameters(
    list(itertools.product(Protocol, MANNERS)), lambda protocol, manner: (protocol, manner)
)


@pytest.mark.parametrize(("protocol", "manner"), MANNERS_BY_PROTOCOL)
def test_a_client_may_vanish_after_every_word(protocol: Protocol, manner: str) -> None:
    with watched(protocol) as server:
        for count in range(len(WORDS) + 1):
            for _ in range(5):
                with connected(server.tcp_port) as client:
                    say(client, WORDS[:count])
                    MANNERS[manner](client)


@pytest.mark.parametrize(("protocol", "manner"), MANNERS_BY_PROTOCOL)
def test_a_client_may_vanish_while_somebody_else_has_the_port(
    protocol: Protocol, manner: str
) -> None:
    with watched(protocol) as server, connected(server.tcp_port) as holder:
        say(holder, WORDS[:2])
        wait_until_in_use(server)
        for count in range(len(WORDS) + 1):
            for _ in range(6):
                with connected(server.tcp_port) as client:
                    say(client, WORDS[:count])
                    MANNERS[manner](client)


def wait_until_in_use(server: Watched) -> None:
    def attempt() -> None:
        with connected(server.tcp_port) as client:
            # A bare one is told after a pause.
            client.settimeout(4 * PAUSE)
            with contextlib.suppress(TimeoutError):
                assert b"in use" in client.recv(1000)
                return
            raise AssertionError

    eventually(attempt, AssertionError)


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsFiles, Path]:
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    return TlsFiles(cert=authority.issue("server")), authority.path


def hello() -> bytes:
    """Return what a client of TLS says first."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("manner", MANNERS)
def test_a_client_may_vanish_anywhere_in_its_handshake(
    files: tuple[TlsFiles, Path], manner: str
) -> None:
    said = hello()
    with watched(Protocol.RFC2217, files[0]) as server:
        for piece in (b"", said[:3], said[:50], said, said + b"\x17\x03\x03", b"no TLS at all\n"):
            with connected(server.tcp_port) as client:
                say(client, (piece,))
                MANNERS[manner](client)


@pytest.mark.parametrize(
    ("manner", "is_in_use"),
    covering_parameters(
        list(itertools.product(MANNERS, (False, True))),
        lambda manner, is_in_use: (manner, is_in_use),
    ),
)
def test_a_client_of_tls_may_vanish_after_every_word(
    files: tuple[TlsFiles, Path],
    manner: str,
    is_in_use: bool,  # noqa: FBT001 - of the table
) -> None:
    context = ssl.create_default_context(cafile=files[1])
    with watched(Protocol.RFC2217, files[0]) as server, contextlib.ExitStack() as stack:

        def shake_hands() -> ssl.SSLSocket:
            plain = stack.enter_context(connected(server.tcp_port))
            return context.wrap_socket(plain, server_hostname="127.0.0.1")

        if is_in_use:
            holder = stack.enter_context(shake_hands())
            holder.sendall(b"".join(WORDS[:2]))
        for count in range(len(WORDS) + 1):
            client = shake_hands()
            say(client, WORDS[:count])
            MANNERS[manner](client)


def drive_crowd(server: Watched) -> None:
    """Come in numbers, say a word of TLS, and leave."""
    with contextlib.ExitStack() as stack:
        said = hello()
        clients = [stack.enter_context(connected(server.tcp_port)) for _ in range(2 * CROWD)]
        for client in clients:
            # Those whose turn comes late have been hung up on.
            with contextlib.suppress(ConnectionError):
                client.sendall(said)
                client.recv(65536)


def drive_late_handshake(server: Watched) -> None:
    """Say nothing until one is sent away."""
    with connected(server.tcp_port) as client:
        assert client.recv(1) == b""


def drive_end_in_handshake(server: Watched) -> None:
    """Say the last word before the first one of TLS is complete."""
    with connected(server.tcp_port) as client:
        client.sendall(hello()[:3])
        end(client)
        eventually(lambda: require(server, "TlsLayer.eof_received"), LookupError)


def drive_tls_that_does_not_read(server: Watched) -> None:
    """Have more said than is read, and go on; then stand behind a gate, and leave."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connected(server.tcp_port) as plain, context.wrap_socket(plain) as client:
        client.sendall(WORDS[0] + WORDS[1])
        flood(server, client)
        client.sendall(ARMED + encode(Gate(rule=ResponseRule(opcode=77), timeout=60.0)))
        client.settimeout(0.25)
        with contextlib.suppress(TimeoutError):
            for _ in range(400):
                client.send(bytes(16384))
        eventually(lambda: require(server, "Connection._watch_for_end.<locals>.look"), LookupError)


def flood(server: Watched, client: socket.socket) -> None:
    """Have the device say more than all buffers hold, and then read it."""
    block = bytes(65536)
    server.port.device.settimeout(0.05)
    for _ in range(400):
        with contextlib.suppress(TimeoutError):
            server.port.device.send(block)
            continue
        break
    client.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while client.recv(65536):
            pass
    client.settimeout(PATIENCE)


def require(server: Watched, name: str) -> None:
    if name not in server.ran:
        raise LookupError(name)


def drive_stalls(server: Watched) -> None:
    """Read for a while, and then no more, until one is let go."""
    with connected(server.tcp_port, buffer_size=8192) as client:
        client.sendall(WORDS[0] + WORDS[1])
        wait_until_in_use(server)
        flood(server, client)
        flood_without_reading(server)
        name = "Connection._watch_for_stall.<locals>.look_again"
        eventually(lambda: require(server, name), LookupError)


def flood_without_reading(server: Watched) -> None:
    server.port.device.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        for _ in range(400):
            server.port.device.send(bytes(65536))


def drive_silence(server: Watched) -> None:
    """Say nothing, and leave late what one was sent away from."""
    with connected(server.tcp_port) as client:
        while client.recv(1000):
            pass
        eventually(lambda: require(server, "Guest.abort"), LookupError)


def drive_refusal(server: Watched) -> None:
    """Have the port, and say nothing where one cannot have it, until that ends."""
    with connected(server.tcp_port) as holder, connected(server.tcp_port) as second:
        holder.sendall(WORDS[0] + WORDS[1])
        wait_until_in_use(server)
        while second.recv(1000):
            pass
        with connected(server.tcp_port) as third:
            while third.recv(1000):
                pass


def drive_wait_in_vain(server: Watched) -> None:
    """Wait in line for less time than it takes."""
    signature = encode_com_port(Signature(), from_server=False)
    with connected(server.tcp_port) as holder, connected(server.tcp_port) as second:
        holder.sendall(WORDS[0] + WORDS[1])
        wait_until_in_use(server)
        second.sendall(WORDS[0] + WORDS[1] + signature + encode_turn(Ask(wait=0.1)))
        while second.recv(1000):
            pass


def drive_watchers(server: Watched) -> None:
    """Watch, say something, do not read, read again, and leave."""
    with connected(server.tcp_port) as client, connected(server.watch_port) as watcher:
        client.sendall(WORDS[0] + WORDS[1])
        wait_until_in_use(server)
        watcher.sendall(b"hello")
        eventually(lambda: require(server, "Watcher.data_received"), LookupError)
        thread = threading.Thread(target=read_all, args=(client,))
        thread.start()
        for _ in range(100):
            server.port.device.send(bytes(65536))
        eventually(lambda: require(server, "Guest.pause_writing"), LookupError)
        while b"bytes lost]" not in watcher.recv(1 << 20):
            pass
        end(watcher)
        client.shutdown(socket.SHUT_RDWR)
        thread.join()


def drive_inquirers(server: Watched) -> None:
    """Ask for names, and come and say nothing."""
    with connected(server.directory_port) as client, connected(server.directory_port) as silent:
        client.sendall(b'{"esploader": 1}\n')
        assert b"ports" in client.recv(65536)
        assert client.recv(65536) == b""
        read_all(silent)


def read_all(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while client.recv(65536):
            pass


def drive_full_queue(server: Watched) -> None:
    """Send more than waits in a queue, so that one is no longer read."""
    with connected(server.tcp_port) as client:
        gate = encode(Gate(rule=ResponseRule(opcode=77), timeout=60.0))
        client.sendall(WORDS[0] + WORDS[1] + ARMED + gate)
        client.settimeout(0.25)
        with contextlib.suppress(TimeoutError):
            for _ in range(400):
                client.send(bytes(65536))
        name = "Connection._watch_for_end.<locals>.look"
        eventually(lambda: require(server, name), LookupError)


def drive_shortage(server: Watched) -> None:
    """Come when the system has no descriptor left for the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            client.connect(("127.0.0.1", server.tcp_port))
            eventually(lambda: require(server, "Door._rest"), LookupError)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        eventually(lambda: require(server, "Door._rest.<locals>.go_on"), LookupError)


def drive_terminal(server: Watched) -> None:
    """Open the pseudo-terminal, say something, and close it."""
    program = os.open(server.terminal.path, os.O_RDWR | os.O_NOCTTY)
    os.write(program, b"hello")
    assert server.port.device.recv(5) == b"hello"
    server.port.device.sendall(bytes(200_000))
    os.close(program)


def drive_loss(server: Watched) -> None:
    """Have the port go while there is a client."""
    with connected(server.tcp_port) as client:
        client.sendall(b"".join(WORDS[:4]))
        wait_until_in_use(server)
        server.port.device.close()
        while client.recv(65536):
            pass


PLAIN_DRIVES = (
    drive_silence,
    drive_refusal,
    drive_stalls,
    drive_full_queue,
    drive_wait_in_vain,
    drive_watchers,
    drive_inquirers,
    drive_shortage,
    drive_loss,
)
TLS_DRIVES = (
    drive_crowd,
    drive_late_handshake,
    drive_end_in_handshake,
    drive_tls_that_does_not_read,
)


WAITS_OUT = {drive_silence, drive_refusal, drive_inquirers, drive_late_handshake}
"""Those that say nothing until they are sent away."""


def test_every_callback_runs_and_lets_nothing_out(files: tuple[TlsFiles, Path]) -> None:
    ran: set[str] = set()
    for protocol, tls, drives in (
        (Protocol.RFC2217, None, PLAIN_DRIVES),
        (Protocol.RAW, None, (drive_terminal, drive_refusal)),
        (Protocol.RFC2217, files[0], TLS_DRIVES),
    ):
        for drive in drives:
            limits = HASTY if drive in WAITS_OUT else IMPATIENT
            with watched(protocol, tls, limits) as server:
                drive(server)
            ran |= server.ran
    expected = PROTOCOLS.union(*CALLBACKS.values())
    assert expected - ran == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_whose_clients_vanish(number: int) -> None:
    server = Watched(Protocol.RFC2217)
    with server:
        server.heed_signals([number])

        def come_and_go() -> None:
            for count in range(len(WORDS)):
                with connected(server.tcp_port) as client:
                    say(client, WORDS[:count])
                    reset(client)
            os.kill(os.getpid(), number)

        thread = threading.Thread(target=come_and_go)
        thread.start()
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
        thread.join()
