"""What a shell says before a server begins is skipped, and none of it is taken for more."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import TransportClosedError, TransportTimeoutError
from esploader.transport.greeting import GREETING, MAX_PREAMBLE, skip_to_greeting
from scripted_pipe import ScriptedPipe

REST = b"\xff\xfd\x2c\n"


def saying(*pieces: bytes) -> ScriptedPipe:
    pipe = ScriptedPipe(lambda _: b"")
    for piece in pieces:
        pipe.say(piece)
    return pipe


@given(
    preamble=st.binary(max_size=100).filter(lambda data: GREETING not in data + GREETING[:-1]),
    cuts=st.sets(st.integers(0, 100), max_size=5),
)
def test_whatever_comes_before_and_however_it_arrives(preamble: bytes, cuts: set[int]) -> None:
    said = preamble + GREETING + REST
    ends = [*sorted(cut for cut in cuts if 0 < cut < len(said) - len(REST)), len(said)]
    pieces = [said[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    skipped = bytearray()
    pipe = saying(*pieces)
    assert skip_to_greeting(pipe, pipe.clock.now() + 1, skipped) == REST
    assert skipped == preamble
    assert not pipe.flights


def test_a_shell_that_talks_without_end() -> None:
    noise = random.Random(1).randbytes(1024)  # noqa: S311 - no secret
    pipe = saying(*[noise] * (MAX_PREAMBLE // len(noise) + 10))
    skipped = bytearray()
    with pytest.raises(TransportTimeoutError, match=f"more than {MAX_PREAMBLE} bytes came"):
        skip_to_greeting(pipe, pipe.clock.now() + 1, skipped)
    assert len(skipped) <= MAX_PREAMBLE + len(noise)


def test_a_shell_that_falls_silent() -> None:
    pipe = saying(b"password: ", GREETING[:-1])
    skipped = bytearray()
    with pytest.raises(TransportTimeoutError, match="nothing began to serve in time"):
        skip_to_greeting(pipe, pipe.clock.now() + 1, skipped)
    assert skipped.startswith(b"password: ")
    assert not pipe.flights


def test_a_shell_that_ends() -> None:
    pipe = saying(b"bye\n")
    skipped = bytearray()
    pipe.receive(0.0)
    pipe.close()
    with pytest.raises(TransportClosedError):
        skip_to_greeting(pipe, pipe.clock.now() + 1, skipped)
