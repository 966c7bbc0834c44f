"""The stub's receiver takes frames from the stream and drops what it cannot use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.simulator.stub.framing import (
    FRAME_BUFFER_SIZE,
    FrameEvent,
    FramingError,
    StubFrameDecoder,
)

UNUSABLE = FramingError.UNUSABLE

payloads = st.binary(min_size=1, max_size=100) | st.text(
    "\xc0\xdb\xdc\xdd", min_size=1, max_size=30
).map(lambda text: text.encode("latin-1"))
streams = st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd") | st.integers(0, 255), max_size=80).map(
    bytes
)


def encode(payload: bytes) -> bytes:
    return b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def decode(*chunks: bytes) -> list[tuple[int, FrameEvent]]:
    """Return the events, and the positions in the stream behind which they happened."""
    decoder = StubFrameDecoder()
    events: list[tuple[int, FrameEvent]] = []
    fed = 0
    for chunk in chunks:
        position = 0
        while position < len(chunk):
            position, event = decoder.take(chunk, position)
            if event is not None:
                events.append((fed + position, event))
        fed += len(chunk)
    return events


def as_the_source_has_it(stream: bytes) -> list[tuple[int, FrameEvent]]:
    """Decode byte by byte, in three states."""
    events: list[tuple[int, FrameEvent]] = []
    frame, in_frame, escaped = bytearray(), False, False
    for index, value in enumerate(stream):
        if not in_frame:
            in_frame = value == 0xC0
            frame.clear()
        elif escaped:
            escaped = False
            if value in b"\xdc\xdd":
                frame.append(0xC0 if value == 0xDC else 0xDB)
            else:
                in_frame = False
                events.append((index + 1, UNUSABLE))
        elif value == 0xC0:
            in_frame = False
            if frame:
                events.append((index + 1, bytes(frame)))
        elif value == 0xDB:
            escaped = True
        else:
            frame.append(value)
    return events


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"\xc0\x01\xdb\xdc\x02\xdb\xdd\xc0", [(8, b"\x01\xc0\x02\xdb")]),
        (b"noise\xc0\x01\xc0noise\xc0\x02\xc0", [(8, b"\x01"), (16, b"\x02")]),
        (b"\xc0\xc0\x01\xc0\x02\xc0", [(6, b"\x02")]),
        (b"\xc0\x01\xdb\x00\x02\xc0\x03\xc0", [(4, UNUSABLE), (8, b"\x03")]),
        (b"\xc0\x01\xdb\xc0\x02\xc0\x03\xc0", [(4, UNUSABLE), (8, b"\x03")]),
        (b"\xc0\x01\xdb\xdb\xdd\xc0", [(4, UNUSABLE)]),
    ],
    ids=["escapes", "noise", "empty frame", "broken escape", "escaped end", "escaped escape"],
)
def test_frames_are_found(wire: bytes, events: list[tuple[int, FrameEvent]]) -> None:
    assert decode(wire) == events


@given(st.lists(payloads))
def test_it_inverts_encoding(sent: list[bytes]) -> None:
    assert [event for _, event in decode(b"".join(map(encode, sent)))] == sent


@given(streams)
def test_it_does_what_a_decoder_of_bytes_does(stream: bytes) -> None:
    assert decode(stream) == as_the_source_has_it(stream)


@given(streams, st.integers(0, 80))
def test_chunking_never_matters(stream: bytes, cut: int) -> None:
    single_bytes = [stream[i : i + 1] for i in range(len(stream))]

    assert decode(stream[:cut], stream[cut:]) == decode(stream)
    assert decode(*single_bytes) == decode(stream)


@pytest.mark.parametrize("filling", [b"a", b"\xdb\xdc"])
@pytest.mark.parametrize("step", [100_000, 1, 7])
def test_the_buffer_is_the_limit(filling: bytes, step: int) -> None:
    fits = b"\xc0" + filling * FRAME_BUFFER_SIZE + b"\xc0"
    exceeds = b"\xc0" + filling * (FRAME_BUFFER_SIZE + 1) + b"\xc0"

    def chunks(wire: bytes) -> list[bytes]:
        return [wire[start : start + step] for start in range(0, len(wire), step)]

    assert [len(event) for _, event in decode(*chunks(fits)) if isinstance(event, bytes)] == [
        FRAME_BUFFER_SIZE
    ]
    assert decode(*chunks(exceeds)) == [(len(exceeds) - 1, UNUSABLE)]


def test_an_escape_may_be_cut_in_two() -> None:
    assert decode(b"\xc0a\xdb", b"\xdcb\xc0") == [(6, b"a\xc0b")]
    assert decode(b"\xc0a\xdb", b"zb\xc0") == [(4, UNUSABLE)]
