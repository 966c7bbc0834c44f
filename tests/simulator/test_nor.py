"""NOR flash: programming clears bits, only erasing sets them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from esploader.simulator.flash.nor import NorFlash, PowerLostError, jedec_id
from esploader.simulator.flash.timings import UNPACED, Timings

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256 * 1024
SECTOR = 4096

offsets = st.integers(0, SIZE - 1) | st.integers(0, 5000) | st.integers(SIZE - 5000, SIZE - 1)
contents = st.binary(max_size=600) | st.integers(0, 255).map(lambda value: bytes((value,)) * 5000)


def make_flash(size: int = SIZE, timings: Timings = UNPACED) -> NorFlash:
    return NorFlash(size, timings)


class FlashAgainstPlainBytes(RuleBasedStateMachine):
    """The sparse cells behave like a plain array of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.flash = make_flash()
        self.model = bytearray(b"\xff" * SIZE)

    @rule(offset=offsets, data=contents)
    def program(self, offset: int, data: bytes) -> None:
        self.flash.program(offset, data)
        for position, value in enumerate(data):
            self.model[(offset + position) % SIZE] &= value

    @rule(index=st.integers(0, SIZE // SECTOR - 1), byte=st.integers(0, 255))
    def put_a_sector(self, index: int, byte: int) -> None:
        self.flash.put_sectors({index: bytes((byte,)) * SECTOR})
        self.model[index * SECTOR : (index + 1) * SECTOR] = bytes((byte,)) * SECTOR

    @rule(offset=offsets, data=contents)
    def program_page(self, offset: int, data: bytes) -> None:
        self.flash.program_page(offset, data)
        page = offset - offset % 256
        latest = {(offset + position) % 256: value for position, value in enumerate(data)}
        for position, value in latest.items():
            self.model[page + position] &= value

    @rule(offset=offsets, size=st.integers(0, 3 * SECTOR) | st.just(65536) | st.just(SIZE))
    def erase(self, offset: int, size: int) -> None:
        self.flash.erase(offset, size)
        first, last = offset // SECTOR, -(-(offset + size) // SECTOR)
        for sector in range(first, last) if size else ():
            start = sector * SECTOR % SIZE
            self.model[start : start + SECTOR] = b"\xff" * SECTOR

    @rule(offset=offsets, size=st.integers(0, 9000))
    def read(self, offset: int, size: int) -> None:
        expected = (bytes(self.model) * 2)[offset : offset + size]
        assert self.flash.read(offset, size) == expected
        assert self.flash.md5(offset, size) == hashlib.md5(expected).digest()  # noqa: S324

    @invariant()
    def agrees(self) -> None:
        assert self.flash.read(0, SIZE) == self.model
        sectors = self.flash.sectors()
        held = [sectors.get(index, b"\xff" * SECTOR) for index in range(SIZE // SECTOR)]
        assert b"".join(held) == self.model


FlashAgainstPlainBytes.TestCase.settings = settings(max_examples=25, stateful_step_count=12)
TestFlashAgainstPlainBytes = FlashAgainstPlainBytes.TestCase


@given(offset=offsets, first=contents, second=contents)
def test_programming_only_clears_bits(offset: int, first: bytes, second: bytes) -> None:
    flash = make_flash()
    flash.program(offset, first)
    before = flash.read(0, SIZE)

    flash.program(offset, second)

    before_bits = int.from_bytes(before, "big")
    assert before_bits & int.from_bytes(flash.read(0, SIZE), "big") == int.from_bytes(
        flash.read(0, SIZE), "big"
    )


def test_blank_flash_takes_no_memory_and_reads_as_ff() -> None:
    flash = make_flash(128 * 1024 * 1024)

    assert flash.read(100 * 1024 * 1024, 8) == b"\xff" * 8


def test_what_the_sectors_held_is_known_when_they_have_changed() -> None:
    flash = make_flash()
    flash.program(0, b"first")
    flash.program(SECTOR, b"second")
    before = flash.sectors()
    flash.program(1, b"more")
    flash.erase(SECTOR, 1)
    flash.put_sectors({2: b"put!" * 1024})
    assert before == {0: b"first".ljust(SECTOR, b"\xff"), 1: b"second".ljust(SECTOR, b"\xff")}


@pytest.mark.parametrize(
    "sectors", [{SIZE // SECTOR: bytes(SECTOR)}, {-1: bytes(SECTOR)}, {0: b""}]
)
def test_a_sector_that_a_flash_has_not_is_refused(sectors: dict[int, bytes]) -> None:
    flash = make_flash()
    with pytest.raises(ValueError, match="bytes for sector"):
        flash.put_sectors(sectors)
    assert not flash.sectors()


def test_erasing_counts_per_sector() -> None:
    flash = make_flash()
    flash.erase(0x1000, 1)
    flash.erase(0, 0x3000)

    assert flash.erase_counts == {0: 1, 1: 2, 2: 1}


@pytest.mark.parametrize(
    ("offset", "size", "seconds"),
    [
        (0, 1, 0.045),
        (0, 0x2000, 0.090),
        (0, 0x10000, 0.150),
        (0x1000, 0x10000, 16 * 0.045),
        (0xF000, 0x12000, 0.045 + 0.150 + 0.045),
        (0, 0, 0.0),
    ],
)
def test_aligned_blocks_erase_in_one_go(offset: int, size: int, seconds: float) -> None:
    assert make_flash(timings=Timings()).erase(offset, size) == pytest.approx(seconds)


def test_programming_takes_time_per_page_touched() -> None:
    flash = make_flash(timings=Timings())

    assert flash.program(0xFF, b"\x00\x00") == pytest.approx(0.0008)
    assert flash.program(0, b"") == 0.0


@pytest.mark.parametrize("size", [0, 4096, 3 * 1024 * 1024, 256 * 1024 * 1024])
def test_sizes_that_no_part_has_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        make_flash(size)


@pytest.mark.parametrize(
    ("size", "code"),
    [(256 << 10, 0x12), (4 << 20, 0x16), (16 << 20, 0x18), (32 << 20, 0x19), (64 << 20, 0x20)],
)
def test_jedec_id_carries_the_size(size: int, code: int) -> None:
    assert jedec_id(size) == bytes((0xC8, 0x40, code))


def test_a_short_file_leaves_the_rest_blank(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"\x00" * 5000)
    flash = make_flash()
    flash.load(path)

    assert flash.read(0, 5002) == b"\x00" * 5000 + b"\xff\xff"


def test_a_file_larger_than_the_flash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(bytes(SIZE + 1))

    with pytest.raises(ValueError, match="larger"):
        make_flash().load(path)


@pytest.mark.parametrize("size", [None, 0, 5000, SIZE], ids=["missing", "empty", "short", "whole"])
def test_every_change_is_in_the_file_at_once(tmp_path: Path, size: int | None) -> None:
    path = tmp_path / "flash.bin"
    if size is not None:
        path.write_bytes(b"\x0f" * size)
    flash = make_flash()
    flash.keep_in(path)
    assert path.read_bytes() == flash.read(0, SIZE)

    flash.program(0x1FF0, bytes(range(64)))
    assert path.read_bytes() == flash.read(0, SIZE)
    flash.program(SIZE - 2, b"wraps")
    assert path.read_bytes() == flash.read(0, SIZE)
    flash.erase(0x2000, 4096)
    assert path.read_bytes() == flash.read(0, SIZE)
    flash.erase(0, 65536)
    assert path.read_bytes() == flash.read(0, SIZE)


def test_sectors_that_are_put_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"\xff" * SIZE)
    flash = make_flash()
    flash.keep_in(path)
    flash.put_sectors({1: b"put!" * 1024})
    flash.leave_file()
    assert path.read_bytes() == flash.read(0, SIZE)
    assert path.read_bytes()[SECTOR : 2 * SECTOR] == b"put!" * 1024


def test_what_a_power_cut_left_half_done_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(bytes(SIZE))
    flash = make_flash()
    flash.keep_in(path)
    flash.fails_after = 0

    with pytest.raises(PowerLostError):
        flash.erase(0x1000, 4096)
    assert path.read_bytes() == flash.read(0, SIZE)
    assert flash.read(0x1000, 4096).count(0xFF) == 2048


def test_what_could_not_be_written_is_written_at_the_end(tmp_path: Path) -> None:
    path, away = tmp_path / "folder" / "flash.bin", tmp_path / "away"
    path.parent.mkdir()
    flash = make_flash()
    flash.keep_in(path)
    path.parent.rename(away)
    flash.program(0, b"one")
    with pytest.raises(FileNotFoundError):
        flash.leave_file()
    away.rename(path.parent)
    flash.program(8, b"two")
    flash.save_changes()
    assert path.read_bytes() == flash.read(0, SIZE)

    path.unlink()
    flash.program(16, b"three")
    flash.leave_file()
    assert path.read_bytes() == flash.read(0, SIZE)


def test_what_happens_when_the_file_was_left_is_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    flash = make_flash()
    flash.keep_in(path)
    flash.leave_file()
    flash.leave_file()
    flash.program(0, b"one")
    assert path.read_bytes() == b"\xff" * SIZE
    assert flash.read(0, 3) == b"one"


def test_timings_without_pace_are_zero_but_for_the_reset_circuit() -> None:
    durations = attrs.asdict(UNPACED)

    assert [name for name, value in durations.items() if value] == ["enable_rise"]
