"""What the simulated stub does where no recording says it."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s2 import ESP32_S2
from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.timings import UNPACED, Timings
from simulated import (
    READ_MAGIC,
    STUB_SYNC_ANSWER,
    SYNC,
    Bench,
    block,
    data_body,
    incompressible,
    is_alive,
    make_bench,
    make_stub_bench,
    request,
    words,
)

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)

OK = b"\x00\x00"
WRONG_SIZE = b"\xc0\x00"
UNKNOWN_COMMAND = b"\xc3\x00"
FLASH_FAILED = b"\xc4\x00"
NO_DOWNLOAD = b"\xc6\x00"
TOO_LITTLE_DATA = b"\xc8\x00"
TOO_MUCH_DATA = b"\xc9\x00"
NOT_IMPLEMENTED = b"\xff\x00"

OHAI = b"\xc0OHAI\xc0"
READ_ANSWER = bytes.fromhex("c0010a02006f50311b0000c0")
BLOCK_SIZE = 0x4000

ENTRIES = {
    "esp8266": 0x4010_C504,
    "esp32": 0x400B_E5D8,
    "esp32s2": 0x4002_84A8,
    "esp32s3": 0x4037_8A00,
    "esp32c3": 0x4038_0054,
    "esp32c2": 0x4038_0F90,
    "esp32c6": 0x4080_127C,
    "esp32h2": 0x4080_0E92,
    "esp32p4": 0x4FF5_1476,
    "esp32c61": 0x4080_1316,
    "esp32c5": 0x4080_1610,
    "esp32h21": 0x4080_0F32,
    "esp32h4": 0x4081_134A,
    "esp32s31": 0x2F00_238C,
}
"""Those of the stubs that esptool 5.6.0 brings, or of older ones."""


# How it is started.


def upload(bench: Bench, entry: int) -> bytes:
    """Put something where a stub would be, jump to it, and return what comes then."""
    bench.exchange(request(Opcode.MEM_BEGIN, words(64, 1, 64, entry)))
    bench.exchange(block(Opcode.MEM_DATA, bytes(range(64)), 0))
    return bench.exchange(request(Opcode.MEM_END, words(0, entry)))


@every_chip
def test_what_was_uploaded_and_is_jumped_to_is_the_stub(chip: Chip) -> None:
    bench = make_bench(chip)

    assert upload(bench, ENTRIES[chip.key]).endswith(OHAI)
    assert bench.exchange(SYNC) == STUB_SYNC_ANSWER * 8


def test_a_jump_to_where_nothing_is_hangs_the_chip() -> None:
    bench = make_bench()
    answer = bench.exchange(request(Opcode.MEM_END, words(0, 0x4038_0000)))

    assert OHAI not in answer
    assert bench.exchange(SYNC) == b""
    assert bench.reset(strap_low=True).endswith(b"waiting for download\r\n")


def test_a_reset_ends_it() -> None:
    bench = make_stub_bench()
    bench.reset(strap_low=True)

    assert bench.exchange(SYNC).startswith(bytes.fromhex("c001080400 07071220"))


def test_the_stub_can_be_uploaded_to_the_stub() -> None:
    bench = make_stub_bench()

    assert upload(bench, 0x4038_0000).endswith(OHAI)
    assert is_alive(bench)


def test_what_comes_before_the_greeting_is_lost() -> None:
    bench = make_bench()
    bench.exchange(request(Opcode.MEM_BEGIN, words(4, 1, 4, 0x4038_0000)))
    bench.exchange(block(Opcode.MEM_DATA, b"code", 0))
    answer = bench.exchange(request(Opcode.MEM_END, words(0, 0x4038_0000)) + READ_MAGIC)

    assert answer.endswith(OHAI)
    assert is_alive(bench)


@pytest.mark.parametrize(
    ("chip", "rate"), [(ESP32, 115200), (ESP32_S2, 115200), (ESP32_C3, 460800)]
)
def test_some_stubs_fall_back_to_115200_baud(chip: Chip, rate: int) -> None:
    bench = make_bench(chip)
    bench.exchange(request(Opcode.CHANGE_BAUDRATE, words(460800, 0)))
    bench.transport.set_baudrate(460800)
    greeting = upload(bench, ENTRIES[chip.key])

    assert (OHAI in greeting) == (rate == 460800)
    bench.transport.set_baudrate(rate)
    assert is_alive(bench)


# What it says.


@every_chip
def test_security_info_comes_from_those_that_have_it(chip: Chip) -> None:
    packet = make_stub_bench(chip).command(Opcode.GET_SECURITY_INFO)
    size = chip.security_info_size

    if size is None:
        assert packet[8:] == NOT_IMPLEMENTED
    else:
        assert len(packet) == 8 + size + 2
        assert packet[-2:] == OK


@pytest.mark.parametrize(
    ("opcode", "status"),
    [(0x0E, UNKNOWN_COMMAND), (0xD4, UNKNOWN_COMMAND), (0xD5, NOT_IMPLEMENTED),
     (0xEF, NOT_IMPLEMENTED), (0xF0, UNKNOWN_COMMAND)],
)  # fmt: skip
def test_commands_it_does_not_know(opcode: int, status: bytes) -> None:
    packet = make_stub_bench().command(opcode)

    assert packet[1] == opcode
    assert packet[8:] == status


@pytest.mark.parametrize(
    ("opcode", "body", "status"),
    [
        (Opcode.SYNC, bytes(35), WRONG_SIZE),
        (Opcode.READ_REG, bytes(8), WRONG_SIZE),
        (Opcode.WRITE_REG, b"", TOO_LITTLE_DATA),
        (Opcode.WRITE_REG, bytes(15), TOO_LITTLE_DATA),
        (Opcode.SPI_ATTACH, bytes(8), WRONG_SIZE),
        (Opcode.SPI_SET_PARAMS, bytes(20), WRONG_SIZE),
        (Opcode.CHANGE_BAUDRATE, bytes(4), WRONG_SIZE),
        (Opcode.SPI_FLASH_MD5, bytes(8), WRONG_SIZE),
        (Opcode.GET_SECURITY_INFO, b"\0", WRONG_SIZE),
        (Opcode.FLASH_BEGIN, bytes(12), WRONG_SIZE),
        (Opcode.FLASH_BEGIN, bytes(16), OK),
        (Opcode.FLASH_DEFL_BEGIN, bytes(24), WRONG_SIZE),
        (Opcode.FLASH_DATA, bytes(12), TOO_LITTLE_DATA),
        (Opcode.FLASH_DATA, bytes(16), NO_DOWNLOAD),
        (Opcode.FLASH_DEFL_DATA, bytes(12), WRONG_SIZE),
        (Opcode.FLASH_DEFL_DATA, bytes(16), NO_DOWNLOAD),
        (Opcode.FLASH_END, bytes(4), NO_DOWNLOAD),
        (Opcode.FLASH_DEFL_END, bytes(8), WRONG_SIZE),
        (Opcode.MEM_BEGIN, bytes(12), WRONG_SIZE),
        (Opcode.MEM_DATA, bytes(12), TOO_LITTLE_DATA),
        (Opcode.MEM_DATA, bytes(16), NO_DOWNLOAD),
        (Opcode.MEM_END, bytes(8), NO_DOWNLOAD),
        (Opcode.MEM_END, bytes(4), WRONG_SIZE),
        (Opcode.ERASE_REGION, bytes(4), WRONG_SIZE),
        (Opcode.ERASE_REGION, words(0x1000, 0x800), WRONG_SIZE),
        (Opcode.READ_FLASH, bytes(12), WRONG_SIZE),
        (Opcode.SPI_FLASH_MD5, words(0x3F_FFFF, 2, 0, 0), FLASH_FAILED),
    ],
)
def test_requests_are_checked(opcode: int, body: bytes, status: bytes) -> None:
    bench = make_stub_bench()
    packet = bench.command(opcode, body)

    assert packet[1] == opcode
    assert packet[-2:] == status
    assert is_alive(bench)


def test_run_user_code_says_and_does_nothing() -> None:
    bench = make_stub_bench()

    assert bench.exchange(request(Opcode.RUN_USER_CODE)) == b""
    assert is_alive(bench)


def test_registers_are_written_entry_by_entry() -> None:
    bench = make_stub_bench()
    entries = words(0x3FC9_0000, 0x1234_5678, 0xFFFF_FFFF, 0) + words(
        0x3FC9_0000, 0xFFFF_FFFF, 0x0000_FF00, 0
    )

    assert bench.status(Opcode.WRITE_REG, entries) == OK
    assert bench.command(Opcode.READ_REG, words(0x3FC9_0000))[4:8] == words(0x1234_FF78)


def test_only_read_reg_sets_the_value() -> None:
    bench = make_stub_bench()
    bench.exchange(READ_MAGIC)

    assert bench.command(Opcode.SPI_ATTACH, words(0))[4:8] == bytes(4)


def test_ram_blocks_need_no_checksum_but_have_to_fit() -> None:
    bench = make_stub_bench()
    bench.status(Opcode.MEM_BEGIN, words(8, 2, 4, 0x3FC9_0000))

    assert bench.status(Opcode.MEM_DATA, data_body(b"abcd", 7)) == OK
    assert bench.status(Opcode.MEM_DATA, data_body(b"efghij", 0)) == TOO_MUCH_DATA
    assert bench.status(Opcode.MEM_DATA, words(8, 1, 0, 0) + b"efgh") == TOO_MUCH_DATA
    assert bench.status(Opcode.MEM_DATA, data_body(b"efgh", 0)) == OK
    assert bench.device.memory.read(0x3FC9_0000, 8) == b"abcdefgh"
    assert bench.status(Opcode.MEM_END, words(1, 0)) == OK
    assert is_alive(bench)


def test_a_new_rate_holds_once_the_response_is_out() -> None:
    bench = make_stub_bench()
    bench.transport.write(request(Opcode.CHANGE_BAUDRATE, words(921600, 115200)))
    answer = bench.transport.read(bench.now + 1)
    bench.transport.set_baudrate(921600)
    bench.transport.clock.sleep(0.02)

    assert answer == bytes.fromhex("c0010f02000000000000 00c0")
    assert is_alive(bench)


def test_a_rate_that_cannot_be_is_answered_and_changes_nothing() -> None:
    bench = make_stub_bench()

    assert bench.status(Opcode.CHANGE_BAUDRATE, words(0, 115200)) == OK
    assert is_alive(bench)


# What it loses.


def test_the_second_of_two_requests_in_one_write_is_lost() -> None:
    bench = make_stub_bench()

    assert bench.exchange(READ_MAGIC * 2) == READ_ANSWER
    assert is_alive(bench)


def test_two_data_blocks_back_to_back_leave_it_deaf() -> None:
    bench = make_stub_bench()
    bench.exchange(request(Opcode.FLASH_BEGIN, words(2 * BLOCK_SIZE, 2, BLOCK_SIZE, 0)))
    blocks = block(0x03, incompressible(BLOCK_SIZE), 0) + block(0x03, bytes(BLOCK_SIZE), 1)

    assert bench.exchange(blocks).count(b"\x01\x03\x02\x00") == 1
    assert not any(is_alive(bench) for _ in range(10))
    bench.reset(strap_low=True)
    assert bench.exchange(SYNC)


def test_a_stray_end_makes_it_deaf_until_another_one_comes() -> None:
    bench = make_stub_bench()
    bench.transport.write(b"\xc0")

    assert not any(is_alive(bench) for _ in range(10))
    bench.transport.write(b"\xc0")
    assert is_alive(bench)


def test_an_even_number_of_ends_does_no_harm() -> None:
    bench = make_stub_bench()
    bench.transport.write(b"\xc0" * 6)

    assert is_alive(bench)


def test_noise_between_frames_does_no_harm() -> None:
    bench = make_stub_bench()

    assert bench.exchange(b"noise\xdb\x00" * 50 + READ_MAGIC + b"more" * 50) == READ_ANSWER
    assert is_alive(bench)


@pytest.mark.parametrize("spacing", [64, 256, 1000])
def test_requests_with_enough_between_them_are_all_answered(spacing: int) -> None:
    bench = make_stub_bench()

    assert bench.exchange((READ_MAGIC + bytes(spacing)) * 5) == READ_ANSWER * 5


def test_a_frame_may_come_while_another_is_worked_on() -> None:
    """An MD5 of 1 MiB takes a quarter of a second, a request a millisecond on the wire."""
    bench = make_stub_bench()
    bench.transport.write(request(Opcode.SPI_FLASH_MD5, words(0, 1 << 20, 0, 0)))
    bench.transport.clock.sleep(0.1)
    bench.transport.write(READ_MAGIC)

    answers = bench.receive()
    assert answers.startswith(b"\xc0\x01\x13\x12\x00")
    assert answers.endswith(READ_ANSWER)


def test_the_third_frame_is_lost() -> None:
    bench = make_stub_bench()
    bench.transport.write(request(Opcode.SPI_FLASH_MD5, words(0, 1 << 20, 0, 0)))
    for _ in range(3):
        bench.transport.clock.sleep(0.02)
        bench.transport.write(READ_MAGIC)

    assert bench.receive().count(READ_ANSWER) == 1
    assert is_alive(bench)


def test_a_buffer_that_comes_in_the_middle_of_a_lost_frame_inverts_the_framing() -> None:
    """The MD5 takes 0.25 s, and the third frame is on the wire from 0.2 s to 0.3 s."""
    bench = make_stub_bench()
    bench.transport.write(request(Opcode.SPI_FLASH_MD5, words(0, 1 << 20, 0, 0)))
    bench.transport.clock.sleep(0.1)
    bench.transport.write(READ_MAGIC)
    bench.transport.clock.sleep(0.1)
    bench.transport.write(request(Opcode.READ_REG, bytes(1152)))

    assert bench.receive().count(READ_ANSWER) == 1
    assert not is_alive(bench)
    bench.transport.write(b"\xc0")
    assert is_alive(bench)


def test_an_end_inside_a_frame_inverts_the_framing() -> None:
    bench = make_stub_bench()
    frame = request(Opcode.READ_REG, bytes(200))
    broken = frame[:100] + b"\xc0" + frame[101:]

    assert bench.exchange(broken)[8:11] == b"\0\xdb\xdc"
    assert not is_alive(bench)


@pytest.mark.parametrize("size", [0x4107 - 8, 0x4107 - 7])
def test_frames_have_to_fit_their_buffer(size: int) -> None:
    bench = make_stub_bench()
    answer = bench.exchange(request(Opcode.READ_REG, bytes(size)))

    assert bool(answer) == (size == 0x4107 - 8)


def test_it_answers_when_the_fifo_has_been_silent_for_ten_bytes() -> None:
    bench = make_stub_bench(timings=Timings(command=0.0))
    bench.transport.write(READ_MAGIC)
    bench.transport.read(1.0)

    assert bench.now == pytest.approx((14 + 10 + 12) * 10 / 115200)


# Whatever is sent.


opcodes = st.sampled_from([int(opcode) for opcode in Opcode]) | st.integers(0, 255)
small_words = st.integers(0, 0x40) | st.sampled_from(
    [0x400, 0x1000, 0x4000, 0x1_0000, 0x3F_F000, 0x3FC9_0000, 0x4038_0000, 0x6000_2000, 2**32 - 1]
)
bodies = st.lists(small_words, max_size=6).map(lambda values: words(*values)) | st.binary(
    max_size=200
)
requests = st.builds(request, opcodes, bodies)
blocks = st.builds(
    block,
    st.sampled_from([0x03, 0x07, 0x11]),
    st.binary(max_size=64) | st.binary(max_size=64).map(zlib.compress),
    st.integers(0, 2),
)
noise = st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd") | st.integers(0, 255), max_size=40).map(bytes)
gaps = st.integers(0, 400).map(bytes)
streams = st.lists(requests | blocks | noise | gaps, max_size=15).map(b"".join)


@given(stream=streams)
def test_no_input_ever_raises(stream: bytes) -> None:
    for chip in DESCRIBED:
        make_stub_bench(chip, timings=UNPACED).exchange(stream)
    make_stub_bench().exchange(stream)


@given(stream=streams, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_chunking_never_matters(stream: bytes, cuts: list[int]) -> None:
    """The line sends what it is given without gaps, in however many pieces."""
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    whole, pieces = make_stub_bench(), make_stub_bench()
    whole.transport.write(stream)
    for start, end in pairwise(edges):
        pieces.transport.write(stream[start:end])

    assert pieces.receive(silence=30.0) == whole.receive(silence=30.0)
    assert pieces.device.nor.read(0, 1 << 18) == whole.device.nor.read(0, 1 << 18)


@given(stream=streams, polls=st.lists(st.floats(0, 0.3), max_size=6))
def test_when_somebody_looks_never_matters(stream: bytes, polls: list[float]) -> None:
    looked_at, left_alone = make_stub_bench(), make_stub_bench()
    left_alone.transport.write(stream)
    looked_at.transport.write(stream)
    received = b"".join(looked_at.transport.read(moment) for moment in sorted(polls))

    assert received + looked_at.receive(silence=30.0) == left_alone.receive(silence=30.0)


@given(stream=streams)
def test_two_ends_and_a_non_frame_bring_it_back_unless_it_hangs(stream: bytes) -> None:
    """Either it is deaf to one SYNC and not to the next behind an END, or it has ended.

    It has ended where the stream jumped into RAM or wrote more than it announced.
    """
    bench = make_stub_bench()
    bench.exchange(stream)
    # It may be erasing all of the flash.
    bench.receive(silence=60.0)
    bench.transport.set_baudrate(bench.device.baudrate)
    answers = b"".join(bench.exchange(b"\xc0" * (turn % 2) + SYNC) for turn in range(8))

    assert STUB_SYNC_ANSWER in answers or bench.exchange(READ_MAGIC) == b""
