"""Which response belongs to which command, judged by the recordings and by rules."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from esploader.errors import CommandFailedError, ProtocolError, UnsupportedCommandError
from esploader.protocol import slip
from esploader.protocol.commands import Command, GetSecurityInfo, ReadReg, Sync
from esploader.protocol.connection import (
    TRANSITIONS,
    Completed,
    Connection,
    Refused,
    State,
    Trigger,
    Unsolicited,
)
from esploader.protocol.dialect import ESP32_ROM, ESP8266_ROM, ROM, STUB, Dialect
from esploader.protocol.flash_commands import SpiFlashMd5
from esploader.protocol.opcodes import Opcode
from recordings import Row, rows

if TYPE_CHECKING:
    from esploader.protocol.packet import Response

DIALECTS = {
    "rom-esp32": ESP32_ROM,
    "rom-esp32c3": ROM,
    "rom-esp32c3-more": ROM,
    "stub-esp32": STUB,
}

DATA_SIZES = {
    (Opcode.SPI_FLASH_MD5, "rom"): 32,
    (Opcode.SPI_FLASH_MD5, "stub"): 16,
    (Opcode.READ_FLASH_SLOW, "rom"): 64,
}


def recorded_exchanges() -> list[Row]:
    """Rows in which a known command was sent and something came back."""
    known = {int(opcode) for opcode in Opcode} - {Opcode.READ_FLASH}
    return [
        row
        for file in DIALECTS
        for row in rows(file)
        if row.sent is not None
        and row.received
        and row.sent[2] in known
        # An acknowledgement of READ_FLASH is a bare word and no command.
        and not row.name.strip().startswith("ack")
    ]


@attrs.frozen
class RecordedCommand(Command[bytes]):
    """Whatever a recording sent, awaiting what such a command returns."""

    opcode: ClassVar[Opcode] = Opcode.READ_REG
    size: int

    @override
    def encode_body(self, dialect: Dialect) -> bytes:
        return b""

    @override
    def data_size(self, dialect: Dialect) -> int:
        return self.size

    @override
    def decode_result(self, response: Response, dialect: Dialect) -> bytes:
        return response.body


def command_of(row: Row) -> Command[object]:
    assert row.sent is not None
    opcode = Opcode(row.sent[2])
    size = DATA_SIZES.get((opcode, row.file[:4].rstrip("-")), 0)
    command_class = type("Recorded", (RecordedCommand,), {"opcode": opcode})
    command: Command[object] = command_class(size)
    return command


@pytest.mark.parametrize("row", recorded_exchanges(), ids=str)
def test_every_recorded_response_is_judged(row: Row) -> None:
    connection = Connection(DIALECTS[row.file])
    command = command_of(row)
    assert row.received is not None
    responses = [
        event.payload
        for event in slip.SlipDecoder().feed(row.received)
        if isinstance(event, slip.Frame)
    ]
    # What the connection must know of the past: the opcode before this one.
    connection.send(ReadReg(0))
    status_size = DIALECTS[row.file].status_size
    connection.receive(
        slip.encode(struct.pack("<BBHI", 1, 0x0A, status_size, 0) + bytes(status_size))
    )
    connection.send(command)
    events = connection.receive(row.received)

    assert len(events) == len(responses)
    data_size = command.data_size(DIALECTS[row.file])
    assert data_size is not None
    status = responses[0][8:][data_size:][:2] or responses[0][8:10]
    if status[0] == 0 and responses[0][1] == row.sent_opcode:
        assert events[0] == Completed(command, responses[0][8:][:data_size])
    else:
        assert isinstance(events[0], Refused)
        assert events[0].error.code in status
    assert all(isinstance(event, Unsolicited) for event in events[1:])
    assert connection.state is State.IDLE


def test_a_refusal_comes_under_the_opcode_before() -> None:
    connection = Connection(ESP32_ROM)
    magic, info = ReadReg(0x4000_1000), GetSecurityInfo()
    connection.send(magic)
    connection.send(info)
    answers = bytes.fromhex(
        "c0010a0400831df00000000000c0"  # rom-esp32.json, "read magic reg"
        "c0010a0400831df00001050000c0"  # rom-esp32.json, "get security info"
    )
    completed, refused = connection.receive(answers)
    assert completed == Completed(magic, 0x00F01D83)
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, UnsupportedCommandError)
    assert refused.command == info


def test_a_refusal_after_sync_comes_eight_times_and_counts_once() -> None:
    connection = Connection(ESP32_ROM)
    connection.send(Sync())
    connection.receive(bytes.fromhex("c0010804000707122000000000c0") * 8)
    connection.send(GetSecurityInfo())
    refusal = bytes.fromhex("c0010804000707122001050000c0")
    first, *others = connection.receive(refusal)
    assert isinstance(first, Refused)
    assert not others
    connection.send(ReadReg(0))
    stale = connection.receive(refusal * 7)
    assert all(isinstance(event, Unsolicited) for event in stale)
    assert connection.state is State.AWAITING_RESPONSE


def test_a_bad_argument_is_not_an_unknown_command() -> None:
    connection = Connection(ROM)
    connection.send(SpiFlashMd5(offset=0, size=1))
    (event,) = connection.receive(bytes.fromhex("c00113040000000000 01050000 c0"))
    assert isinstance(event, Refused)
    assert type(event.error) is CommandFailedError


def test_an_unknown_command_of_the_esp8266_is_told_by_its_code() -> None:
    connection = Connection(ESP8266_ROM)
    connection.send(GetSecurityInfo())
    (event,) = connection.receive(bytes.fromhex("c00114020000000000 0105 c0"))
    assert isinstance(event, Refused)
    assert isinstance(event.error, UnsupportedCommandError)


@pytest.mark.parametrize("code", [0xC3, 0xFF])
def test_an_unknown_command_of_the_stub_is_told_by_its_code(code: int) -> None:
    connection = Connection(STUB)
    connection.send(GetSecurityInfo())
    (event,) = connection.receive(slip.encode(bytes.fromhex("0114020000000000") + bytes((code, 0))))
    assert isinstance(event, Refused)
    assert isinstance(event.error, UnsupportedCommandError)
    assert event.error.code == code


def test_outstanding_commands_are_answered_in_order() -> None:
    connection = Connection(ROM)
    commands = [ReadReg(4 * n) for n in range(5)]
    for command in commands:
        connection.send(command)
    assert connection.outstanding == tuple(commands)
    answers = [slip.encode(b"\x01\x0a\x04\x00" + bytes((n, 0, 0, 0)) + bytes(4)) for n in range(5)]
    assert connection.receive(b"".join(answers)) == [
        Completed(command, n) for n, command in enumerate(commands)
    ]


def test_a_failed_connection_takes_nothing_but_sync() -> None:
    connection = Connection(ROM)
    connection.send(ReadReg(0))
    connection.fail()
    assert connection.outstanding == ()
    with pytest.raises(ProtocolError):
        connection.send(ReadReg(0))
    connection.send(Sync())
    late, synced = connection.receive(
        bytes.fromhex("c0010a0400831df00000000000c0")
        + bytes.fromhex("c0010804000707122000000000c0")
    )
    assert isinstance(late, Unsolicited)
    assert synced == Completed(Sync(), 0x20120707)


def test_any_number_of_syncs_awaits_one_response() -> None:
    connection = Connection(ROM)
    for _ in range(5):
        connection.send(Sync())
    events = connection.receive(bytes.fromhex("c0010804000707122000000000c0") * 2)
    assert [type(event) for event in events] == [Completed, Unsolicited]
    assert connection.state is State.IDLE


def test_a_response_that_is_too_short_fails_the_connection() -> None:
    connection = Connection(ROM)
    connection.send(SpiFlashMd5(offset=0, size=1))
    with pytest.raises(ProtocolError):
        connection.receive(slip.encode(bytes.fromhex("0113040000000000 00000000")))
    assert connection.state is State.FAILED


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_events_or_a_protocol_error(chunks: list[bytes]) -> None:
    connection = Connection(ROM)
    connection.send(ReadReg(0))
    for chunk in chunks:
        try:
            connection.receive(chunk)
        except ProtocolError:
            assert connection.state is State.FAILED
            return


@given(st.lists(st.sampled_from(Trigger)))
def test_the_table_decides_what_may_follow(triggers: list[Trigger]) -> None:
    state = State.IDLE
    for trigger in triggers:
        following = TRANSITIONS[state].get(trigger)
        if following is None:
            continue
        state = following
        if trigger is Trigger.RULE_BROKEN:
            assert state is State.FAILED
    assert state in TRANSITIONS
