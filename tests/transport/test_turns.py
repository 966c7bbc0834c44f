"""What clients and servers say about turns is understood, and nothing else is taken for it."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esploader.errors import ProtocolError
from esploader.transport import turns
from esploader.transport.telnet import Subnegotiation, TelnetDecoder
from esploader.transport.telnet_framing import Option
from esploader.transport.turns import (
    MAX_NAME_SIZE,
    MAX_WAIT,
    Accept,
    Ask,
    ClientTurn,
    Denial,
    Denied,
    Lent,
    Offered,
    Released,
    ServerTurn,
    TakenOver,
    TurnCode,
    Waiting,
)

SECRET = b"0123456789abcdef"
SIGNATURE = b"esploader 0.1.0 bench 1 " + turns.token(bytes(16))
NUMBERS = st.integers(0, 0xFFFF)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)

CLIENTS = st.one_of(
    st.builds(
        Ask,
        who=NAMES,
        wait=st.integers(0, int(MAX_WAIT)).map(lambda number: float(f"{number:g}")),
        takes_over=st.just(value=True),
        proof=st.none() | st.binary(min_size=32, max_size=32),
        gives_way=st.booleans(),
    ),
    st.builds(Ask, who=NAMES),
    st.builds(Accept, NUMBERS),
)
SERVERS = st.one_of(
    st.builds(Waiting, NUMBERS, NAMES),
    st.builds(Offered, NUMBERS),
    st.builds(Lent, NAMES),
    st.builds(TakenOver, NAMES),
    st.builds(Released, NAMES),
    st.builds(Denied, st.sampled_from(Denial)),
)


def payload_of(message: ClientTurn | ServerTurn) -> bytes:
    """Return what travels between the telnet framing."""
    (event,) = TelnetDecoder().feed(turns.encode(message))
    assert isinstance(event, Subnegotiation)
    assert event.option == Option.COM_PORT
    assert turns.is_turn_message(event.payload)
    return event.payload


@given(CLIENTS)
@example(Ask(who="ana@bench 3", wait=60.0, takes_over=True, proof=bytes(32), gives_way=True))
def test_what_a_client_says_is_what_a_server_reads(message: ClientTurn) -> None:
    assert turns.decode_client(payload_of(message)) == message


@given(SERVERS)
@example(Waiting(2, "10.0.0.7:4711 (ana@bench)"))
def test_what_a_server_says_is_what_a_client_reads(message: ServerTurn) -> None:
    assert turns.decode_server(payload_of(message)) == message


def test_it_looks_as_the_document_says() -> None:
    ask = Ask(who="bob@desk", wait=60.0, takes_over=True, gives_way=True)
    assert payload_of(ask) == b"\x43who=bob@desk wait=60 takeover yield"
    waiting = Waiting(1, "10.0.0.7:41234 (ana@bench)")
    assert payload_of(waiting) == b"\xa7place=1 holder=10.0.0.7:41234%20(ana@bench)"


@pytest.mark.parametrize(
    "words",
    [
        "mine=",
        "mine=-1",
        "mine=65536",
        "mine=" + "9" * 400,
        "wait=-1",
        "wait=nan",
        "wait=inf",
        "wait=1e9",
        "wait=soon",
        "takeover=00",
        "takeover=" + "zz" * 32,
        "who=" + "a" * 600,
    ],
)
def test_a_word_of_a_client_with_a_value_that_cannot_be_is_refused(words: str) -> None:
    with pytest.raises(ProtocolError):
        turns.decode_client(bytes((TurnCode.OF_CLIENT,)) + words.encode())


@pytest.mark.parametrize("words", ["", "hello", "place=", "place=x holder=y", "yours=1 lent=x"])
def test_words_of_a_server_without_one_meaning_are_refused(words: str) -> None:
    with pytest.raises(ProtocolError):
        turns.decode_server(bytes((TurnCode.OF_SERVER,)) + words.encode())


@given(st.binary(max_size=600))
def test_whatever_comes_is_read_or_refused(words: bytes) -> None:
    for code, decode in (
        (TurnCode.OF_CLIENT, turns.decode_client),
        (TurnCode.OF_SERVER, turns.decode_server),
    ):
        try:
            message = decode(bytes((code,)) + words)
        except ProtocolError:
            continue
        if isinstance(message, Ask):
            assert message.who.isprintable()
            assert not math.isnan(message.wait)


def test_what_a_later_version_says_is_no_obstacle() -> None:
    ask = turns.decode_client(b"\x43colour=blue wait=5 who=ana who=eve")
    assert ask == Ask(who="ana", wait=5.0)
    assert turns.decode_server(b"\xa7denied=weather") == Denied(None)


def test_a_name_does_no_harm_to_a_terminal_and_is_cut_to_size() -> None:
    ask = turns.decode_client(b"\x43who=%1B[2J%0Aana")
    assert ask == Ask(who="?[2J?ana")
    long = turns.decode_client(payload_of(Ask(who="a" * 1000)))
    assert long == Ask(who="a" * MAX_NAME_SIZE)


def test_what_a_server_says_is_cut_to_size() -> None:
    released = turns.decode_server(payload_of(Released("\N{SNOWMAN}" * 1000)))
    assert isinstance(released, Released)
    assert len(released.reason) < MAX_NAME_SIZE


@pytest.mark.parametrize(
    ("signature", "takes_turns", "is_in_use"),
    [
        (b"esploader 1 bench slip-gate=1;buf=65536 turns=1", True, False),
        (SIGNATURE, True, True),
        (b"turns=1", True, False),
        (b"turns=2", False, False),
        (b"xturns=1", False, False),
        (b"turns=1;nonce=00", False, False),
        (b"turns=11", False, False),
        (b"ser2net", False, False),
        (b"", False, False),
    ],
)
def test_a_signature_says_whether_turns_are_taken(
    signature: bytes,
    takes_turns: bool,  # noqa: FBT001 - of the table
    is_in_use: bool,  # noqa: FBT001 - of the table
) -> None:
    assert turns.takes_turns(signature) == takes_turns
    assert turns.is_in_use(signature) == is_in_use


def test_a_proof_is_good_for_one_token_and_one_connection() -> None:
    proof = turns.prove(SECRET, SIGNATURE)
    assert SECRET not in proof
    assert turns.proves(proof, SECRET, SIGNATURE)
    assert not turns.proves(proof, SECRET[::-1], SIGNATURE)
    assert not turns.proves(proof, SECRET, SIGNATURE.replace(b"00", b"01", 1))
    assert not turns.proves(proof, SECRET, SIGNATURE.replace(b"bench 1", b"bench 2"))
    assert not turns.proves(bytes(32), SECRET, SIGNATURE)
