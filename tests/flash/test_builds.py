"""Folders of build tools are read as the tools mean them, and hostile ones are refused."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import made_builds
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.errors import PlanError
from esploader.flash.builds.choosing import choose, read_builds
from esploader.flash.builds.folder import MAX_TEXT_SIZE
from esploader.flash.parameters import KEEP_PARAMETERS, FlashParameters
from esploader.image.merge import merge
from esploader.image.runs import Run
from images import small_image
from made_builds import FACTORY_TABLE, TOOLS, app, put, put_json, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.chips.model.chip import Chip
    from esploader.flash.builds.build import Build
    from made_builds import Place, Row

    Make = Callable[[Path, Chip], list[Place]]

every_tool = pytest.mark.parametrize("make", TOOLS, ids=lambda make: make.__name__)


def places(build: Build) -> list[Place]:
    """Return what goes where, with the bytes of the files."""
    return [
        (part.name, part.offset, part.content if part.path is None else part.path.read_bytes())
        for part in build.parts
    ]


def the_build(path: Path, chip: Chip = ESP32_C3) -> Build:
    return choose(read_builds(path), chip)


@every_tool
@pytest.mark.parametrize("chip", [ESP32, ESP32_C3], ids=lambda chip: chip.key)
def test_parts_are_found_with_their_offsets(make: Make, chip: Chip, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    expected = make(folder, chip)
    build = the_build(folder, chip)
    assert places(build) == expected
    assert build.chip is not None
    with pytest.raises(PlanError, match=f"is for .*{build.chip}.*, not for ESP32-S3"):
        choose(read_builds(folder), ESP32_S3)


@every_tool
def test_a_missing_or_empty_file_is_named(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "build", ESP32_C3)
    build = the_build(tmp_path / "build")
    for part in build.parts:
        if part.path is None:
            continue
        data = part.path.read_bytes()
        part.path.write_bytes(b"")
        with pytest.raises(PlanError, match=f"{part.path.name}.*empty") as caught:
            read_builds(tmp_path / "build")
        assert "\n" not in str(caught.value)
        part.path.write_bytes(data)
    assert build.parts[-1].path is not None
    build.parts[-1].path.unlink()
    with pytest.raises(PlanError, match=r"not complete|there is no build"):
        read_builds(tmp_path / "build")


def test_the_only_build_of_a_project_is_found(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"there is no build in .*: none of flasher_args.json"):
        read_builds(tmp_path)
    made_builds.esp_idf(tmp_path / "build", ESP32_C3)
    assert the_build(tmp_path).folder == tmp_path / "build"
    made_builds.platformio(tmp_path / ".pio" / "build" / "devkit", ESP32_C3)
    with pytest.raises(PlanError, match=r"has more than one build; name one of them: .*devkit, "):
        read_builds(tmp_path)
    assert the_build(tmp_path / ".pio" / "build" / "devkit").tool == "PlatformIO"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (made_builds.esp_idf, "flasher_args.json"),
        (made_builds.esp_idf, "flash_args"),
        (made_builds.esp_idf, "project_description.json"),
        (made_builds.arduino, "flash_args"),
        (made_builds.zephyr, "zephyr/runners.yaml"),
        (made_builds.web_tools, "manifest.json"),
    ],
    ids=["esp_idf", "words", "project", "arduino", "zephyr", "web_tools"],
)
def test_what_describes_a_build_stands_for_it(make: Make, name: str, tmp_path: Path) -> None:
    expected = make(tmp_path, ESP32_C3)
    assert places(the_build(tmp_path / name)) == expected


def test_another_file_is_no_build(tmp_path: Path) -> None:
    path = put(tmp_path, "app.bin", b"app")
    with pytest.raises(PlanError, match=r"describes no build; 'write-flash OFFSET app.bin' writes"):
        read_builds(path)
    with pytest.raises(PlanError, match="no such file or folder"):
        read_builds(tmp_path / "nowhere")
    with pytest.raises(PlanError, match="it is neither a file nor a folder"):
        read_builds(os.devnull)


def test_an_empty_path_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``flash "$BUILD"`` has it where nobody has set that."""
    made_builds.esp_idf(tmp_path, ESP32_C3)
    monkeypatch.chdir(tmp_path)
    assert the_build(Path()).parts
    with pytest.raises(PlanError, match="a folder has a name"):
        read_builds("")


