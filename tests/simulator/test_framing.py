"""The ROM's receiver, which forgives less than the client's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.simulator.rom.framing import (
    FRAME_BUFFER_SIZE,
    FramingError,
    RomFrameDecoder,
    encode_frame,
)

streams = st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd") | st.integers(0, 255), max_size=200).map(
    bytes
)
payloads = streams.filter(bool)

BROKEN = FramingError.BROKEN_ESCAPE


def decode(*chunks: bytes) -> list[bytes | FramingError]:
    """Feed ``chunks``; stop at what ends the ROM."""
    decoder = RomFrameDecoder()
    events: list[bytes | FramingError] = []
    for chunk in chunks:
        position = 0
        while position < len(chunk):
            position, event = decoder.take(chunk, position)
            if event is not None:
                events.append(event)
            if event is BROKEN:
                return events
    return events


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        ("c001c0", [b"\x01"]),
        ("c001dbdc02dbddc0", [b"\x01\xc0\x02\xdb"]),
        ("c001c0c002c0", [b"\x01", b"\x02"]),
        ("c001c002c0", [b"\x01"]),
        ("c0c0c0c0", []),
        ("c0c001c0", [b"\x01"]),
        ("6162c001c06364c002c0", [b"\x01", b"\x02"]),
        ("c001db00", [BROKEN]),
        ("c001dbc0", [BROKEN]),
        ("db00c001c0", [b"\x01"]),
        ("c0db", []),
    ],
    ids=[
        "one frame",
        "escapes",
        "two frames",
        "a shared END loses the second frame",
        "empty frames",
        "an empty frame in front",
        "noise between frames is skipped",
        "broken escape",
        "END as an escape",
        "broken escape outside a frame",
        "an escape that is still open",
    ],
)
def test_vectors(wire: str, events: list[bytes | FramingError]) -> None:
    assert decode(bytes.fromhex(wire)) == events


@given(st.lists(payloads))
def test_decoding_inverts_encoding(sent: list[bytes]) -> None:
    assert decode(b"".join(map(encode_frame, sent))) == sent


@given(streams)
def test_chunking_never_matters(stream: bytes) -> None:
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == decode(stream)


def test_what_does_not_fit_the_buffer_is_dropped() -> None:
    (frame,) = decode(b"\xc0" + bytes(FRAME_BUFFER_SIZE + 100) + b"\xc0")

    assert frame == bytes(FRAME_BUFFER_SIZE)


def test_a_frame_without_end_is_bounded() -> None:
    decoder = RomFrameDecoder()
    decoder.take(b"\xc0" + b"\x01" * 100_000, 0)
    decoder.take(b"\x01" * 100_000, 0)
    _, frame = decoder.take(b"\xc0", 0)

    assert frame == b"\x01" * FRAME_BUFFER_SIZE
