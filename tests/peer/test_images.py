"""Images pass between us and esptool unchanged in meaning, and patched alike.

Every run of esptool is a process of its own; none of them needs a port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from elf_writer import Section, elf_for
from esploader.chips.model.revision import Revision
from esploader.image.firmware import parse_image, verify_checksum, verify_digest
from esploader.image.patch import patch_header
from esploader.image.suitability import Suitability, check_image
from images import Parts, small_image, small_parts
from programs import esptool, run

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
with_chip_id = pytest.mark.parametrize(
    "chip",
    [chip for chip in DESCRIBED if chip.image_chip_id is not None],
    ids=lambda chip: chip.key,
)


def ask(chip: Chip, *arguments: str | Path) -> str:
    """Return what esptool prints."""
    done = run(*esptool("--chip", chip.key, *map(str, arguments)))
    assert done.exit_code == 0, done.stdout + done.stderr
    return done.stdout


def elf(chip: Chip, parts: Parts) -> bytes:
    """Return an ELF file with one section for each part."""
    return elf_for(chip, [Section(".text", address, data) for address, data in parts]).build()


def last_frequency(chip: Chip) -> str:
    """Return a flash frequency of the chip, and not the one that images have anyway."""
    return chip.flash_frequencies[-1][0]


@every_chip
def test_an_image_we_patched_is_valid_to_esptool(chip: Chip, tmp_path: Path) -> None:
    frequency = last_frequency(chip)
    result = patch_header(small_image(chip), chip, mode="dio", frequency=frequency, size="4MB")
    file = tmp_path / "image.bin"
    file.write_bytes(result.data)
    lines = ask(chip, "image-info", file).splitlines()

    assert result.changed
    for expected in ("Flash size: 4MB", f"Flash freq: {frequency}", "Flash mode: DIO"):
        assert expected in lines
    (checksum,) = (line for line in lines if line.startswith("Checksum: "))
    assert checksum.endswith("(valid)")
    digests = [line for line in lines if line.startswith("Validation hash: ")]
    assert [line.endswith("(valid)") for line in digests] == [True] * result.digest_updated


@every_chip
@pytest.mark.parametrize("digest", [False, True], ids=["plain", "digest"])
def test_esptool_patches_alike(chip: Chip, tmp_path: Path, *, digest: bool) -> None:
    image = small_image(chip, digest=digest).ljust(0x200, b"\xff") + b"the next file"
    source, target = tmp_path / "image.bin", tmp_path / "merged.bin"
    source.write_bytes(image)
    offset = hex(chip.bootloader_offset)
    ask(
        chip,
        *("merge-bin", "--output", target, "--target-offset", offset),
        *("--flash-mode", "dio", "--flash-size", "4MB"),
        *("--flash-freq", last_frequency(chip), offset, source),
    )

    ours = patch_header(image, chip, mode="dio", frequency=last_frequency(chip), size="4MB")
    assert ours.changed
    assert ours.data == target.read_bytes()


@with_chip_id
def test_an_image_that_esptool_makes_is_read(chip: Chip, tmp_path: Path) -> None:
    parts = small_parts(chip)
    source, target = tmp_path / "program.elf", tmp_path / "program.bin"
    source.write_bytes(elf(chip, parts))
    ask(
        chip,
        *("elf2image", "--output", target, "--flash-mode", "dout"),
        *("--flash-freq", last_frequency(chip)),
        *("--flash-size", "16MB", "--min-rev-full", "3", "--max-rev-full", "199", source),
    )
    image = target.read_bytes()
    layout = parse_image(image, chip)
    verify_checksum(image, layout)
    verify_digest(image, layout)

    header = layout.header
    assert layout.size == len(image)
    assert tuple((each.address, image[each.offset : each.end]) for each in layout.segments) == parts
    assert header.entry == parts[-1][0]
    assert header.flash_mode == dict(chip.flash_modes)["dout"]
    assert header.flash_frequency == dict(chip.flash_frequencies)[last_frequency(chip)]
    assert header.flash_size == dict(chip.flash_sizes)["16MB"]
    assert header.has_digest
    assert header.extended is not None
    assert header.extended.minimum_revision == Revision(0, 3)
    assert header.extended.maximum_revision == Revision(1, 99)
    assert check_image(image, chip, Revision(0, 3)).suitability is Suitability.SUITABLE
    assert check_image(image, chip, Revision(2, 0)).suitability is Suitability.WRONG_REVISION


def test_esptool_makes_esp8266_images_too(tmp_path: Path) -> None:
    chip = next(chip for chip in DESCRIBED if chip.image_chip_id is None)
    parts = small_parts(chip)
    source = tmp_path / "program.elf"
    source.write_bytes(elf(chip, parts))
    ask(chip, "elf2image", "--version", "1", "--output", tmp_path / "program-", source)
    image = (tmp_path / "program-0x00000.bin").read_bytes()
    layout = parse_image(image, chip)
    verify_checksum(image, layout)

    assert layout.size == len(image)
    assert tuple((each.address, image[each.offset : each.end]) for each in layout.segments) == parts
