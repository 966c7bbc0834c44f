"""A packet is 8 bytes of header and a body whose size the header states."""

from __future__ import annotations

import functools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import ProtocolError
from esploader.protocol.packet import Request, Response, checksum


def test_request_bytes() -> None:
    packet = Request(0x0A, bytes.fromhex("00100040"), 0x12345678).encode()
    assert packet == bytes.fromhex("000a0400785634120010 0040")


def test_response_fields() -> None:
    response = Response.decode(bytes.fromhex("010a0400831df00000000000"))
    assert response == Response(0x0A, 0x00F01D83, bytes(4))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x01\x0a\x00", bytes.fromhex("000a040000000000")],
    ids=["empty", "shorter than the header", "a request"],
)
def test_what_is_no_response_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        Response.decode(payload)


@given(st.binary(max_size=40))
def test_any_payload_decodes_or_is_a_protocol_error(payload: bytes) -> None:
    try:
        response = Response.decode(payload)
    except ProtocolError:
        return
    assert len(response.body) == len(payload) - 8


@given(st.binary(max_size=300))
def test_checksum_is_the_xor_of_all_bytes(data: bytes) -> None:
    assert checksum(data) == functools.reduce(operator.xor, data, 0xEF)


def test_checksum_of_a_recorded_block() -> None:
    # rom-esp32c3.json, "flash data seq 0": four times all byte values.
    assert checksum(bytes(range(256)) * 4) == 0xEF
