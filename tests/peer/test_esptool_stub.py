"""Real esptool puts its stub into a served simulator, and works through it.

Of each chip one device is served, and the same stub does all that one test after the
other asks for: esptool finds it running and goes on with it.
"""

from __future__ import annotations

import hashlib
import random
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from covering import usual_parameters
from described_chips import DESCRIBED
from esploader import cli
from esptool_output import COMMANDS, PROOF, tokens
from programs import Completed, run
from served import lent_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer

CHIPS = ("esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3")
USUAL = ("esp32", "esp32c3")
"""The others under ``--full``; ``test_exchange.py`` usually has two of them."""

MORE_CHIPS = tuple(chip.key for chip in DESCRIBED if chip.key not in CHIPS)

KIB = 1024
SECTOR = 4096
OLD = old_content(4096 * KIB)

SIZE = 28 * KIB
"""More than one block, whether it is compressed or not; megabytes are moved under ``--full``."""

PATIENCE = 300.0

OFFSET = 0x1_F000
"""Where the images go: the last sector before a block."""

PROOFS = {
    "flash-id": "Detected flash size: 4MB",
    "write compressed": "Hash of data verified.",
    "verify": "Verification successful (digest matched).",
    "read": "Read ",
    "write plain": "Hash of data verified.",
    "write into": "Hash of data verified.",
    "erase-region": "Flash memory region erased successfully",
    "read erased": "Read ",
    "erase-flash": "Flash memory erased successfully",
    "read blank": "Read ",
}
"""What esptool is asked to do, in that order, and what it then has to say."""


def firmware_like(size: int, seed: int) -> bytes:
    """Return bytes that compress to about half their size."""
    source = random.Random(seed)  # noqa: S311 - the same in every run
    pieces: list[bytes] = []
    while 32 * len(pieces) < size:
        pieces.append(source.randbytes(16) + bytes((source.randrange(256),)) * 16)
    return b"".join(pieces)[:size]


@attrs.frozen
class Job:
    """What was done to one device, and what came of it."""

    results: dict[str, Completed]
    first: bytes
    second: bytes
    read: bytes
    read_erased: bytes
    read_blank: bytes
    worked_on: bytes
    """The flash before all of it was erased."""
    left: bytes
    """The flash in the end."""


def esptool_with_stub(port: str, *arguments: str) -> Completed:
    return run(sys.executable, "-m", "esptool", "--port", port, *arguments, timeout=PATIENCE)


def work_on(chip: str, size: int, folder: Path) -> Job:
    """Have esptool do everything that a stub is for."""
    first, second = firmware_like(size, 1), firmware_like(size, 2)
    images = [folder / "first", folder / "second", folder / "small"]
    for path, content in zip(images, (first, second, b"small"), strict=True):
        path.write_bytes(content)
    read, read_erased, read_blank = folder / "read", folder / "erased", folder / "blank"
    flash = folder / "flash"
    flash.write_bytes(OLD)
    worked_on = OLD
    at, whole = hex(OFFSET), hex(size)
    commands = {
        "flash-id": ("flash-id",),
        "write compressed": ("write-flash", at, str(images[0])),
        "verify": ("verify-flash", at, str(images[0])),
        "read": ("read-flash", at, whole, str(read)),
        "write plain": ("--baud", "921600", "write-flash", "-u", at, str(images[1])),
        "write into": ("write-flash", hex(OFFSET + 2 * SECTOR), str(images[2])),
        "erase-region": ("erase-region", hex(OFFSET + SECTOR), hex(SECTOR)),
        "read erased": ("read-flash", at, hex(4 * SECTOR), str(read_erased)),
        "erase-flash": ("erase-flash",),
        "read blank": ("read-flash", at, "256", str(read_blank)),
    }
    with lent_chip(chip, flash=flash) as port:
        results: dict[str, Completed] = {}
        for name, command in commands.items():
            if name == "erase-flash":
                worked_on = flash.read_bytes()
            results[name] = esptool_with_stub(port, *command)
    return Job(
        results,
        first,
        second,
        read=read.read_bytes(),
        read_erased=read_erased.read_bytes(),
        read_blank=read_blank.read_bytes(),
        worked_on=worked_on,
        left=flash.read_bytes(),
    )


def check(job: Job) -> None:
    """Hold what esptool said and read against what it was given."""
    for name, proof in PROOFS.items():
        result = job.results[name]
        assert result.exit_code == 0, result.stdout + result.stderr
        assert proof in result.stdout, name
    assert "Stub flasher running." in job.results["flash-id"].stdout
    assert "already running" in job.results["read blank"].stdout
    assert hashlib.sha256(job.read).digest() == hashlib.sha256(job.first).digest()
    blank = b"\xff" * SECTOR
    expected = job.second[:SECTOR] + blank + b"small".ljust(SECTOR, b"\xff")
    assert job.read_erased == expected + job.second[3 * SECTOR : 4 * SECTOR]
    assert_untouched(OLD, job.worked_on, [(OFFSET, OFFSET + len(job.second))])
    assert job.read_blank == blank[:256]
    assert job.left.count(0xFF) == len(job.left)


@pytest.mark.parametrize("chip", usual_parameters(CHIPS, USUAL))
def test_esptool_works_through_its_stub(chip: str, tmp_path: Path) -> None:
    check(work_on(chip, SIZE, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("chip", MORE_CHIPS)
def test_esptool_works_through_the_stub_of_the_other_chips(chip: str, tmp_path: Path) -> None:
    check(work_on(chip, SIZE, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("chip", CHIPS)
def test_esptool_moves_megabytes(chip: str, tmp_path: Path) -> None:
    check(work_on(chip, 1024 * KIB, tmp_path))


@pytest.mark.parametrize(
    "chip",
    [
        pytest.param(chip, marks=() if chip.key == "esp32c6" else pytest.mark.slow)
        for chip in DESCRIBED
    ],
    ids=lambda chip: chip.key,
)
def test_esptool_says_through_its_stub_what_we_say(
    chip: Chip, capsys: pytest.CaptureFixture[str]
) -> None:
    has_security_info = chip.security_info_size is not None
    with lent_chip(chip.key) as port:
        for command in COMMANDS if has_security_info else COMMANDS[:-1]:
            theirs = esptool_with_stub(port, command)
            ours = cli.main(["--port", f"sim://{chip.key}", command])

            assert theirs.exit_code == 0, theirs.stdout + theirs.stderr
            assert "Stub flasher" in theirs.stdout
            assert ours == cli.DONE
            assert tokens(theirs.stdout) == tokens(capsys.readouterr().out)
            assert any(line.startswith(PROOF[command]) for line in tokens(theirs.stdout))
