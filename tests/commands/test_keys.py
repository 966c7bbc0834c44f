"""Keys mean what they mean in front of ``idf.py monitor``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.commands.keys import HELP, LINE_ENDS, Key, KeyParser, Typed


def typed(*pieces: bytes, line_end: bytes = b"\r") -> list[Typed]:
    parser = KeyParser(line_end)
    return [each for piece in pieces for each in parser.feed(piece)]


@pytest.mark.parametrize(
    ("keys", "meaning"),
    [
        (b"ls -l\r", [b"ls -l\r"]),
        (b"\x03\x1a\x1b[A", [b"\x03\x1a\x1b[A"]),
        (b"\x1d", [Key.LEAVE]),
        (b"\x14\x18", [Key.LEAVE]),
        (b"\x14x", [Key.LEAVE]),
        (b"\x14\x12", [Key.RESET]),
        (b"\x14\x10", [Key.DOWNLOAD_MODE]),
        (b"\x14\x19", [Key.OUTPUT]),
        (b"\x14\x09", [Key.TIMESTAMPS]),
        (b"\x14i", [Key.TIMESTAMPS]),
        (b"\x14\x08\x14h\x14?", [Key.HELP] * 3),
        (b"\x14\x14", [b"\x14"]),
        (b"\x14\x1d", [b"\x1d"]),
        (b"\x14q", [Key.UNKNOWN]),
        (b"a\x14\x12b", [b"a", Key.RESET, b"b"]),
        (b"\x12", [b"\x12"]),
    ],
)
def test_what_keys_mean(keys: bytes, meaning: list[Typed]) -> None:
    assert typed(keys) == meaning


def test_a_menu_may_come_in_two_pieces() -> None:
    assert typed(b"\x14", b"\x12") == [Key.RESET]


@pytest.mark.parametrize(("name", "sent"), LINE_ENDS.items())
def test_enter_sends_what_the_device_expects(name: str, sent: bytes) -> None:
    assert typed(b"on\r", line_end=LINE_ENDS[name]) == [b"on" + sent]


@given(st.binary(max_size=50))
def test_all_that_is_not_for_us_reaches_the_device(keys: bytes) -> None:
    plain = bytes(byte for byte in keys if byte not in b"\x14\x1d")
    assert b"".join(each for each in typed(plain) if isinstance(each, bytes)) == plain


def test_the_list_of_keys_names_them_all() -> None:
    for key in ("Ctrl-]", "Ctrl-T", "Ctrl-R", "Ctrl-P", "Ctrl-Y", "Ctrl-I", "Ctrl-X", "Ctrl-H"):
        assert key in HELP
