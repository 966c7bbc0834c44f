"""Builds of ESP-IDF, and of the ESP8266 RTOS SDK.

``flasher_args.json`` says it all: ``flash_files`` by offset; an object for each part that has a
name, with ``offset``, ``file`` and ``encrypted``; ``flash_settings``; and the chip in
``extra_esptool_args``. ``flash_args`` has the same words for a command line, and no chip.
``project_description.json`` has the chip, too, where the project is, and which file is the
application.

Sources: ESP-IDF, ``components/esptool_py/flasher_args.json.in`` and ``project_include.cmake``
beside it, ``tools/cmake/project_description.json.in``; what builds of ESP-IDF 4.4 to 5.5 have.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import PlanError
from esploader.flash.builds.build import APP, Build, BuildPart
from esploader.flash.builds.folder import Folder, mapping, offset_of, word, word_of
from esploader.flash.parameters import FlashParameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esploader.flash.builds.folder import Json

TOOL: Final = "ESP-IDF"
ARGUMENTS: Final = "flasher_args.json"
WORDS: Final = "flash_args"
DESCRIPTION: Final = "project_description.json"
_APP_FILE: Final = "app_bin"

_SETTINGS: Final = {"mode": "flash_mode", "frequency": "flash_freq", "size": "flash_size"}


def read(folder: Folder) -> Build:
    """Return the build in ``folder``.

    A file may lie in the folder of the project, too: the one above, if the build says that it is.

    Raises:
        PlanError: it makes no sense, or a file is missing or lies elsewhere.
    """
    description = folder.document(DESCRIPTION) if folder.has(DESCRIPTION) else {}
    wider = _with_project(folder, description)
    chip = word_of(description, "target", str(folder.path / DESCRIPTION))
    if not folder.has(ARGUMENTS):
        return _read_words(wider, chip, description.get(_APP_FILE))
    where = str(folder.path / ARGUMENTS)
    document = folder.document(ARGUMENTS)
    files = mapping(document.get("flash_files"), f"{where}: flash_files")
    sections = {
        name: value
        for name, value in document.items()
        if isinstance(value, dict) and {"offset", "file"} <= value.keys()
    }
    extra = mapping(document.get("extra_esptool_args", {}), f"{where}: extra_esptool_args")
    return Build(
        tool=TOOL,
        folder=folder.path,
        chip=word_of(extra, "chip", where) or chip,
        parts=tuple(_parts(wider, files, sections, description.get(_APP_FILE), where)),
        parameters=_parameters(document.get("flash_settings", {}), where),
    )


def _with_project(folder: Folder, description: Mapping[str, Json]) -> Folder:
    project = description.get("project_path")
    if not isinstance(project, str):
        return folder
    try:
        above = folder.path.resolve().parent
        is_above = Path(project).resolve() == above
    except (OSError, ValueError, RuntimeError):
        return folder
    return attrs.evolve(folder, others=(above,)) if is_above else folder


def _parts(
    folder: Folder,
    files: Mapping[str, Json],
    sections: Mapping[str, dict[str, Json]],
    app: Json,
    where: str,
) -> Iterable[BuildPart]:
    """Yield the parts; what no section names has the name of its file, but for ``app``."""
    by_offset = {
        offset_of(section["offset"], f"{where}: {name}"): (name, section)
        for name, section in sections.items()
    }
    for text, file in files.items():
        offset = offset_of(text, where)
        if not isinstance(file, str):
            raise PlanError(f"{where}: what goes to {text} is no name of a file")
        usual = APP if file == app else Path(file).stem
        name, section = by_offset.get(offset, (usual, {}))
        yield BuildPart(
            name=word(name, where),
            offset=offset,
            path=folder.file(file),
            encrypted=section.get("encrypted") in ("true", True),
        )


def _parameters(settings: Json, where: str) -> FlashParameters:
    values = mapping(settings, f"{where}: flash_settings")
    found = {what: word_of(values, key, where) for what, key in _SETTINGS.items()}
    return FlashParameters(**{what: name for what, name in found.items() if name is not None})


def _read_words(folder: Folder, chip: str | None, app: Json) -> Build:
    """Return what ``flash_args`` says, where there is nothing better."""
    where = str(folder.path / WORDS)
    try:
        words = shlex.split(folder.text(WORDS))
    except ValueError as exc:
        raise PlanError(f"{where} makes no sense: {exc}") from exc
    settings: dict[str, Json] = {}
    rest: list[str] = []
    waiting = iter(words)
    for each in waiting:
        if each.startswith("--"):
            settings[each.removeprefix("--").replace("-", "_")] = next(waiting, "")
        else:
            rest.append(each)
    if len(rest) % 2:
        raise PlanError(f"{where} has {len(rest)} words where offsets and files come in pairs")
    files: dict[str, Json] = dict(zip(rest[::2], rest[1::2], strict=True))
    return Build(
        tool=TOOL,
        folder=folder.path,
        chip=chip,
        parts=tuple(_parts(folder, files, {}, app, where)),
        parameters=_parameters(settings, where),
    )
