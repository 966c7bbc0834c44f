"""How a client that speaks RFC 2217 is told that it cannot have the port. Nothing here does I/O.

What is said at once reaches whoever reads before it has agreed on anything: our client, ser2net,
a terminal program for telnet. pyserial's client throws that away. It agrees on options, makes its
settings, empties the buffers, and shows only what comes after that. So it is agreed with, and its
settings are acknowledged without being made, until it has emptied the transmit buffer, the last
thing that it does to open a port: then it is told.

Ours asks for the SIGNATURE. It has heard the words that came first; if somebody else has the port,
the answer lets it ask for its turn (``docs/taking-turns.md``), and it may get the port after all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.server.peers import ComPortPeer, sign
from esploader.transport import com_port
from esploader.transport.com_port import Code, ComPortMessage, Purge, Setting, Signature

if TYPE_CHECKING:
    from esploader.server.request_queue import Request

UNSET_BAUDRATE: Final = 9600
"""The rate of pyserial when a program has set none, in baud. Such a program opens the port first
and talks to the device at another rate then, as esptool does. It shows nothing of what it does not
understand, but says that the port is busy or does not exist when opening it fails."""


class RefusedPeer(ComPortPeer):
    """A client that talks to no port, unless it is offered one.

    :attr:`is_told` is to be looked at after each :meth:`feed`, which returns no requests before
    the client has accepted an offer. With ``port_name`` and ``nonce`` somebody else has the port,
    and the client may ask for its turn.
    """

    def __init__(
        self, who: str, words: bytes, port_name: str = "", nonce: bytes | None = None
    ) -> None:
        super().__init__(who, port_name)
        self._words = words
        self._is_in_use = nonce is not None
        self._is_offered = False
        self.signature = sign(port_name, None, nonce)
        """What it is told when it asks who the server is."""
        self.may_ask = False
        """It knows by now that it may ask for its turn."""
        self.is_told = False
        """There is nothing more to say: what is in the output is the last."""
        self.is_told_late = False
        """It has been told when it had opened its end, and may take a moment to read that."""

    @override
    def offer(self, port_name: str, usb_ids: tuple[int, int] | None) -> None:
        self._is_offered = True
        super().offer(port_name, usb_ids)

    @override
    def feed(self, data: bytes) -> list[Request]:
        requests = super().feed(data)
        if self._is_offered:
            return requests
        for request in requests:
            if isinstance(request, Setting) and not self.is_told:
                self._acknowledge(request)
        return []

    def _acknowledge(self, setting: Setting) -> None:
        if setting == Setting(Code.SET_BAUDRATE, UNSET_BAUDRATE):
            self.is_told = True
            return
        self.answer(setting)
        if setting.code is Code.PURGE_DATA and setting.value != Purge.RECEIVE:
            self.send(self._words)
            self.is_told = self.is_told_late = True

    @override
    def _take_in(self, message: ComPortMessage) -> list[Request]:
        if self._is_offered or not isinstance(message, Signature):
            return super()._take_in(message)
        if self._is_in_use:
            self.may_ask = True
            self.output += com_port.encode(self.signature, from_server=True)
        else:
            self.is_told = True
        return []
