"""Telnet decoding depends on the bytes, never on how they happen to arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.transport.telnet import (
    BEGINNING_SIZE,
    MAX_SUBOPTION_SIZE,
    Command,
    Data,
    Negotiation,
    OptionNegotiation,
    OversizedSubnegotiation,
    Subnegotiation,
    TelnetDecoder,
    TelnetEvent,
    Verb,
    encode_negotiation,
)
from esploader.transport.telnet_framing import Option, encode_subnegotiation, escape

NOP = 0xF1
TOO_LONG = OversizedSubnegotiation(44, bytes(BEGINNING_SIZE))

# Mostly the bytes that mean something: uniform bytes almost never contain a command.
streams = st.lists(
    st.sampled_from(b"\xff\xff\xff\xfa\xf0\xf1\xfb\xfd\x2c") | st.integers(0, 255), max_size=200
).map(bytes)
payloads = st.binary(max_size=100) | st.lists(st.sampled_from(b"\xff\xf0\xfa")).map(bytes)
events = st.one_of(
    payloads.filter(bool).map(Data),
    st.integers(0, 0xFF).filter(lambda code: code not in {0xFF, 0xFA, *Verb}).map(Command),
    st.builds(Negotiation, st.sampled_from(Verb), st.integers(0, 255)),
    st.builds(Subnegotiation, st.integers(0, 255), payloads),
    st.builds(
        OversizedSubnegotiation,
        st.integers(0, 255),
        st.binary(min_size=BEGINNING_SIZE, max_size=BEGINNING_SIZE),
    ),
)


def join(decoded: list[TelnetEvent]) -> list[TelnetEvent]:
    """Join neighbouring data."""
    joined: list[TelnetEvent] = []
    for event in decoded:
        if joined and isinstance(event, Data) and isinstance(joined[-1], Data):
            joined[-1] = Data(joined[-1].data + event.data)
        else:
            joined.append(event)
    return joined


def decode(*chunks: bytes) -> list[TelnetEvent]:
    """Feed ``chunks`` to a new decoder."""
    decoder = TelnetDecoder()
    return join([event for chunk in chunks for event in decoder.feed(chunk)])


def encode(event: TelnetEvent) -> bytes:
    match event:
        case Data(data):
            return escape(data)
        case Command(code):
            return bytes((0xFF, code))
        case Negotiation(verb, option):
            return encode_negotiation(verb, option)
        case Subnegotiation(option, payload):
            return encode_subnegotiation(option, payload)
        case OversizedSubnegotiation(option, beginning):
            return encode_subnegotiation(option, beginning + bytes(MAX_SUBOPTION_SIZE))


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"plain", [Data(b"plain")]),
        (b"\xff\xff" * 3, [Data(b"\xff" * 3)]),
        (b"a\xff\xf1b", [Data(b"a"), Command(NOP), Data(b"b")]),
        (b"\xff\xff\xff\xf1", [Data(b"\xff"), Command(NOP)]),
        (b"\xff\xfd\x2cx", [Negotiation(Verb.DO, Option.COM_PORT), Data(b"x")]),
        (b"\xff\xfb\xff\xff\xff", [Negotiation(Verb.WILL, 255), Data(b"\xff")]),
        (b"\xff\xfa\x2c\x01\xff\xff\xff\xf0", [Subnegotiation(44, b"\x01\xff")]),
        (b"\xff\xfa\x2c\x01\xff\xf1z", [Command(NOP), Data(b"z")]),
        (b"\xff\xfa\x2c" + bytes(1025) + b"\xff\xf0z", [TOO_LONG, Data(b"z")]),
        (b"\xff\xfa\x2c" + bytes(1025) + b"\xff\xf1z", [TOO_LONG, Command(NOP), Data(b"z")]),
    ],
    ids=[
        "plain",
        "only doubled IAC",
        "command between data",
        "doubled IAC before a command",
        "demand",
        "option 255 is not an IAC",
        "doubled IAC in a sub-option",
        "interrupted sub-option",
        "sub-option too long",
        "sub-option too long and interrupted",
    ],
)
def test_vectors(wire: bytes, expected: list[TelnetEvent]) -> None:
    assert decode(wire) == expected


@given(st.lists(events))
def test_decode_inverts_encode(sent: list[TelnetEvent]) -> None:
    assert decode(b"".join(map(encode, sent))) == join(sent)


@given(streams, st.lists(st.integers(0, 200)))
def test_chunking_never_matters(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    single_bytes = [stream[i : i + 1] for i in range(len(stream))]

    assert decode(*chunks) == decode(stream)
    assert decode(*single_bytes) == decode(stream)


@given(
    st.integers(MAX_SUBOPTION_SIZE - 3, MAX_SUBOPTION_SIZE + 3),
    st.sampled_from([b"\x00", b"\xff\xff"]),
    st.integers(1, 700),
)
def test_chunking_never_matters_at_the_size_limit(size: int, fill: bytes, step: int) -> None:
    payload = (fill * size)[:size]
    stream = b"\xff\xfa\x2c" + payload + b"\xff\xf0after"
    chunks = [stream[start : start + step] for start in range(0, len(stream), step)]

    assert decode(*chunks) == decode(stream)


@given(streams, payloads)
def test_recovers_after_any_noise(noise: bytes, payload: bytes) -> None:
    # A command ends whatever the noise left open; the noise may swallow the first one.
    stream = noise + bytes((0xFF, NOP)) * 2 + encode_subnegotiation(44, payload)

    assert decode(stream)[-1] == Subnegotiation(44, payload)


def test_an_endless_suboption_takes_no_memory() -> None:
    decoder = TelnetDecoder()
    decoder.feed(b"\xff\xfa\x2c")
    assert decoder.feed(bytes(MAX_SUBOPTION_SIZE + 1)) == [TOO_LONG]
    for _ in range(100):
        assert decoder.feed(bytes(MAX_SUBOPTION_SIZE)) == []

    assert len(repr(decoder)) < 200
    assert decoder.feed(b"\xff\xf0back") == [Data(b"back")]


@given(st.lists(st.builds(Negotiation, st.sampled_from(Verb), st.sampled_from([0, 1, 3, 44]))))
def test_two_ends_always_stop_talking(said: list[Negotiation]) -> None:
    ends = (OptionNegotiation(), OptionNegotiation())
    for option in Option:
        ends[0].ours.request(option)
    for event in said:
        wire, end = ends[1].answer(event), 0
        for _ in range(3):
            (*answers,) = TelnetDecoder().feed(wire)
            wire = b"".join(
                ends[end].answer(each) for each in answers if isinstance(each, Negotiation)
            )
            end = 1 - end
        assert wire == b""


def test_both_ends_agree_whoever_begins() -> None:
    client, server = OptionNegotiation(), OptionNegotiation()
    to_server = client.ours.request(Option.COM_PORT) + client.theirs.request(Option.BINARY)
    to_client = server.ours.request(Option.BINARY)

    to_client += b"".join(
        server.answer(each)
        for each in TelnetDecoder().feed(to_server)
        if isinstance(each, Negotiation)
    )
    answers = [
        client.answer(each)
        for each in TelnetDecoder().feed(to_client)
        if isinstance(each, Negotiation)
    ]

    assert b"".join(answers) == b""
    assert client.ours.is_on(Option.COM_PORT)
    assert server.theirs.is_on(Option.COM_PORT)
    assert client.theirs.is_on(Option.BINARY)
    assert server.ours.is_on(Option.BINARY)


def test_asking_twice_sends_once() -> None:
    options = OptionNegotiation()

    assert options.ours.request(Option.COM_PORT) == b"\xff\xfb\x2c"
    assert options.ours.request(Option.COM_PORT) == b""


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (Negotiation(Verb.DO, 1), b"\xff\xfc\x01"),
        (Negotiation(Verb.WILL, 1), b"\xff\xfe\x01"),
        (Negotiation(Verb.DONT, 1), b""),
        (Negotiation(Verb.WONT, 1), b""),
        (Negotiation(Verb.DO, Option.COM_PORT), b"\xff\xfb\x2c"),
        (Negotiation(Verb.WILL, Option.COM_PORT), b"\xff\xfd\x2c"),
    ],
)
def test_known_options_are_welcome_and_others_refused(event: Negotiation, answer: bytes) -> None:
    assert OptionNegotiation().answer(event) == answer


def test_a_refusal_is_remembered_and_turning_off_is_confirmed() -> None:
    options = OptionNegotiation()
    options.ours.request(Option.COM_PORT)

    assert options.answer(Negotiation(Verb.DONT, Option.COM_PORT)) == b""
    assert options.ours.is_refused(Option.COM_PORT)

    options.answer(Negotiation(Verb.DO, Option.BINARY))
    assert options.answer(Negotiation(Verb.DONT, Option.BINARY)) == b"\xff\xfc\x00"
    assert not options.ours.is_on(Option.BINARY)
