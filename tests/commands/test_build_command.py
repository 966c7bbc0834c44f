"""``flash`` as somebody types it: what it shows, writes, and refuses before there is a port."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import made_builds
from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.image.patch import patch_header
from images import small_image
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(name="flash")
def _flash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run flash in a folder with a build of ESP-IDF, on a device that keeps its flash."""
    monkeypatch.chdir(tmp_path)
    made_builds.esp_idf(tmp_path / "build", ESP32_C3)
    (tmp_path / "flash.bin").write_bytes(old_content(4 << 20))
    common = ("--port", "sim://esp32c3?file=flash.bin", "--no-stub", "--no-progress")

    def flash(*words: str, before: tuple[str, ...] = ()) -> int:
        return main([*common, *before, "flash", *words])

    return flash


def test_what_is_written_is_shown_and_nothing_else_changes(
    flash: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tmp_path / "flash.bin").read_bytes()
    assert flash("build") == 0
    after = (tmp_path / "flash.bin").read_bytes()
    boot = patch_header(small_image(ESP32_C3), ESP32_C3, mode="dio", size="4MB").data
    app = made_builds.app(ESP32_C3)
    assert after[: len(boot)] == boot
    assert after[0x8000:][:0xC00] == made_builds.table()
    assert after[0xE000:0x1_0000] == b"\xff" * 0x2000
    assert after[0x1_0000:][: len(app)] == app
    written = [(0, 0x1000), (0x8000, 0x9000), (0xE000, 0x1_0000), (0x1_0000, 0x1_1000)]
    assert_untouched(before, after, written)
    shown = capsys.readouterr().out.splitlines()
    start = shown.index("ESP-IDF build for esp32c3 in 'build':")
    assert shown[start + 1 : start + 6] == [
        "  0x00000000: bootloader: 'build/bootloader/bootloader.bin'",
        "  0x00008000: partition-table: 'build/partition_table/partition-table.bin'",
        "  0x0000e000: otadata: 'build/ota_data_initial.bin'",
        "  0x00010000: app or app0: 'build/hello.bin'",
        "Flash parameters set to 0x0220 (mode dio, size 4MB).",
    ]


@pytest.mark.parametrize(
    "words", [("--app-only", "build"), ("--partition", "app0", "build"), (".", "--app-only")]
)
def test_the_application_alone(
    words: tuple[str, ...], flash: Callable[..., int], tmp_path: Path
) -> None:
    before = (tmp_path / "flash.bin").read_bytes()
    assert flash(*words) == 0
    after = (tmp_path / "flash.bin").read_bytes()
    app = made_builds.app(ESP32_C3)
    assert after[0x1_0000:][: len(app)] == app
    assert_untouched(before, after, [(0x1_0000, 0x1_1000)])


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    flash: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tmp_path / "flash.bin").read_bytes()
    assert flash("--dry-run", "build", before=("--json",)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["build"] == {
        "tool": "ESP-IDF",
        "folder": "build",
        "chip": "esp32c3",
        "parts": [
            {
                "name": name,
                "partition": partition,
                "offset": offset,
                "file": os.path.join("build", *path.split("/")),  # noqa: PTH118 - as it is shown
            }
            for name, partition, offset, path in (
                ("bootloader", None, 0, "bootloader/bootloader.bin"),
                ("partition-table", None, 0x8000, "partition_table/partition-table.bin"),
                ("otadata", "otadata", 0xE000, "ota_data_initial.bin"),
                ("app", "app0", 0x1_0000, "hello.bin"),
            )
        ],
    }
    assert len(document["plan"]) == 3
    assert (tmp_path / "flash.bin").read_bytes() == before


def outdate(tmp_path: Path) -> None:
    path = tmp_path / "build" / "hello.bin"
    os.utime(path, (path.stat().st_mtime - 60,) * 2)


@pytest.mark.parametrize(
    ("words", "before", "reason"),
    [
        (("nowhere",), (), "there is no build at 'nowhere'"),
        (("build/hello.bin",), (), "describes no build; 'write-flash OFFSET hello.bin' writes"),
        (("build", "--partition", "storage"), (), "has no 'storage'; it has: bootloader, "),
        (
            ("build", "--erase", "--app-only"),
            (),
            "to erase the whole flash would erase what is not",
        ),
        (("build",), ("--chip", "esp32"), "build in 'build' is for esp32c3, not for ESP32"),
        (("build", "--app-only", "--partition", "x"), (), "not allowed with argument"),
        ((), (), "required: BUILD"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_is_refused_before_there_is_a_port(
    words: tuple[str, ...],
    before: tuple[str, ...],
    reason: str,
    flash: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert flash(*words, before=before) == 2
    said = capsys.readouterr()
    assert reason in said.err
    assert "Connecting" not in said.out


def test_an_outdated_build_is_refused_before_there_is_a_port(
    flash: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outdate(tmp_path)
    assert flash("build") == 2
    said = capsys.readouterr()
    assert "hello.bin is out of date: hello.elf is newer; build it again" in said.err
    assert "Connecting" not in said.out
    assert flash("build", "--force") == 0
    assert "hello.bin is older than flasher_args.json: it may be out of date" in (
        capsys.readouterr().err
    )


def test_the_wrong_device_is_named(
    flash: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert flash("build", before=("--port", "sim://esp32s3")) == 2
    assert "is for esp32c3, not for ESP32-S3" in capsys.readouterr().err
