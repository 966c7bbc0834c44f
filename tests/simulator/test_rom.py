"""What the simulated ROM loader does where no recording says it."""

from __future__ import annotations

import hashlib
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp8266 import ESP8266
from esploader.protocol.opcodes import Opcode
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import UNPACED
from simulated import (
    READ_MAGIC,
    SYNC,
    Bench,
    checksum_of,
    data_body,
    make_bench,
    request,
    words,
)

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

READ_ANSWER = bytes.fromhex("c0010a04006f50311b00000000c0")

OK = b"\x00\x00"
INVALID = b"\x01\x05"

opcodes = st.sampled_from([int(opcode) for opcode in Opcode]) | st.integers(0, 255)
small_words = st.integers(0, 0x40) | st.sampled_from(
    [0x400, 0x1000, 0x1800, 0x10000, 0x40_0000, 0x3FC9_0000, 0x4000_1000, 0x6000_2000, 2**32 - 1]
)
bodies = st.lists(small_words, max_size=6).map(lambda values: words(*values)) | st.binary(
    max_size=300
)
frames = st.builds(request, opcodes, bodies)
blocks = st.builds(
    lambda opcode, data, sequence: request(
        opcode, data_body(data, sequence), checksum=checksum_of(data)
    ),
    st.sampled_from([0x03, 0x07, 0x11]),
    st.binary(max_size=64) | st.binary(max_size=64).map(zlib.compress),
    st.integers(0, 2),
)
streams = st.lists(frames | blocks | st.binary(max_size=40), max_size=12).map(b"".join)


def begin(size: int, count: int, block_size: int, offset: int) -> bytes:
    return words(size, count, block_size, offset, 0)


def flash_bench() -> Bench:
    """Return a device that knows the size of its flash."""
    bench = make_bench()
    assert bench.status(0x0B, words(0, 4 << 20, 1 << 16, 1 << 12, 1 << 8, 0xFFFF)) == OK
    return bench


def flash_content(bench: Bench, offset: int, size: int) -> bytes:
    return bench.device.nor.read(offset, size)


@given(stream=streams)
@example(stream=request(0x07, b""))
def test_no_input_ever_raises(stream: bytes) -> None:
    for chip in DESCRIBED:
        make_bench(chip, timings=UNPACED).exchange(stream)


