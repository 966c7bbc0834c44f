"""From a path to the builds that are there, whichever tool has made them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import PlanError
from esploader.flash.builds import arduino, esp_idf, web_tools, zephyr
from esploader.flash.builds.build import PARTITION_TABLE
from esploader.flash.builds.folder import MAX_PARTS, Folder
from esploader.flash.builds.layout import read_table

if TYPE_CHECKING:
    from esploader.flash.builds.build import Build
    from esploader.image.partition import Partition

_KNOWN: Final = (
    "flasher_args.json (ESP-IDF), firmware.bin (PlatformIO), *.ino.bin (Arduino), "
    "zephyr/runners.yaml (Zephyr), manifest.json (ESP Web Tools)"
)


def read_builds(path: str | os.PathLike[str]) -> tuple[Build, ...]:
    """Return the builds at ``path``: one, but for a manifest, which has one for each kind of chip.

    ``path`` is the folder that a build tool has written to, that of the project around it where
    only one build is there, or the file in it that describes the build.

    Raises:
        PlanError: there is none or more than one, it makes no sense, or a file of it is missing,
            empty, or outside of the folder.
    """
    place = Path(path)
    if not os.fspath(path):
        # To Python that is the current folder.
        raise PlanError("there is no build at '': a folder has a name, the current one '.'")
    if os.path.isfile(place):
        builds = _of_file(place)
    elif os.path.isdir(place):
        builds = _of_folder(Folder(place))
    else:
        found = (
            "it is neither a file nor a folder"
            if os.path.exists(place)
            else "no such file or folder"
        )
        raise PlanError(f"there is no build at '{place}': {found}")
    return tuple(_completed(build) for build in builds)


def _of_file(path: Path) -> list[Build]:
    folder = Folder(path.parent)
    if path.name in (esp_idf.ARGUMENTS, esp_idf.WORDS, esp_idf.DESCRIPTION):
        return [_of_words(folder)]
    if path.name == zephyr.RUNNERS:
        return [zephyr.read(folder)]
    if path.suffix == ".json":
        return web_tools.read(folder, path.name)
    raise PlanError(
        f"'{path}' describes no build; 'write-flash OFFSET {path.name}' writes one file"
    )


def _of_folder(folder: Folder) -> list[Build]:
    # PlatformIO keeps what ESP-IDF says below it, which names files that it has moved.
    # Whoever publishes such files often leaves them the names they had, beside a manifest.
    is_published = folder.has(web_tools.MANIFEST) and not folder.has(arduino.IDE_DATA)
    if folder.has(arduino.FIRMWARE) and not is_published:
        return [arduino.read_platformio(folder)]
    if folder.has(esp_idf.ARGUMENTS) or folder.has(esp_idf.WORDS):
        return [_of_words(folder)]
    if folder.matching(arduino.SKETCH):
        return [arduino.read_arduino(folder)]
    for place in (folder, folder / "zephyr"):
        if place.has(zephyr.RUNNERS):
            return [zephyr.read(place)]
    if folder.has(web_tools.MANIFEST):
        return web_tools.read(folder)
    return _of_project(folder)


def _of_words(folder: Folder) -> Build:
    """Return the build of ESP-IDF, or that of Arduino, which has words of the same name.

    These have one file that is not there, but with the core.
    """
    if not folder.has(esp_idf.ARGUMENTS) and folder.matching(arduino.SKETCH):
        return arduino.read_arduino(folder)
    return esp_idf.read(folder)


def _of_project(folder: Folder) -> list[Build]:
    """Return the only build within the folder of a project."""
    if folder.has(zephyr.DOMAINS):
        images = [
            each for each in folder.folders() if (folder / each / "zephyr").has(zephyr.RUNNERS)
        ]
        raise PlanError(
            f"'{folder.path}' has several images of Zephyr; flash each: {', '.join(images)}"
        )
    found = [each.path for each in arduino.environments(folder)]
    below = folder / "build"
    is_zephyr = below.has(zephyr.DOMAINS) or (below / "zephyr").has(zephyr.RUNNERS)
    if is_zephyr or below.has(esp_idf.ARGUMENTS):
        found.append(below.path)
    if not found:
        raise PlanError(f"there is no build in '{folder.path}': none of {_KNOWN}")
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        raise PlanError(f"'{folder.path}' has more than one build; name one of them: {names}")
    return _of_folder(Folder(found[0]))


def _completed(build: Build) -> Build:
    """Return a build with its parts in order, and the partitions they go to."""
    if not build.parts:
        raise PlanError(f"the {build} has no parts")
    if len(build.parts) > MAX_PARTS:
        raise PlanError(f"the {build} has more than {MAX_PARTS} parts")
    partitions: dict[int, Partition] = {}
    for part in build.parts:
        if part.path is not None and _is_table(part.name):
            partitions |= {each.offset: each for each in read_table(part.path)}
    parts = sorted(build.parts, key=lambda part: part.offset)
    return attrs.evolve(
        build,
        parts=tuple(attrs.evolve(part, partition=partitions.get(part.offset)) for part in parts),
    )


def _is_table(name: str) -> bool:
    return name.replace("_", "-") in (PARTITION_TABLE, "partitions")
