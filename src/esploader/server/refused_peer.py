"""How a client that speaks RFC 2217 is told that it cannot have the port. Nothing here does I/O.

What is said at once reaches whoever reads before it has agreed on anything: our client, ser2net,
a terminal program for telnet. pyserial's client throws that away. It agrees on options, makes its
settings, empties the buffers, and shows only what comes after that. So it is agreed with, and its
settings are acknowledged without being made, until it has emptied the transmit buffer, the last
thing that it does to open a port: then it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import override
from esploader.server.peers import ComPortPeer
from esploader.transport.com_port import Code, ComPortMessage, Purge, Setting, Signature

if TYPE_CHECKING:
    from esploader.server.request_queue import Request

UNSET_BAUDRATE: Final = 9600
"""The rate of pyserial when a program has set none, in baud. Such a program opens the port first
and talks to the device at another rate then, as esptool does. It shows nothing of what it does not
understand, but says that the port is busy or does not exist when opening it fails."""


class RefusedPeer(ComPortPeer):
    """A client that talks to no port.

    :attr:`is_told` is to be looked at after each :meth:`feed`, which never returns requests.
    """

    def __init__(self, who: str, words: bytes) -> None:
        super().__init__(who, "")
        self._words = words
        self.is_told = False
        """There is nothing more to say: what is in the output is the last."""
        self.is_told_late = False
        """It has been told when it had opened its end, and may take a moment to read that."""

    @override
    def feed(self, data: bytes) -> list[Request]:
        for request in super().feed(data):
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
        if isinstance(message, Signature):
            # Our client: it has heard the words that came first.
            self.is_told = True
            return []
        return super()._take_in(message)