@given(stream=streams, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_chunking_never_matters(stream: bytes, cuts: list[int]) -> None:
    """The line sends what it is given without gaps, in however many pieces."""
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    whole, pieces = make_bench(), make_bench()
    whole.transport.write(stream)
    for start, end in pairwise(edges):
        pieces.transport.write(stream[start:end])

    assert pieces.receive() == whole.receive()


@given(stream=streams, polls=st.lists(st.floats(0, 0.3), max_size=6))
def test_when_somebody_looks_never_matters(stream: bytes, polls: list[float]) -> None:
    looked_at, left_alone = make_bench(), make_bench()
    left_alone.transport.write(stream)
    looked_at.transport.write(stream)
    received = b"".join(looked_at.transport.read(moment) for moment in sorted(polls))

    assert received + looked_at.receive() == left_alone.receive()


def test_an_unknown_command_after_sync_is_refused_eight_times() -> None:
    bench = make_bench()
    bench.exchange(SYNC)

    refusal = bytes.fromhex("c0 01080400 07071220 01050000 c0")
    assert bench.exchange(request(0xD0)) == refusal * 8


def test_a_refusal_does_not_become_the_previous_command() -> None:
    bench = make_bench()
    bench.exchange(READ_MAGIC)
    bench.exchange(request(0xD0))

    assert bench.command(0xD1)[1] == Opcode.READ_REG


def test_a_failed_command_becomes_the_previous_one() -> None:
    bench = make_bench()
    bench.command(Opcode.FLASH_BEGIN)

    assert bench.command(0xD1)[1] == Opcode.FLASH_BEGIN


@pytest.mark.parametrize(("chip", "size"), [(ESP32_S2, 12), (ESP32_C3, 20)])
def test_security_info_has_the_size_of_the_chip(chip: Chip, size: int) -> None:
    packet = make_bench(chip).command(Opcode.GET_SECURITY_INFO)

    assert len(packet) == 8 + size + 4
    assert packet[20:24] == (words(5) if size == 20 else bytes(4))


@pytest.mark.parametrize(
    ("chip", "revision", "word", "api_version", "purpose"),
    [
        ("esp32c2", (1, 0), 0x7C41_A06F, 1, 0x00),
        ("esp32c3", (0, 0), 0x6921_506F, 0, 0x0C),
        ("esp32c3", (0, 2), 0x6921_506F, 0, 0x0C),
        ("esp32c3", (0, 3), 0x1B31_506F, 3, 0x0C),
        ("esp32c3", (0, 4), 0x1B31_506F, 3, 0x0C),
        ("esp32c3", (1, 1), 0x4361_606F, 7, 0x0C),
        ("esp32c5", (1, 0), 0x5FD1_406F, 2, 0x13),
        ("esp32c6", (0, 0), 0x2CE0_806F, 0, 0x0C),
        ("esp32c61", (1, 0), 0x7211_606F, 3, 0x10),
        ("esp32h2", (0, 0), 0xD7B7_3E80, 0, 0x0C),
        ("esp32p4", (0, 0), 0x0000_001E, 0, 0x0C),
        ("esp32p4", (3, 0), 0x0000_1000, 5, 0x13),
    ],
)
def test_the_rom_is_that_of_the_revision(
    chip: str, revision: tuple[int, int], word: int, api_version: int, purpose: int
) -> None:
    device = SimulatedDevice(chip, revision=revision, state="download")
    bench = Bench(device.open_transport())
    info = bench.command(Opcode.GET_SECURITY_INFO)[8:-4]

    assert info[11] == purpose
    assert info[12:] == words(device.chip.image_chip_id or 0, api_version)
    assert bench.command(Opcode.READ_REG, words(0x4000_1000))[4:8] == words(word)


def test_security_info_tells_what_the_efuses_say() -> None:
    efuses = {"secure_boot_v2": 1, "flash_crypt_count": 7, "key_purpose_1": 9}
    packet = make_bench(efuses=efuses).command(Opcode.GET_SECURITY_INFO)

    assert packet[8:20] == words(1) + bytes((7, 0, 9, 0, 0, 0, 0, 12))


def test_secure_download_mode_refuses_everything_else() -> None:
    bench = make_bench(efuses={"secure_download": 1})

    assert bench.command(Opcode.GET_SECURITY_INFO)[8:12] == words(4)
    assert bench.status(Opcode.SPI_ATTACH, words(0, 0)) == OK
    assert bench.status(Opcode.READ_REG, words(0x4000_1000)) == INVALID
    assert bench.status(Opcode.FLASH_DEFL_BEGIN, begin(0, 0, 0x400, 0)) == INVALID


@pytest.mark.parametrize("chip", [ESP8266, ESP32])
def test_older_roms_do_not_know_security_info(chip: Chip) -> None:
    assert make_bench(chip).status(Opcode.GET_SECURITY_INFO) == INVALID


def test_esp8266_has_two_status_bytes_and_fewer_commands() -> None:
    bench = make_bench(ESP8266)

    assert bench.exchange(READ_MAGIC) == bytes.fromhex("c0 010a0200 01c1f0ff 0000 c0")
    for opcode in (Opcode.SPI_ATTACH, Opcode.CHANGE_BAUDRATE, Opcode.SPI_FLASH_MD5):
        assert bench.command(opcode)[:4] == bytes((1, Opcode.READ_REG, 2, 0))


def test_esp8266_erases_more_than_it_is_asked_to() -> None:
    bench = make_bench(ESP8266)
    bench.device.nor.program(0, bytes(0x40_000))
    bench.command(Opcode.FLASH_BEGIN, words(0x2000, 0, 0x400, 0xE000))

    assert sorted(bench.device.nor.erase_counts) == [14, 15, 16, 17]


# The flash.


def test_begin_erases_whole_sectors() -> None:
    bench = flash_bench()
    bench.device.nor.program(0, bytes(0x4000))
    bench.status(Opcode.FLASH_BEGIN, begin(0x1001, 5, 0x400, 0x1000))

    assert flash_content(bench, 0, 0x4000) == bytes(0x1000) + b"\xff" * 0x2000 + bytes(0x1000)


@pytest.mark.parametrize("opcode", [Opcode.FLASH_BEGIN, Opcode.FLASH_DEFL_BEGIN])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (begin(0x400, 1, 0x400, 0x1000), OK),
        (begin(0, 0, 0x400, 0), OK),
        (begin(0x400, 1, 0x1801, 0x1000), INVALID),
        (begin(0x400, 1, 0x400, 0x1004), b"\x01\x06"),
        (begin(0x400, 1, 0x400, 0x40_0000), b"\x01\x06"),
        (begin(0x2000, 8, 0x400, 0x3F_F000), b"\x01\x06"),
        (words(0x400, 1, 0x400, 0x1000), INVALID),
    ],
)
def test_begin_checks_what_it_is_told(opcode: int, body: bytes, status: bytes) -> None:
    assert flash_bench().status(opcode, body) == status


