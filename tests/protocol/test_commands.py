"""Commands encode as the recorded requests, and read the recorded responses."""

from __future__ import annotations

import functools
import hashlib
import operator
import struct

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import ProtocolError
from esploader.protocol.commands import (
    ChangeBaudrate,
    Command,
    GetSecurityInfo,
    ReadReg,
    RegisterWrite,
    SpiAttach,
    SpiSetParams,
    Sync,
    WriteReg,
)
from esploader.protocol.connection import Connection
from esploader.protocol.dialect import ESP32_ROM, ESP8266_ROM, ROM, STUB, Dialect
from esploader.protocol.download_commands import (
    FlashBegin,
    FlashData,
    FlashDeflBegin,
    FlashDeflData,
    FlashEnd,
    MemBegin,
    MemData,
    MemEnd,
    MemStay,
)
from esploader.protocol.flash_commands import (
    EraseFlash,
    EraseRegion,
    ReadFlash,
    ReadFlashSlow,
    SpiFlashMd5,
)
from esploader.protocol.packet import Response
from recordings import rows

words = st.integers(0, 0xFFFF_FFFF)

RECORDED: dict[tuple[str, str], tuple[Dialect, Command[object]]] = {
    ("rom-esp32", "sync"): (ESP32_ROM, Sync()),
    ("rom-esp32", "read magic reg"): (ESP32_ROM, ReadReg(0x4000_1000)),
    ("rom-esp32", "get security info"): (ESP32_ROM, GetSecurityInfo()),
    ("rom-esp32", "write reg: read-back area"): (
        ESP32_ROM,
        WriteReg((RegisterWrite(0x3FFE_8000, 0xCAFE_BABE),)),
    ),
    ("rom-esp32", "write reg with mask 0x0000ffff"): (
        ESP32_ROM,
        WriteReg((RegisterWrite(0x3FFE_8000, 0x1111_2222, mask=0xFFFF),)),
    ),
    ("rom-esp32c3", "spi attach"): (ROM, SpiAttach()),
    ("rom-esp32c3", "spi set params"): (ROM, SpiSetParams(total_size=4 << 20)),
    ("rom-esp32c3", "md5 of first sector"): (ROM, SpiFlashMd5(offset=0, size=0x1000)),
    ("rom-esp32c3", "read flash slow 64"): (ROM, ReadFlashSlow(offset=0, size=64)),
    ("rom-esp32c3", "read flash slow 4"): (ROM, ReadFlashSlow(offset=0, size=4)),
    ("rom-esp32c3", "flash begin 2 blocks at 0x1000"): (
        ROM,
        FlashBegin(size=0x800, block_count=2, block_size=0x400, offset=0x1000),
    ),
    ("rom-esp32c3-more", "change baudrate to 230400"): (ROM, ChangeBaudrate(new=230400)),
    ("rom-esp32c3-more", "write reg: three entries in one packet"): (
        ROM,
        WriteReg(tuple(RegisterWrite(0x3FC9_0000 + 4 * n, n + 1) for n in range(3))),
    ),
    ("rom-esp32c3-more", "write reg with delay 200000 us"): (
        ROM,
        WriteReg((RegisterWrite(0x3FC9_0000, 7, delay_us=200_000),)),
    ),
    ("stub-esp32", "spi set params"): (STUB, SpiSetParams(total_size=4 << 20)),
    ("stub-esp32", "md5 sector 0"): (STUB, SpiFlashMd5(offset=0, size=0x1000)),
    ("stub-esp32", "flash begin 4 blocks"): (
        ESP32_ROM,  # recorded without the encrypt word
        FlashBegin(size=0x10000, block_count=4, block_size=0x4000, offset=0x100000),
    ),
    ("stub-esp32", "flash end stay"): (STUB, FlashEnd(reboot=False)),
}