# ESP-IDF ------------------------------------------------------------------------------------


def test_flash_settings_and_encryption_are_those_of_the_build(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    build = the_build(tmp_path)
    assert build.parameters == FlashParameters(mode="dio", size="4MB")
    assert [part.name for part in build.parts if part.encrypted] == [
        "bootloader",
        "partition-table",
        "app",
    ]
    assert [offset for offset, _ in build.inputs(encrypt=True)] == [0xE000]
    assert [offset for offset, _ in build.encrypted_inputs()] == [0, 0x8000, 0x1_0000]
    assert len(build.inputs()) == 4
    assert build.encrypted_inputs(encrypt=False) == []


def test_words_will_do_where_there_is_nothing_better(tmp_path: Path) -> None:
    expected = made_builds.esp_idf(tmp_path, ESP32_C3)
    (tmp_path / "flasher_args.json").unlink()
    build = the_build(tmp_path)
    names = ["bootloader", "partition-table", "ota_data_initial", "app"]
    assert places(build) == [
        (name, *rest) for name, (_, *rest) in zip(names, expected, strict=True)
    ]
    assert (build.chip, build.parameters) == (
        "esp32c3",
        FlashParameters(mode="dio", size="4MB"),
    )
    assert choose([build], ESP32_C3, app_only=True).parts == build.parts[-1:]
    # Without the description of the project nobody says which one it is.
    (tmp_path / "project_description.json").unlink()
    assert the_build(tmp_path).parts[-1].names == ("hello", "app0")


def test_an_offset_without_a_file_is_refused(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    (tmp_path / "flasher_args.json").unlink()
    put(tmp_path, "flash_args", b"--flash_mode dio\n0x10000 hello.bin 0x8000\n")
    with pytest.raises(PlanError, match="has 3 words where offsets and files come in pairs"):
        read_builds(tmp_path)


def test_parts_are_chosen_by_their_names_and_by_those_of_partitions(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    builds = read_builds(tmp_path)
    assert [part.name for part in choose(builds, ESP32_C3, app_only=True).parts] == ["app"]
    chosen = choose(builds, ESP32_C3, names=["app0", "bootloader"])
    assert [part.name for part in chosen.parts] == ["bootloader", "app"]
    with pytest.raises(PlanError, match=r"has no 'app1'; it has: bootloader, .*, app, app0"):
        choose(builds, ESP32_C3, names=["app1"])


def age(path: Path, seconds: int) -> None:
    """Make a file older."""
    then = path.stat().st_mtime_ns - seconds * 1_000_000_000
    os.utime(path, ns=(then, then))


@pytest.mark.parametrize(
    ("make", "stem"),
    [
        (made_builds.esp_idf, "hello"),
        (made_builds.platformio, "firmware"),
        (made_builds.arduino, "blink.ino"),
        (made_builds.zephyr, "zephyr/zephyr"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_file_older_than_what_it_is_made_of_is_refused(
    make: Make, stem: str, tmp_path: Path
) -> None:
    make(tmp_path, ESP32_C3)
    age(tmp_path / f"{stem}.bin", 1)
    assert the_build(tmp_path).parts
    age(tmp_path / f"{stem}.bin", 60)
    with pytest.raises(PlanError, match=f"{stem}.bin is out of date: .*.elf is newer"):
        choose(read_builds(tmp_path), ESP32_C3)
    assert choose(read_builds(tmp_path), ESP32_C3, force=True).parts


def test_a_file_of_another_build_is_refused(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    put(tmp_path, "hello.bin", app(ESP32_S3))
    with pytest.raises(PlanError, match=r"hello.bin is for ESP32-S3, and the build is for"):
        choose(read_builds(tmp_path), ESP32_C3)


def idf_with_part(folder: Path, offset: int, data: bytes, *rows: Row) -> Build:
    """Return a build of ESP-IDF with one more part, and with partitions for it."""
    made_builds.esp_idf(folder, ESP32_C3)
    put(folder, "partition_table/partition-table.bin", table((*made_builds.OTA_TABLE, *rows)))
    put(folder, "more.bin", data)
    path = folder / "flasher_args.json"
    document = json.loads(path.read_text())
    document["flash_files"][hex(offset)] = "more.bin"
    put_json(folder, path.name, document)
    (build,) = read_builds(folder)
    return build


def test_a_data_partition_may_hold_firmware_for_another_chip(tmp_path: Path) -> None:
    """As ESP-Hosted keeps that of the chip beside an ESP32-P4, for it to be sent there."""
    firmware = app(ESP32_S3)
    row = (made_builds.DATA, 0x40, 0x29_0000, 0x1000, "slave_fw")
    build = idf_with_part(tmp_path, 0x29_0000, firmware, row)
    assert choose([build], ESP32_C3).parts[-1].names == ("more", "slave_fw")
    row = (made_builds.APP, 0x12, 0x29_0000, 0x1000, "app2")
    build = idf_with_part(tmp_path, 0x29_0000, firmware, row)
    with pytest.raises(PlanError, match=r"more.bin is for ESP32-S3, and the build is for"):
        choose([build], ESP32_C3)
    # A table may have a row for the bootloader, too.
    row = (2, 0, 0, 0x8000, "bootloader")
    build = idf_with_part(tmp_path, 0x29_0000, b"more", row)
    put(tmp_path, "bootloader/bootloader.bin", small_image(ESP32_S3))
    with pytest.raises(PlanError, match=r"bootloader.bin is for ESP32-S3, and the build is for"):
        choose([build], ESP32_C3)


def test_a_part_that_does_not_fit_into_its_partition_is_refused(tmp_path: Path) -> None:
    row = (made_builds.DATA, 0x82, 0x29_0000, 0x1000, "storage")
    build = idf_with_part(tmp_path, 0x29_0000, bytes(0x1000), row)
    assert choose([build], ESP32_C3) == build
    build = idf_with_part(tmp_path, 0x29_0000, bytes(0x1001), row)
    reason = r"more.bin has 4097 bytes, too many for the partition storage: 0x1000 bytes at 0x29"
    with pytest.raises(PlanError, match=reason):
        choose([build], ESP32_C3)
    assert choose([build], ESP32_C3, force=True) == build
    text = b"".join(merge([Run(0, bytes(0x1000))]).hex())
    assert choose([idf_with_part(tmp_path, 0x29_0000, text, row)], ESP32_C3).parts


def test_the_name_of_a_partition_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    row = (made_builds.DATA, 0x82, 0x29_0000, 0x1000, "\x1b[2J")
    build = idf_with_part(tmp_path, 0x29_0000, b"x", row)
    assert str(build.parts[-1]).isprintable()
    assert build.only(["\\x1b[2J"]).parts == build.parts[-1:]


def test_a_file_that_has_gone_or_become_empty_meanwhile_is_named(tmp_path: Path) -> None:
    """As when the build runs while a device is connected."""
    made_builds.esp_idf(tmp_path, ESP32_C3)
    builds = read_builds(tmp_path)
    put(tmp_path, "hello.bin", b"")
    with pytest.raises(PlanError, match=r"hello.bin is empty; build it again"):
        choose(builds, ESP32_C3)
    (tmp_path / "hello.bin").unlink()
    with pytest.raises(PlanError, match=r"hello.bin cannot be read: No such file"):
        choose(builds, ESP32_C3)


@pytest.mark.parametrize("chip", [ESP32_C3, ESP8266], ids=lambda chip: chip.key)
def test_a_damaged_application_is_refused(chip: Chip, tmp_path: Path) -> None:
    """As a build leaves one that broke off, or the disk was full."""
    made_builds.esp_idf(tmp_path, chip)
    image = small_image(chip)
    for damaged in (image[:60], image[:40] + b"\x99" + image[41:]):
        put(tmp_path, "hello.bin", damaged)
        with pytest.raises(PlanError, match=r"hello.bin is damaged: .*; build it again$"):
            the_build(tmp_path, chip)
    assert choose(read_builds(tmp_path), chip, force=True).parts
    # It may have been encrypted elsewhere, or be for another bootloader.
    put(tmp_path, "hello.bin", b"no image")
    assert the_build(tmp_path, chip).parts


# PlatformIO and Arduino ------------------------------------------------------------------------


def test_the_application_goes_into_the_partition_that_is_for_it(tmp_path: Path) -> None:
    made_builds.platformio(tmp_path, ESP32_C3)
    put(tmp_path, "partitions.bin", table(FACTORY_TABLE))
    assert places(the_build(tmp_path))[2:] == [
        # Else the bootloader would look for another one.
        ("otadata", 0xE000, b"\xff" * 0x2000),
        ("app", 0x2_0000, app(ESP32_C3)),
    ]


def test_a_build_for_the_esp8266_is_one_file(tmp_path: Path) -> None:
    for make, name in (("pio", "firmware.bin"), ("ide", "blink.ino.bin")):
        put(tmp_path / make, name, small_image(ESP8266))
        build = the_build(tmp_path / make, ESP8266)
        assert places(build) == [("app", 0, small_image(ESP8266))]
    put_json(tmp_path / "pio", "idedata.json", {"extra": {"flash_images": []}})
    assert places(the_build(tmp_path / "pio", ESP8266)) == [("app", 0, small_image(ESP8266))]


@pytest.mark.parametrize("name", ["firmware.bin", "blink.ino.bin"])
def test_one_file_for_another_chip_is_no_build(name: str, tmp_path: Path) -> None:
    put(tmp_path, name, app(ESP32_C3))
    with pytest.raises(PlanError, match=r"is not complete: there is no file '.*bootloader.bin'"):
        read_builds(tmp_path)


def test_what_platformio_keeps_of_esp_idf_is_not_used(tmp_path: Path) -> None:
    expected = made_builds.platformio(tmp_path, ESP32_C3)
    put_json(tmp_path, "flasher_args.json", {"flash_files": {"0": "bootloader/bootloader.bin"}})
    assert places(the_build(tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bootloader.bin", b"no image" * 10, "does not say which chip it is for"),
        ("partitions.bin", b"no table" * 10, "is no partition table: row 1 begins with"),
        ("partitions.bin", table()[:40], "is no partition table: it is cut off"),
    ],
    ids=["bootloader", "table", "half a table"],
)
def test_without_what_says_where_it_goes_there_is_no_build(
    name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    made_builds.platformio(tmp_path, ESP32_C3)
    put(tmp_path, name, data)
    with pytest.raises(PlanError, match=reason):
        read_builds(tmp_path)


def test_an_environment_that_is_not_built_yet_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "platformio.ini", b"[env:new]\n[env:old]\n")
    put(tmp_path, ".pio/build/new/main.o", b"not linked yet")
    made_builds.platformio(tmp_path / ".pio/build/old", ESP32_C3)
    assert the_build(tmp_path).folder == tmp_path / ".pio/build/old"


def test_two_sketches_are_one_too_many(tmp_path: Path) -> None:
    made_builds.arduino(tmp_path, ESP32_C3)
    put(tmp_path, "fade.ino.bin", app(ESP32_C3))
    with pytest.raises(PlanError, match=r"more than one sketch: blink.ino.bin, fade.ino.bin"):
        read_builds(tmp_path)


# Zephyr ------------------------------------------------------------------------------------


def test_a_partition_table_that_is_named_is_a_part(tmp_path: Path) -> None:
    made_builds.zephyr(tmp_path, ESP32_C3)
    text = (tmp_path / "zephyr/runners.yaml").read_text()
    named = put(tmp_path, "esp-idf/build/partitions.bin", table())
    option = "    - --esp-app-address=0x20000\n"
    wanted = f"{option}    - --esp-flash-partition_table={named}\n"
    put(tmp_path, "zephyr/runners.yaml", text.replace(option, wanted).encode())
    assert ("partition-table", 0x8000, table()) in places(the_build(tmp_path))
    wanted += "    - --esp-partition-table-address=0x9000\n"
    put(tmp_path, "zephyr/runners.yaml", text.replace(option, wanted).encode())
    assert ("partition-table", 0x9000, table()) in places(the_build(tmp_path))


def test_without_a_bootloader_the_application_goes_where_it_is_said(tmp_path: Path) -> None:
    put(tmp_path, "zephyr/zephyr.bin", app(ESP32_C3))
    text = 'config:\n  bin_file: "zephyr.bin"\nargs:\n  esp32:\n    - --esp-app-address=0x0\n'
    put(tmp_path, "zephyr/runners.yaml", text.encode())
    build = the_build(tmp_path)
    assert places(build) == [("app", 0, app(ESP32_C3))]
    assert (build.parameters, build.chip) == (KEEP_PARAMETERS, "ESP32-C3")
    put(tmp_path, "zephyr/runners.yaml", text.replace("esp32", "jlink").encode())
    with pytest.raises(PlanError, match="it is no build for a chip of Espressif"):
        read_builds(tmp_path)


def test_of_several_images_each_is_named(tmp_path: Path) -> None:
    for name in ("mcuboot", "hello"):
        made_builds.zephyr(tmp_path / "build" / name, ESP32_C3)
    put(tmp_path, "build/domains.yaml", b"domains:\n")
    for path in (tmp_path, tmp_path / "build"):
        with pytest.raises(PlanError, match="several images of Zephyr; flash each: hello, mcuboot"):
            read_builds(path)
    assert the_build(tmp_path / "build" / "hello").tool == "Zephyr"


# ESP Web Tools ------------------------------------------------------------------------------


def test_of_variants_that_without_a_name_is_meant(tmp_path: Path) -> None:
    put(tmp_path, "a.bin", b"a")
    put(tmp_path, "b.bin", b"b")

    def builds(*kinds: tuple[str, str | None]) -> tuple[Build, ...]:
        listed = [
            {
                "chipFamily": "ESP32-C3",
                "parts": [{"path": file, "offset": 0}],
                **({} if kind is None else {"serialType": kind}),
            }
            for file, kind in kinds
        ]
        put_json(tmp_path, "manifest.json", {"builds": listed})
        return read_builds(tmp_path)

    assert places(choose(builds(("a.bin", "cdc"), ("b.bin", None)), ESP32_C3)) == [("b", 0, b"b")]
    assert places(choose(builds(("a.bin", "uart")), ESP32_C3)) == [("a", 0, b"a")]
    with pytest.raises(PlanError, match=r"2 builds for ESP32-C3 \(uart, cdc\), and nothing says"):
        choose(builds(("a.bin", "uart"), ("b.bin", "cdc")), ESP32_C3)
    with pytest.raises(PlanError, match="2 builds for ESP32-C3, and nothing says"):
        choose(builds(("a.bin", None), ("b.bin", None)), ESP32_C3)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "builds holds None where a list belongs"),
        ({"builds": []}, "manifest.json has no builds"),
    ],
)
def test_a_manifest_without_builds_is_refused(
    document: object, reason: str, tmp_path: Path
) -> None:
    path = put_json(tmp_path, "manifest.json", document)
    with pytest.raises(PlanError, match=reason):
        read_builds(path)


def test_a_manifest_counts_beside_files_with_the_names_of_platformio(tmp_path: Path) -> None:
    made_builds.platformio(tmp_path, ESP32_C3)
    merged = small_image(ESP32_C3).ljust(0x1_0000, b"\xff") + app(ESP32_C3)
    put(tmp_path, "firmware.bin", merged)
    parts = [{"path": "firmware.bin", "offset": 0}]
    builds = [{"chipFamily": "ESP32-C3", "parts": parts}]
    put_json(tmp_path, "manifest.json", {"name": "Blink", "builds": builds})
    assert places(the_build(tmp_path)) == [("firmware", 0, merged)]
    # What PlatformIO says itself of where its files go is of a folder of its own.
    made_builds.described_platformio(tmp_path, ESP32_C3)
    assert the_build(tmp_path).tool == "PlatformIO"


# Hostile folders ------------------------------------------------------------------------------


def idf_with(tmp_path: Path, **changes: object) -> Path:
    """Make a build of ESP-IDF of which the description says something else."""
    folder = tmp_path / "project" / "build"
    made_builds.esp_idf(folder, ESP32_C3)
    path = folder / "flasher_args.json"
    put_json(folder, path.name, {**json.loads(path.read_text()), **changes})
    return folder


OUTSIDE = "which lies outside of it"


@pytest.mark.parametrize("name", ["../../secret", "/secret", "link", "inner/../../../secret"])
def test_no_file_outside_of_the_folder_is_read(name: str, tmp_path: Path) -> None:
    secret = put(tmp_path, "secret", b"a secret")
    named = str(secret) if name == "/secret" else name
    folder = idf_with(tmp_path, flash_files={"0x0": named})
    (folder / "link").symlink_to(secret)
    (folder / "inner").mkdir()
    with pytest.raises(PlanError, match=OUTSIDE):
        read_builds(folder)
    put_json(folder, "idedata.json", {"extra": {"flash_images": [{"path": named, "offset": 0}]}})
    put(folder, "firmware.bin", b"x")
    with pytest.raises(PlanError, match=OUTSIDE):
        read_builds(folder)
    text = f"config:\n  bin_file: {named}\nargs:\n  esp32:\n  - --esp-idf-path=x\n"
    put(folder / "zephyr", "runners.yaml", text.encode())
    (folder / "zephyr" / "link").symlink_to(secret)
    with pytest.raises(PlanError, match=f"{OUTSIDE}|there is no file"):
        read_builds(folder / "zephyr")


def test_a_file_of_the_project_is_none_outside(tmp_path: Path) -> None:
    folder = idf_with(tmp_path, flash_files={"0x0": "../data.bin"})
    put(tmp_path / "project", "data.bin", b"data")
    assert places(the_build(folder)) == [("bootloader", 0, b"data")]
    # The folder of the project is the one above, and no other.
    put_json(folder, "project_description.json", {"project_path": str(tmp_path)})
    with pytest.raises(PlanError, match=OUTSIDE):
        read_builds(folder)


@pytest.mark.parametrize(
    "path",
    ["../secret", "/secret", "https://host/a.bin", "file:///secret", "\\\\host\\a", "c:\\a"],
)
def test_a_manifest_names_what_is_beside_it(path: str, tmp_path: Path) -> None:
    put(tmp_path, "secret", b"a secret")
    parts = [{"path": path, "offset": 0}]
    manifest = {"builds": [{"chipFamily": "ESP32-C3", "parts": parts}]}
    put_json(tmp_path / "web", "manifest.json", manifest)
    with pytest.raises(PlanError, match=f"{OUTSIDE}|is no path relative to the manifest"):
        read_builds(tmp_path / "web")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"flash_files": None}, "holds None where an object belongs"),
        ({"flash_files": []}, r"holds \[\] where an object belongs"),
        ({"flash_files": {}}, "has no parts"),
        ({"flash_files": {"no": "hello.bin"}}, "'no' is not a number"),
        ({"flash_files": {"-1": "hello.bin"}}, "-1 is not between 0 and"),
        ({"flash_files": {"0x100000000": "hello.bin"}}, "is not between 0 and"),
        ({"flash_files": {"0": 5}}, "what goes to 0 is no name of a file"),
        ({"flash_files": {"0": "a\0b"}}, "which no file is called"),
        ({"flash_files": {"0": "a\x1b[31m.bin"}}, r"names 'a\\x1b\[31m.bin', which no file is"),
        ({"flash_files": {"0": "a\u202eb.bin"}}, "which no file is called"),
        ({"flash_files": {"0": "."}}, "there is no file"),
        ({"flash_files": {"0": "n" * 5000}}, "names 'nnn"),
        ({"flash_files": {str(n): "hello.bin" for n in range(65)}}, "more than 64 parts"),
        ({"app": {"offset": True, "file": "hello.bin"}}, "True is no offset"),
        ({"app": {"offset": "0x10000", "file": ""}}, None),
        ({"a\x1b[2J": {"offset": "0x10000", "file": ""}, "app": 1}, "where a name belongs"),
        ({"flash_settings": 7}, "holds 7 where an object belongs"),
        ({"flash_settings": {"flash_mode": 7}}, "has 7 as 'flash_mode'"),
        ({"flash_settings": {"flash_mode": "d" * 101}}, "where a name belongs"),
        ({"extra_esptool_args": []}, "where an object belongs"),
        ({"extra_esptool_args": {"chip": "\n"}}, "where a name belongs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_makes_no_sense_is_refused_in_one_line(
    changes: dict[str, object], reason: str | None, tmp_path: Path
) -> None:
    folder = idf_with(tmp_path, **changes)
    if reason is None:
        assert read_builds(folder)
        return
    with pytest.raises(PlanError, match=reason) as caught:
        read_builds(folder)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_names_in_a_folder_that_cannot_be_shown_are_passed_over(tmp_path: Path) -> None:
    made_builds.arduino(tmp_path, ESP32_C3)
    expected = places(the_build(tmp_path))
    try:
        put(tmp_path, "\x1b[2Jfade.ino.bin", app(ESP32_C3))
    except OSError:
        pytest.skip("no file can have such a name here")
    assert places(the_build(tmp_path)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "is no JSON"),
        (b"[]", r"holds \[\] where an object"),
        (b"[" * 100_000, "is no JSON: it makes no sense"),
        (b'{"flash_files": ' + b"9" * 5000 + b"}", "is no JSON: it makes no sense"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b" " * (MAX_TEXT_SIZE + 1), "has more than 1048576 bytes"),
    ],
    ids=["empty", "list", "deep", "number", "binary", "large"],
)
def test_what_is_no_description_is_refused(text: bytes, reason: str, tmp_path: Path) -> None:
    for name in ("flasher_args.json", "manifest.json", "project_description.json"):
        folder = tmp_path / name
        put(folder, "flash_args", b"0 app.bin")
        path = put(folder, name, text)
        with pytest.raises(PlanError, match=reason):
            read_builds(path if name == "manifest.json" else folder)


