"""What we merge is what esptool merges, to the byte; where it is not, the test says why.

Where a test has many merges, one process imports esptool and works them off.
"""

from __future__ import annotations

import json
import os
import random
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.chips.registry import CHIPS, chip_by_name
from esploader.cli import main
from esploader.image.uf2 import read_blocks
from images import small_image
from programs import esploader, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer

MERGE_ALL = """
import contextlib, io, json, sys
import esptool
codes = []
for job in json.load(open(sys.argv[1])):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            esptool.main(job)
            codes.append(0)
        except SystemExit as exc:
            codes.append(exc.code or 0)
        except esptool.FatalError:
            codes.append(2)
        except AssertionError:
            codes.append(1)
print(json.dumps(codes))
"""

FEW = 3
"""As many merges are runs of the program, which other tests have loaded, too."""

JOBS_A_CHIP = 200 if os.environ.get("ESPLOADER_FULL") == "1" else 8


@attrs.frozen
class Job:
    """One merge: what stands on the command line behind the output."""

    chip: str
    output: Path
    words: tuple[str, ...]

    def command(self, output: Path) -> list[str]:
        """Return the command line that merges into ``output``."""
        return ["--chip", self.chip, "merge-bin", "--output", str(output), *self.words]


def esptool_merges(jobs: Sequence[Job], folder: Path) -> list[tuple[int, bytes | None]]:
    """Return the exit codes of esptool, and what it has written."""
    commands = [job.command(job.output) for job in jobs]
    if len(jobs) <= FEW:
        codes = [run(sys.executable, "-m", "esptool", *command).exit_code for command in commands]
    else:
        (folder / "jobs.json").write_text(json.dumps(commands))
        done = run(sys.executable, "-c", MERGE_ALL, str(folder / "jobs.json"))
        assert done.exit_code == 0, done.stderr
        codes = json.loads(done.stdout.splitlines()[-1])
    outputs = [job.output.read_bytes() if job.output.exists() else None for job in jobs]
    return [*zip(codes, outputs, strict=True)]


def merge_here(job: Job) -> tuple[int, bytes | None]:
    """Return our exit code, and what we have written."""
    output = job.output.with_suffix(".ours")
    code = main([*job.command(output), "--silent"])
    return code, output.read_bytes() if output.exists() else None


