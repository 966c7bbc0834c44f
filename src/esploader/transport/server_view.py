"""What an RFC 2217 client knows of its server. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.errors import ProtocolError
from esploader.transport import com_port
from esploader.transport.com_port import Code, Setting
from esploader.transport.telnet import (
    Data,
    Negotiation,
    Option,
    OptionNegotiation,
    Subnegotiation,
    TelnetDecoder,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define
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

    def is_waiting_for(self, code: Code) -> bool:
        """Tell whether requests of this kind are unanswered."""
        return self.unanswered.get(code, 0) > 0

    def take_in(self, data: bytes, log: Callable[[str, object], None]) -> bytes:
        """Take in what came; return what has to be sent back."""
        answers = bytearray()
        for event in self._decoder.feed(data):
            if isinstance(event, Data):
                self.received += event.data
                continue
            log("received", event)
            if isinstance(event, Negotiation):
                answers += self.options.answer(event)
            elif isinstance(event, Subnegotiation) and event.option == Option.COM_PORT:
                try:
                    message = com_port.decode(event.payload, from_server=True)
                except ProtocolError as exc:
                    # Not ours to judge: a later server may know more messages than we do.
                    log("ignored", exc)
                    continue
                if isinstance(message, Setting):
                    self._take_in_setting(message)
        return bytes(answers)

    def _take_in_setting(self, setting: Setting) -> None:
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