def test_a_description_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    made_builds.esp_idf(tmp_path, ESP32_C3)
    made_builds.web_tools(tmp_path, ESP32_C3)
    for name in ("flasher_args.json", "manifest.json"):
        text = (tmp_path / name).read_bytes()
        for end in range(len(text)):
            (tmp_path / name).write_bytes(text[:end])
            with pytest.raises(PlanError):
                read_builds(tmp_path / name)
        (tmp_path / name).write_bytes(text)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["hello.bin", "0x1000", "..", "/", "", "\0", "esp32c3"])
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = (
    "flash_files app builds parts extra flash_images flash_settings target chipFamily path offset "
    "file extra_esptool_args chip project_path"
)
keys = st.sampled_from(KEYS.split())
documents = st.dictionaries(keys, st.dictionaries(keys, values) | st.lists(values) | values)


@settings(max_examples=25)
@given(documents, st.text(alphabet="args:config-esp32 =/.0x\n\"'bin_file", max_size=300))
def test_any_description_is_builds_or_a_plan_error(document: object, text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put(folder, "hello.bin", small_image(ESP32_C3))
        put(folder, "firmware.bin", small_image(ESP32_C3))
        for file in ("flasher_args.json", "manifest.json", "project_description.json"):
            put_json(folder, file, document)
        put_json(folder, "idedata.json", document)
        put(folder, "flash_args", text.encode())
        put(folder, "runners.yaml", f"args:\n  esp32:\n{text}".encode())
        for described in ("", "flasher_args.json", "manifest.json", "flash_args", "runners.yaml"):
            builds, said = outcome(folder / described)
            assert all(build.parts for build in builds)
            assert "\n" not in said


def outcome(path: Path) -> tuple[tuple[Build, ...], str]:
    """Return the builds, or why there are none."""
    try:
        return read_builds(path), ""
    except PlanError as exc:
        return (), str(exc)
