"""Folders as build tools leave them, with small files for one chip."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from images import small_image

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

Place = tuple[str, int, bytes]
"""A part: its name, its offset, and the bytes that are to be there."""

OTADATA = struct.pack("<I20sII", 1, b"\xff" * 20, 0xFFFF_FFFF, 0x4743_989A).ljust(0x2000, b"\xff")
"""What the cores for Arduino call ``boot_app0.bin``."""

Row = tuple[int, int, int, int, str]
"""A partition: its type and subtype, its offset, its size and its name."""

APP, DATA = 0, 1
OTA_TABLE = (
    (DATA, 0x02, 0x9000, 0x5000, "nvs"),
    (DATA, 0x00, 0xE000, 0x2000, "otadata"),
    (APP, 0x10, 0x1_0000, 0x14_0000, "app0"),
    (APP, 0x11, 0x15_0000, 0x14_0000, "app1"),
)
FACTORY_TABLE = (
    (DATA, 0x02, 0x9000, 0x5000, "nvs"),
    (DATA, 0x00, 0xE000, 0x2000, "otadata"),
    (APP, 0x00, 0x2_0000, 0x10_0000, "factory"),
)


def table(rows: tuple[Row, ...] = OTA_TABLE) -> bytes:
    """Return a partition table. Source: ESP-IDF, "Partition Tables"."""
    packed = (
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name.encode(), 0)
        for kind, subtype, offset, size, name in rows
    )
    return b"".join(packed).ljust(0xC00, b"\xff")


def app(chip: Chip) -> bytes:
    """Return an application, which begins like any image."""
    return small_image(chip) + b"and more of the application" * 50


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file below ``folder``."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def put_json(folder: Path, name: str, document: object) -> Path:
    """Write a JSON file below ``folder``."""
    return put(folder, name, json.dumps(document).encode())


def esp_idf(folder: Path, chip: Chip) -> list[Place]:
    """Make a build of ESP-IDF."""
    boot = hex(chip.bootloader_offset)
    files = {
        "bootloader": (boot, "bootloader/bootloader.bin", small_image(chip)),
        "partition-table": ("0x8000", "partition_table/partition-table.bin", table()),
        "otadata": ("0xe000", "ota_data_initial.bin", b"\xff" * 0x2000),
        "app": ("0x10000", "hello.bin", app(chip)),
    }
    for _, name, data in files.values():
        put(folder, name, data)
    put(folder, "hello.elf", b"\x7fELF")
    document: dict[str, object] = {
        "write_flash_args": ["--flash_mode", "dio", "--flash_size", "4MB", "--flash_freq", "keep"],
        "flash_settings": {"flash_mode": "dio", "flash_size": "4MB", "flash_freq": "keep"},
        "flash_files": {offset: name for offset, name, _ in files.values()},
        "extra_esptool_args": {
            "after": "hard_reset",
            "before": "default_reset",
            "stub": True,
            "chip": chip.key,
        },
    }
    for part, (offset, name, _) in files.items():
        encrypted = "false" if part == "otadata" else "true"
        document[part] = {"offset": offset, "file": name, "encrypted": encrypted}
    put_json(folder, "flasher_args.json", document)
    words = " ".join(f"{offset} {name}" for offset, name, _ in files.values())
    put(folder, "flash_args", f"--flash_mode dio --flash_size 4MB\n{words}\n".encode())
    put_json(
        folder,
        "project_description.json",
        {"project_path": str(folder.parent), "target": chip.key, "app_bin": "hello.bin"},
    )
    return [(part, int(offset, 16), data) for part, (offset, _, data) in files.items()]


def platformio(folder: Path, chip: Chip) -> list[Place]:
    """Make what PlatformIO leaves for one environment with the Arduino core."""
    put(folder, "bootloader.bin", small_image(chip))
    put(folder, "partitions.bin", table())
    put(folder, "firmware.bin", app(chip))
    put(folder, "firmware.elf", b"\x7fELF")
    return [
        ("bootloader", chip.bootloader_offset, small_image(chip)),
        ("partition-table", 0x8000, table()),
        ("otadata", 0xE000, OTADATA),
        ("app", 0x1_0000, app(chip)),
    ]


def described_platformio(folder: Path, chip: Chip) -> list[Place]:
    """Make what PlatformIO leaves, and what it knows of that; the folder has moved since."""
    places = platformio(folder, chip)
    images = [
        {"offset": hex(chip.bootloader_offset), "path": "/elsewhere/bootloader.bin"},
        {"offset": "0x8000", "path": "C:\\elsewhere\\partitions.bin"},
        {"offset": "0xe000", "path": "/packages/tools/partitions/boot_app0.bin"},
    ]
    extra = {"flash_images": images, "application_offset": "0x10000"}
    put_json(folder, "idedata.json", {"prog_path": "/elsewhere/firmware.elf", "extra": extra})
    return places


def arduino(folder: Path, chip: Chip) -> list[Place]:
    """Make what the Arduino IDE leaves."""
    put(folder, "blink.ino.bootloader.bin", small_image(chip))
    put(folder, "blink.ino.partitions.bin", table())
    put(folder, "blink.ino.bin", app(chip))
    put(folder, "blink.ino.elf", b"\x7fELF")
    put(folder, "blink.ino.merged.bin", b"all of it")
    # As versions 3 of the core write it; boot_app0.bin is not there.
    files = "0x8000 blink.ino.partitions.bin\n0xe000 boot_app0.bin\n0x10000 blink.ino.bin\n"
    words = (
        f"--flash-mode dio --flash-freq 80m --flash-size 4MB\n0x0 blink.ino.bootloader.bin\n{files}"
    )
    put(folder, "flash_args", words.encode())
    return platformio(folder / "other", chip)


RUNNERS = """\
# Available runners configured by board.cmake.
runners:
- esp32
- openocd

