"""ELF files as inputs of write_flash and verify_flash: what counts is the image made of each."""

from __future__ import annotations

import concurrent.futures
import json
import os
from typing import TYPE_CHECKING

import pytest

from elf_programs import app_descriptor
from elf_writer import Section, elf_for
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.errors import ElfError, PlanError
from esploader.image import build_image
from esploader.image.elf import is_program
from esploader.image.partitions import parse_csv
from untouched import assert_untouched, connect, old_content

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = elf_for(
    ESP32_C3,
    [
        Section(".flash.appdesc", 0x3C00_0020, app_descriptor()),
        Section(".iram0.text", 0x4037_C000, b"code" * 100),
    ],
).build()
IMAGE = build_image(PROGRAM, ESP32_C3).data

MODULE = PROGRAM[:16] + b"\x03\0" + PROGRAM[18:]
"""A shared object, such as an application may load from its flash."""


@pytest.fixture(name="path", params=["app.elf", "app.bin", "app"])
def _path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    path.write_bytes(PROGRAM)
    return path


def test_the_image_of_a_program_is_written_and_compared(path: Path) -> None:
    with connect("sim://esp32c3", stub=False) as device:
        (result,) = device.flash.write([(0x1_0000, path)])
        (part,) = result.inputs
        assert (part.offset, part.size) == (0x1_0000, len(IMAGE))
        assert device.flash.read(0x1_0000, len(IMAGE)) == IMAGE
        assert device.flash.verify([(0x1_0000, path)]) == ()
        assert device.flash.verify([(0x1_1000, path)]) != ()
        (region,) = device.flash.plan([(0x1_0000, path)]).regions
        assert region.data[: len(IMAGE)] == IMAGE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("command", ["write-flash", "verify-flash"])
