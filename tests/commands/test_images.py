"""What ``elf2image`` and ``image-info`` do, say and refuse."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
from typing import TYPE_CHECKING

import jsonschema
import pytest

from elf_programs import app_descriptor, bootloader_descriptor
from elf_writer import Section, elf_for
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32c6 import ESP32_C6
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.image import ImageOptions, build_image, inspect_image
from esploader.image.merge import merge
from esploader.image.partitions import parse_csv
from esploader.image.runs import Run
from json_schemas import schemas
from untouched import old_content

if TYPE_CHECKING:
    from pathlib import Path

SECTIONS = [
    Section(".flash.appdesc", 0x3C00_0020, app_descriptor()),
    Section(".iram0.text", 0x4037_C000, b"code" * 100),
    Section(".iram0.more", 0x4037_C190, b"more"),
    Section(".flash.text", 0x4201_0020, b"text" * 10),
]
ELF = elf_for(ESP32_C3, SECTIONS).build()
IMAGE = build_image(ELF, ESP32_C3).data
SMALL = build_image(elf_for(ESP32_C3, SECTIONS[1:2]).build(), ESP32_C3).data

TABLE = "factory,app,factory,0x10000,1M\nota_0,app,ota_0,0x110000,1M"

ESP8266_ELF = elf_for(
    ESP8266,
    [
        Section(".text", 0x4010_0000, b"code" * 20),
        Section(".irom0.text", 0x4021_1010, b"irom" * 30),
    ],
).build()


@pytest.fixture(name="elf")
def _elf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "app.elf"
    path.write_bytes(ELF)
    return path


def check(command: str, text: str) -> None:
    """Compare a document with the published schema of the command."""
    schema = schemas()[command]
    assert isinstance(schema, dict)
    jsonschema.validate(json.loads(text), schema)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that fails, and return what it says of that."""
    capsys.readouterr()
    assert main([*words]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


def test_an_image_is_made_beside_its_program(elf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--chip", "esp32c3", "elf2image", str(elf)]) == 0
    assert (elf.parent / "app.bin").read_bytes() == IMAGE
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "Creating ESP32-C3 image...",
        "Merged 1 ELF section.",
        f"Wrote {len(IMAGE)} bytes to '{elf.parent / 'app.bin'}'.",
        "Successfully created ESP32-C3 image.",
    ]


def test_every_option_counts(elf: Path) -> None:
    words = [
        "-fm",
        "dio",
        "-ff",
        "80m",
        "-fs",
        "4MB",
        "--min-rev-full",
        "3",
        "--pad_to_size",
        "1MB",
    ]
    words += [
        "--max-rev-full",
        "199",
        "-r",
        "3",
        "--secure-pad-v2",
        "--flash-mmu-page-size",
        "64KB",
    ]
    words += ["--elf-sha256-offset", "0xB0", "-o", "named.bin"]
    assert main(["-c", "esp32c3", "elf2image", *words, str(elf)]) == 0
    image = (elf.parent / "named.bin").read_bytes()
    report = inspect_image(image)
    assert len(image) == 1 << 20
    assert report.size % 0x1_0000 == 0
    assert image[2:4] == b"\x02\x2f"
    extended = report.header.extended
    assert extended is not None
    assert str(extended.minimum_revision) == "v0.3"
    assert str(extended.maximum_revision) == "v1.99"
    assert extended.legacy_minimum_revision == 3

    words = ["--dont-append-digest", "--use-segments", "--ram-only-header"]
    for word in words[::2]:
        assert main(["-c", "esp32c3", "elf2image", word, "-o", "named.bin", str(elf)]) == 0
        found = inspect_image((elf.parent / "named.bin").read_bytes())
        assert not found.header.has_digest


def test_the_environment_sets_flash_parameters(elf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPTOOL_CHIP", "esp32c3")
    monkeypatch.setenv("ESPTOOL_FM", "dout")
    monkeypatch.setenv("ESPTOOL_FS", "detect")
    assert main(["elf2image", str(elf)]) == 0
    assert (elf.parent / "app.bin").read_bytes()[2:4] == b"\x03\x00"


def test_the_files_of_an_esp8266(elf: Path) -> None:
    elf.write_bytes(ESP8266_ELF)
    folder = elf.parent
    made = {
        version: build_image(ESP8266_ELF, ESP8266, ImageOptions(esp8266_version=version))
        for version in (1, 2, 3)
    }
    for version in ("1", "2", "3"):
        assert main(["-c", "esp8266", "elf2image", "--version", version, "app.elf"]) == 0
    assert main(["-c", "esp8266", "elf2image", "-o", "out-", "app.elf"]) == 0

    assert {path.name for path in folder.iterdir()} == {
        "app.elf",
        "app.elf-0x00000.bin",
        "app.elf-0x11010.bin",
        "app-0x11000.bin",
        "app.bin",
        "out-0x00000.bin",
        "out-0x11010.bin",
    }
    assert (folder / "app.elf-0x00000.bin").read_bytes() == made[1].data
    assert (folder / "out-0x11010.bin").read_bytes() == b"irom" * 30
    assert (folder / "app-0x11000.bin").read_bytes() == made[2].data
    assert (folder / "app.bin").read_bytes() == made[3].data


def test_an_esp8266_that_maps_nothing_has_one_file(elf: Path) -> None:
    in_ram = [Section(".text", 0x4010_0000, b"code" * 20)]
    elf.write_bytes(elf_for(ESP8266, in_ram).build())
    assert main(["-c", "esp8266", "elf2image", "--version", "1", "app.elf"]) == 0
    assert {path.name for path in elf.parent.iterdir()} == {"app.elf", "app.elf-0x00000.bin"}


def test_what_a_bootloader_says_of_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [
        Section(".dram0.bootdesc", 0x3FCD_0000, bootloader_descriptor()),
        Section(".iram0.text", 0x4038_0000, b"code" * 100),
    ]
    path = tmp_path / "bootloader.bin"
    path.write_bytes(build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data)
    assert main(["image-info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "Bootloader Information\n" in text
    assert "Bootloader version: 42\nESP-IDF: v5.4.1\nCompile time: Feb 29 2024 12:34:56\n" in text
    assert "Application Information" not in text
    assert main(["--json", "image-info", str(path)]) == 0
    out = capsys.readouterr().out
    check("image-info", out)
    (image,) = json.loads(out)["images"]
    assert (image["bootloader"]["version"], image["application"]) == (42, None)


def test_the_size_of_pages_is_told_where_the_application_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = [
        Section(".flash.appdesc", 0x4200_0020, app_descriptor(32 << 10)),
        Section(".flash.text", 0x4201_0020, b"text" * 10),
    ]
    path = tmp_path / "image.bin"
    path.write_bytes(build_image(elf_for(ESP32_C6, sections).build(), ESP32_C6).data)
    assert main(["image-info", str(path)]) == 0
    assert "MMU page size: 32 KB\n" in capsys.readouterr().out


def test_what_was_made_as_json(elf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "-c", "esp32c3", "elf2image", str(elf)]) == 0
    text = capsys.readouterr().out
    check("elf2image", text)
    (file,) = json.loads(text)["files"]
    assert file == {"file": str(elf.parent / "app.bin"), "size": len(IMAGE), "offset": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["elf2image", "app.elf"], "elf2image without --chip: an ELF file does not say"),
        (["-c", "esp32c3", "elf2image", "nothing"], "No such file or directory: 'nothing'"),
        (["-c", "esp32", "elf2image", "app.elf"], "for riscv, and the ESP32 is a chip with xtensa"),
        (["-c", "esp32c3", "elf2image", "-o", "app.elf", "app.elf"], "is the ELF file itself"),
        (["-c", "esp32c3", "elf2image", "-o", "no/app.bin", "app.elf"], "cannot be written"),
        (["-c", "esp32c3", "elf2image", "-fs", "512KB", "app.elf"], "ESP32-C3 has these: 1MB"),
        (["-c", "esp32e22", "elf2image", "app.elf"], "it is not known yet"),
    ],
)
def test_what_cannot_be_made_is_refused(
    words: list[str], message: str, elf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, *words)
    assert [path.name for path in elf.parent.iterdir()] == ["app.elf"]
    assert elf.read_bytes() == ELF


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_program_from_a_pipe_needs_the_name_of_an_output(
    elf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in ``elf2image <(xz -dc app.elf.xz)``: nothing is written beside /dev/fd/63."""
    os.mkfifo("pipe")
    words = ["-c", "esp32c3", "elf2image"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        writing = pool.submit((elf.parent / "pipe").write_bytes, ELF)
        said = refused(capsys, *words, "pipe")
        writing.result()
        assert "pipe is no file to write an image beside: name --output" in said
        assert {path.name for path in elf.parent.iterdir()} == {"app.elf", "pipe"}
        writing = pool.submit((elf.parent / "pipe").write_bytes, ELF)
        assert main([*words, "--output", "app.bin", "pipe"]) == 0
        writing.result()
    assert (elf.parent / "app.bin").read_bytes() == IMAGE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-rev-full", "65536"], "--min-rev-full: 65536 is not between 0 and 65535"),
        (["--max-rev-full", "-1"], "--max-rev-full"),
        (["--min-rev", "256"], "--min-rev: 256 is not between 0 and 255"),
        (["--version", "4"], "--version"),
        (["-fm", "keep"], "--flash-mode: 'keep' is none of qio, qout, dio, dout"),
        (["-ff", "fast"], "--flash-freq: 'fast' is none of 80m, 40m or the like"),
        (["-fs", "detect"], "--flash-size: 'detect' is none of 1MB, 2MB or the like"),
        (["--pad-to-size", "0"], "0 is not from 1 to 256MB"),
        (["--pad-to-size", "1G"], "--pad-to-size"),
        (["--flash-mmu-page-size", "4KB"], "'4KB' is none of 8KB, 16KB"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    words: list[str], message: str, elf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, "-c", "esp32c3", "elf2image", *words, str(elf))


def test_an_exit_code_of_its_own(elf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elf.write_bytes(ELF[:100])
    words = ["--exit-codes", "detailed", "-c", "esp32c3", "elf2image", str(elf)]
    assert main(words) == 53
    assert "HINT: Is it what the linker made for this chip" in capsys.readouterr().err


def test_a_merged_file_is_gone_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "merged.bin"
    path.write_bytes(SMALL.ljust(0x1_0000, b"\xff") + IMAGE)
    assert main(["image-info", str(path)]) == 0
    text = capsys.readouterr().out
    assert f"Image at 0x0: {len(SMALL)} bytes\nDetected image type: ESP32-C3\n" in text
    assert f"Image at 0x10000: {len(IMAGE)} bytes\nDetected image type: ESP32-C3\n" in text
    assert text.count("(valid)") == 4
    assert text.count("Project name: blinky") == 1

    assert main(["image-info", "--json", str(path)]) == 0
    text = capsys.readouterr().out
    check("image-info", text)
    assert [image["offset"] for image in json.loads(text)["images"]] == [0, 0x1_0000]


def test_what_has_no_address_in_version_2_is_mapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(build_image(ESP8266_ELF, ESP8266, ImageOptions(esp8266_version=2)).data)
    assert main(["image-info", str(path)]) == 0
    assert re.search(r"^ +0 .* 0x00000000 .* IROM$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("kind", ["hex", "uf2"])
def test_the_pieces_of_a_file_with_addresses_are_gone_through(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As merge-bin makes it of a whole build: what is between the images is none.
    runs = [Run(0, SMALL), Run(0x8000, parse_csv(TABLE).to_bytes()), Run(0x1_0000, IMAGE)]
    merged = merge(runs)
    path = tmp_path / "image"
    path.write_bytes(b"".join(merged.hex() if kind == "hex" else merged.uf2(ESP32_C3.uf2_family)))
    assert main(["image-info", str(path)]) == 0
    shown = capsys.readouterr()
    assert f"Image size: {len(SMALL)} bytes\n" in shown.out
    assert f"Image size: {len(IMAGE)} bytes at 0x10000\n" in shown.out
    assert shown.out.count("Entry point: ") == 2
    noted = "NOTE: there is no image at 0x8000: it begins with 0xaa instead of 0xe9\n"
    assert shown.err == noted

    assert main(["image-info", "--json", str(path)]) == 0
    text = capsys.readouterr().out
    check("image-info", text)
    assert [image["offset"] for image in json.loads(text)["images"]] == [0, 0x1_0000]

    path.write_bytes(b"".join(merge(runs[1:2]).hex()))
    assert "it begins with 0xaa instead of 0xe9" in refused(capsys, "image-info", str(path))


def test_what_is_nothing_but_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(SMALL.ljust(4096, b"\xff") * 1025)
    said = refused(capsys, "image-info", "--json", str(path))
    assert f"{path} has more than 1024 images: look into a part of it" in said


def test_of_many_pieces_without_an_image_some_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [Run(0, SMALL), *(Run(0x1_0000 + 512 * number, b"data") for number in range(100))]
    path = tmp_path / "sparse.uf2"
    path.write_bytes(b"".join(merge(runs).uf2(ESP32_C3.uf2_family)))
    assert main(["image-info", str(path)]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 9
    assert notes[-1] == "NOTE: there is none at 92 more places"


def test_an_image_for_a_chip_of_which_little_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(SMALL[:12] + b"\x1f" + SMALL[13:])
    assert main(["image-info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "Detected image type: ESP32-E22\n" in text
    assert "Flash size: unknown (0x0)\n" in text
    assert main(["--json", "image-info", str(path)]) == 0
    check("image-info", capsys.readouterr().out)


def test_an_image_for_another_chip_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(SMALL)
    assert main(["--chip", "esp32", "image-info", str(path)]) == 0
    captured = capsys.readouterr()
    assert "NOTE: the image at 0x0: it is for ESP32-C3, not for ESP32" in captured.err
    assert "Detected image type" not in captured.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (ELF, "it is an ELF file, from which an image is still to be made"),
        (b"\xff" * 5000, "it is blank"),
        (b"text", "it is text"),
        (b":-) and more of it", "it is text"),
        (bytes(100), "it begins with 0x00 instead of 0xe9"),
        (IMAGE[:-1], "it ends 1 bytes too early"),
        (b":020000040001F9\n:garbage", "line 2"),
        (b"UF2\n" + bytes(508), "block 1"),
    ],
)
def test_what_is_no_image_is_named(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(content)
    assert message in refused(capsys, "image-info", str(path))


def test_texts_of_an_image_do_nothing_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    descriptor = app_descriptor().replace(b"blinky", b"\x1b[2J\n\r")
    sections = [Section(".flash.appdesc", 0x3C00_0020, descriptor)]
    path = tmp_path / "image.bin"
    path.write_bytes(build_image(elf_for(ESP32_C3, sections).build(), ESP32_C3).data)
    assert main(["image-info", str(path)]) == 0
    assert "Project name: ?[2J??\n" in capsys.readouterr().out


@pytest.fixture(name="port")
def _port(tmp_path: Path) -> str:
    flash = bytearray(old_content(4 << 20))
    flash[0x1_0000 : 0x1_0000 + len(IMAGE)] = IMAGE
    flash[0x8000 : 0x8000 + 0xC00] = parse_csv(TABLE).to_bytes()
    (tmp_path / "flash.bin").write_bytes(flash)
    return f"sim://esp32c3?file={tmp_path / 'flash.bin'}"


def test_an_image_in_the_flash_of_a_device(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--port", port, "--no-stub", "image-info", "flash:0x10000"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert f"Image size: {len(IMAGE)} bytes at 0x10000 of the flash\n" in text
    assert "Project name: blinky" in text

    assert main(["--json", *words]) == 0
    text = capsys.readouterr().out
    check("image-info", text)
    (found,) = json.loads(text)["images"]
    assert (found["offset"], found["size"]) == (0x1_0000, len(IMAGE))
    assert found["digest_valid"]


def test_an_image_in_a_partition_of_a_device(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--port", port, "--no-stub", "image-info"]
    assert main([*words, "flash:part:factory"]) == 0
    text = capsys.readouterr().out
    assert f"Image size: {len(IMAGE)} bytes at 0x10000 of the flash\n" in text
    assert "instead of 0xe9" in refused(capsys, *words, "flash:part:ota_0")
    assert "ota_7" in refused(capsys, *words, "flash:part:ota_7")
    assert "part: needs the name of a partition" in refused(capsys, *words, "flash:part:")


def test_no_image_in_the_flash_of_a_device(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--port", port, "--no-stub", "image-info"]
    assert "instead of 0xe9" in refused(capsys, *words, "flash:0x20000")
    assert "end beyond the flash of" in refused(capsys, *words, "flash:4M")
    assert "'part' is not a number" in refused(capsys, *words, "flash:part")
    blank = ["--port", "sim://esp32c3", "--no-stub", "image-info"]
    assert "image: it is blank\n" in refused(capsys, *blank, "flash:0x10000")
    assert "image: it is blank\n" in refused(capsys, *blank, "flash:0x3fffe8")
