"""What an RFC 2217 client knows of its server. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import ProtocolError
from esploader.transport import com_port, gates, turns
from esploader.transport.com_port import Code, Purge, Setting, Signature
from esploader.transport.gates import Arm, Armed, GateFailed
from esploader.transport.telnet import (
    Data,
    Negotiation,
    OptionNegotiation,
    Subnegotiation,
    TelnetDecoder,
)
from esploader.transport.telnet_framing import Option
from esploader.transport.turns import Lent, Offered

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.turns import ServerTurn

MAX_OUTDATED_SIZE: Final = 4096
"""How much is kept of what came before the server began anew, in bytes."""

_MAX_EPOCH: Final = 0xFFFF
_FLOW_CONTROL: Final = frozenset({Code.FLOWCONTROL_SUSPEND, Code.FLOWCONTROL_RESUME})


@define
class ServerView:
    """What the client knows of the server, from what came so far."""

    options: OptionNegotiation = attrs.field(factory=OptionNegotiation, init=False)
    received: bytearray = attrs.field(factory=bytearray, init=False)
    """Bytes of the port that nobody has read yet."""

    unanswered: dict[Code, int] = attrs.field(factory=dict, init=False)
    """How many requests of a kind wait for an acknowledgement."""

    values: dict[Code, int] = attrs.field(factory=dict, init=False)
    """What the server last said of each setting."""

    suspended: bool = attrs.field(default=False, init=False)
    """The server asked us to send nothing for a while."""

    stale: bytearray | None = attrs.field(default=None, init=False)
    """While a purge is waited for: bytes that came before its acknowledgement."""

    queue_size: int | None = attrs.field(default=None, init=False)
    """What the server's queue holds, in bytes; ``None`` when it does not obey gates."""

    usb_ids: tuple[int, int] | None = attrs.field(default=None, init=False)
    """Vendor and product of the port, where the server says."""

    signature: bytes = attrs.field(default=b"", init=False)
    """What the server said of itself."""

    turn: ServerTurn | None = attrs.field(default=None, init=False)
    """What it said last of whose turn it is."""

    failure: GateFailed | None = attrs.field(default=None, init=False)
    """A gate that was sent stayed shut."""

    outdated: bytearray = attrs.field(factory=bytearray, init=False)
    """The last bytes of the port from before the server began anew."""

    _news: list[ServerTurn] = attrs.field(factory=list, init=False)
    _epoch: int = attrs.field(default=0, init=False)
    _awaited_epoch: int | None = attrs.field(default=None, init=False)
    _decoder: TelnetDecoder = attrs.field(factory=TelnetDecoder, init=False)

    @property
    def agreed(self) -> bool:
        """The server speaks RFC 2217."""
        return self.options.ours.is_on(Option.COM_PORT) or self.options.theirs.is_on(
            Option.COM_PORT
        )

    @property
    def refused(self) -> bool:
        """The server says that it does not speak RFC 2217."""
        return not self.agreed and self.options.ours.is_refused(Option.COM_PORT)

    def request(self, *settings: Setting) -> bytes:
        """Return the requests as they travel, and expect their acknowledgements."""
        for setting in settings:
            self.unanswered[setting.code] = self.unanswered.get(setting.code, 0) + 1
        return b"".join(com_port.encode(setting, from_server=False) for setting in settings)

    @property
    def is_armed(self) -> bool:
        """An ARM has been sent."""
        return self._epoch > 0

    @property
    def is_beginning(self) -> bool:
        """An ARM has been sent, and has not been answered."""
        return self._awaited_epoch is not None

    def begin_anew(self) -> bytes:
        """Return the order to drop what is queued and begin anew, as it travels.

        From now on everything is out of date, until the server has done so.
        """
        self._epoch = self._epoch % _MAX_EPOCH + 1
        self._awaited_epoch = self._epoch
        self._keep_outdated(bytes(self.received))
        self.received.clear()
        self.unanswered.clear()
        self.failure = None
        purge = com_port.encode(Setting(Code.PURGE_DATA, Purge.TRANSMIT), from_server=False)
        return purge + gates.encode(Arm(self._epoch))

    def take_news(self) -> list[ServerTurn]:
        """Return what was said of turns since the last time."""
        news, self._news = self._news, []
        return news

    def is_waiting_for(self, code: Code) -> bool:
        """Tell whether requests of this kind are unanswered."""
        return self.unanswered.get(code, 0) > 0

    def take_in(self, data: bytes, log: Callable[[str, object], None]) -> bytes:
        """Take in what came; return what has to be sent back."""
        answers = bytearray()
        for event in self._decoder.feed(data):
            if isinstance(event, Data):
                if self.is_beginning:
                    self._keep_outdated(event.data)
                else:
                    self.received += event.data
                continue
            log("received", event)
            if isinstance(event, Negotiation):
                answers += self.options.answer(event)
            elif isinstance(event, Subnegotiation) and event.option == Option.COM_PORT:
                try:
                    self._take_in_message(event.payload)
                except ProtocolError as exc:
                    # Not ours to judge: a later server may know more messages than we do.
                    log("ignored", exc)
        return bytes(answers)

    def _take_in_message(self, payload: bytes) -> None:
        if gates.is_gate_message(payload):
            match gates.decode(payload):
                case Armed(epoch) if epoch == self._awaited_epoch:
                    self._awaited_epoch = None
                case GateFailed() as failure if failure.epoch == self._epoch:
                    self.failure = failure
                case _:
                    pass
            return
        if turns.is_turn_message(payload):
            self._take_turn(turns.decode_server(payload))
            return
        match com_port.decode(payload, from_server=True):
            case Signature(text):
                self.signature = text
                self.queue_size = gates.queue_size_from(text)
                self.usb_ids = gates.usb_ids_from(text)
            case setting:
                self._take_in_setting(setting)

    def _take_turn(self, turn: ServerTurn) -> None:
        self.turn = turn
        self._news.append(turn)
        if isinstance(turn, (Lent, Offered)):
            # Nothing is left at the server of what it was asked before.
            self._epoch, self._awaited_epoch, self.failure = 0, None, None
            self.unanswered.clear()
            self.values.clear()
            self.suspended = False

    def _take_in_setting(self, setting: Setting) -> None:
        if self.is_beginning and setting.code not in _FLOW_CONTROL:
            return
        match setting.code:
            case Code.FLOWCONTROL_SUSPEND:
                self.suspended = True
            case Code.FLOWCONTROL_RESUME:
                self.suspended = False
            case code:
                self.values[code] = setting.value
                self.unanswered[code] = max(0, self.unanswered.get(code, 0) - 1)
                if code is Code.PURGE_DATA and self.stale is not None:
                    self.stale += self.received
                    self.received.clear()

    def _keep_outdated(self, data: bytes) -> None:
        self.outdated += data
        del self.outdated[:-MAX_OUTDATED_SIZE]
