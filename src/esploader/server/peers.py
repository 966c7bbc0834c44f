"""The protocols that clients of a served port speak. Nothing here does I/O.

A peer takes in what a connection brings (:meth:`Peer.feed`) and makes requests of it;
what is to be sent back collects in :attr:`Peer.output`, from which the driver takes it.
"""

from __future__ import annotations

import abc
import logging
from typing import Final

from esploader.classes import override
from esploader.errors import ProtocolError
from esploader.server.request_queue import MAX_QUEUE_SIZE, Malformed, Request
from esploader.transport import com_port, gates, turns
from esploader.transport.com_port import Code, ComPortMessage, Setting, Signature
from esploader.transport.gates import Arm, Delay, Gate, GateCode, ServerMessage
from esploader.transport.refusal import Refusal
from esploader.transport.telnet import (
    Command,
    Data,
    Negotiation,
    OptionNegotiation,
    OversizedSubnegotiation,
    Subnegotiation,
    TelnetDecoder,
)
from esploader.transport.telnet_framing import Option, escape
from esploader.transport.turns import (
    Accept,
    Ask,
    Offered,
    Parting,
    Released,
    ServerTurn,
    TakenOver,
    TurnCode,
)
from esploader.version import __version__

MAX_BACKLOG: Final = 256 * 1024
"""How much may wait for a client that does not read, in bytes, before neither the port nor
the client is read any longer."""

MAX_EARLY_SIZE: Final = 4096
"""How much a client may say before its first word of telnet, in bytes."""

_NOP: Final = b"\xff\xf1"
_ARE_YOU_THERE: Final = 0xF6

_logger = logging.getLogger(__name__)


class Peer(abc.ABC):
    """The server's end of the conversation with one client."""

    def __init__(self, who: str) -> None:
        self.who = who
        """The client, as logs call it."""
        self.output = bytearray()
        """What is to be sent to it. The driver removes what it has sent."""
        self.suspended = False
        """The client asked to be sent no bytes of the port for a while."""
        self.ask: Ask | None = None
        """What it has said of itself and of taking turns."""

    @property
    def can_take(self) -> bool:
        """More bytes of the port may be sent."""
        return not self.suspended and self.can_be_read

    @property
    def can_be_read(self) -> bool:
        """Not so much waits for the client that it should say no more."""
        return len(self.output) < MAX_BACKLOG

    @property
    def is_introduced(self) -> bool:
        """It speaks the protocol, as far as can be told."""
        return True

    @property
    def has_accepted(self) -> bool:
        """It has not been offered a port that it has not accepted, and has not lent it."""
        return True

    def take_output(self) -> bytes:
        """Return what is to be sent to the client, and forget it."""
        data = bytes(self.output)
        self.output.clear()
        return data

    @abc.abstractmethod
    def feed(self, data: bytes) -> list[Request]:
        """Take in what the client sent; return what it wants, in order.

        Raises:
            ProtocolError: it does not speak the protocol at all.
        """

    def send(self, data: bytes) -> None:
        """Send bytes of the port."""
        self.output += data

    def answer(self, setting: Setting) -> None:  # noqa: B027 - most clients cannot ask
        """Say how the port is set."""

    def notify(self, message: ServerMessage) -> None:  # noqa: B027 - the same
        """Tell a client that sends ahead what became of it."""

    def nudge(self) -> None:  # noqa: B027 - the same
        """Send something that means nothing, to show that the server is there."""

    def part(self, parting: Parting) -> None:
        """Say why the port is no longer its: the last that it hears."""
        self.send(f"\r\n{farewell(parting)}\r\n".encode("ascii", "backslashreplace"))


class RawPeer(Peer):
    """A client for the bytes of the port and nothing else."""

    @override
    def feed(self, data: bytes) -> list[Request]:
        return [data] if data else []