@pytest.mark.parametrize(("file", "name"), RECORDED)
def test_requests_are_the_recorded_ones(file: str, name: str) -> None:
    spoken, command = RECORDED[file, name]
    row = next(row for row in rows(file) if row.name == name)
    assert Connection(spoken).send(command) == row.sent


def test_stub_takes_a_shorter_spi_attach() -> None:
    assert SpiAttach(5).encode_body(ROM) == struct.pack("<II", 5, 0)
    assert SpiAttach(5).encode_body(STUB) == struct.pack("<I", 5)


def test_flash_begin_ends_with_the_encrypt_word_where_the_loader_knows_it() -> None:
    command = FlashBegin(size=1, block_count=2, block_size=3, offset=4)
    assert command.encode_body(ESP32_ROM) == struct.pack("<4I", 1, 2, 3, 4)
    assert command.encode_body(ROM) == struct.pack("<5I", 1, 2, 3, 4, 0)


def test_md5_comes_as_digits_from_a_rom_and_raw_from_a_stub() -> None:
    digest = hashlib.md5(b"abc", usedforsecurity=False)
    command = SpiFlashMd5(offset=0, size=3)
    as_digits = Response(0x13, 0, digest.hexdigest().encode())
    assert command.decode_result(as_digits, ROM) == digest.digest()
    assert command.decode_result(Response(0x13, 0, digest.digest()), STUB) == digest.digest()


@given(st.binary(min_size=32, max_size=32))
def test_an_md5_that_is_not_hexadecimal_is_a_protocol_error(body: bytes) -> None:
    response = Response(0x13, 0, body)
    try:
        digest = SpiFlashMd5(offset=0, size=3).decode_result(response, ROM)
    except ProtocolError:
        return
    assert digest.hex().encode() == body.lower()


def test_an_md5_with_blanks_among_its_digits_is_too_short() -> None:
    body = b"00 11 22 33 44 55 66 77 88 99 aa "
    with pytest.raises(ProtocolError, match="an MD5 has 11 bytes, expected 16"):
        SpiFlashMd5(offset=0, size=3).decode_result(Response(0x13, 0, body), ROM)


@given(words)
def test_read_reg_returns_the_value_word(value: int) -> None:
    assert ReadReg(0).decode_result(Response(0x0A, value, b""), ESP8266_ROM) == value


@given(st.lists(st.builds(RegisterWrite, words, words, words, words), max_size=20))
def test_write_reg_is_sixteen_bytes_an_entry(entries: list[RegisterWrite]) -> None:
    body = WriteReg(tuple(entries)).encode_body(ROM)
    assert list(struct.iter_unpack("<4I", body)) == [
        (entry.address, entry.value, entry.mask, entry.delay_us) for entry in entries
    ]


@given(st.builds(ReadFlashSlow, offset=words, size=st.integers(1, 64)), st.binary(min_size=64))
def test_read_flash_slow_returns_no_more_than_was_asked_for(
    command: ReadFlashSlow, answer: bytes
) -> None:
    assert command.decode_result(Response(0x0E, 0, answer[:64]), ROM) == answer[: command.size]


@given(words, words)
def test_timeouts_grow_with_the_work(offset: int, size: int) -> None:
    small = SpiFlashMd5(offset=offset, size=size)
    large = SpiFlashMd5(offset=offset, size=size + (1 << 20))
    assert small.timeout < large.timeout or size < 1 << 20
    assert WriteReg((RegisterWrite(0, 0, delay_us=5_000_000),)).timeout > 5


blocks = st.binary(max_size=64)

