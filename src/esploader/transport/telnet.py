"""The telnet protocol (RFC 854, 855), as far as a port server and its client need it.

Everything travels in one stream: bytes as they are, except that ``IAC`` (255) is
doubled; commands as ``IAC code``; offers and demands as ``IAC verb option``;
sub-options as ``IAC SB option payload IAC SE``. Nothing here does I/O, and both ends
use all of it.
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.transport.telnet_framing import IAC, Option

_SE: Final = 0xF0
_SB: Final = 0xFA
_IAC: Final = 0xFF

MAX_SUBOPTION_SIZE: Final = 1024
"""Of a longer payload nothing but its beginning is read; the longest real one is a SIGNATURE
text."""

BEGINNING_SIZE: Final = 16
"""How much of a payload is kept that is too long, in bytes."""

# Bytes that mean themselves: no IAC, or IAC doubled. Possessive, so that a long run of
# doubled IAC (erased flash reads as 0xFF) is never walked twice.
_PLAIN: Final = re.compile(rb"[^\xff]*+(?:\xff\xff[^\xff]*+)*+")


@enum.unique
class Verb(enum.IntEnum):
    """What one end says about an option."""

    WILL = 0xFB
    WONT = 0xFC
    DO = 0xFD
    DONT = 0xFE


@frozen
class Data:
    """Bytes that were meant for the port."""

    data: bytes


@frozen
class Command:
    """A command without arguments: NOP, BREAK, ARE YOU THERE."""

    code: int = attrs.field(repr=hex)


@frozen
class Negotiation:
    """An offer, a demand or the answer to one."""

    verb: Verb
    option: int


@frozen
class Subnegotiation:
    """The payload of a sub-option, unescaped."""

    option: int
    payload: bytes


@frozen
class OversizedSubnegotiation:
    """The beginning of a sub-option that is too long, unescaped; the rest is not read."""

    option: int
    beginning: bytes


TelnetEvent: TypeAlias = Data | Command | Negotiation | Subnegotiation | OversizedSubnegotiation

_VERBS: Final = frozenset(Verb)


def encode_negotiation(verb: Verb, option: int) -> bytes:
    """Return an offer, a demand or an answer as it travels."""
    return bytes((_IAC, verb, option))


@define
class TelnetDecoder:
    """Turn a byte stream into events, however the stream is cut.

    Never raises and never waits. A sub-option that another command interrupts is
    dropped and the command counts, so that no noise can swallow the stream for good; of one
    that is longer than :data:`MAX_SUBOPTION_SIZE` the beginning is told, and the rest dropped
    as it comes.
    """

    _rest: bytes = attrs.field(default=b"", init=False)
    """The beginning of something that the next bytes complete."""

    _skipping: bool = attrs.field(default=False, init=False)
    """Inside a sub-option that is too long."""

    def feed(self, data: bytes) -> list[TelnetEvent]:
        """Return the events that ``data`` completes, in stream order."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        # Every run of IAC is even, as in most reads: nothing but data in here.
        if not self._skipping and data.count(IAC) == 2 * data.count(IAC + IAC):
            return [Data(data.replace(IAC + IAC, IAC))] if data else []
        events: list[TelnetEvent] = []
        position = 0
        while position < len(data):
            if self._skipping:
                position = self._skip(data, position)
                continue
            end = _plain_end(data, position)
            if end > position:
                events.append(Data(data[position:end].replace(IAC + IAC, IAC)))
            position = self._take_command(data, end, events) if end < len(data) else end
        return events

    def _take_command(self, data: bytes, start: int, events: list[TelnetEvent]) -> int:
        """Read one command from its IAC on; return where the stream goes on."""
        command = data[start + 1 : start + 3]
        if not command or (len(command) == 1 and (command[0] in _VERBS or command[0] == _SB)):
            self._rest = data[start:]
            return len(data)
        if command[0] == _SB:
            return self._take_suboption(data, start, events)
        if command[0] in _VERBS:
            events.append(Negotiation(Verb(command[0]), command[1]))
            return start + 3
        events.append(Command(command[0]))
        return start + 2

    def _take_suboption(self, data: bytes, start: int, events: list[TelnetEvent]) -> int:
        payload_start = start + 3
        end = _plain_end(data, payload_start)
        # Escaped, so that the bound does not depend on how the stream is cut.
        if end - payload_start > MAX_SUBOPTION_SIZE:
            self._skipping = True
            beginning = data[payload_start : payload_start + 2 * BEGINNING_SIZE]
            unescaped = beginning.replace(IAC + IAC, IAC)[:BEGINNING_SIZE]
            events.append(OversizedSubnegotiation(data[start + 2], unescaped))
            return end
        if end + 1 >= len(data):
            self._rest = data[start:]
            return len(data)
        if data[end + 1] != _SE:
            return end
        payload = data[payload_start:end].replace(IAC + IAC, IAC)
        events.append(Subnegotiation(data[start + 2], payload))
        return end + 2

    def _skip(self, data: bytes, position: int) -> int:
        end = _plain_end(data, position)
        if end + 1 >= len(data):
            self._rest = data[end:]
            return len(data)
        self._skipping = False
        return end + 2 if data[end + 1] == _SE else end