def test_data_lands_block_after_block() -> None:
    bench = flash_bench()
    data = hashlib.sha256(b"seed").digest() * 96
    bench.status(Opcode.FLASH_BEGIN, begin(len(data), 3, 0x400, 0x2000))
    for sequence in range(3):
        block = data[0x400 * sequence : 0x400 * (sequence + 1)]
        assert bench.send_block(Opcode.FLASH_DATA, block, sequence) == OK

    assert flash_content(bench, 0x2000, len(data)) == data


def test_after_a_wrong_checksum_the_next_number_gets_the_same_place() -> None:
    bench = flash_bench()
    bench.status(Opcode.FLASH_BEGIN, begin(0x800, 2, 0x400, 0))
    wrong = bench.status(Opcode.FLASH_DATA, data_body(bytes(0x400), 0), checksum=1)

    assert wrong == b"\x01\x07"
    assert flash_content(bench, 0, 0x400) == b"\xff" * 0x400
    assert bench.send_block(Opcode.FLASH_DATA, b"\x01" * 0x400, 0) == INVALID
    assert bench.send_block(Opcode.FLASH_DATA, b"\x02" * 0x400, 1) == b"\x00\x05"
    assert flash_content(bench, 0, 0x401) == b"\x02" * 0x400 + b"\xff"


@pytest.mark.parametrize("size", [0x3FF, 0x402, 0x404])
def test_blocks_of_odd_or_excessive_size_are_refused(size: int) -> None:
    bench = flash_bench()
    bench.status(Opcode.FLASH_BEGIN, begin(0x800, 2, 0x400, 0))

    assert bench.send_block(Opcode.FLASH_DATA, bytes(size), 0) == INVALID


@pytest.mark.parametrize("opcode", [Opcode.FLASH_DATA, Opcode.FLASH_DEFL_DATA, Opcode.MEM_DATA])
def test_data_without_begin_is_refused(opcode: int) -> None:
    assert flash_bench().send_block(opcode, bytes(16), 0) == INVALID


def test_data_of_the_other_kind_is_refused() -> None:
    bench = flash_bench()
    bench.status(Opcode.FLASH_BEGIN, begin(0x800, 2, 0x400, 0))
    assert bench.send_block(Opcode.FLASH_DEFL_DATA, zlib.compress(bytes(8)), 0) == INVALID
    bench = flash_bench()
    bench.status(Opcode.FLASH_DEFL_BEGIN, begin(0x800, 2, 0x400, 0))
    assert bench.send_block(Opcode.FLASH_DATA, bytes(8), 0) == INVALID


def test_what_was_not_erased_reads_back_wrong() -> None:
    bench = flash_bench()
    bench.device.nor.program(0x1000, b"\x0f" * 4)
    bench.status(Opcode.FLASH_BEGIN, begin(0, 1, 0x400, 0x1000))

    assert bench.send_block(Opcode.FLASH_DATA, b"\xf1\x00\x00\x00", 0) == b"\x01\x08"


def compressed_download(bench: Bench, data: bytes, block_size: int = 0x400) -> list[bytes]:
    stream = zlib.compress(data, 9)
    blocks = [stream[start : start + block_size] for start in range(0, len(stream), block_size)]
    body = begin(len(data), len(blocks), block_size, 0)
    assert bench.status(Opcode.FLASH_DEFL_BEGIN, body) == OK
    return blocks


