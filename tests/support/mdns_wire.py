"""Multicast DNS by hand: what RFC 1035 and RFC 6762 say, and nothing of any library."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GROUP: Final = "224.0.0.251"
PORT: Final = 5353

A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33

PATIENCE: Final = 20.0
"""When to give up waiting for a packet, in seconds."""

ATTEMPTS: Final = 20
"""How often to ask meanwhile: packets get lost."""

_HEADER: Final = struct.Struct(">6H")
_QUESTION_END: Final = struct.Struct(">HH")
_RECORD: Final = struct.Struct(">HHIH")
_SERVICE: Final = struct.Struct(">HHH")
_RESPONSE: Final = 0x8400
_POINTER: Final = 0xC0
_MAX_PACKET: Final = 9000


@attrs.frozen
class Record:
    """One resource record. Names are texts, their labels joined by dots."""

    name: str
    kind: int
    ttl: int
    value: str | tuple[int, str] | list[bytes]
    """A name, an address, a TCP port with a name, or the strings of a TXT record."""


def encode_name(name: str) -> bytes:
    """Return a name on the wire, uncompressed."""
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(name: str, number: int) -> bytes:
    """Return the packet that asks which services of that type there are."""
    return _HEADER.pack(number, 0, 1, 0, 0, 0) + encode_name(name) + _QUESTION_END.pack(PTR, 1)


def response(*records: Record) -> bytes:
    """Return a packet that says this, unasked."""
    return _HEADER.pack(0, _RESPONSE, 0, len(records), 0, 0) + b"".join(map(_encode, records))


def _encode(record: Record) -> bytes:
    value = record.value
    if isinstance(value, list):
        data = b"".join(bytes([len(text)]) + text for text in value)
    elif isinstance(value, tuple):
        data = _SERVICE.pack(0, 0, value[0]) + encode_name(value[1])
    elif record.kind == PTR:
        data = encode_name(value)
    else:
        data = ipaddress.ip_address(value).packed
    return encode_name(record.name) + _RECORD.pack(record.kind, 1, record.ttl, len(data)) + data


def decode(packet: bytes) -> list[Record]:
    """Return the records of a response; none for a question."""
    _, flags, questions, *counts = _HEADER.unpack_from(packet)
    if not flags & _RESPONSE:
        return []
    offset = _HEADER.size
    for _ in range(questions):
        offset = _name_at(packet, offset)[1] + _QUESTION_END.size
    records = []
    for _ in range(sum(counts)):
        name, offset = _name_at(packet, offset)
        kind, _, ttl, size = _RECORD.unpack_from(packet, offset)
        offset += _RECORD.size
        value = _value(packet, offset, kind, size)
        if value is not None:
            records.append(Record(name, kind, ttl, value))
        offset += size
    return records


def _value(
    packet: bytes, offset: int, kind: int, size: int
) -> str | tuple[int, str] | list[bytes] | None:
    if kind == PTR:
        return _name_at(packet, offset)[0]
    if kind == SRV:
        port = _SERVICE.unpack_from(packet, offset)[2]
        return port, _name_at(packet, offset + _SERVICE.size)[0]
    if kind in {A, AAAA}:
        return str(ipaddress.ip_address(packet[offset : offset + size]))
    if kind == TXT:
        texts, end = [], offset + size
        while offset < end:
            texts.append(packet[offset + 1 : offset + 1 + packet[offset]])
            offset += 1 + packet[offset]
        return texts
    return None


def _name_at(packet: bytes, offset: int) -> tuple[str, int]:
    """Return a name and where it ends."""
    labels: list[str] = []
    end = None
    while size := packet[offset]:
        if size & _POINTER:
            end = end or offset + 2
            offset = struct.unpack_from(">H", packet, offset)[0] & 0x3FFF
        else:
            labels.append(packet[offset + 1 : offset + 1 + size].decode())
            offset += 1 + size
    return ".".join(labels) + ".", end or offset + 1


def ask(name: str, at: str, is_enough: Callable[[list[Record]], bool]) -> list[Record]:
    """Ask from a port of no special number, and return what is answered to us alone.

    That is the simplest client there is (RFC 6762, section 5.1). What is asked again differs:
    responders pass over the same packet for a second.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((at, 0))
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(at))
        for number in range(1, ATTEMPTS + 1):
            client.sendto(question(name, number * client.getsockname()[1] % 0x10000), (GROUP, PORT))
            with contextlib.suppress(TimeoutError):
                return _receive_until(client, is_enough, PATIENCE / ATTEMPTS)
    raise TimeoutError


@contextlib.contextmanager
def listening(at: str) -> Iterator[socket.socket]:
    """Hear what is said to all on the link of an address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ear.bind(("", PORT))
        local = socket.inet_aton(at)
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + local)
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
        yield ear


def hear_good_bye(ear: socket.socket, name: str) -> None:
    """Wait until the service of that name takes itself back."""
    _receive_until(
        ear,
        lambda records: any(
            each.kind == PTR and each.ttl == 0 and each.value == name for each in records
        ),
    )


def _receive_until(
    client: socket.socket,
    is_enough: Callable[[list[Record]], bool],
    patience: float = PATIENCE,
) -> list[Record]:
    deadline = time.monotonic() + patience
    records: list[Record] = []
    while not is_enough(records):
        client.settimeout(max(0.0, deadline - time.monotonic()))
        records += decode(client.recv(_MAX_PACKET))
    return records


@contextlib.contextmanager
def saying(at: str, service: str, *packets: bytes) -> Iterator[None]:
    """Say these to all on a link whenever somebody asks for the service."""
    is_over = threading.Event()
    wanted = encode_name(service)

    def answer(ear: socket.socket) -> None:
        ear.settimeout(0.05)
        while not is_over.is_set():
            with contextlib.suppress(TimeoutError):
                heard = ear.recv(_MAX_PACKET)
                if wanted in heard and not _HEADER.unpack_from(heard)[1] & _RESPONSE:
                    for packet in packets:
                        ear.sendto(packet, (GROUP, PORT))

    with listening(at) as ear:
        thread = threading.Thread(target=answer, args=(ear,))
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