def _plain_end(data: bytes, position: int) -> int:
    """Return where the bytes that mean themselves end."""
    match = _PLAIN.match(data, position)
    return position if match is None else match.end()


@enum.unique
class _Agreement(enum.Enum):
    """What both ends think of one option in one direction (RFC 1143)."""

    NO = enum.auto()
    ASKED = enum.auto()
    YES = enum.auto()
    REFUSED = enum.auto()


@define
class _Side:
    """One direction of all options: what we do, or what the other end does.

    RFC 1143 without its WANTNO states and queue bits: we never ask to turn anything
    off, so they cannot come up.
    """

    ask: Verb
    """What we say to turn an option on: WILL for us, DO for the other end."""

    deny: Verb
    """What we say to leave it off: WONT for us, DONT for the other end."""

    _agreements: dict[int, _Agreement]

    def request(self, option: int) -> bytes:
        """Return what asks for ``option``; nothing when that was done already."""
        if self._agreements[option] in {_Agreement.ASKED, _Agreement.YES}:
            return b""
        self._agreements[option] = _Agreement.ASKED
        return encode_negotiation(self.ask, option)

    def on_positive(self, option: int) -> bytes:
        """Take in that the other end wants ``option`` on; return our answer."""
        agreement = self._agreements.get(option)
        if agreement is None:
            return encode_negotiation(self.deny, option)
        self._agreements[option] = _Agreement.YES
        if agreement in {_Agreement.ASKED, _Agreement.YES}:
            return b""  # it is the answer: answering an answer would go on for ever
        return encode_negotiation(self.ask, option)

    def on_negative(self, option: int) -> bytes:
        """Take in that the other end wants ``option`` off; return our answer."""
        agreement = self._agreements.get(option)
        if agreement is None:
            return b""
        self._agreements[option] = _Agreement.REFUSED
        return encode_negotiation(self.deny, option) if agreement is _Agreement.YES else b""

    def is_on(self, option: int) -> bool:
        """Tell whether both ends agreed to ``option``."""
        return self._agreements.get(option) is _Agreement.YES

    def is_refused(self, option: int) -> bool:
        """Tell whether the other end said no to ``option``."""
        return self._agreements.get(option) is _Agreement.REFUSED


def _ours() -> _Side:
    return _Side(Verb.WILL, Verb.WONT, dict.fromkeys(Option, _Agreement.NO))


def _theirs() -> _Side:
    return _Side(Verb.DO, Verb.DONT, dict.fromkeys(Option, _Agreement.NO))


@define
class OptionNegotiation:
    """Agree with the other end on options, without ever going round in circles.

    The options of :class:`Option` are welcome in both directions; all others are
    refused. Source: RFC 1143.
    """

    ours: _Side = attrs.field(factory=_ours, init=False)
    """What we do."""

    theirs: _Side = attrs.field(factory=_theirs, init=False)
    """What the other end does."""

    def answer(self, event: Negotiation) -> bytes:
        """Take in what the other end said; return what to send back, often nothing."""
        match event.verb:
            case Verb.WILL:
                return self.theirs.on_positive(event.option)
            case Verb.WONT:
                return self.theirs.on_negative(event.option)
            case Verb.DO:
                return self.ours.on_positive(event.option)
            case Verb.DONT:
                return self.ours.on_negative(event.option)
