"""What a device prints does a terminal no harm, however it comes."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.device.console.text import MAX_HELD, ConsoleText

# Mostly what means something: of uniform bytes hardly any make a sequence.
words = st.sampled_from(
    (
        *(b"\x1b", b"[", b"]", b"31", b"m", b";", b"0", b"\x07", b"\\", b"\r", b"\n", b"P", b"k"),
        *(b"\xc2\x9b", b"\xc2\x9d", b"\xe2\x80\xae", "é".encode(), b"\xff", b"\x18", b"?", b"J"),
    )
)
streams = st.lists(words, max_size=60).map(b"".join)
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def shown(*chunks: bytes, has_colours: bool = True, is_raw: bool = False) -> str:
    text = ConsoleText(is_raw, has_colours)
    return "".join(map(text.feed, chunks)) + text.end()


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"plain text\r\n", "plain text\n"),
        (b"two\r\r\nlines\n", "two\nlines\n"),
        (b"10 %\r20 %\r", "10 %\r20 %\n"),
        (b"a\tb\bc", "a\tb\bc"),
        (b"\x1b[0;32mI (31) boot\x1b[0m\r\n", "\x1b[0;32mI (31) boot\x1b[0m\n"),
        (b"\x1b]0;title\x07after", "after"),
        (b"\x1b]52;c;aGVsbG8=\x1b\\after", "after"),
        (b"\xc2\x9d52;c;aGVsbG8=\xc2\x9cafter", "after"),
        (b"\x1bPq#0\x1b\\after", "after"),
        (b"\x1bkname\x1b\\after", "after"),
        (b"\x1b]0;no end\nnext line", "\nnext line"),
        (b"where\x1b[6n are you\x1b[c", "where are you"),
        (b"\x1b[2J\x1b[Hgone?\x1bc", "gone?"),
        (b"\x1b[?1049hother screen", "other screen"),
        (b"\x1b(0lqk", "lqk"),
        (b"bell\x07 and \x00 and \x7f", "bell and  and "),
        ("abc\u202edef".encode(), "abcdef"),
        (b"\xffbroken\xe2\x82", "\ufffdbroken\ufffd"),
        ("größer als 3 €\n".encode(), "größer als 3 €\n"),
        (b"\x1b", ""),
    ],
)
def test_what_is_shown(sent: bytes, seen: str) -> None:
    assert shown(sent) == seen


def test_colours_are_left_out_where_there_are_none() -> None:
    assert shown(b"\x1b[31mred\x1b[0m", has_colours=False) == "red"


def test_a_colour_that_is_not_ended_is_known() -> None:
    text = ConsoleText()
    text.feed(b"\x1b[31mred")
    assert text.is_coloured
    text.feed(b"\x1b[0m")
    assert not text.is_coloured


def test_raw_output_is_that_of_the_device_to_the_byte() -> None:
    sent = b"\x1b]0;title\x07\xff\xc3\xa9\r\n\x00"
    assert shown(sent, is_raw=True).encode("utf-8", "surrogateescape") == sent


def test_a_sequence_without_an_end_is_not_held_for_ever() -> None:
    text = ConsoleText()
    assert "x" * MAX_HELD in text.feed(b"\x1b]" + b"x" * MAX_HELD)


@given(streams)
def test_nothing_gets_through_but_text_and_colours(stream: bytes) -> None:
    rest = COLOUR.sub("", shown(stream))
    assert not re.search(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest)


@given(streams, st.lists(st.integers(0, 200)))
def test_chunking_never_matters(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert shown(*chunks) == shown(stream)
    assert shown(*(bytes((byte,)) for byte in stream)) == shown(stream)
