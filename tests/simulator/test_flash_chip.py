"""The flash chip behind the SPI registers, as the ROM's client reaches it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader.simulator.flash.chip import FlashChip, SpiTransaction
from esploader.simulator.flash.nor import NorFlash
from esploader.simulator.flash.sfdp import SFDP_SIZE, build_sfdp
from esploader.simulator.flash.timings import Timings
from simulated import Bench, make_bench, words

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

MIB = 1024 * 1024
CMD_USR = 1 << 18

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


def make_chip() -> FlashChip:
    return FlashChip.around(NorFlash(4 * MIB, Timings()))


def send(
    chip: FlashChip, opcode: int, *, address: int = 0, sent: bytes = b"", size: int = 0, now: float
) -> bytes:
    return chip.transact(
        SpiTransaction(opcode=opcode, address=address, sent=sent, receive_size=size, now=now)
    )


def run_user_command(
    bench: Bench, chip: Chip, opcode: int, *, address: int | None = None, size: int
) -> bytes:
    """Drive the SPI peripheral by WRITE_REG and READ_REG, as the manual says."""
    spi = chip.spi
    usr = 1 << 31 | 1 << 28
    usr1 = 0
    if address is not None:
        usr |= 1 << 30
        usr1 |= 23 << 26
        address <<= 8 if spi.addr_is_msb_aligned else 0
    writes = [(spi.usr2, 7 << 28 | opcode), (spi.usr, usr), (spi.addr, address or 0)]
    if spi.miso_dlen is None:
        usr1 |= (8 * size - 1) << 8
    else:
        writes.append((spi.miso_dlen, 8 * size - 1))
    for offset, value in [*writes, (spi.usr1, usr1), (spi.cmd, CMD_USR)]:
        bench.command(0x09, words(spi.base + offset, value, 0xFFFF_FFFF, 0))
    assert bench.command(0x0A, words(spi.base + spi.cmd))[4:8] == bytes(4)
    answer = b"".join(
        bench.command(0x0A, words(spi.base + spi.w0 + start))[4:8] for start in range(0, size, 4)
    )
    return answer[:size]


@every_chip
def test_the_id_can_be_read_by_registers(chip: Chip) -> None:
    bench = make_bench(chip, flash_size=8 * MIB)

    assert run_user_command(bench, chip, 0x9F, size=3) == b"\xc8\x40\x17"


@every_chip
def test_sfdp_can_be_read_by_registers(chip: Chip) -> None:
    bench = make_bench(chip)

    assert run_user_command(bench, chip, 0x5A, address=0, size=4) == b"SFDP"
    assert (
        run_user_command(bench, chip, 0x5A, address=0x30, size=8)
        == build_sfdp(4 * MIB, 0xC8)[0x30:0x38]
    )


@pytest.mark.parametrize(
    ("size", "density"),
    [
        (MIB, 8 * MIB - 1),
        (16 * MIB, 128 * MIB - 1),
        (128 * MIB, 1024 * MIB - 1),
        (256 * MIB, 2048 * MIB - 1),
        # From there on it is a power of two.
        (512 * MIB, 1 << 31 | 32),
    ],
)
def test_sfdp_tells_the_size(size: int, density: int) -> None:
    table = build_sfdp(size, 0xC8)

    assert len(table) == SFDP_SIZE
    assert struct.unpack_from("<I", table, 12)[0] & 0xFF_FFFF == 0x30
    assert struct.unpack_from("<I", table, 0x34)[0] == density


def test_programming_needs_write_enable() -> None:
    chip = make_chip()
    send(chip, 0x02, address=0x100, sent=b"\x12", now=0.0)
    assert chip.nor.read(0x100, 1) == b"\xff"
    send(chip, 0x06, now=0.1)
    send(chip, 0x02, address=0x100, sent=b"\x12", now=0.2)
    send(chip, 0x02, address=0x101, sent=b"\x34", now=0.3)

    assert chip.nor.read(0x100, 2) == b"\x12\xff"


def test_programming_wraps_at_the_end_of_the_page() -> None:
    chip = make_chip()
    send(chip, 0x06, now=0.0)
    send(chip, 0x02, address=0x1FE, sent=b"abcd", now=0.0)

    assert chip.nor.read(0x1FE, 4) == b"ab\xff\xff"
    assert chip.nor.read(0x100, 2) == b"cd"


@pytest.mark.parametrize(
    ("opcode", "first", "last"),
    [(0x20, 0x1_1000, 0x1_1FFF), (0x52, 0x1_0000, 0x1_7FFF), (0xD8, 0x1_0000, 0x1_FFFF)],
)
def test_erases_take_the_unit_around_the_address(opcode: int, first: int, last: int) -> None:
    chip = make_chip()
    chip.nor.program(0, bytes(0x4_0000))
    send(chip, 0x06, now=0.0)
    send(chip, opcode, address=0x1_1234, now=0.0)

    assert chip.nor.read(first - 1, 2) == b"\x00\xff"
    assert chip.nor.read(last, 2) == b"\xff\x00"


def test_a_chip_erase_takes_everything() -> None:
    chip = make_chip()
    chip.nor.program(4 * MIB - 1, b"\x00")
    send(chip, 0x06, now=0.0)
    send(chip, 0xC7, now=0.0)

    assert chip.nor.read(4 * MIB - 1, 1) == b"\xff"
    assert chip.busy_until == pytest.approx(64 * 0.150)


def test_while_it_erases_only_the_status_can_be_read() -> None:
    chip = make_chip()
    send(chip, 0x06, now=0.0)
    assert send(chip, 0x05, size=1, now=0.0) == b"\x02"
    send(chip, 0x20, address=0, now=0.0)

    assert send(chip, 0x05, size=1, now=0.01) == b"\x01"
    assert send(chip, 0x9F, size=3, now=0.01) == b"\xff\xff\xff"
    assert send(chip, 0x05, size=1, now=0.05) == b"\x00"
    assert send(chip, 0x9F, size=3, now=0.05) == b"\xc8\x40\x16"


def test_status_registers_hold_what_is_written() -> None:
    chip = make_chip()
    send(chip, 0x06, now=0.0)
    send(chip, 0x01, sent=b"\x1f\x02", now=0.0)
    for now, opcode in ((1.0, 0x31), (2.0, 0x11)):
        send(chip, 0x50, now=now)
        send(chip, opcode, sent=bytes((opcode,)), now=now)

    statuses = [send(chip, opcode, size=1, now=100.0) for opcode in (0x05, 0x35, 0x15)]
    assert statuses == [b"\x1c", b"\x31", b"\x11"]


def test_write_enable_can_be_taken_back() -> None:
    chip = make_chip()
    send(chip, 0x06, now=0.0)
    send(chip, 0x04, now=0.0)
    send(chip, 0x02, sent=b"\x00", now=0.0)

    assert chip.nor.read(0, 1) == b"\xff"


@pytest.mark.parametrize("opcode", [0x66, 0x99, 0xAB, 0xB9, 0x79, 0xFF])
def test_what_it_does_not_know_changes_nothing(opcode: int) -> None:
    chip = make_chip()

    assert send(chip, opcode, size=2, now=0.0) == b"\xff\xff"
    assert send(chip, 0x9F, size=3, now=0.0) == b"\xc8\x40\x16"
