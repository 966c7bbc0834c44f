"""COM-PORT messages survive the wire, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import ProtocolError
from esploader.transport.com_port import (
    Code,
    ComPortMessage,
    Control,
    Setting,
    Signature,
    decode,
    encode,
)
from esploader.transport.telnet import Subnegotiation, TelnetDecoder

EMPTY = {Code.FLOWCONTROL_SUSPEND, Code.FLOWCONTROL_RESUME}

messages = st.one_of(
    st.binary(max_size=200).map(Signature),
    st.builds(Setting, st.just(Code.SET_BAUDRATE), st.integers(0, 2**32 - 1)),
    st.builds(Setting, st.sampled_from(sorted(EMPTY))),
    st.builds(
        Setting,
        st.sampled_from(sorted(set(Code) - EMPTY - {Code.SIGNATURE, Code.SET_BAUDRATE})),
        st.integers(0, 255),
    ),
)


@given(messages, st.booleans())
def test_decode_inverts_encode(message: ComPortMessage, from_server: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    (event,) = TelnetDecoder().feed(encode(message, from_server=from_server))

    assert isinstance(event, Subnegotiation)
    assert event.option == 44
    assert decode(event.payload, from_server=from_server) == message


@pytest.mark.parametrize(
    ("message", "from_server", "wire"),
    [
        (Setting(Code.SET_BAUDRATE, 115200), False, "fffa2c010001c200fff0"),
        (Setting(Code.SET_BAUDRATE, 0xFF00FF), False, "fffa2c0100ffff00fffffff0"),
        (Setting(Code.SET_CONTROL, Control.DTR_ON), False, "fffa2c0508fff0"),
        (Setting(Code.SET_CONTROL, Control.RTS_OFF), True, "fffa2c690cfff0"),
        (Setting(Code.FLOWCONTROL_SUSPEND), True, "fffa2c6cfff0"),
        (Signature(), False, "fffa2c00fff0"),
        (Signature(b"x"), True, "fffa2c6478fff0"),
    ],
)
def test_vectors_of_rfc_2217(message: ComPortMessage, from_server: bool, wire: str) -> None:  # noqa: FBT001 - a parameter of the table
    assert encode(message, from_server=from_server).hex() == wire


@given(st.binary(max_size=10), st.booleans())
def test_anything_else_is_a_protocol_error(payload: bytes, from_server: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    try:
        message = decode(payload, from_server=from_server)
    except ProtocolError:
        return
    (event,) = TelnetDecoder().feed(encode(message, from_server=from_server))
    assert isinstance(event, Subnegotiation)
    assert event.payload.startswith(payload)


def test_a_notification_without_value_asks_for_one() -> None:
    assert decode(b"\x07", from_server=False) == Setting(Code.NOTIFY_MODEMSTATE, 0)


@pytest.mark.parametrize(
    "payload", [b"", b"\x0d\x00", b"\x65\x00\x01\xc2\x00", b"\x01\x00", b"\x05", b"\x08\x00"]
)
def test_malformed_client_messages_are_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(payload, from_server=False)
