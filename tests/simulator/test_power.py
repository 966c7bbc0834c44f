"""When the power fails, one operation of the flash is left half done and nothing follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.protocol.opcodes import Opcode
from esploader.simulator.flash.nor import NorFlash, PowerLostError
from esploader.simulator.flash.timings import Timings
from simulated import (
    READ_MAGIC,
    Bench,
    block,
    incompressible,
    make_bench,
    make_stub_bench,
    request,
    words,
)

KIB = 1024
BLANK = 0xFF


def make_flash(content: bytes = b"") -> NorFlash:
    flash = NorFlash(256 * KIB, Timings())
    flash.program(0, content)
    return flash


def fail_after(flash: NorFlash, count: int) -> None:
    flash.fails_after = flash.operation_count + count


def test_pages_and_erases_are_counted() -> None:
    flash = make_flash()
    flash.program(0x80, bytes(0x100))
    flash.program(0, b"")
    flash.erase(0xF000, 0x11_000)

    assert flash.operation_count == 2 + 2


@pytest.mark.parametrize(("count", "written"), [(0, 0x40), (1, 0x100), (2, 0x200), (3, 0x2C0)])
def test_a_page_is_half_programmed(count: int, written: int) -> None:
    """From 0x80 on the pages get 0x80, 0x100, 0x100 and 0x80 bytes."""
    flash = make_flash()
    fail_after(flash, count)
    with pytest.raises(PowerLostError) as caught:
        flash.program(0x80, bytes(0x300))

    assert flash.read(0, 0x1000) == b"\xff" * 0x80 + bytes(written) + b"\xff" * (0xF80 - written)
    assert caught.value.elapsed == pytest.approx((count + 0.5) * 0.0004)


def test_a_sector_is_half_erased() -> None:
    flash = make_flash(bytes(0x3000))
    fail_after(flash, 1)
    with pytest.raises(PowerLostError) as caught:
        flash.erase(0, 0x3000)

    assert flash.read(0, 0x3000) == b"\xff" * 0x1800 + bytes(0x1800)
    assert flash.erase_counts == {0: 1}
    assert caught.value.elapsed == pytest.approx(1.5 * 0.045)


def test_a_block_is_half_erased() -> None:
    flash = make_flash(bytes(64 * KIB))
    fail_after(flash, 0)
    with pytest.raises(PowerLostError):
        flash.erase(0, 64 * KIB)

    assert flash.read(0, 64 * KIB) == b"\xff" * (32 * KIB) + bytes(32 * KIB)


contents = st.binary(min_size=1, max_size=2000)


@given(old=contents, new=contents, offset=st.integers(0, 600), count=st.integers(0, 12))
def test_programming_that_fails_only_clears_bits_that_were_to_be_cleared(
    old: bytes, new: bytes, offset: int, count: int
) -> None:
    whole, cut = make_flash(old), make_flash(old)
    before = cut.read(0, 4 * KIB)
    whole.program(offset, new)
    fail_after(cut, count)
    try:
        cut.program(offset, new)
    except PowerLostError:
        assert count < -(-len(new) // 256) + 1
    after, wanted = cut.read(0, 4 * KIB), whole.read(0, 4 * KIB)

    assert all(value in (old, new) for value, old, new in zip(after, before, wanted, strict=True))


# A device.


def write_until_it_fails(bench: Bench, data: bytes) -> int:
    """Send blocks to a stub until it does not answer; return how many it answered."""
    bench.exchange(request(Opcode.FLASH_BEGIN, words(len(data), 4, 0x1000, 0)))
    for sequence in range(len(data) // 0x1000):
        part = data[0x1000 * sequence : 0x1000 * (sequence + 1)]
        if not bench.exchange(block(Opcode.FLASH_DATA, part, sequence)):
            return sequence
    return len(data) // 0x1000


@pytest.mark.parametrize("operation", [1, 2, 17, 18, 35, 67, 68])
def test_a_device_stops_where_it_loses_its_power(operation: int) -> None:
    """Of each of four sectors the erase is an operation, then its pages are 16."""
    bench = make_stub_bench()
    old, new = bytes(0x4000), incompressible(0x4000)
    bench.device.nor.program(0, old)
    bench.device.cut_power_at(operation)
    write_until_it_fails(bench, new)
    sector, page = divmod(operation - 1, 17)
    written = sector * 0x1000 + max(page - 1, 0) * 0x100

    flash = bench.device.nor.read(0, 0x4000)
    assert not bench.device.is_powered
    assert flash[:written] == new[:written]
    assert flash[(sector + 1) * 0x1000 :] == old[(sector + 1) * 0x1000 :]
    if page:
        assert flash[written : written + 0x80] == new[written : written + 0x80]
        assert flash[written + 0x80 : written + 0x100] == b"\xff" * 0x80
    else:
        half = sector * 0x1000 + 0x800
        assert flash[written:half] == b"\xff" * 0x800
        assert flash[half : half + 0x800] == old[:0x800]


def test_a_device_without_power_is_silent_until_it_has_some() -> None:
    bench = make_bench()
    bench.device.cut_power_at(1)

    assert bench.exchange(request(Opcode.FLASH_BEGIN, words(0x1000, 1, 0x400, 0, 0))) == b""
    assert bench.exchange(READ_MAGIC) == b""
    assert bench.reset(strap_low=True) == b""
    bench.device.power_on()
    assert b"SPI_FAST_FLASH_BOOT" in bench.receive()
    bench.reset(strap_low=True)
    assert bench.exchange(request(Opcode.FLASH_BEGIN, words(0x1000, 1, 0x400, 0, 0)))


def test_what_was_said_before_is_still_heard() -> None:
    """The ROM answers a block when it is written; its power fails 30 ms later."""
    bench = make_bench()
    bench.device.cut_power_at(3)
    begin = request(Opcode.FLASH_BEGIN, words(0x2000, 1, 0x400, 0, 0))

    assert bench.exchange(request(Opcode.FLASH_BEGIN, words(0, 0, 0x400, 0, 0)))
    assert bench.exchange(READ_MAGIC)
    assert bench.exchange(begin)
    assert bench.exchange(begin) == b""


def test_it_fails_too_when_the_flash_is_programmed_through_registers() -> None:
    bench = make_stub_bench()
    bench.device.cut_power_at(1)
    spi = bench.device.chip.spi
    entries = [
        (spi.usr, 1 << 31),
        (spi.usr2, 7 << 28 | 0x06),
        (spi.cmd, 1 << 18),
        (spi.usr2, 7 << 28 | 0x60),
        (spi.cmd, 1 << 18),
    ]
    body = b"".join(words(spi.base + offset, value, 2**32 - 1, 0) for offset, value in entries)

    assert bench.exchange(request(Opcode.WRITE_REG, body)) == b""
    assert not bench.device.is_powered


def test_the_first_operation_is_number_one() -> None:
    with pytest.raises(ValueError, match="the first is 1"):
        make_bench().device.cut_power_at(0)
