"""Compressed downloads through a ROM loader: what is programmed behind the data.

The example of the ESP32 was seen in an emulator that runs its ROM: 5120 bytes written at 0x80000
of a flash full of A5 left zeros up to 0x88000, and the MD5 of the data was right.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp8266 import ESP8266
from esploader.protocol.opcodes import Opcode
from simulated import Bench, incompressible, make_bench, words
from untouched import assert_untouched

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

OK = b"\x00\x00"
FLASH_SIZE = 4 << 20
WINDOW = 0x8000

# C2, C3, C5, C6, C61, H2, P4, S2, S3: somebody has looked into their ROMs.
SPARING = [c for c in DESCRIBED if c.knows("rom_inflates_safely") and c.rom_inflates_safely]
SWEEPING = [c for c in DESCRIBED if c not in (*SPARING, ESP8266)]
"""The ESP32, and whose ROM nobody has looked into."""


def flash_content(bench: Bench, offset: int = 0, size: int = FLASH_SIZE) -> bytes:
    return bench.device.nor.read(offset, size)


def old_flash_bench(chip: Chip) -> Bench:
    bench = make_bench(chip)
    bench.status(0x0B, words(0, FLASH_SIZE, 1 << 16, 1 << 12, 1 << 8, 0xFFFF))
    bench.device.nor.fill(b"\xa5" * FLASH_SIZE)
    return bench


def download_at(bench: Bench, offset: int, data: bytes) -> None:
    stream = zlib.compress(data, 9)
    blocks = [stream[start : start + 0x400] for start in range(0, len(stream), 0x400)]
    encryption = () if bench.device.chip.key == ESP32.key else (0,)
    body = words(len(data), len(blocks), 0x400, offset, *encryption)
    assert bench.status(Opcode.FLASH_DEFL_BEGIN, body) == OK
    for sequence, block in enumerate(blocks):
        assert bench.send_block(Opcode.FLASH_DEFL_DATA, block, sequence) == OK


@pytest.mark.parametrize("chip", SPARING, ids=lambda chip: chip.key)
def test_only_the_block_with_the_last_number_announced_brings_what_is_left(chip: Chip) -> None:
    bench = old_flash_bench(chip)
    stream = zlib.compress(bytes(100))
    bench.status(Opcode.FLASH_DEFL_BEGIN, words(100, 2, 0x400, 0, 0))
    assert bench.send_block(Opcode.FLASH_DEFL_DATA, stream, 0) == OK
    assert flash_content(bench, 0, 0x1000) == b"\xff" * 0x1000
    assert bench.send_block(Opcode.FLASH_DEFL_DATA, b"", 1) == OK
    assert flash_content(bench, 0, 0x1000) == bytes(100).ljust(0x1000, b"\xff")


@pytest.mark.parametrize("chip", SWEEPING, ids=lambda chip: chip.key)
def test_the_rom_of_the_esp32_programs_its_whole_window(chip: Chip) -> None:
    bench = old_flash_bench(chip)
    before = flash_content(bench)
    data = incompressible(5120)
    download_at(bench, 0x8_0000, data)

    assert flash_content(bench, 0x8_0000, 5120) == data
    assert bench.device.nor.md5(0x8_0000, 5120) == hashlib.md5(data).digest()  # noqa: S324
    # Of the second sector, too, which was erased.
    assert flash_content(bench, 0x8_1400, 0x6C00) == bytes(0x6C00)
    assert_untouched(before, flash_content(bench), [(0x8_0000, 0x8_0000 + WINDOW)])


def test_behind_the_data_the_window_holds_older_data() -> None:
    bench = old_flash_bench(ESP32)
    first = incompressible(WINDOW)
    download_at(bench, 0x1_0000, first + b"\x0f" * 0x400)

    assert flash_content(bench, 0x1_8000, 0x400) == b"\x0f" * 0x400
    # Erased where the download is; elsewhere programming only clears bits.
    assert flash_content(bench, 0x1_8400, 0xC00) == first[0x400:0x1000]
    cleared = bytes(0xA5 & byte for byte in first[0x1000:])
    assert flash_content(bench, 0x1_9000, WINDOW - 0x1000) == cleared
    assert flash_content(bench, 0x2_0000, 0x1000) == b"\xa5" * 0x1000


def test_a_window_that_does_not_fit_the_flash_is_dropped_without_a_word() -> None:
    bench = old_flash_bench(ESP32)
    before = flash_content(bench)
    offset = FLASH_SIZE - 0x2000
    download_at(bench, offset, incompressible(5120))

    assert flash_content(bench, offset, 0x2000) == b"\xff" * 0x2000
    assert_untouched(before, flash_content(bench), [(offset, FLASH_SIZE)])


@pytest.mark.parametrize("chip", SPARING, ids=lambda chip: chip.key)
def test_other_roms_round_the_size_up_to_whole_words(chip: Chip) -> None:
    bench = old_flash_bench(chip)
    before = flash_content(bench)
    download_at(bench, 0x8_0000, b"\x5a" * 5121)

    assert flash_content(bench, 0x8_0000, 0x2000) == (b"\x5a" * 5121 + bytes(3)).ljust(
        0x2000, b"\xff"
    )
    assert_untouched(before, flash_content(bench), [(0x8_0000, 0x8_2000)])
