"""The directory of a port server: which of its ports is called what, and where it is found.

One TCP port, by TLS where the others have it. The client sends one line of JSON, and is answered
by one::

    {"esploader": 1, "name": "bench 1"}
    {"esploader": 1, "server": "8f0c2d1e", "ports": [{"name": "bench 1", "tcp_port": 4001,
     "protocol": "rfc2217", ...}]}

Without a name all ports are meant. An answer names no host: a port is where its directory is. Who
has found it on the network tells by ``server`` whether that is the one that was announced.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import attrs

from esploader.classes import frozen
from esploader.errors import (
    HostUnreachableError,
    NegotiationError,
    PortNotFoundError,
    TransportClosedError,
    UrlError,
)
from esploader.transport.clock import RealClock
from esploader.transport.network_url import (
    DIRECTORY_PORT,
    MAX_TCP_PORT,
    NetworkUrl,
    parse_network_url,
)
from esploader.transport.refusal import refusal
from esploader.transport.rfc2217_url import (
    SCHEME,
    TLS_OPTIONS,
    TLS_SUFFIX,
    TlsOptions,
    parse_tls_options,
)
from esploader.transport.tcp import TcpPipe
from esploader.transport.turns import printable

if TYPE_CHECKING:
    from esploader.transport.pipe import Pipe

VERSION: Final = 1

MAX_ANSWER_SIZE: Final = 1024 * 1024
"""In bytes."""

MAX_TEXT_SIZE: Final = 1024
"""A longer text in an answer is nonsense, in characters."""

ANSWER_TIMEOUT: Final = 10.0
"""For how long a server may take to answer, in seconds; four round trips come on top."""

_PROTOCOLS: Final = ("rfc2217", "raw")


@frozen(kw_only=True)
class DirectoryAddress:
    """Where a directory is."""

    address: NetworkUrl
    tls: TlsOptions | None = None


@frozen(kw_only=True)
class RemotePort:
    """A port of a server, as its directory says."""

    name: str
    """What its server calls it."""

    url: str
    """How we reach it."""

    tcp_port: int
    """Where it is at its server, by number."""

    watch_url: str | None
    """How we listen to it; ``None`` where nobody can."""

    device: str | None
    """The name of the device there; ``None`` when it is not there."""

    missing: str | None
    """Why it is not there; ``None`` when it is."""

    holder: str | None
    """Who has it; ``None`` when it is free."""


@frozen
class DirectoryAnswer:
    """What a directory says."""

    ports: tuple[RemotePort, ...]

    server: str | None
    """By which the server is told from others, as in its announcement; older ones do not say."""


def parse_directory(text: str) -> DirectoryAddress:
    """Read ``HOST[:PORT]``, or ``rfc2217[+tls]://HOST[:PORT][?ca=FILE&cert=FILE&key=FILE]``.

    Raises:
        UrlError: something is missing, malformed or unknown.
    """
    url = text if "://" in text else f"{SCHEME}://{text}"
    has_tls = url.partition("://")[0].lower() == SCHEME + TLS_SUFFIX
    scheme, known = (SCHEME + TLS_SUFFIX, TLS_OPTIONS) if has_tls else (SCHEME, frozenset[str]())
    address = parse_network_url(url, scheme, known, default_port=DIRECTORY_PORT)
    if address.name is not None:
        raise UrlError(text, f"a host, not a port: unexpected path {urlsplit(url).path!r}")
    return DirectoryAddress(address=address, tls=parse_tls_options(address) if has_tls else None)


def list_remote_ports(
    directory: DirectoryAddress, *, timeout: float = ANSWER_TIMEOUT
) -> list[RemotePort]:
    """Return the ports of a server, in its order; it may take ``timeout`` seconds.

    Raises:
        HostUnreachableError: it has no directory.
        TransportError: it does not let us in, or its answer makes no sense.
    """
    return [*ask_directory(directory, timeout=timeout).ports]


def ask_directory(
    directory: DirectoryAddress, *, timeout: float = ANSWER_TIMEOUT
) -> DirectoryAnswer:
    """Return all that a directory says; it may take ``timeout`` seconds.

    Raises:
        HostUnreachableError: there is none.
        TransportError: it does not let us in, or its answer makes no sense.
    """
    return _ask(directory, None, timeout)


def find_remote_port(directory: DirectoryAddress, name: str) -> NetworkUrl:
    """Return the address of the port of that name, under the URL that ``directory`` has.

    Raises:
        PortNotFoundError: the server has none, or more than one.
        NegotiationError: it speaks another protocol.
        TransportError: as :func:`list_remote_ports`.
    """
    address = directory.address
    found = [port for port in _ask(directory, name, ANSWER_TIMEOUT).ports if port.name == name]
    if len(found) != 1:
        count = "no port" if not found else f"{len(found)} ports"
        raise PortNotFoundError(address.url, f"the server has {count} of the name {name!r}")
    (port,) = found
    if not port.url.startswith(SCHEME):
        raise NegotiationError(address.url, f"the port passes on bytes only: use {port.url}")
    return attrs.evolve(address, port=port.tcp_port, name=None)


def _ask(directory: DirectoryAddress, name: str | None, timeout: float) -> DirectoryAnswer:
    address = directory.address
    question: dict[str, object] = {"esploader": VERSION}
    if name is not None:
        question["name"] = name
    try:
        pipe: Pipe = TcpPipe.connect(address, RealClock())
    except HostUnreachableError as exc:
        reason = f"no directory of ports at its TCP port {address.port}: {exc.reason}"
        raise HostUnreachableError(address.url, reason) from exc
    if directory.tls is not None:
        from esploader.transport.tls import TlsPipe

        pipe = TlsPipe.over(pipe, address, directory.tls)
    try:
        pipe.send(json.dumps(question).encode() + b"\n")
        answer = _receive_line(pipe, timeout)
    finally:
        pipe.close()
    return _read_answer(answer, directory)


def _receive_line(pipe: Pipe, timeout: float) -> bytes:
    clock = pipe.clock
    deadline = clock.now() + timeout + 4 * pipe.connect_time
    answer = bytearray()
    while not answer.endswith(b"\n"):
        try:
            data = pipe.receive(deadline)
        except TransportClosedError as exc:
            raise refusal(pipe.name, bytes(answer)) or _no_directory(pipe.name) from exc
        answer += data
        if not data or clock.now() >= deadline or len(answer) > MAX_ANSWER_SIZE:
            raise _no_directory(pipe.name)
    return bytes(answer)


def _no_directory(name: str) -> NegotiationError:
    return NegotiationError(name, "the host answers, but not as a directory of ports")


def _read_answer(answer: bytes, directory: DirectoryAddress) -> DirectoryAnswer:
    """Return what a server says, if every word of it makes sense."""
    url = directory.address.url
    known = refusal(url, answer)
    if known is not None:
        raise known
    try:
        document = json.loads(answer)
        ports = tuple(_read_port(each, directory) for each in document["ports"])
        server = _text({"server": None, **document}, "server")
        is_known = document["esploader"] == VERSION
    except (KeyError, TypeError, ValueError, RecursionError) as exc:
        raise _no_directory(url) from exc
    if not is_known:
        raise _no_directory(url)
    return DirectoryAnswer(ports, server)


def _read_port(entry: dict[str, object], directory: DirectoryAddress) -> RemotePort:
    """Return a port. Raises ValueError or KeyError where anything makes no sense."""
    name, protocol = entry["name"], entry["protocol"]
    tcp_port = _number(entry, "tcp_port")
    if (
        not isinstance(name, str)
        or not _text(entry, "name")
        or tcp_port is None
        or protocol not in _PROTOCOLS
    ):
        raise ValueError
    watch_port = _number(entry, "watch_port")
    is_raw = protocol == "raw"
    return RemotePort(
        name=printable(name),
        url=_url(directory, "socket", tcp_port) if is_raw else _url_of_name(directory, name),
        tcp_port=tcp_port,
        watch_url=None if watch_port is None else _url(directory, "socket", watch_port),
        device=_text(entry, "device"),
        missing=_text(entry, "missing"),
        holder=_text(entry, "holder"),
    )


def _text(entry: dict[str, object], key: str) -> str | None:
    value = entry[key]
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= MAX_TEXT_SIZE):
        raise ValueError
    return None if value is None else printable(value)


def _number(entry: dict[str, object], key: str) -> int | None:
    value = entry[key]
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_TCP_PORT:
        raise ValueError
    return value


def _url(directory: DirectoryAddress, scheme: str, tcp_port: int) -> str:
    suffix = "" if directory.tls is None else TLS_SUFFIX
    host = directory.address.host
    return f"{scheme}{suffix}://{f'[{host}]' if ':' in host else host}:{tcp_port}"


def _url_of_name(directory: DirectoryAddress, name: str) -> str:
    address = directory.address
    base = _url(directory, SCHEME, address.port).rpartition(":")[0]
    options = {**address.options}
    if address.port != DIRECTORY_PORT:
        options["directory-port"] = str(address.port)
    query = "&".join(f"{key}={quote(value)}" for key, value in options.items())
    return f"{base}/{quote(name, safe='')}{'?' if query else ''}{query}"