def test_a_program_that_comes_through_a_pipe_is_one_too(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in ``write-flash 0x10000 <(xz -dc app.elf.xz)``."""
    pipe, flash = tmp_path / "pipe", tmp_path / "flash.bin"
    os.mkfifo(pipe)
    before = bytearray(old_content(4 << 20))
    before[0x1_0000 : 0x1_0000 + len(IMAGE)] = IMAGE
    flash.write_bytes(before)
    common = ["--port", f"sim://esp32c3?file={flash}", "--no-stub", "--json"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_bytes, PROGRAM)
        code = main([*common, command, "0x10000", str(pipe)])
        writing.result()
    shown = capsys.readouterr()
    assert "written as it is" not in shown.err
    document = json.loads(shown.out)
    assert code == 0
    if command == "write-flash":
        (written,) = document["written"]
        assert written["inputs"] == [{"name": str(pipe), "offset": 0x1_0000, "size": len(IMAGE)}]
    assert flash.read_bytes()[0x1_0000 : 0x1_0000 + len(IMAGE)] == IMAGE
    assert_untouched(bytes(before), flash.read_bytes(), [(0x1_0000, 0x1_0000 + len(IMAGE))])


def test_nothing_else_is_written(path: Path, tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    before = old_content(4 << 20)
    flash.write_bytes(before)
    port = f"sim://esp32c3?file={flash}"
    assert main(["--port", port, "--no-stub", "write_flash", "0x10000", str(path)]) == 0
    after = flash.read_bytes()
    assert after[0x1_0000 : 0x1_0000 + len(IMAGE)] == IMAGE
    assert_untouched(before, after, [(0x1_0000, 0x1_0000 + len(IMAGE))])


def test_it_is_the_image_that_has_to_fit_into_a_partition(tmp_path: Path) -> None:
    path, flash = tmp_path / "app.elf", tmp_path / "flash.bin"
    debug = Section(".debug_info", 0, bytes(0x2_0000), flags=0)
    sections = [Section(".iram0.text", 0x4037_C000, b"code" * 100), debug]
    elf = elf_for(ESP32_C3, sections).build()
    path.write_bytes(elf)
    before = bytearray(old_content(4 << 20))
    table = parse_csv("factory,app,factory,0x10000,64K\nota_0,app,ota_0,0x20000,64K")
    before[0x8000:0x8C00] = table.to_bytes()
    flash.write_bytes(before)
    words = ["--port", f"sim://esp32c3?file={flash}", "--no-stub"]
    assert main([*words, "write_flash", "part:ota_0", str(path)]) == 0
    image = build_image(elf, ESP32_C3).data
    after = flash.read_bytes()
    assert after[0x2_0000 : 0x2_0000 + len(image)] == image
    assert_untouched(bytes(before), after, [(0x2_0000, 0x2_0000 + len(image))])
    assert main([*words, "verify_flash", "part:ota_0", str(path)]) == 0


def test_both_files_of_an_esp8266_are_written(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    sections = [
        Section(".text", 0x4010_0000, b"code" * 20),
        Section(".irom0.text", 0x4021_0000, b"irom" * 30),
    ]
    elf = elf_for(ESP8266, sections).build()
    path.write_bytes(elf)
    made = build_image(elf, ESP8266)
    with connect("sim://esp8266", stub=False) as device:
        device.flash.write([(0, path)])
        assert device.flash.read(0, len(made.data)) == made.data
        assert device.flash.read(0x1_0000, 120) == b"irom" * 30


def test_of_an_esp8266_what_is_mapped_belongs_to_its_address(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    sections = [
        Section(".text", 0x4010_0000, b"code" * 20),
        Section(".irom0.text", 0x4021_0000, b"irom" * 30),
    ]
    path.write_bytes(elf_for(ESP8266, sections).build())
    table = parse_csv("ota_0,app,ota_0,0x10000,64K\nota_1,app,ota_1,0x20000,64K")
    with connect("sim://esp8266", stub=False) as device:
        device.flash.write([(0x8000, table.to_bytes())])
        reason = r"what belongs to 0x10000 lies in front of the partition ota_1 \(0x10000 bytes at"
        with pytest.raises(PlanError, match=reason):
            device.partitions["ota_1"].write(path)


def test_the_header_of_a_bootloader_gets_flash_parameters(tmp_path: Path) -> None:
    path = tmp_path / "bootloader.elf"
    path.write_bytes(PROGRAM)
    flash = tmp_path / "flash.bin"
    flash.write_bytes(old_content(4 << 20))
    port = f"sim://esp32c3?file={flash}"
    words = ["write_flash", "-fm", "dio", "-fs", "4MB", "-ff", "80m", "0", str(path)]
    assert main(["--port", port, "--no-stub", *words]) == 0
    assert flash.read_bytes()[:4] == b"\xe9\x02\x02\x2f"


def test_what_is_no_program_is_written_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "module.so"
    path.write_bytes(MODULE)
    assert is_program(PROGRAM)
    assert not is_program(MODULE)
    with connect("sim://esp32c3", stub=False) as device:
        device.flash.write([(0x1_0000, path)])
        assert device.flash.read(0x1_0000, len(MODULE)) == MODULE
        assert "ELF" not in caplog.text

        # Who has bytes knows what they are.
        device.flash.write([(0x2_0000, PROGRAM)])
        assert device.flash.read(0x2_0000, len(PROGRAM)) == PROGRAM
    told = [message for message in caplog.messages if "ELF" in message]
    assert told == ["what goes to 0x20000 is an ELF file, and is written as it is"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (elf_for(ESP32, [Section(".t", 0x4008_0000, b"text")]).build(), "is for xtensa"),
        (PROGRAM[:-1], "it ends within its 4 section headers"),
        (PROGRAM[:18] + b"\x28\0" + PROGRAM[20:], "for machine 0x28"),
    ],
)
def test_a_program_of_which_no_image_can_be_made_is_refused(
    content: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(content)
    with connect("sim://esp32c3", stub=False) as device:
        for refuse in (device.flash.plan, device.flash.write, device.flash.verify):
            with pytest.raises(ElfError, match=reason):
                refuse([(0x1_0000, path)])

    assert main(["--port", "sim://esp32c3", "--no-stub", "write_flash", "0", str(path)]) == 2
    error = capsys.readouterr().err
    assert "no firmware image can be made of the ELF file: " in error
    assert reason in error
    assert "HINT: Is it what the linker made for this chip" in error