def inputs(dice: random.Random, chip: Chip, folder: Path, name: str) -> list[str]:
    """Make files, and return where each goes; most have a bootloader where the chip boots from."""
    files = [dice.randbytes(dice.choice((1, 15, 452, 904, 4096, dice.randrange(9000))) or 1)]
    files += [dice.randbytes(dice.randrange(1, 5000)) for _ in range(dice.randrange(3))]
    offset = 0
    words: list[tuple[str, str]] = []
    if chip.knows("bootloader_offset") and chip.is_described and dice.random() < 0.8:
        image = small_image(chip, digest=dice.random() < 0.7)
        path = folder / f"{name}-boot.bin"
        path.write_bytes(image + b"\xff" * dice.randrange(20))
        words.append((hex(chip.bootloader_offset), str(path)))
        offset = chip.bootloader_offset + 0x1000
    for number, data in enumerate(files):
        # To esptool files in one sector overlap.
        offset += 0x1000 * dice.choice((0, 1, 7, 20))
        path = folder / f"{name}-{number}.bin"
        path.write_bytes(data)
        words.append((hex(offset + dice.choice((0, 0, 4, 0x123))), str(path)))
        offset += -(-(len(data) + 0x123) // 0x1000) * 0x1000
    dice.shuffle(words)
    return [word for pair in words for word in pair]


def options(dice: random.Random, chip: Chip) -> Iterable[str]:
    """Yield options as somebody might use them."""
    kind = dice.choice(("raw", "hex", "uf2")) if chip.knows("uf2_family") else "raw"
    yield from ("--format", kind) if kind != "raw" or dice.random() < 0.5 else ()
    if kind == "uf2":
        has_checksum = dice.random() < 0.7
        yield from () if has_checksum else ("--md5-disable",)
        size = dice.choice((0, 4, 256, 400, 452 if has_checksum else 476))
        yield from ("--chunk-size", str(size)) if size else ()
    if kind == "raw":
        yield from ("--pad-to-size", "1MB") if dice.random() < 0.3 else ()
    if chip.is_described and dice.random() < 0.6:
        yield from ("--flash-mode", dice.choice([name for name, _ in chip.flash_modes]))
        yield from ("--flash-size", dice.choice([name for name, _ in chip.flash_sizes]))
        yield from ("--flash-freq", dice.choice([name for name, _ in chip.flash_frequencies]))


def test_merges_are_alike_to_the_byte(tmp_path: Path) -> None:
    jobs = [job for chip in CHIPS for job in jobs_for(chip, tmp_path)]
    assert len(jobs) == JOBS_A_CHIP * len(CHIPS)
    for job, theirs in zip(jobs, esptool_merges(jobs, tmp_path), strict=True):
        assert theirs[0] == 0, job
        assert merge_here(job) == theirs, job


def test_a_target_offset_and_hex_inputs_are_alike(tmp_path: Path) -> None:
    boot, app, part = tmp_path / "boot.bin", tmp_path / "app.bin", tmp_path / "part.hex"
    boot.write_bytes(small_image(chip_by_name("esp32")))
    app.write_bytes(bytes(range(200)))
    made = Job("esp32", part, ("--format", "hex", "0x1000", str(boot)))
    assert esptool_merges([made], tmp_path)[0][0] == 0
    words = ("--target-offset", "0x1000", "--pad-to-size", "256KB", "0x10000", str(app))
    jobs = [
        Job("esp32", tmp_path / "1.bin", (*words, "0x1000", str(boot))),
        # An offset of 0, as the addresses in the file are those in flash: others are not heeded.
        Job("esp32", tmp_path / "2.bin", (*words, "0x0", str(part))),
        Job("esp32", tmp_path / "3.bin", (*words, "-ff", "40m", "-fm", "dout", "0", str(part))),
    ]
    for job, theirs in zip(jobs, esptool_merges(jobs, tmp_path), strict=True):
        assert theirs[0] == 0
        assert merge_here(job) == theirs


def jobs_for(chip: Chip, folder: Path) -> Iterable[Job]:
    """Yield merges of all kinds for a chip, always the same."""
    dice = random.Random(chip.key)  # noqa: S311 - data, not a secret
    for number in range(JOBS_A_CHIP):
        name = f"{chip.key}-{number}"
        words = (*options(dice, chip), *inputs(dice, chip, folder, name))
        yield Job(chip.key, folder / f"{name}.theirs", words)


def one_file(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    return str(path)


def test_a_chunk_size_too_large_is_an_error_and_no_crash(tmp_path: Path) -> None:
    data = one_file(tmp_path, bytes(1000))
    job = Job("esp32", tmp_path / "1.uf2", ("-f", "uf2", "--chunk-size", "480", "0", data))
    ((code, left),) = esptool_merges([job], tmp_path)
    assert code == 1  # An assertion.
    assert left == b""
    assert merge_here(job) == (2, None)
    said = run(*esploader(*job.command(tmp_path / "ours"))).stderr
    assert "4 to 452 bytes of data, a multiple of 4, and not 480" in said


def test_more_than_the_size_to_pad_to_is_an_error(tmp_path: Path) -> None:
    data = one_file(tmp_path, bytes(300_000))
    job = Job("esp32", tmp_path / "1.bin", ("--pad-to-size", "256KB", "0", data))
    ((code, left),) = esptool_merges([job], tmp_path)
    assert (code, left) == (0, bytes(300_000))  # As if it had not been asked.
    assert merge_here(job) == (2, None)


def test_files_may_share_a_sector(tmp_path: Path) -> None:
    data = one_file(tmp_path, b"data")
    job = Job("esp32", tmp_path / "1.bin", ("0", data, "0x10", data))
    assert esptool_merges([job], tmp_path) == [(2, None)]
    assert merge_here(job) == (0, b"data".ljust(0x10, b"\xff") + b"data")


def test_an_empty_file_pads_nothing(tmp_path: Path) -> None:
    data, empty = one_file(tmp_path, b"data"), tmp_path / "empty.bin"
    empty.write_bytes(b"")
    job = Job("esp32", tmp_path / "1.bin", ("0", data, "0x2000", str(empty)))
    assert esptool_merges([job], tmp_path) == [(0, b"data".ljust(0x2000, b"\xff"))]
    assert merge_here(job) == (0, b"data")


def test_a_chip_whose_family_nobody_knows_gets_no_uf2_file(tmp_path: Path) -> None:
    job = Job("esp32e22", tmp_path / "1.uf2", ("-f", "uf2", "0", one_file(tmp_path, b"data")))
    ((code, theirs),) = esptool_merges([job], tmp_path)
    assert code == 0
    assert theirs is not None
    # That of another chip, on which the program does not run.
    assert read_blocks(theirs).family == chip_by_name("esp32").uf2_family
    assert merge_here(job) == (2, None)
