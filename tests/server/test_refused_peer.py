"""A client that cannot have the port is agreed with as long as it takes until it is told so."""

from __future__ import annotations

import pytest

from esploader.server.refused_peer import UNSET_BAUDRATE, RefusedPeer
from esploader.transport import turns
from esploader.transport.com_port import Code, Control, Purge, Setting, Signature, encode
from esploader.transport.gates import queue_size_from, usb_ids_from
from esploader.transport.telnet import Verb, encode_negotiation
from esploader.transport.telnet_framing import Option
from esploader.transport.turns import Accept, Ask

WORDS = b"the port is in use by somebody\r\n"
AGREEMENT = encode_negotiation(Verb.WILL, Option.COM_PORT)
SETTINGS = (
    Setting(Code.SET_BAUDRATE, 115200),
    Setting(Code.SET_DATASIZE, 8),
    Setting(Code.SET_PARITY, 1),
    Setting(Code.SET_STOPSIZE, 1),
    Setting(Code.SET_CONTROL, Control.NO_FLOW_CONTROL),
    Setting(Code.SET_CONTROL, Control.DTR_ON),
    Setting(Code.SET_CONTROL, Control.RTS_ON),
    Setting(Code.PURGE_DATA, Purge.RECEIVE),
)


def request(*settings: Setting) -> bytes:
    return b"".join(encode(setting, from_server=False) for setting in settings)


def answer(*settings: Setting) -> bytes:
    return b"".join(encode(setting, from_server=True) for setting in settings)


def test_one_that_opens_its_end_is_told_when_it_has() -> None:
    peer = RefusedPeer("client", WORDS)
    assert peer.feed(AGREEMENT) == []
    said = peer.take_output()
    assert encode_negotiation(Verb.DO, Option.COM_PORT) in said
    assert encode_negotiation(Verb.DO, Option.BINARY) in said
    for setting in SETTINGS:
        assert peer.feed(request(setting)) == []
        assert answer(setting) in peer.take_output()
        assert not peer.is_told
    last = Setting(Code.PURGE_DATA, Purge.TRANSMIT)
    peer.feed(request(last))
    assert peer.take_output() == answer(last) + WORDS
    assert peer.is_told
    assert peer.is_told_late


def test_it_is_told_once_and_what_it_says_reaches_nothing() -> None:
    peer = RefusedPeer("client", WORDS)
    last = Setting(Code.PURGE_DATA, Purge.BOTH)
    assert peer.feed(AGREEMENT + request(last) + b"for the device" + request(last)) == []
    assert peer.take_output().count(WORDS) == 1


@pytest.mark.parametrize(
    "said",
    [
        request(Setting(Code.SET_BAUDRATE, UNSET_BAUDRATE), *SETTINGS[1:]),
        encode(Signature(), from_server=False) + request(*SETTINGS),
    ],
    ids=["a program that has set no rate yet", "our client"],
)
def test_one_that_looks_elsewhere_is_not_kept(said: bytes) -> None:
    peer = RefusedPeer("client", WORDS)
    peer.feed(AGREEMENT)
    peer.take_output()
    assert peer.feed(said) == []
    assert peer.is_told
    assert not peer.is_told_late
    assert answer(SETTINGS[0]) not in peer.take_output()
    assert WORDS not in peer.take_output()


def test_one_that_gets_the_port_after_all_is_told_which_it_is() -> None:
    peer = RefusedPeer("client", WORDS, "bench 1", bytes(turns.NONCE_SIZE))
    who = encode(Signature(), from_server=False)
    peer.feed(AGREEMENT + who + turns.encode(Ask(wait=60.0)))
    assert turns.is_in_use(peer.signature.text)
    assert queue_size_from(peer.signature.text) is None
    peer.offer((0x303A, 0x1001))
    peer.take_output()
    assert peer.feed(turns.encode(Accept(1)) + who) == []
    assert peer.take_output().endswith(encode(peer.signature, from_server=True))
    assert not turns.is_in_use(peer.signature.text)
    assert queue_size_from(peer.signature.text) is not None
    assert usb_ids_from(peer.signature.text) == (0x303A, 0x1001)
