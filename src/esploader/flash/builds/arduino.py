"""Builds with the cores for Arduino: by PlatformIO, and by the Arduino IDE or its command line.

Both leave a bootloader, a partition table and an application, and write a fourth file that lies
with the core: ``boot_app0.bin``, which says that the first application boots. It is always the
same, so it is made here; ``flash_args``, which the core writes, too, names it as if it were there.
PlatformIO's ``idedata.json``, where there is one, has the offsets; else they are those of the chip
and of the table. A build for the ESP8266 is one file.

Sources: platform-espressif32, ``builder/main.py`` and ``builder/frameworks/arduino.py``;
arduino-esp32, ``platform.txt`` (``tools.esptool_py.upload.pattern_args``, and the hooks of
``recipe.hooks.objcopy.postobjcopy``); PlatformIO
documentation, "pio project metadata".
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from esploader.chips.registry import chip_by_name
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.builds.build import APP, BOOTLOADER, OTADATA, PARTITION_TABLE, Build, BuildPart
from esploader.flash.builds.folder import mapping, offset_of, sequence, text_of, word
from esploader.flash.builds.layout import (
    DEFAULT_APP_OFFSET,
    FIRST_SLOT,
    NO_SLOT,
    chip_of,
    is_image_with_chip,
    read_table,
)
from esploader.image.partitions import DEFAULT_OFFSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.flash.builds.folder import Folder, Json
    from esploader.image.partition import Partition

PLATFORMIO: Final = "PlatformIO"
ARDUINO: Final = "Arduino"

SKETCH: Final = ".ino.bin"
FIRMWARE: Final = "firmware.bin"
IDE_DATA: Final = "idedata.json"

_ESP8266: Final = "ESP8266"
_BOOT_APP0: Final = "boot_app0.bin"
_NAMES: Final = {
    "bootloader.bin": BOOTLOADER,
    "partitions.bin": PARTITION_TABLE,
    "ota_data_initial.bin": OTADATA,
}


def read_platformio(folder: Folder) -> Build:
    """Return the build of one environment of PlatformIO.

    Raises:
        PlanError: a file is missing, or lies elsewhere, or nothing says where it goes.
    """
    if folder.has(IDE_DATA):
        return _read_described(folder)
    return _read_by_name(
        PLATFORMIO, folder, FIRMWARE, bootloader="bootloader.bin", table="partitions.bin"
    )


def read_arduino(folder: Folder) -> Build:
    """Return the build of a sketch. Raises as :func:`read_platformio`."""
    sketches = folder.matching(SKETCH)
    if len(sketches) != 1:
        raise PlanError(f"'{folder.path}' has more than one sketch: {', '.join(sketches)}")
    stem = sketches[0].removesuffix(".bin")
    return _read_by_name(
        ARDUINO,
        folder,
        sketches[0],
        bootloader=f"{stem}.bootloader.bin",
        table=f"{stem}.partitions.bin",
    )


def _read_by_name(tool: str, folder: Folder, app: str, *, bootloader: str, table: str) -> Build:
    app_path = folder.file(app)
    if not (folder.has(bootloader) or folder.has(table) or is_image_with_chip(app_path)):
        # The only chip whose builds are one file, and whose images do not say what they are for.
        part = BuildPart(name=APP, offset=0, path=app_path)
        return Build(tool=tool, folder=folder.path, chip=_ESP8266, parts=(part,))
    bootloader_path, table_path = folder.file(bootloader), folder.file(table)
    chip = chip_of(bootloader_path)
    if chip is None:
        raise PlanError(f"{bootloader_path} does not say which chip it is for, so nothing does")
    partitions = read_table(table_path)
    home = _home_of_app(partitions)
    otadata = NO_SLOT if home is not None and home.ota_slot is None else FIRST_SLOT
    parts = [
        BuildPart(name=BOOTLOADER, offset=_bootloader_offset(chip), path=bootloader_path),
        BuildPart(name=PARTITION_TABLE, offset=DEFAULT_OFFSET, path=table_path),
        *(
            BuildPart(name=OTADATA, offset=partition.offset, path=None, content=otadata)
            for partition in partitions
            if partition.is_otadata
        ),
        BuildPart(
            name=APP, offset=DEFAULT_APP_OFFSET if home is None else home.offset, path=app_path
        ),
    ]
    return Build(tool=tool, folder=folder.path, chip=chip, parts=tuple(parts))


def _home_of_app(partitions: Iterable[Partition]) -> Partition | None:
    """Return where the application goes: to its usual place, or into the first that is for one."""
    apps = [partition for partition in partitions if partition.is_app]
    usual = (partition for partition in apps if partition.offset == DEFAULT_APP_OFFSET)
    return next(usual, apps[0] if apps else None)


def _bootloader_offset(chip: str) -> int:
    try:
        return chip_by_name(chip).bootloader_offset
    except UnsupportedError as exc:
        raise PlanError(str(exc)) from exc


def _read_described(folder: Folder) -> Build:
    where = str(folder.path / IDE_DATA)
    extra = mapping(folder.document(IDE_DATA).get("extra"), f"{where}: extra")
    images = sequence(extra.get("flash_images", []), f"{where}: flash_images")
    parts = [_described(folder, image, f"{where}: flash_images") for image in images]
    app = folder.file(FIRMWARE)
    default = DEFAULT_APP_OFFSET if parts else 0
    offset = offset_of(extra.get("application_offset", default), where)
    parts.append(BuildPart(name=APP, offset=offset, path=app))
    chips = [chip_of(part.path) for part in parts if part.path and part.name == BOOTLOADER]
    chip = next(iter(chips), chip_of(app) if images else _ESP8266)
    return Build(tool=PLATFORMIO, folder=folder.path, chip=chip, parts=tuple(parts))


def _described(folder: Folder, image: Json, where: str) -> BuildPart:
    values = mapping(image, where)
    path, offset = text_of(values, "path", where), offset_of(values.get("offset"), where)
    name = PurePath(path.replace("\\", "/")).name
    if name == _BOOT_APP0:
        return BuildPart(name=OTADATA, offset=offset, path=None, content=FIRST_SLOT)
    # The folder may have moved since.
    file = folder.file(name if folder.has(name) else path)
    kind = _NAMES.get(name) or word(PurePath(name).stem, where)
    return BuildPart(name=kind, offset=offset, path=file)


def environments(folder: Folder) -> Iterator[Folder]:
    """Yield what PlatformIO has built in the folder of a project, one for each environment."""
    built = folder / ".pio" / "build"
    for name in built.folders():
        if (built / name).has(FIRMWARE):
            yield built / name
