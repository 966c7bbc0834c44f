"""What the tests of relays share: a port in virtual time, and a client that keeps everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import override

from esploader.errors import TransportClosedError
from esploader.server.peers import Peer
from esploader.transport.base import Capabilities, Transport
from virtual_link import LinkClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.relay import Relay
    from esploader.server.request_queue import Request
    from esploader.transport.clock import Clock, VirtualClock
    from esploader.transport.com_port import Setting
    from esploader.transport.gates import ServerMessage

Heard: TypeAlias = "bytes | Setting | ServerMessage | None"
"""Bytes, an answer, a word about gates, or a nudge."""


class FakePeer(Peer):
    """A client that keeps what it is told, in order."""

    def __init__(self) -> None:
        super().__init__("fake")
        self.heard: list[Heard] = []

    @override
    def feed(self, data: bytes) -> list[Request]:
        return [data]

    @override
    def send(self, data: bytes) -> None:
        if self.heard and isinstance(self.heard[-1], bytes):
            self.heard[-1] += data
        else:
            self.heard.append(data)

    @override
    def answer(self, setting: Setting) -> None:
        self.heard.append(setting)

    @override
    def notify(self, message: ServerMessage) -> None:
        self.heard.append(message)

    @override
    def nudge(self) -> None:
        self.heard.append(None)

    @property
    def words(self) -> list[Heard]:
        """What it was told, without bytes and nudges."""
        return [each for each in self.heard if each is not None and not isinstance(each, bytes)]


class VirtualTransport(Transport):
    """A port in virtual time that keeps what happens to it and when.

    What the device says comes from ``respond``: called with the bytes once they have
    arrived, it returns what it answers and after how long. A port that is not ``paced``
    has every byte on the wire at once.
    """

    def __init__(
        self,
        respond: Callable[[bytes], list[tuple[float, bytes]]] = lambda _: [],
        *,
        at_once: bool = True,
        set_lines: bool = True,
        paced: bool = True,
        usb_ids: tuple[int, int] | None = None,
    ) -> None:
        self.virtual_clock = LinkClock()
        self.happened: list[tuple[float, str, object]] = []
        self.is_gone = False
        self._respond = respond
        self._baudrate = 115200
        self._is_paced = paced
        self._drained_at = 0.0
        self._arriving: list[tuple[float, bytes]] = []
        usb_vid, usb_pid = usb_ids or (None, None)
        self._capabilities = Capabilities(
            set_lines=set_lines,
            set_lines_at_once=at_once,
            set_baudrate=True,
            usb_vid=usb_vid,
            usb_pid=usb_pid,
        )

    @property
    def written(self) -> bytes:
        """All the bytes that were written."""
        return b"".join(
            what for _, kind, what in self.happened if kind == "written" and isinstance(what, bytes)
        )

    def say(self, data: bytes, at: float | None = None) -> None:
        """Let the device say something."""
        self._arriving.append((self.virtual_clock.now() if at is None else at, data))
        self._arriving.sort(key=lambda each: each[0])

    @property
    @override
    def name(self) -> str:
        return "timed"

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    @override
    def clock(self) -> Clock:
        return self.virtual_clock

    @property
    @override
    def baudrate(self) -> int:
        return self._baudrate

    def next_event(self) -> float | None:
        return self._arriving[0][0] if self._arriving else None

    @override
    def read(self, deadline: float) -> bytes:
        self._check()
        data = b""
        while self._arriving and self._arriving[0][0] <= self.virtual_clock.now():
            data += self._arriving.pop(0)[1]
        return data

    @override
    def write(self, data: bytes) -> None:
        self._note("written", data)
        start = max(self.virtual_clock.now(), self._drained_at)
        self._drained_at = start + self._is_paced * len(data) * 10 / self._baudrate
        for delay, answer in self._respond(data):
            self.say(answer, self._drained_at + delay)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self._note("lines", (dtr, rts))

    @override
    def set_baudrate(self, baudrate: int) -> None:
        self._note("baudrate", baudrate)
        self._baudrate = baudrate

    @override
    def discard_input(self) -> bytes:
        data = self.read(0.0)
        self._note("discarded", data)
        return data

    @override
    def close(self) -> None:
        self.is_gone = True

    def _note(self, kind: str, what: object) -> None:
        self._check()
        self.happened.append((self.virtual_clock.now(), kind, what))

    def _check(self) -> None:
        if self.is_gone:
            raise TransportClosedError(self.name, "unplugged")


class TimedTransport(VirtualTransport):
    """A port that knows its wire."""

    @property
    def drained_at(self) -> float:
        return self._drained_at


MAX_PUMPS = 100_000


def run(relay: Relay, clock: VirtualClock, until: float | None = None) -> None:
    """Do what a driver does until nothing is left to do, or until that moment."""
    for _ in range(MAX_PUMPS):
        relay.pump()
        seconds = relay.seconds_to_wait
        if seconds is None or (until is not None and clock.now() + seconds > until):
            if until is not None:
                clock.advance_to(until)
                relay.pump()
            return
        clock.sleep(seconds)
    raise AssertionError("the relay never comes to rest")