class ComPortPeer(Peer):
    """A client that speaks telnet with the COM-PORT-OPTION of RFC 2217, and maybe gates.

    Nothing reaches the port before the client has said a word of telnet: what connects to
    any TCP port it finds is no client.
    """

    def __init__(self, who: str, port_name: str, usb_ids: tuple[int, int] | None = None) -> None:
        super().__init__(who)
        self._signature = sign(port_name, usb_ids)
        self._decoder = TelnetDecoder()
        self._options = OptionNegotiation()
        self._is_introduced = False
        self._early = bytearray()
        self._asked_modem_state = False
        self._offer = 0
        self._is_deaf = False
        self.ignored_count = 0
        """How many messages made no sense."""
        # Offered at once: some clients wait to be asked for BINARY.
        sides = (self._options.ours, self._options.theirs)
        for option in Option:
            for side in sides:
                self.output += side.request(option)

    @property
    @override
    def is_introduced(self) -> bool:
        return self._is_introduced

    @property
    @override
    def has_accepted(self) -> bool:
        return not self._is_deaf

    def say(self, turn: ServerTurn) -> None:
        """Say how it stands with the client's turn."""
        self.output += turns.encode(turn)

    def mention(self, turn: ServerTurn) -> None:
        """Say the same, unless so much waits for the client that it does not read anyway."""
        if self.can_be_read:
            self.say(turn)

    def lend(self) -> None:
        """Take nothing that it wants, until it has been offered the port and accepted."""
        self._is_deaf = True

    def offer(self, port_name: str, usb_ids: tuple[int, int] | None) -> None:
        """Say that the port is the client's; what it wants counts from when it has accepted."""
        self._signature = sign(port_name, usb_ids)
        self._is_deaf = True
        self._offer += 1
        self.say(Offered(self._offer))

    @override
    def part(self, parting: Parting) -> None:
        if self.ask is None:
            super().part(parting)
        else:
            self.say(parting)

    @override
    def feed(self, data: bytes) -> list[Request]:
        requests: list[Request] = []
        for event in self._decoder.feed(data):
            match event:
                case Data():
                    self._take_in_bytes(event.data, requests)
                case Negotiation():
                    self._introduce(requests)
                    self.output += self._options.answer(event)
                case Subnegotiation(Option.COM_PORT, payload):
                    self._introduce(requests)
                    self._ask_modem_state(requests)
                    requests += self._read(payload, requests)
                case OversizedSubnegotiation(Option.COM_PORT, beginning):
                    if beginning[0] in _GATE_CODES:
                        self._introduce(requests)
                        requests.append(_malformed(beginning))
                case Command(code) if code == _ARE_YOU_THERE:
                    self.nudge()
                case _:
                    pass
        return [] if self._is_deaf else requests

    @override
    def send(self, data: bytes) -> None:
        self.output += escape(data)

    @override
    def answer(self, setting: Setting) -> None:
        self.output += com_port.encode(setting, from_server=True)

    @override
    def notify(self, message: ServerMessage) -> None:
        self.output += gates.encode(message)

    @override
    def nudge(self) -> None:
        self.output += _NOP

    def _take_in_bytes(self, data: bytes, requests: list[Request]) -> None:
        if self._is_introduced:
            requests.append(data)
            return
        self._early += data
        if len(self._early) > MAX_EARLY_SIZE:
            raise ProtocolError("the client does not speak telnet")

    def _introduce(self, requests: list[Request]) -> None:
        self._is_introduced = True
        if self._early:
            requests.append(bytes(self._early))
            self._early.clear()

    def _ask_modem_state(self, requests: list[Request]) -> None:
        """Have the state of the input lines told once, as RFC 2217 asks for.

        With the first message of the client and not with its agreement: pyserial's may
        forget to agree when our offer comes before it has said a word.
        """
        if not self._asked_modem_state:
            self._asked_modem_state = True
            requests.append(Setting(Code.NOTIFY_MODEMSTATE))

    def _read(self, payload: bytes, before: list[Request]) -> list[Request]:
        """Return what a message asks of the port, if it does; it may undo what was asked before."""
        if payload and payload[0] in _GATE_CODES:
            return [_gate_request(payload)]
        try:
            if payload and payload[0] == TurnCode.OF_CLIENT:
                self._take_turn(turns.decode_client(payload), before)
                return []
            message = com_port.decode(payload, from_server=False)
        except ProtocolError as exc:
            # Once: a client that talks nonsense could fill any log.
            if not self.ignored_count:
                _logger.info("%s: ignored: %s", self.who, exc)
            self.ignored_count += 1
            return []
        return self._take_in(message)

    def _take_turn(self, message: Ask | Accept, before: list[Request]) -> None:
        match message:
            case Ask():
                self.ask = message
            case Accept(number) if self._is_deaf and number == self._offer:
                before.clear()
                self._is_deaf = False
            case _:
                pass

    def _take_in(self, message: ComPortMessage) -> list[Request]:
        """Deal with what concerns the connection; return what concerns the port."""
        if isinstance(message, Signature):
            if not message.text:
                self.output += com_port.encode(self._signature, from_server=True)
            return []
        match message.code:
            case Code.FLOWCONTROL_SUSPEND:
                self.suspended = True
            case Code.FLOWCONTROL_RESUME:
                self.suspended = False
            case _:
                return [message]
        return []


def sign(
    port_name: str, usb_ids: tuple[int, int] | None = None, nonce: bytes | None = None
) -> Signature:
    """Return who the server is, and what it does; with ``nonce`` somebody else has the port."""
    words = [f"esploader {__version__} {port_name}".encode()]
    if nonce is None:
        words.append(gates.token(MAX_QUEUE_SIZE))
    words.append(turns.token(nonce))
    if usb_ids is not None:
        words.append(gates.usb_token(*usb_ids))
    return Signature(b" ".join(words))


def farewell(parting: Parting) -> str:
    """Return in one sentence why the port is no longer the client's."""
    match parting:
        case TakenOver(by):
            return f"{Refusal.TAKEN_OVER.value} {by}"
        case Released(reason):
            return f"{Refusal.RELEASED.value}: {reason}"


_GATE_CODES: Final = frozenset({GateCode.ARM, GateCode.GATE, GateCode.DELAY})
_GATE_ID_END: Final = 3


def _gate_request(payload: bytes) -> Request:
    try:
        message = gates.decode(payload)
    except ProtocolError:
        return _malformed(payload)
    if isinstance(message, (Arm, Gate, Delay)):
        return message
    return Malformed()


def _malformed(payload: bytes) -> Malformed:
    if payload[0] == GateCode.ARM:
        return Malformed(is_arm=True)
    has_id = payload[0] == GateCode.GATE and len(payload) >= _GATE_ID_END
    return Malformed(int.from_bytes(payload[1:_GATE_ID_END], "big") if has_id else 0)
