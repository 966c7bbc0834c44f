"""Our client does its job through servers with quirks of their own, or says what is wrong.

Each is our server with a single port, in exact time, whose words are changed on their way.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from covering import covering_parameters
from esploader.chips.esp32c3 import ESP32_C3
from esploader.connector import connect
from esploader.errors import BaudrateError, NegotiationError
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.config import InitialState
from esploader.transport.com_port import Code
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.telnet import (
    Data,
    Negotiation,
    Subnegotiation,
    TelnetDecoder,
    TelnetEvent,
    Verb,
    encode_negotiation,
)
from esploader.transport.telnet_framing import Option, encode_subnegotiation, escape
from untouched import comparing, fill
from virtual_link import Link, LinkClock, VirtualPipe, VirtualServer
from wrapping_pipe import WrappingPipe

if TYPE_CHECKING:
    from collections.abc import Callable


DATA = random.Random(6).randbytes(20_000)  # noqa: S311 - the same in every run
OFFSET = 0x10000
SERVER = 100
"""By how much the code of a server's message is above that of the client's."""


class SlowPort(SimulatedTransport):
    """A port that cannot do more than a certain rate, and says so."""

    max_baudrate = 20_000_000

    @override
    def set_baudrate(self, baudrate: int) -> None:
        if baudrate > self.max_baudrate:
            raise BaudrateError(self.name, "no")
        super().set_baudrate(baudrate)


def encoded(event: TelnetEvent) -> bytes:
    match event:
        case Data(data):
            return escape(data)
        case Negotiation(verb, option):
            return encode_negotiation(verb, option)
        case Subnegotiation(option, payload):
            return encode_subnegotiation(option, payload)
        case _:
            return b""


@attrs.define
class QuirkyPipe(WrappingPipe[VirtualPipe]):
    """A connection to a server of which ``change`` makes another one."""

    change: Callable[[TelnetEvent], bytes]
    greeting: bytes = b""
    _decoder: TelnetDecoder = attrs.field(factory=TelnetDecoder, init=False)

    @override
    def receive(self, deadline: float) -> bytes:
        said, self.greeting = self.greeting, b""
        if not said:
            while data := self.inner.receive(deadline):
                said = b"".join(map(self.change, self._decoder.feed(data)))
                if said:
                    break
        return said


def message(event: TelnetEvent) -> tuple[int, bytes] | None:
    """Return code and value of a message about the port."""
    if isinstance(event, Subnegotiation) and event.option == Option.COM_PORT:
        return event.payload[0], event.payload[1:]
    return None


def without_gates(event: TelnetEvent) -> bytes:
    """Leave out the signature, as every other server does."""
    found = message(event)
    return b"" if found is not None and found[0] == SERVER else encoded(event)


def saying(code: int, value: bytes) -> bytes:
    return encode_subnegotiation(Option.COM_PORT, bytes([code]) + value)


def never_acknowledges(event: TelnetEvent) -> bytes:
    return b"" if message(event) is not None else encoded(event)


def acknowledges_without_a_rate(event: TelnetEvent) -> bytes:
    found = message(event)
    if found is not None and found[0] == SERVER + Code.SET_BAUDRATE:
        return saying(found[0], bytes(4))
    return without_gates(event)


def answers_with_the_codes_of_a_client(event: TelnetEvent) -> bytes:
    found = message(event)
    if found is not None and SERVER < found[0] <= SERVER + Code.PURGE_DATA:
        return saying(found[0] - SERVER, found[1])
    return without_gates(event)


def acknowledges_no_line(event: TelnetEvent) -> bytes:
    found = message(event)
    return (
        b"" if found is not None and found[0] == SERVER + Code.SET_CONTROL else without_gates(event)
    )


def talks_of_much_else(event: TelnetEvent) -> bytes:
    modem_state = saying(SERVER + Code.NOTIFY_MODEMSTATE, b"\x30")
    line_state = saying(SERVER + Code.NOTIFY_LINESTATE, b"\x60")
    return line_state + without_gates(event) + modem_state


def agrees_one_way_only(event: TelnetEvent) -> bytes:
    is_offer = event == Negotiation(Verb.WILL, Option.COM_PORT)
    return encode_negotiation(Verb.WONT, Option.COM_PORT) if is_offer else without_gates(event)


def sends_no_binary(event: TelnetEvent) -> bytes:
    is_offer = event == Negotiation(Verb.WILL, Option.BINARY)
    return encode_negotiation(Verb.WONT, Option.BINARY) if is_offer else without_gates(event)


QUIRKS = [
    encoded,
    without_gates,
    never_acknowledges,
    acknowledges_without_a_rate,
    answers_with_the_codes_of_a_client,
    acknowledges_no_line,
    talks_of_much_else,
    agrees_one_way_only,
    sends_no_binary,
]

BANNER = b"ser2net port 2217 device /dev/in use [115200N81] (Debian)\r\n\r\n"


def quirky_server(max_baudrate: int = SlowPort.max_baudrate) -> VirtualServer:
    clock = LinkClock()
    device = SimulatedDevice(ESP32_C3, state=InitialState.APPLICATION, clock=clock)
    port = SlowPort(device)
    port.max_baudrate = max_baudrate
    return VirtualServer.around(port, clock)


def do_job(server: VirtualServer, pipe: QuirkyPipe) -> int:
    """Write and read back through a server; return the rate at which that was done."""
    assert isinstance(server.port, SlowPort)
    simulated = server.port.device
    fill(simulated)
    with (
        comparing(simulated, (OFFSET, OFFSET + len(DATA))),
        connect(Rfc2217Transport.over(pipe), baudrate=921600, stub=False) as device,
    ):
        device.flash.write([(OFFSET, DATA)])
        baudrate = server.port.baudrate
        assert device.flash.read(OFFSET, 64) == DATA[:64]
    assert simulated.nor.read(OFFSET, len(DATA)) == DATA
    return baudrate


def name_of(value: object) -> str | None:
    """Return what a quirk or a greeting is called in the name of a test."""
    if isinstance(value, bytes):
        return "banner" if value else ""
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(
    ("quirk", "greeting"),
    covering_parameters(
        list(itertools.product(QUIRKS, (b"", BANNER))),
        lambda quirk, greeting: (quirk, greeting),
    ),
    ids=name_of,
)
def test_the_whole_job_through(quirk: Callable[[TelnetEvent], bytes], greeting: bytes) -> None:
    server = quirky_server()
    pipe = QuirkyPipe(server.connect(Link(round_trip=0.02)), quirk, greeting)
    assert do_job(server, pipe) == 921600


@pytest.mark.parametrize(
    ("quirk", "max_baudrate"),
    covering_parameters(
        list(
            itertools.product(
                (encoded, without_gates, never_acknowledges, acknowledges_without_a_rate),
                (115200, 460800),
            )
        ),
        lambda quirk, max_baudrate: (quirk, max_baudrate),
    ),
    ids=name_of,
)
def test_a_server_whose_port_is_slow(
    quirk: Callable[[TelnetEvent], bytes], max_baudrate: int
) -> None:
    server = quirky_server(max_baudrate)
    pipe = QuirkyPipe(server.connect(Link(round_trip=0.02)), quirk)
    assert do_job(server, pipe) == max_baudrate


def test_a_server_that_refuses_to_speak_rfc_2217() -> None:
    def refuses(event: TelnetEvent) -> bytes:
        if isinstance(event, Negotiation) and event.option == Option.COM_PORT:
            verb = Verb.DONT if event.verb in {Verb.DO, Verb.DONT} else Verb.WONT
            return encode_negotiation(verb, Option.COM_PORT)
        return encoded(event)

    server = quirky_server()
    with pytest.raises(NegotiationError, match=r"refuses to speak RFC 2217; it says 'login:'$"):
        Rfc2217Transport.over(QuirkyPipe(server.connect(), refuses, b"login: "))