def incompressible(size: int) -> bytes:
    return b"".join(hashlib.sha256(words(index)).digest() for index in range(size // 32))


def test_compressed_data_is_inflated_through_windows() -> None:
    bench = flash_bench()
    data = incompressible(0x5000) + bytes(0x20000) + incompressible(0x2000)
    for sequence, block in enumerate(compressed_download(bench, data)):
        assert bench.send_block(Opcode.FLASH_DEFL_DATA, block, sequence) == OK

    assert bench.device.nor.md5(0, len(data)) == hashlib.md5(data).digest()  # noqa: S324


def test_a_compressed_block_with_a_wrong_checksum_inflates_twice() -> None:
    bench = flash_bench()
    blocks = compressed_download(bench, incompressible(0x10000))
    shift = 0
    statuses = []
    for sequence, block in enumerate(blocks):
        if sequence == 5:
            body = data_body(block, sequence)
            assert bench.status(Opcode.FLASH_DEFL_DATA, body, checksum=0) == b"\x01\x07"
            shift = 1
        statuses.append(bench.send_block(Opcode.FLASH_DEFL_DATA, block, sequence + shift))

    assert all(status[0] == 0 for status in statuses[:5])
    assert statuses[-1][0] == 1
    assert bench.device.nor.md5(0, 0x10000) != hashlib.md5(incompressible(0x10000)).digest()  # noqa: S324


def test_a_wrong_adler32_ends_the_download() -> None:
    bench = flash_bench()
    (block,) = compressed_download(bench, bytes(100))
    spoilt = block[:-1] + bytes((block[-1] ^ 1,))

    assert bench.send_block(Opcode.FLASH_DEFL_DATA, spoilt, 0) == b"\x01\x0c"
    assert bench.send_block(Opcode.FLASH_DEFL_DATA, block, 1) == b"\x01\x0c"


def test_input_after_the_end_of_the_stream_hangs_the_loader() -> None:
    bench = flash_bench()
    (block,) = compressed_download(bench, bytes(100))

    assert bench.send_block(Opcode.FLASH_DEFL_DATA, block, 0) == OK
    assert bench.send_block(Opcode.FLASH_DEFL_DATA, b"", 1) == OK
    body = data_body(b"garbage!", 2)
    assert (
        bench.exchange(request(Opcode.FLASH_DEFL_DATA, body, checksum=checksum_of(b"garbage!")))
        == b""
    )
    assert bench.exchange(READ_MAGIC) == b""
    assert flash_content(bench, 0, 104) == bytes(100) + b"\xff" * 4


def test_what_makes_a_last_word_whole_is_left_over_in_the_window() -> None:
    bench = flash_bench()
    for offset, data in ((0, b"x" * 100), (0x1000, b"y" * 97)):
        body = begin(len(data), 1, 0x400, offset)
        assert bench.status(Opcode.FLASH_DEFL_BEGIN, body) == OK
        assert bench.send_block(Opcode.FLASH_DEFL_DATA, zlib.compress(data), 0) == OK

    assert flash_content(bench, 0x1000, 104) == b"y" * 97 + b"x" * 3 + b"\xff" * 4


@pytest.mark.parametrize(
    ("level", "status"), [(9, b"\x01\x0c"), (0, b"\x01\x0b")], ids=["compressed", "stored"]
)
def test_zeros_follow_a_last_block_that_is_not_the_last(level: int, status: bytes) -> None:
    """Within what is stored as it is nothing can be missing."""
    bench = flash_bench()
    stream = zlib.compress(bytes(range(256)) * 32, level)
    bench.status(Opcode.FLASH_DEFL_BEGIN, begin(0x2000, 1, 0x400, 0))

    assert bench.send_block(Opcode.FLASH_DEFL_DATA, stream[:100], 0) == status
    assert bench.send_block(Opcode.FLASH_DEFL_DATA, stream[100:200], 1) == status
    assert flash_content(bench, 0, 0x2000) == b"\xff" * 0x2000


@pytest.mark.parametrize(
    ("offset", "size", "status"),
    [(0, 64, OK), (3, 1, OK), (0, 65, b"\x01\x0a"), (0x3F_FFFF, 2, b"\x01\x09")],
)
def test_slow_read_checks_what_it_is_asked(offset: int, size: int, status: bytes) -> None:
    packet = flash_bench().command(Opcode.READ_FLASH_SLOW, words(offset, size))

    assert packet[-4:-2] == status
    assert len(packet) == 8 + 64 + 4


def test_slow_read_returns_the_flash() -> None:
    bench = flash_bench()
    bench.device.nor.program(0x100, bytes(range(64)))

    assert bench.command(Opcode.READ_FLASH_SLOW, words(0x100, 64))[8:72] == bytes(range(64))


def test_the_rom_believes_in_2_mib_until_told_otherwise() -> None:
    bench = make_bench()

    assert bench.command(Opcode.SPI_FLASH_MD5, words(0x1F_FFFF, 2, 0, 0))[40:42] == b"\x01\x09"
    bench.status(0x0B, words(0, 4 << 20, 1 << 16, 1 << 12, 1 << 8, 0xFFFF))
    assert bench.command(Opcode.SPI_FLASH_MD5, words(0x1F_FFFF, 2, 0, 0))[40:42] == OK


@pytest.mark.parametrize(
    ("opcode", "value", "stays"),
    [
        (Opcode.FLASH_END, 0, False),
        (Opcode.FLASH_END, 1, False),
        (Opcode.FLASH_DEFL_END, 0, False),
        (Opcode.FLASH_DEFL_END, 0x100, False),
        (Opcode.FLASH_DEFL_END, 1, True),
    ],
)
def test_a_download_that_never_began_is_complete(opcode: int, value: int, *, stays: bool) -> None:
    bench = make_bench()
    answer = bench.exchange(request(opcode, words(value)))

    assert answer.startswith(b"\xc0\x01" + bytes((opcode, 4)) + bytes(9) + b"\xc0")
    assert bool(bench.exchange(READ_MAGIC)) is stays


@pytest.mark.parametrize("value", [0, 1])
def test_end_of_a_download_is_always_a_reset_in_secure_download_mode(value: int) -> None:
    bench = make_bench(efuses={"secure_download": 1})
    bench.status(Opcode.FLASH_BEGIN, begin(0, 0, 0x400, 0))
    answer = bench.exchange(request(Opcode.FLASH_END, words(value)))

    assert b"(RTC_SW_SYS_RST)" in answer


every_later_chip = pytest.mark.parametrize(
    "chip", [chip for chip in DESCRIBED if chip not in (ESP8266, ESP32)], ids=lambda chip: chip.key
)


@every_later_chip
@pytest.mark.parametrize(("announced", "status"), [(0, b"\x00\x00"), (0x400, b"\x01\x06")])
def test_told_to_go_on_it_says_a_last_word_and_is_silent_until_a_hardware_reset(
    chip: Chip, announced: int, status: bytes
) -> None:
    """Also where it refuses, because blocks are missing."""
    bench = make_bench(chip)
    bench.status(Opcode.SPI_ATTACH, words(0, 0))
    bench.status(Opcode.FLASH_BEGIN, begin(announced, announced // 0x400, 0x400, 0))
    answer = bench.exchange(request(Opcode.FLASH_END, words(1)))

    assert answer.startswith(bytes.fromhex("c0010404"))
    assert answer[9:11] == status
    assert answer.endswith(b"user code done\r\n")
    assert bench.device.boot_count == 0
    assert bench.exchange(READ_MAGIC) == b""
    assert b"download" in bench.reset(strap_low=True).lower()


@every_later_chip
def test_told_to_reboot_it_resets(chip: Chip) -> None:
    bench = make_bench(chip)
    bench.status(Opcode.FLASH_BEGIN, begin(0, 0, 0x400, 0))
    answer = bench.exchange(request(Opcode.FLASH_END, words(0)))

    assert answer.startswith(bytes.fromhex("c0010404"))
    assert bench.device.boot_count == 1
    assert b"user code done" not in answer


def test_the_rom_of_the_esp32_reboots_into_the_application() -> None:
    bench = make_bench(ESP32)
    bench.status(Opcode.FLASH_BEGIN, words(0, 0, 0x400, 0))
    answer = bench.exchange(request(Opcode.FLASH_END, words(0)))

    assert answer.startswith(bytes.fromhex("c0010404"))
    assert b"boot:0x13 (SPI_FAST_FLASH_BOOT)" in answer
    assert bench.exchange(READ_MAGIC) == b""


def test_it_can_go_on_to_the_application_without_a_reset() -> None:
    bench = make_bench(ESP32)
    bench.status(Opcode.FLASH_BEGIN, words(0, 0, 0x400, 0))
    answer = bench.exchange(request(Opcode.FLASH_END, words(1)))

    assert b"boot:" not in answer
    assert b"invalid header: 0xffffffff" in answer
    assert bench.exchange(READ_MAGIC) == b""


# RAM.


def test_ram_blocks_follow_the_rules_of_flash_blocks() -> None:
    bench = make_bench()
    bench.status(Opcode.MEM_BEGIN, words(32, 2, 16, 0x3FC9_0000))

    assert bench.send_block(Opcode.MEM_DATA, b"A" * 16, 1) == INVALID
    assert bench.status(Opcode.MEM_DATA, data_body(b"B" * 16, 0), checksum=0) == b"\x01\x07"
    assert bench.send_block(Opcode.MEM_DATA, b"C" * 20, 1) == INVALID
    assert bench.send_block(Opcode.MEM_DATA, b"C" * 16, 1)[:1] == OK[:1]
    assert bench.device.memory.read(0x3FC9_0000, 20) == b"C" * 16 + bytes(4)


def test_the_end_of_a_ram_download_starts_what_was_downloaded() -> None:
    bench = make_bench()
    bench.status(Opcode.MEM_BEGIN, words(16, 1, 16, 0x4038_0000))
    assert bench.status(Opcode.MEM_END, words(0, 0x4038_0000)) == OK

    assert bench.exchange(READ_MAGIC) == b""


# What a busy loader loses.


@pytest.mark.parametrize(
    ("size", "answered"),
    [(0x700, True), (0x7FF, True), (0x800, False), (0x801, False), (0x900, True)],
)
def test_the_ring_loses_one_ring_full_at_a_time(size: int, *, answered: bool) -> None:
    """The request comes behind padding, all of it while the loader is erasing.

    Of 0x900 bytes the last 0x100 are left, and the request is whole among them.
    """
    bench = flash_bench()
    bench.transport.write(request(Opcode.FLASH_BEGIN, begin(0x10_0000, 1, 0x400, 0)))
    bench.transport.write(bytes(size - len(READ_MAGIC)) + READ_MAGIC)
    answers = bench.receive(silence=5.0)

    assert (b"\x01\x0a\x04\x00" in answers) == answered


def test_an_idle_loader_loses_nothing() -> None:
    bench = make_bench()
    bench.transport.write(b"\x00" * 10_000 + READ_MAGIC)

    assert bench.receive().count(b"\xc0") == 2


def test_a_burst_that_fits_the_ring_is_answered_in_full() -> None:
    bench = make_bench(ESP32)

    assert bench.exchange(READ_MAGIC * 16).count(b"\x01\x0a\x04\x00\x83\x1d\xf0\x00") == 16


def test_work_takes_time() -> None:
    bench = flash_bench()
    started = bench.now
    bench.transport.write(request(Opcode.FLASH_BEGIN, begin(0x10_0000, 1, 0x400, 0)))
    while not bench.transport.read(bench.now + 10.0):
        pass

    assert bench.now - started == pytest.approx(16 * 0.150, abs=0.01)


# The end of it.


def test_a_riscv_rom_panics_at_a_broken_escape() -> None:
    bench = make_bench()
    report = bench.exchange(b"\xc0\x00\x0a\xdb\x00" + READ_MAGIC * 3)

    assert b"Guru Meditation Error" in report
    assert 3000 < len(report) < 6000
    assert bench.exchange(READ_MAGIC) == b""


def test_an_xtensa_rom_falls_silent_at_a_broken_escape() -> None:
    bench = make_bench(ESP32)

    assert bench.exchange(b"\xc0\x00\x0a\xdb\x00" + READ_MAGIC * 3) == b""
    bench.reset(strap_low=True)
    assert bench.exchange(READ_MAGIC)


# The baud rate.


def test_a_new_rate_holds_from_after_the_response() -> None:
    bench = make_bench()
    bench.transport.write(request(Opcode.CHANGE_BAUDRATE, words(460800, 0)))
    response = bench.transport.read(bench.now + 1)
    bench.transport.set_baudrate(460800)

    assert response == bytes.fromhex("c0010f04000000000000000000c0")
    assert bench.receive() == b"\xc0\xc0"
    assert bench.exchange(READ_MAGIC) == READ_ANSWER


@pytest.mark.parametrize("rate", [0, 1, 2**32 - 1])
def test_a_rate_that_cannot_be_is_answered_and_changes_nothing(rate: int) -> None:
    bench = make_bench()
    answer = bench.exchange(request(Opcode.CHANGE_BAUDRATE, words(rate, 0)))

    assert answer.startswith(bytes.fromhex("c0010f04000000000000000000c0"))
    assert bench.exchange(READ_MAGIC) == READ_ANSWER


def test_the_divider_itself_can_be_asked_for() -> None:
    """In sixteenths of the clock of 40 MHz."""
    bench = make_bench()
    bench.exchange(request(Opcode.CHANGE_BAUDRATE, words(40_000_000 * 16 // 230400, 1)))
    bench.transport.set_baudrate(230400)

    assert bench.exchange(READ_MAGIC) == READ_ANSWER


def test_two_kinds_of_download_share_their_state() -> None:
    bench = flash_bench()
    bench.status(Opcode.MEM_BEGIN, words(32, 2, 16, 0x2000))
    assert bench.send_block(Opcode.FLASH_DATA, b"A" * 16, 0) == OK
    assert bench.status(Opcode.MEM_END, words(1, 0)) == OK
    assert bench.send_block(Opcode.FLASH_DATA, b"B" * 16, 1) == OK

    assert flash_content(bench, 0x1FF0, 64) == b"\xff" * 16 + b"A" * 16 + b"B" * 16 + b"\xff" * 16


def test_sectors_are_as_large_as_was_said() -> None:
    """What makes them larger than those of the flash stays as it is."""
    bench = flash_bench()
    bench.device.nor.program(0, bytes(0x5000))
    bench.status(Opcode.SPI_SET_PARAMS, words(0, 4 << 20, 1 << 16, 0x2000, 1 << 8, 0xFFFF))

    assert bench.status(Opcode.FLASH_BEGIN, begin(0x1000, 0, 0x400, 0x1000)) == b"\x01\x06"
    assert bench.status(Opcode.FLASH_BEGIN, begin(0x4000, 0, 0x400, 0))[:1] == OK[:1]
    assert sorted(bench.device.nor.erase_counts) == [0, 2]


def test_with_different_rates_nobody_understands_the_other() -> None:
    bench = make_bench()
    bench.exchange(READ_MAGIC)
    bench.transport.set_baudrate(74880)

    assert READ_ANSWER not in bench.exchange(READ_MAGIC * 3)


@pytest.mark.parametrize("rate", [9600, 57600, 74880])
def test_a_slower_rate_is_detected_at_first(rate: int) -> None:
    """What it is detected with is lost."""
    bench = make_bench(baudrate=rate)

    assert bench.exchange(SYNC) == b""
    assert bench.exchange(READ_MAGIC) == READ_ANSWER
    bench.transport.set_baudrate(115200)
    assert READ_ANSWER not in bench.exchange(READ_MAGIC)


def test_a_faster_rate_is_not_detected() -> None:
    bench = make_bench(baudrate=460800)

    assert not any(READ_ANSWER in bench.exchange(READ_MAGIC) for _ in range(5))


def test_it_answers_within_the_tolerance_of_a_uart() -> None:
    bench = make_bench(baudrate=117000)

    assert bench.exchange(READ_MAGIC)


@pytest.mark.parametrize(("chip", "mhz"), [(ESP8266, 26), (ESP32, 40), (ESP32_C3, 40)])
def test_the_clock_divider_tells_the_crystal(chip: Chip, mhz: int) -> None:
    bits = chip.uart_clock_divider
    packet = make_bench(chip).command(Opcode.READ_REG, words(bits.address))
    divider = int.from_bytes(packet[4:8], "little") & ((1 << bits.width) - 1)

    assert round(115200 * divider / chip.crystal.uart_clock_ratio / 1e6) == mhz


def test_two_devices_never_see_each_other() -> None:
    first, second = (SimulatedDevice("esp32c3", seed=n, state="download") for n in (1, 2))
    first.receive(request(Opcode.WRITE_REG, words(0x3FC9_0000, 1, 2**32 - 1, 0)), 0.0, None)
    first.advance(1.0)

    assert first.memory.read_word(0x3FC9_0000) == 1
    assert second.memory.read_word(0x3FC9_0000) == 0
    assert first.next_event_time() > 0
