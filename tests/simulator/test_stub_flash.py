"""How the simulated stub writes, erases, reads and hashes the flash."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from esploader.chips.esp8266 import ESP8266
from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.timings import Timings
from simulated import (
    SYNC,
    Bench,
    block,
    data_body,
    incompressible,
    is_alive,
    make_stub_bench,
    request,
    words,
)

OK = b"\x00\x00"
WRONG_SIZE = b"\xc0\x00"
WRONG_CHECKSUM = b"\xc1\x00"
UNKNOWN_COMMAND = b"\xc3\x00"
FLASH_FAILED = b"\xc4\x00"
INFLATE_FAILED = b"\xc7\x00"
TOO_MUCH_DATA = b"\xc9\x00"

BLOCK_SIZE = 0x4000


def begin(size: int, count: int, offset: int, block_size: int = BLOCK_SIZE) -> bytes:
    return words(size, count, block_size, offset, 0)


# Writing the flash.


def test_what_is_written_after_the_response_is_there_soon_without_anybody_waking_for_a_page() -> (
    None
):
    bench = make_stub_bench()
    data = incompressible(BLOCK_SIZE)
    assert bench.status(Opcode.FLASH_BEGIN, begin(BLOCK_SIZE, 1, 0)) == OK
    bench.transport.write(block(Opcode.FLASH_DATA, data, 0))
    while not bench.transport.read(bench.now + 10.0):
        pass
    wakes = 0
    while (moment := bench.transport.next_event()) is not None:
        bench.transport.clock.sleep(moment - bench.now)
        wakes += 1

    assert bench.device.nor.read(0, BLOCK_SIZE) == data
    assert wakes < BLOCK_SIZE // 256 / 2


def test_data_lands_block_after_block_whatever_the_numbers() -> None:
    bench = make_stub_bench()
    data = incompressible(0x600)
    bench.status(Opcode.FLASH_BEGIN, begin(len(data), 3, 0x2004))
    for sequence in (0, 3, 1):
        assert bench.send_block(0x03, data[:0x200], sequence) == OK
        data = data[0x200:]

    assert bench.status(Opcode.FLASH_END, words(1)) == OK
    assert bench.device.nor.read(0x2004, 0x600) == incompressible(0x600)
    assert is_alive(bench)


def test_the_last_block_may_be_padded() -> None:
    bench = make_stub_bench()
    bench.status(Opcode.FLASH_BEGIN, begin(10, 1, 0))

    assert bench.send_block(0x03, bytes(16), 0) == OK
    assert bench.status(Opcode.FLASH_END, words(0)) == OK
    assert bench.device.nor.read(0, 16) == bytes(10) + b"\xff" * 6


def test_a_block_that_was_refused_can_be_sent_again() -> None:
    bench = make_stub_bench()
    bench.status(Opcode.FLASH_BEGIN, begin(4, 1, 0))

    assert bench.status(0x03, data_body(b"data", 0), checksum=1) == WRONG_CHECKSUM
    assert bench.status(0x03, words(5, 0, 0, 0) + b"data") == TOO_MUCH_DATA
    assert bench.status(Opcode.FLASH_END, words(0)) == WRONG_SIZE
    assert bench.send_block(0x03, b"data", 0) == OK
    assert bench.status(Opcode.FLASH_END, words(0)) == OK


def test_a_compressed_block_has_to_be_whole() -> None:
    bench = make_stub_bench()
    bench.status(Opcode.FLASH_DEFL_BEGIN, begin(4, 1, 0))

    assert bench.status(0x11, words(50, 0, 0, 0) + b"data") == WRONG_CHECKSUM


def test_a_block_is_answered_before_it_is_written() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0, bytes(1 << 16))
    bench.status(Opcode.FLASH_BEGIN, begin(1 << 16, 4, 0))
    started = bench.now
    bench.transport.write(block(0x03, bytes(BLOCK_SIZE), 0))
    bench.transport.read(started + 5.0)

    assert bench.now - started == pytest.approx(BLOCK_SIZE * 10 / 115200, abs=0.01)
    assert bench.device.nor.read(BLOCK_SIZE // 2, 0x100) == b"\xff" * 0x100
    bench.transport.clock.sleep(0.1)
    assert is_alive(bench)
    assert bench.device.nor.read(0, BLOCK_SIZE) == bytes(BLOCK_SIZE)


def test_an_error_is_told_to_the_next_command_which_is_not_carried_out() -> None:
    bench = make_stub_bench()
    bench.status(Opcode.FLASH_DEFL_BEGIN, begin(0x1000, 1, 0))
    assert bench.send_block(0x11, b"garbage!", 0) == OK

    erase = words(0x10_0000, 0x1000)
    bench.device.nor.program(0x10_0000, b"kept")
    packet = bench.command(Opcode.ERASE_REGION, erase)
    assert (packet[1], packet[8:]) == (Opcode.ERASE_REGION, INFLATE_FAILED)
    assert bench.device.nor.read(0x10_0000, 4) == b"kept"
    assert bench.status(Opcode.ERASE_REGION, erase) == OK
    assert bench.device.nor.read(0x10_0000, 4) == b"\xff" * 4


def test_a_request_that_is_no_command_does_not_hear_of_the_error() -> None:
    bench = make_stub_bench()
    bench.status(Opcode.FLASH_DEFL_BEGIN, begin(0x1000, 1, 0))
    bench.send_block(0x11, b"garbage!", 0)

    assert bench.exchange(b"\xc0\x01\x0a\x04\0\0\0\0\0\0\0\0\0\xc0")[9:11] == UNKNOWN_COMMAND
    assert bench.exchange(b"\xc0\0\x0a\x04\xc0")[9:12] == b"\xdb\xdc\0"
    assert bench.exchange(SYNC)[9:11] == INFLATE_FAILED


def send_compressed(bench: Bench, data: bytes, stream: bytes, *, count: int | None = None) -> bytes:
    blocks = [stream[start : start + BLOCK_SIZE] for start in range(0, len(stream), BLOCK_SIZE)]
    bench.status(0x10, begin(len(data), len(blocks) if count is None else count, 0x1000))
    for sequence, content in enumerate(blocks):
        assert bench.send_block(0x11, content, sequence) == OK
    return bench.status(Opcode.FLASH_DEFL_END, words(0))


@pytest.mark.parametrize("size", [0, 1, 4096, 0x8000, 0x8001, 0x12_345])
@pytest.mark.parametrize("extra_blocks", [0, 5])
def test_compressed_data_is_inflated(size: int, extra_blocks: int) -> None:
    """The number of blocks may be an upper bound."""
    bench = make_stub_bench()
    data = (incompressible(0x10_000) + bytes(0x8000))[:size]
    stream = zlib.compress(data, 9)
    count = -(-len(stream) // BLOCK_SIZE) + extra_blocks

    assert send_compressed(bench, data, stream, count=count) == OK
    assert bench.device.nor.read(0x1000, size + 1) == data + b"\xff"


def test_a_stream_has_to_be_announced_in_full() -> None:
    data = incompressible(0x10_000)
    bench = make_stub_bench()
    bench.status(0x10, begin(len(data), 1, 0x1000))
    stream = zlib.compress(data)

    assert bench.send_block(0x11, stream[:BLOCK_SIZE], 0) == OK
    assert bench.send_block(0x11, stream[BLOCK_SIZE : 2 * BLOCK_SIZE], 1) == INFLATE_FAILED


def test_more_than_was_announced_hangs_it() -> None:
    bench = make_stub_bench()
    data = incompressible(0x3000)
    bench.status(0x10, begin(0x1000, 1, 0))

    assert bench.send_block(0x11, zlib.compress(data), 0) == OK
    assert not is_alive(bench)


def test_writing_outside_the_flash_fails_late() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0x3F_F000, b"\0")
    bench.status(Opcode.FLASH_BEGIN, begin(0x2000, 1, 0x3F_F000))

    assert bench.send_block(0x03, bytes(0x2000), 0) == OK
    assert bench.exchange(SYNC)[9:11] == FLASH_FAILED


def test_beginning_outside_the_flash_fails_at_once() -> None:
    assert make_stub_bench().status(Opcode.FLASH_BEGIN, begin(4, 1, 0x40_0000)) == FLASH_FAILED


def test_it_believes_what_it_is_told_about_the_size_of_the_flash() -> None:
    bench = make_stub_bench()
    bench.status(0x0B, words(0, 1 << 20, 1 << 16, 1 << 12, 1 << 8, 0xFFFF))

    assert bench.status(Opcode.FLASH_BEGIN, begin(4, 1, 1 << 20)) == FLASH_FAILED


# Erasing.


def erased_sectors(bench: Bench) -> list[int]:
    return sorted(bench.device.nor.erase_counts)


def write(bench: Bench, offset: int, size: int) -> None:
    assert bench.status(Opcode.FLASH_BEGIN, begin(size, -(-size // BLOCK_SIZE), offset)) == OK
    for start in range(0, size, BLOCK_SIZE):
        assert bench.send_block(0x03, bytes(min(BLOCK_SIZE, size - start)), 0) == OK


def test_blank_sectors_at_the_beginning_are_not_erased() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0x3000, b"\0")
    write(bench, 0, 0x8000)

    assert erased_sectors(bench) == [3, 4, 5, 6, 7]
    bench.device.nor.erase(0, 0x8000)
    bench.device.nor.erase_counts.clear()
    write(bench, 0, 0x8000)
    assert erased_sectors(bench) == []


def test_the_stub_of_the_esp8266_does_not_look() -> None:
    bench = make_stub_bench(ESP8266)
    write(bench, 0, 0x2000)

    assert erased_sectors(bench) == [0, 1]


def test_nothing_outside_the_region_is_erased() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0, bytes(0x40_000))
    write(bench, 0xE123, 0x12_000)

    assert erased_sectors(bench) == list(range(0x0E, 0x21))
    assert bench.device.nor.read(0x2_1000, 0x1000) == bytes(0x1000)


def test_whole_blocks_are_erased_in_one_go_while_it_goes_on() -> None:
    """Two sectors, a block and a sector take 0.285 s; 0x13 blocks of a page each 0.12 s."""
    bench = make_stub_bench(baudrate=None, timings=Timings(uart_paced=False, command=0.0))
    bench.device.nor.program(0, bytes(0x40_000))
    started = bench.now
    write(bench, 0xE000, 0x13_000)
    bench.status(Opcode.SPI_FLASH_MD5, words(0, 0, 0, 0))

    pages = 0x130 * 0.0004
    assert bench.now - started > 3 * 0.045 + 0.150 + pages
    assert erased_sectors(bench) == list(range(0x0E, 0x21))


def test_the_first_erase_has_begun_when_begin_is_answered() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0, bytes(4096))
    started = bench.now
    bench.transport.write(request(Opcode.FLASH_BEGIN, begin(0x1000, 1, 0)))
    bench.transport.read(started + 1.0)

    assert bench.now - started < 0.02
    assert erased_sectors(bench) == [0]


def seconds_until_answer(bench: Bench, sent: bytes) -> float:
    started = bench.now
    bench.transport.write(sent)
    while not bench.transport.read(bench.now + 60.0):
        pass
    return bench.now - started


def test_erasing_takes_its_time() -> None:
    bench = make_stub_bench()
    region = request(Opcode.ERASE_REGION, words(0xF000, 0x12_000))

    assert seconds_until_answer(bench, region) == pytest.approx(2 * 0.045 + 0.150, abs=0.01)
    assert seconds_until_answer(bench, request(Opcode.ERASE_FLASH)) == pytest.approx(
        64 * 0.150, abs=0.01
    )
    assert len(erased_sectors(bench)) == 1024


def test_what_is_outside_the_flash_is_not_erased() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0, b"kept")

    assert bench.status(Opcode.ERASE_REGION, words(0x3F_F000, 0x2000)) == OK
    assert erased_sectors(bench) == [0x3FF]
    assert bench.device.nor.read(0, 4) == b"kept"


def test_a_reset_leaves_undone_what_was_not_begun() -> None:
    bench = make_stub_bench()
    bench.device.nor.program(0, bytes(1 << 18))
    bench.transport.write(request(Opcode.ERASE_REGION, words(0, 1 << 18)))
    bench.transport.clock.sleep(0.2)
    bench.reset(strap_low=True)

    assert erased_sectors(bench) == list(range(32))


# Reading the flash.


def frames(received: bytes) -> list[bytes]:
    parts = received.split(b"\xc0")[1::2]
    return [part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb") for part in parts]


def acknowledge(bench: Bench, total: int) -> list[bytes]:
    frame = words(total).replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return frames(bench.exchange(b"\xc0" + frame + b"\xc0"))


def test_packets_are_sent_one_by_one_and_the_digest_last() -> None:
    bench = make_stub_bench()
    data = incompressible(0x2800)
    bench.device.nor.program(0x1003, data)
    answer, packet = frames(
        bench.exchange(request(Opcode.READ_FLASH, words(0x1003, 0x2800, 0x1000, 64)))
    )
    received = [packet]
    for _ in range(2):
        received += acknowledge(bench, len(b"".join(received)))

    assert answer[8:] == OK
    assert [len(packet) for packet in received] == [0x1000, 0x1000, 0x800]
    assert b"".join(received) == data
    assert acknowledge(bench, 0x2800) == [hashlib.md5(data).digest()]  # noqa: S324
    assert is_alive(bench)


def test_a_frame_that_is_no_acknowledgement_ends_the_stream() -> None:
    bench = make_stub_bench()
    bench.exchange(request(Opcode.READ_FLASH, words(0, 0x4000, 0x1000, 1)))

    digest = hashlib.md5(b"\xff" * 0x1000).digest()  # noqa: S324
    assert frames(bench.exchange(SYNC)) == [digest]
    assert is_alive(bench)


def test_the_last_acknowledgement_has_to_tell_the_whole_size() -> None:
    bench = make_stub_bench()
    bench.exchange(request(Opcode.READ_FLASH, words(0, 16, 16, 1)))

    assert acknowledge(bench, 15) == []
    assert len(acknowledge(bench, 16)[0]) == 16


def test_an_acknowledgement_that_comes_early_is_counted() -> None:
    """It comes while the packet is sent that it acknowledges; the next follows at once."""
    bench = make_stub_bench()
    bench.exchange(request(Opcode.READ_FLASH, words(0, 0x5000, 0x1000, 1)))
    bench.transport.write(b"\xc0" + words(0x1000) + b"\xc0")
    bench.transport.clock.sleep(0.02)
    bench.transport.write(b"\xc0" + words(0x1000) + b"\xc0")

    assert len(frames(bench.receive())) == 2
    assert len(acknowledge(bench, 0x3000)) == 1


def test_an_empty_stream_is_a_digest() -> None:
    bench = make_stub_bench()
    answer = frames(bench.exchange(request(Opcode.READ_FLASH, words(0, 0, 0x1000, 1))))

    assert answer[1] == hashlib.md5(b"").digest()  # noqa: S324


@pytest.mark.parametrize(
    ("body", "status"),
    [(words(0, 0x2000, 0x1001, 1), WRONG_SIZE), (words(0x3F_F000, 0x2000, 0x2000, 1), WRONG_SIZE),
     (words(0x3F_F800, 0x1000, 0x1000, 1), FLASH_FAILED)],
)  # fmt: skip
def test_a_stream_that_cannot_be_is_refused_later(body: bytes, status: bytes) -> None:
    bench = make_stub_bench()

    assert bench.status(Opcode.READ_FLASH, body) == OK
    assert bench.exchange(SYNC)[9:12].replace(b"\xdb\xdc", b"\xc0")[:2] == status
    assert is_alive(bench)


def test_hashing_takes_its_time() -> None:
    md5 = request(Opcode.SPI_FLASH_MD5, words(0, 1 << 20, 0, 0))

    assert seconds_until_answer(make_stub_bench(), md5) == pytest.approx(0.25, abs=0.01)
