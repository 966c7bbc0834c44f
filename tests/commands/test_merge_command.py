"""``merge-bin`` as somebody types it: what it writes, says, and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from elf_programs import made_up
from elf_writer import Section, elf_for
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.image import build_image, hexfile, uf2
from esploader.image.partitions import parse_csv
from esploader.image.patch import patch_header
from esploader.image.runs import Run
from images import small_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.chips.model.chip import Chip

APP = b"an application" * 100


@pytest.fixture(name="merge")
def _merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run merge-bin in a folder with files for an ESP32-C3 and an ESP32."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bootloader.bin").write_bytes(small_image(ESP32_C3))
    (tmp_path / "bootloader32.bin").write_bytes(small_image(ESP32))
    (tmp_path / "app.bin").write_bytes(APP)

    def merge(*words: str, before: tuple[str, ...] = ()) -> int:
        return main([*before, "merge-bin", "--output", "merged", *words])

    return merge


INPUTS = ("0", "bootloader.bin", "0x10000", "app.bin")
RUNS = (Run(0, small_image(ESP32_C3)), Run(0x1_0000, APP))


def test_what_a_merge_says_and_writes(
    merge: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(*INPUTS) == 0
    image = small_image(ESP32_C3)
    assert (tmp_path / "merged").read_bytes() == image.ljust(0x1_0000, b"\xff") + APP
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1:] == [
        f"'bootloader.bin': {len(image)} bytes at 0x00000000.",
        "'app.bin': 1400 bytes at 0x00010000.",
        "Wrote 0x10578 bytes to file 'merged', ready to flash to offset 0x0.",
    ]
    gap = 0x1_0000 - len(image)
    assert (
        shown.err == f"NOTE: {gap} bytes in gaps are filled with 0xFF; --format hex leaves them "
        "out\n"
    )


def test_gaps_are_left_out_of_the_other_formats(merge: Callable[..., int], tmp_path: Path) -> None:
    assert merge(*INPUTS, "--format", "hex") == 0
    assert hexfile.read_segments((tmp_path / "merged").read_bytes()) == RUNS
    assert merge(*INPUTS, "-f", "uf2", before=("--chip", "esp32c3")) == 0
    found = uf2.read_blocks((tmp_path / "merged").read_bytes())
    assert found == uf2.Uf2Content(RUNS, ESP32_C3.uf2_family)


def test_the_document_says_what_was_done(
    merge: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(*INPUTS, "-fs", "4MB", "--json", before=("--chip", "esp32c3")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "merged": {
            "file": "merged",
            "format": "raw",
            "size": 0x10578,
            "offset": 0,
            "inputs": [
                {"name": "bootloader.bin", "offset": 0, "size": len(small_image(ESP32_C3))},
                {"name": "app.bin", "offset": 0x1_0000, "size": 1400},
            ],
            "header_changed": True,
        },
        "warnings": [],
    }


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_flash_parameters_go_into_the_bootloader(
    chip: Chip, merge: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "boot.bin").write_bytes(small_image(chip))
    offset = hex(chip.bootloader_offset)
    words = ("-t", offset, "-fm", "dio", "-fs", "4MB", offset, "boot.bin", "0x10000", "app.bin")
    assert merge(*words, before=("--chip", chip.key)) == 0
    expected = patch_header(small_image(chip), chip, mode="dio", size="4MB")
    merged = (tmp_path / "merged").read_bytes()
    assert merged == expected.data.ljust(0x1_0000 - chip.bootloader_offset, b"\xff") + APP
    said = capsys.readouterr().out
    assert f"Flash parameters set to 0x{expected.data[2:4].hex()} (mode dio, size 4MB)." in said
    assert ("SHA digest in image updated." in said) is expected.digest_updated


def test_a_bootloader_within_a_merged_file_gets_them_too(
    merge: Callable[..., int], tmp_path: Path
) -> None:
    # esptool looks only at a file that begins where the bootloader does.
    whole = b"\xff" * 0x1000 + small_image(ESP32).ljust(0x1000, b"\xff") + APP
    (tmp_path / "whole.bin").write_bytes(whole)
    assert merge("-fs", "8MB", "0", "whole.bin", before=("--chip", "esp32")) == 0
    expected = patch_header(small_image(ESP32), ESP32, size="8MB").data
    merged = (tmp_path / "merged").read_bytes()
    assert merged == whole[:0x1000] + expected + whole[0x1000 + len(expected) :]


def test_hex_and_uf2_files_are_inputs(merge: Callable[..., int], tmp_path: Path) -> None:
    assert merge("-f", "hex", "0", "bootloader.bin", "0x1000", "app.bin") == 0
    (tmp_path / "part.hex").write_bytes((tmp_path / "merged").read_bytes())
    assert merge("-f", "uf2", "0x100", "app.bin", before=("--chip", "esp32c3")) == 0
    (tmp_path / "part.uf2").write_bytes((tmp_path / "merged").read_bytes())
    assert merge("0", "part.hex", "0x8000", "part.uf2", before=("--chip", "esp32c3")) == 0
    image = small_image(ESP32_C3)
    expected = (image.ljust(0x1000, b"\xff") + APP).ljust(0x8100, b"\xff") + APP
    assert (tmp_path / "merged").read_bytes() == expected


TABLE = "nvs,data,nvs,0x9000,0x3000\nfactory,app,factory,0x20000,64K\n"


def test_partitions_are_those_of_the_table_among_the_inputs(
    merge: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = parse_csv(TABLE).to_bytes()
    (tmp_path / "table.bin").write_bytes(table)
    assert merge("part:factory", "app.bin", "0x8000", "table.bin", "-t", "0x8000") == 0
    expected = table.ljust(0x1_8000, b"\xff") + APP
    assert (tmp_path / "merged").read_bytes() == expected
    assert "Partition factory: 0x10000 bytes at 0x20000.\n" in capsys.readouterr().out
    # It may be in the midst of another file, and elsewhere.
    (tmp_path / "both.bin").write_bytes(b"boot".ljust(0x2000, b"\xff") + table)
    elsewhere = ("--partition-table-offset", "0x7000", "-t", "0x5000")
    assert merge("0x5000", "both.bin", "part:factory", "app.bin", *elsewhere) == 0
    expected = (b"boot".ljust(0x2000, b"\xff") + table).ljust(0x1_B000, b"\xff") + APP
    assert (tmp_path / "merged").read_bytes() == expected


def test_the_elf_file_of_a_program_stands_for_its_image(
    merge: Callable[..., int], tmp_path: Path
) -> None:
    for chip in (ESP32_C3, ESP8266):
        elf = made_up(chip, 0).elf
        (tmp_path / "program").write_bytes(elf)
        built = build_image(elf, chip)
        runs = {Run(0x0, built.data), *(() if built.mapped is None else (Run(*built.mapped),))}
        assert merge("-f", "hex", "0", "program", before=("--chip", chip.key)) == 0
        assert set(hexfile.read_segments((tmp_path / "merged").read_bytes())) == runs


def test_what_is_mapped_of_an_esp8266_is_kept_within_a_partition(
    merge: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [
        Section(".text", 0x4010_0000, b"code" * 20),
        Section(".irom0.text", 0x4021_0000, b"irom" * 30),
    ]
    (tmp_path / "app.elf").write_bytes(elf_for(ESP8266, sections).build())
    (tmp_path / "table.bin").write_bytes(parse_csv(TABLE).to_bytes())
    words = ("0x8000", "table.bin", "part:factory", "app.elf")
    assert merge(*words, before=("--chip", "esp8266")) == 2
    reason = "what belongs to 0x10000 lies in front of the partition factory: 0x10000 bytes at 0x20"
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_an_output_may_be_an_input(merge: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "merged").write_bytes(b"older")
    assert merge("0x10", "merged") == 0
    assert (tmp_path / "merged").read_bytes() == b"\xff" * 0x10 + b"older"


C3 = ("--chip", "esp32c3")


@pytest.mark.parametrize(
    ("words", "before", "reason"),
    [
        (("-f", "uf2", *INPUTS), (), "a UF2 file is for one kind of chip: name it with --chip"),
        (("-fs", "4MB", *INPUTS), (), "flash parameters are those of one kind of chip: name it"),
        (("-fs", "3MB", *INPUTS), C3, "flash size '3MB'"),
        (INPUTS, ("--chip", "esp33"), "chip 'esp33'"),
        (("-f", "uf2", *INPUTS), ("--chip", "esp32e22"), "uf2 family of the ESP32-E22"),
        (("-fs", "detect", *INPUTS), C3, "there is no flash here whose size could be detected"),
        (("-f", "elf", *INPUTS), (), "'elf' is none of raw, uf2, hex"),
        (("--chunk-size", "456", "-f", "uf2", *INPUTS), C3, "4 to 452 bytes of data"),
        (("--pad-to-size", "1k", *INPUTS), (), "ends at 0x10578, beyond a size of 0x400 bytes"),
        (("--pad-to-size", "4GB", *INPUTS), (), "4GB"),
        (("-t", "0x1000", *INPUTS), (), "what goes to 0x0 lies before 0x1000"),
        (("0", "bootloader.bin", "4", "app.bin"), (), "overlaps what goes to 0x4"),
        (("0", "nowhere.bin"), (), "nowhere.bin"),
        (("0",), (), "offsets and files come in pairs"),
        (("0xf0000000", "app.bin"), (), "are in no flash"),
        (("0", "empty.bin"), (), "there is nothing to merge"),
        (("part:nvs", "app.bin"), (), "where part:nvs is only a partition table among the inputs"),
        (("0x8000", "app.bin", "part:nvs", "app.bin"), (), "row 1 begins with 616e instead of"),
        (("0x8000", "table.bin", "part:nv", "app.bin"), (), "no partition nv (did you mean nvs?)"),
        (
            ("0x8000", "table.bin", "part:nvs", "large.bin"),
            (),
            "into the partition nvs: 0x3000 bytes at 0x9000: 1 b",
        ),
        (("0", "program.elf"), (), "program.elf is an ELF file, and an image made of it is for"),
        (("0", "program.elf"), ("--chip", "esp32"), "the program is for riscv, and the ESP32"),
        (("0", "damaged.uf2"), (), "the UF2 file is damaged: block 1"),
        (("0", "c3.uf2", "0x1000", "other.uf2"), (), "other.uf2 is a UF2 file for other chips"),
        (("0", "other.uf2"), C3, "other.uf2 is a UF2 file, and it is for ESP32, not for ESP32-C3"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_merged_leaves_the_output_as_it_was(
    words: tuple[str, ...],
    before: tuple[str, ...],
    reason: str,
    merge: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "merged").write_bytes(b"older")
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "damaged.uf2").write_bytes(b"UF2")
    (tmp_path / "large.bin").write_bytes(bytes(0x3001))
    (tmp_path / "table.bin").write_bytes(parse_csv(TABLE).to_bytes())
    (tmp_path / "program.elf").write_bytes(made_up(ESP32_C3, 0).elf)
    other = b"".join(uf2.written((Run(0, b"x"),), ESP32.uf2_family))
    (tmp_path / "other.uf2").write_bytes(other)
    same = b"".join(uf2.written((Run(0, b"x"),), ESP32_C3.uf2_family))
    (tmp_path / "c3.uf2").write_bytes(same)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert merge(*words, before=before) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert "Traceback" not in said
    assert (tmp_path / "merged").read_bytes() == b"older"
    assert sorted(each.name for each in tmp_path.iterdir()) == names


def test_what_has_no_effect_is_noted(
    merge: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge("-f", "hex", "--pad-to-size", "4MB", "--chunk-size", "4", *INPUTS) == 0
    assert capsys.readouterr().err.splitlines() == [
        "NOTE: --pad-to-size has no effect: it is for --format raw",
        "NOTE: --chunk-size has no effect: it is for --format uf2",
    ]


def test_a_size_to_be_detected_that_is_set_for_devices_is_noted(
    merge: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ESPTOOL_FS", "detect")
    assert merge("0", "app.bin") == 0
    noted = "NOTE: ESPTOOL_FS=detect is not heeded: there is no flash here\n"
    assert capsys.readouterr().err == noted
