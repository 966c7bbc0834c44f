"""The messages about whose turn it is at a port that several clients want.

``docs/taking-turns.md`` says what they mean. They travel as sub-options of telnet's
COM-PORT-OPTION, under codes that RFC 2217 leaves alone, and are words of text. Nothing here does
I/O, and both ends use all of it.
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias
from urllib.parse import quote, unquote

from esploader import numerals
from esploader.classes import frozen
from esploader.errors import ProtocolError
from esploader.numerals import real, whole
from esploader.transport.telnet_framing import Option, encode_subnegotiation

VERSION: Final = 1
"""The version of ``docs/taking-turns.md``."""

MAX_WAIT: Final = 86_400.0
"""For how long a client may wait in line, in seconds."""

MAX_NAME_SIZE: Final = 64
"""How long the name of a client may be, in characters."""

NONCE_SIZE: Final = 16
"""What a server gives a client to prove with that it has the token, in bytes."""

PROOF_SIZE: Final = 32
"""How long such a proof is, in bytes: SHA-256."""

_MAX_WORDS_SIZE: Final = 512
_MAX_VALUE_SIZE: Final = 256
_MAX_NUMBER: Final = 0xFFFF
_PROOF_DOMAIN: Final = b"esploader takeover\n"
_TOKEN: Final = re.compile(rb"(?<!\S)turns=1(?:;nonce=([0-9a-f]{32}))?(?!\S)")
_UNQUOTED: Final = "/:@[]+,()"


@enum.unique
class TurnCode(enum.IntEnum):
    """The kinds of message: what a client says, and what a server says."""

    OF_CLIENT = 67
    OF_SERVER = 167


@enum.unique
class Denial(enum.Enum):
    """Why a client does not get the port after all."""

    NOT_ALLOWED = "not-allowed"
    AT_WORK = "at-work"
    TOKEN = "token"  # noqa: S105 - the word for it
    LINE_FULL = "line-full"
    TIME = "time"


@frozen(kw_only=True)
class Ask:
    """Who the client is, and what it wants of a port, whoever has it."""

    who: str = ""
    """A name for people; the server believes it, and grants nothing for it."""

    wait: float = 0.0
    """For how long it waits for its turn, in seconds."""

    takes_over: bool = False
    """It wants the port of whoever does nothing with it."""

    proof: bytes | None = None
    """That it has the token, and so may take the port of whoever works with it, too."""

    gives_way: bool = False
    """It lends the port to whoever wants it, listens meanwhile, and wants it back then."""


@frozen
class Accept:
    """The client takes what it was offered; what it said before is out of date."""

    number: int


@frozen
class Waiting:
    """The client waits in line."""

    place: int
    """1 is next."""

    holder: str
    """Who has the port."""


@frozen
class Offered:
    """The port is the client's as soon as it accepts."""

    number: int
    """Of the offer; comes back in the answer."""


@frozen
class Lent:
    """The port is with somebody else for a while; the client listens."""

    to: str
    """An address, and the name that whoever has it gave itself."""


@frozen
class TakenOver:
    """The port is somebody else's now, for good."""

    by: str


@frozen
class Released:
    """Whoever looks after the port has taken it away."""

    reason: str


@frozen
class Denied:
    """The client does not get the port."""

    denial: Denial | None
    """``None`` for a reason that a later server may have."""


ClientTurn: TypeAlias = Ask | Accept
Parting: TypeAlias = TakenOver | Released
ServerTurn: TypeAlias = Waiting | Offered | Lent | Parting | Denied


def token(nonce: bytes | None = None) -> bytes:
    """Return the word by which a server says in its SIGNATURE that it has clients take turns.

    With ``nonce`` somebody else has the port.
    """
    word = b"turns=%d" % VERSION
    return word if nonce is None else word + b";nonce=" + nonce.hex().encode()


def takes_turns(signature: bytes) -> bool:
    """Tell whether a SIGNATURE says that the server has clients take turns."""
    return _TOKEN.search(signature) is not None


def is_in_use(signature: bytes) -> bool:
    """Tell whether a SIGNATURE says that somebody else has the port."""
    match = _TOKEN.search(signature)
    return match is not None and match[1] is not None


def prove(secret: bytes, signature: bytes) -> bytes:
    """Return what proves to the server that said ``signature`` that we know ``secret``."""
    import hmac

    return hmac.digest(secret, _PROOF_DOMAIN + signature, "sha256")


