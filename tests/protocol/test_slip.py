"""SLIP decoding depends on the bytes, never on how they happen to arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.protocol.slip import Frame, Noise, SlipDecoder, SlipEvent, encode

# Mostly the four bytes that mean something: uniform bytes almost never contain
# an escape, let alone a broken one.
streams = st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd") | st.integers(0, 255), max_size=200).map(
    bytes
)
payloads = streams.filter(bool)


def decode(*chunks: bytes) -> list[SlipEvent]:
    """Feed ``chunks`` to a new decoder; join neighbouring noise."""
    decoder = SlipDecoder()
    joined: list[SlipEvent] = []
    for chunk in chunks:
        for event in decoder.feed(chunk):
            if joined and isinstance(event, Noise) and isinstance(joined[-1], Noise):
                joined[-1] = Noise(joined[-1].data + event.data)
            else:
                joined.append(event)
    return joined


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"\xc0\x01\xdb\xdc\x02\xc0", [Frame(b"\x01\xc0\x02")]),
        (b"\xc0\x01\xdb\xdd\xdc\xc0", [Frame(b"\x01\xdb\xdc")]),
        (b"\xc0\x01\xdb\x02\xc0", [Noise(b"\x01\xdb\x02")]),
        (b"waiting for download", [Noise(b"waiting for download")]),
        (
            b"\xc0\x01\xc0ets Jul\xc0\x02\xc0",
            [Frame(b"\x01"), Noise(b"ets Jul"), Frame(b"\x02")],
        ),
    ],
    ids=[
        "escaped END",
        "escaped ESC",
        "broken escape",
        "no delimiter yet",
        "boot log between frames",
    ],
)
def test_vectors(wire: bytes, events: list[SlipEvent]) -> None:
    assert decode(wire) == events


@given(st.lists(payloads))
def test_decode_inverts_encode(sent: list[bytes]) -> None:
    assert decode(b"".join(map(encode, sent))) == [Frame(p) for p in sent]


@given(streams, st.lists(st.integers(0, 200)))
def test_chunking_never_matters(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    single_bytes = [stream[i : i + 1] for i in range(len(stream))]

    assert decode(*chunks) == decode(stream)
    assert decode(*single_bytes) == decode(stream)


@given(streams, payloads)
def test_recovers_after_any_noise(noise: bytes, payload: bytes) -> None:
    # Whatever the noise left half open may swallow the first copy.
    assert Frame(payload) in decode(noise + encode(payload) + encode(payload))