# Default flash runner if --runner is not given.
flash-runner: esp32

# Common runner configuration values.
config:
  board_dir: /zephyr/boards/espressif/esp32c3_devkitm
  # Build outputs:
  elf_file: zephyr.elf
  bin_file: zephyr.bin
  openocd_search:
    - /opt/openocd

# Runner specific arguments
args:
  esp32:
    - --esp-idf-path=/modules/hal/espressif
    - --esp-boot-address={boot}
    - '--esp-flash-bootloader={bootloader}'
    - --esp-app-address=0x20000

  openocd:
    - --no-halt
"""


def zephyr(folder: Path, chip: Chip) -> list[Place]:
    """Make a build of Zephyr with a bootloader."""
    bootloader = put(folder, "esp-idf/build/bootloader/bootloader.bin", small_image(chip))
    put(folder, "zephyr/zephyr.bin", app(chip))
    put(folder, "zephyr/zephyr.elf", b"\x7fELF")
    text = RUNNERS.format(boot=hex(chip.bootloader_offset), bootloader=bootloader)
    put(folder, "zephyr/runners.yaml", text.encode())
    return [
        ("bootloader", chip.bootloader_offset, small_image(chip)),
        ("app", 0x2_0000, app(chip)),
    ]


def web_tools(folder: Path, chip: Chip) -> list[Place]:
    """Make a manifest of ESP Web Tools, for this chip and another one."""
    put(folder, f"bin/{chip.key}-boot.bin", small_image(chip))
    put(folder, f"bin/{chip.key}.bin", app(chip))
    put(folder, "other.bin", b"for another chip")
    parts = [
        {"path": f"bin/{chip.key}-boot.bin", "offset": chip.bootloader_offset},
        {"path": f"bin/{chip.key}.bin", "offset": 0x1_0000},
    ]
    builds = [
        {"chipFamily": "ESP8266", "parts": [{"path": "other.bin", "offset": 0}]},
        {"chipFamily": chip.name, "parts": parts},
    ]
    put_json(folder, "manifest.json", {"name": "Blink", "version": "1", "builds": builds})
    return [
        (f"{chip.key}-boot", chip.bootloader_offset, small_image(chip)),
        (chip.key, 0x1_0000, app(chip)),
    ]


TOOLS = (esp_idf, platformio, described_platformio, arduino, zephyr, web_tools)