def proves(proof: bytes, secret: bytes, signature: bytes) -> bool:
    """Tell whether ``proof`` is what :func:`prove` returns."""
    import hmac

    return hmac.compare_digest(proof, prove(secret, signature))


def encode(message: ClientTurn | ServerTurn) -> bytes:
    """Return ``message`` as it travels, telnet framing included."""
    code = TurnCode.OF_CLIENT if isinstance(message, (Ask, Accept)) else TurnCode.OF_SERVER
    return encode_subnegotiation(Option.COM_PORT, bytes((code,)) + _words(message).encode("ascii"))


def is_turn_message(payload: bytes) -> bool:
    """Tell whether the payload of a sub-option 44 is one of these messages."""
    return bool(payload) and payload[0] in set(TurnCode)


def decode_client(payload: bytes) -> ClientTurn:
    """Return what a client says in the payload of a sub-option 44.

    Raises:
        ProtocolError: a word that is known has a value that it cannot have.
    """
    words = _read(payload)
    if "mine" in words:
        return Accept(_number(words, "mine"))
    proof = words.get("takeover") or None
    return Ask(
        who=printable(words.get("who", "")),
        wait=_seconds(words["wait"]) if "wait" in words else 0.0,
        takes_over="takeover" in words,
        proof=None if proof is None else _proof(proof),
        gives_way="yield" in words,
    )


def decode_server(payload: bytes) -> ServerTurn:
    """Return what a server says in the payload of a sub-option 44.

    Raises:
        ProtocolError: it says nothing that is known, or a value that cannot be.
    """
    words = _read(payload)
    known: dict[str, ServerTurn] = {}
    for name, value in words.items():
        text = printable(value)
        match name:
            case "place":
                known[name] = Waiting(_number(words, name), printable(words.get("holder", "")))
            case "yours":
                known[name] = Offered(_number(words, name))
            case "lent":
                known[name] = Lent(text)
            case "taken":
                known[name] = TakenOver(text)
            case "released":
                known[name] = Released(text)
            case "denied":
                reasons = (each for each in Denial if each.value == value)
                known[name] = Denied(next(reasons, None))
    if len(known) != 1:
        raise ProtocolError(f"a message about turns without a meaning {payload[:32]!r}")
    return known.popitem()[1]


def printable(text: str) -> str:
    """Return a text from the other end in a form that does no harm, cut to size."""
    return numerals.printable(text[: 4 * MAX_NAME_SIZE])


def _words(message: ClientTurn | ServerTurn) -> str:
    """Return the words for a message; those with an empty value stand for themselves."""
    values: dict[str, str] = {}
    match message:
        case Ask():
            proof = "" if message.proof is None else message.proof.hex()
            values |= {"who": message.who[:MAX_NAME_SIZE]} if message.who else {}
            values |= {"wait": f"{message.wait:g}"} if message.wait else {}
            values |= {"takeover": proof} if message.takes_over else {}
            values |= {"yield": ""} if message.gives_way else {}
        case Accept(number):
            values = {"mine": str(number)}
        case Waiting(place, holder):
            values = {"place": str(place), "holder": holder}
        case Offered(number):
            values = {"yours": str(number)}
        case Lent(to):
            values = {"lent": to}
        case TakenOver(by):
            values = {"taken": by}
        case Released(reason):
            values = {"released": reason}
        case Denied(denial):
            values = {"denied": "" if denial is None else denial.value}
    return " ".join(
        f"{name}={quote(value, safe=_UNQUOTED)[:_MAX_VALUE_SIZE]}" if value else name
        for name, value in values.items()
    )


def _read(payload: bytes) -> dict[str, str]:
    if len(payload) > _MAX_WORDS_SIZE:
        raise ProtocolError(f"a message about turns of {len(payload)} bytes")
    words: dict[str, str] = {}
    for word in payload[1:].decode("ascii", "replace").split():
        name, _, value = word.partition("=")
        words.setdefault(name, unquote(value))
    return words


def _number(words: dict[str, str], name: str) -> int:
    try:
        return whole(words[name], 0, _MAX_NUMBER, base=10)
    except ValueError as exc:
        raise ProtocolError(f"{name}: {exc}") from exc


def _seconds(text: str) -> float:
    try:
        return real(text, 0.0, MAX_WAIT)
    except ValueError as exc:
        raise ProtocolError(f"wait: {exc}") from exc


def _proof(text: str) -> bytes:
    try:
        proof = bytes.fromhex(text)
    except ValueError:
        proof = b""
    if len(proof) != PROOF_SIZE:
        raise ProtocolError("what should prove something is of no such form")
    return proof