LAYOUTS: dict[type[Command[object]], tuple[st.SearchStrategy[Command[object]], str]] = {
    Sync: (st.builds(Sync), "36s"),
    ReadReg: (st.builds(ReadReg, words), "I"),
    SpiSetParams: (
        st.builds(
            SpiSetParams,
            total_size=words,
            block_size=words,
            sector_size=words,
            page_size=words,
            status_mask=words,
        ),
        "4xIIIII",
    ),
    SpiAttach: (st.builds(SpiAttach, words), "I4x"),
    FlashBegin: (
        st.builds(FlashBegin, size=words, block_count=words, block_size=words, offset=words),
        "IIII",
    ),
    FlashDeflBegin: (
        st.builds(FlashDeflBegin, size=words, block_count=words, block_size=words, offset=words),
        "IIII",
    ),
    MemBegin: (
        st.builds(MemBegin, size=words, block_count=words, block_size=words, address=words),
        "IIII",
    ),
    ReadFlashSlow: (st.builds(ReadFlashSlow, offset=words, size=words), "II"),
    SpiFlashMd5: (st.builds(SpiFlashMd5, offset=words, size=words), "II8x"),
    ChangeBaudrate: (st.builds(ChangeBaudrate, new=words, old=words), "II"),
    EraseRegion: (st.builds(EraseRegion, offset=words, size=words), "II"),
    GetSecurityInfo: (st.builds(GetSecurityInfo), ""),
    EraseFlash: (st.builds(EraseFlash, st.none() | words), ""),
}
"""How to make each command whose body is its fields, and what the document says it looks like."""


@pytest.mark.parametrize("command_class", LAYOUTS, ids=lambda value: value.__name__)
@given(st.data())
def test_bodies_hold_the_fields_in_the_documented_order(
    command_class: type[Command[object]], data: st.DataObject
) -> None:
    strategy, layout = LAYOUTS[command_class]
    command = data.draw(strategy)
    values = struct.unpack("<" + layout, command.encode_body(ESP32_ROM))
    fields = [
        getattr(command, field.name)
        for field in attrs.fields(command_class)  # type: ignore[arg-type]
        if field.name not in {"work_time", "encrypt", "flash_size"}
    ]
    assert list(values) == (fields or list(values))
    assert command.checksum == 0


@given(st.sampled_from([FlashData, FlashDeflData, MemData]), words, blocks)
def test_blocks_carry_their_size_their_number_and_a_checksum(
    command_class: type[FlashData], sequence: int, data: bytes
) -> None:
    command = command_class(sequence=sequence, data=data)
    assert command.encode_body(ROM) == struct.pack("<IIII", len(data), sequence, 0, 0) + data
    assert command.checksum == functools.reduce(operator.xor, data, 0xEF)


@given(words, st.booleans())
def test_the_ends_say_whether_to_stay(entry: int, reboot: bool) -> None:  # noqa: FBT001
    assert MemEnd(entry=entry).encode_body(ROM) == struct.pack("<II", 0, entry)
    assert MemStay().encode_body(ROM) == struct.pack("<II", 1, 0)
    assert FlashEnd(reboot=reboot).encode_body(ROM) == struct.pack("<I", not reboot)


@given(words, words)
def test_reading_flash_asks_for_one_packet_at_a_time(offset: int, size: int) -> None:
    body = ReadFlash(offset=offset, size=size).encode_body(STUB)
    assert body == struct.pack("<IIII", offset, size, 0x1000, 1)


every_command = st.one_of(
    *(strategy for strategy, _ in LAYOUTS.values()),
    st.builds(FlashData, sequence=words, data=blocks),
    st.builds(WriteReg, st.lists(st.builds(RegisterWrite, words, words)).map(tuple)),
    st.builds(MemEnd, entry=words),
    st.builds(FlashEnd, reboot=st.booleans()),
)


@given(every_command, st.sampled_from([ESP8266_ROM, ESP32_ROM, ROM, STUB]), st.binary(max_size=80))
def test_any_response_is_a_result_or_a_protocol_error(
    command: Command[object], spoken: Dialect, body: bytes
) -> None:
    try:
        command.decode_result(Response(command.opcode, 0, body), spoken)
    except ProtocolError:
        return
    assert command.timeout > 0
