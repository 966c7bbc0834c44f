"""What we write, real esptool reads, and the reverse, on one served simulator per chip.

Both programs run as processes of their own, one after the other on the same device, and
upload or find the same stub: the one of the installed esptool.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from firmware import firmware
from programs import Completed, esploader, run
from served import lent_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer

OTHERS = ("esp32", "esp32s2", "esp32s3", "esp32c3")
CHIPS = ("esp8266", *(pytest.param(chip, marks=pytest.mark.slow) for chip in OTHERS))
"""The others under ``--full``; ``test_esptool_stub.py`` usually has two of them."""

KIB = 1024
SECTOR = 4096
OLD = old_content(4096 * KIB)

SIZE = 28 * KIB - 100
"""The last sector is not full: who reads only the file must not mind the rest. Compressed it is
more than one block of a stub's."""

OURS_AT = 0x1_F000
"""The last sector before a block, so that no large erase fits."""

THEIRS_AT = 0x4_0000

ERASED = SECTOR
"""Where within the first image a sector is erased."""

NO_STUB = "--no-stub"

OURS = esploader()
THEIRS = (sys.executable, "-m", "esptool")


@attrs.frozen
class Exchange:
    """What came of the work of both programs on one device."""

    steps: dict[str, Completed]
    files: dict[str, bytes]
    worked_on: bytes
    """The flash when regions have been written and erased."""
    left: bytes
    """The flash in the end."""


def exchange(chip: str, folder: Path, *options: str) -> Exchange:
    """Have both programs write, read, verify and erase, in turn."""
    from_us, from_them = folder / "from us", folder / "from them"
    from_us.write_bytes(firmware(1, SIZE))
    from_them.write_bytes(firmware(2, SIZE))
    flash = folder / "flash"
    flash.write_bytes(OLD)
    worked_on = OLD

    def reading(offset: int, name: str) -> tuple[str, ...]:
        return ("read-flash", hex(offset), hex(SIZE), str(folder / name))

    commands = {
        "we write": (OURS, ("write-flash", hex(OURS_AT), str(from_us))),
        "they verify": (THEIRS, ("verify-flash", hex(OURS_AT), str(from_us))),
        "they read": (THEIRS, reading(OURS_AT, "read by them")),
        "they write": (THEIRS, ("write-flash", hex(THEIRS_AT), str(from_them))),
        "we verify": (OURS, ("verify-flash", hex(THEIRS_AT), str(from_them))),
        "we read": (OURS, reading(THEIRS_AT, "read by us")),
        "we erase a region": (OURS, ("erase-region", hex(OURS_AT + ERASED), hex(SECTOR))),
        "they read what is left": (THEIRS, reading(OURS_AT, "left after erasing")),
    }
    if NO_STUB not in options:
        commands |= {
            "we erase all": (OURS, ("erase-flash",)),
            "they read nothing": (THEIRS, reading(THEIRS_AT, "left in the end")),
        }
    with lent_chip(chip, flash=flash) as port:
        steps: dict[str, Completed] = {}
        for name, (program, command) in commands.items():
            steps[name] = run(*program, "--port", port, *options, *command)
            if "all" not in name and "nothing" not in name:
                worked_on = flash.read_bytes()
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path != flash}
    return Exchange(steps, files, worked_on, flash.read_bytes())


def check(result: Exchange) -> None:
    """Hold what both said and read against what they were given."""
    for name, step in result.steps.items():
        assert step.exit_code == 0, name + step.stdout + step.stderr
    verified = "Verification successful (digest matched)."
    assert verified in result.steps["they verify"].stdout
    assert verified in result.steps["we verify"].stdout
    from_us = result.files["from us"]
    assert result.files["read by them"] == from_us
    assert result.files["read by us"] == result.files["from them"]
    written = [(offset, offset + SIZE) for offset in (OURS_AT, THEIRS_AT)]
    assert_untouched(OLD, result.worked_on, written)
    blank = b"\xff" * SECTOR
    expected = from_us[:ERASED] + blank + from_us[ERASED + SECTOR :]
    assert result.files["left after erasing"] == expected


@pytest.mark.parametrize("chip", CHIPS)
def test_each_reads_what_the_other_wrote(chip: str, tmp_path: Path) -> None:
    result = exchange(chip, tmp_path)
    check(result)
    # Nobody told us of a stub, and we found it; they went on with it.
    assert "stub" not in result.steps["we write"].stderr
    assert "already running" in result.steps["they verify"].stdout
    assert result.files["left in the end"] == b"\xff" * SIZE
    assert result.left.count(0xFF) == len(result.left)


def test_each_reads_what_the_other_wrote_through_the_rom_loader(tmp_path: Path) -> None:
    result = exchange("esp32c3", tmp_path, NO_STUB)
    check(result)
    assert result.left[THEIRS_AT : THEIRS_AT + SIZE] == result.files["from them"]


def test_esptool_reads_what_we_wrote_through_the_rom_loader_of_the_esp8266(tmp_path: Path) -> None:
    # What can be read only word by word takes long.
    image = firmware(3, 3 * SECTOR)
    written, read = tmp_path / "written", tmp_path / "read"
    written.write_bytes(image)
    one_sector = tmp_path / "one sector"
    one_sector.write_bytes(image[:SECTOR])
    beyond = hex(OURS_AT + 3 * SECTOR)
    flash = tmp_path / "flash"
    flash.write_bytes(OLD)
    with lent_chip("esp8266", flash=flash) as url:
        port = ("--port", url)
        steps = [
            # Their stub would be found running, and would stay: so they come last.
            run(*OURS, *port, NO_STUB, "write-flash", beyond, str(one_sector)),
            run(*OURS, *port, NO_STUB, "write-flash", hex(OURS_AT), str(written)),
            run(*OURS, *port, NO_STUB, "verify-flash", hex(OURS_AT), str(one_sector)),
            run(*OURS, *port, NO_STUB, "erase-region", hex(OURS_AT + SECTOR), hex(SECTOR)),
            run(*THEIRS, *port, "read-flash", hex(OURS_AT), hex(4 * SECTOR), str(read)),
        ]
    for step in steps:
        assert step.exit_code == 0, step.stdout + step.stderr
    assert "Verification successful (digest matched)." in steps[2].stdout
    assert "cannot tell what the flash holds" in steps[0].stderr
    expected = image[:SECTOR] + b"\xff" * SECTOR + image[2 * SECTOR :] + image[:SECTOR]
    assert read.read_bytes() == expected
    assert_untouched(OLD, flash.read_bytes(), [(OURS_AT, OURS_AT + len(expected))])
