"""Manifests of ESP Web Tools, with which web pages flash devices: a build for each kind of chip.

``builds`` has ``chipFamily`` and ``parts``, each a ``path`` and an ``offset``. Paths are relative
to the manifest; those that lead out of its folder, or to another server, are not followed.

Source: ESP Web Tools, ``README.md`` and ``src/const.ts``.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import PlanError
from esploader.flash.builds.build import Build, BuildPart
from esploader.flash.builds.folder import mapping, offset_of, sequence, text_of, word, word_of
from esploader.numerals import shown

if TYPE_CHECKING:
    from esploader.flash.builds.folder import Folder, Json

TOOL: Final = "ESP Web Tools"
MANIFEST: Final = "manifest.json"

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/|\\")
"""How a path begins that is not relative."""


def read(folder: Folder, name: str = MANIFEST) -> list[Build]:
    """Return the builds of a manifest, one for each kind of chip or variant of it.

    Raises:
        PlanError: it makes no sense, or a file is missing or lies elsewhere.
    """
    where = str(folder.path / name)
    document = folder.document(name)
    builds = sequence(document.get("builds"), f"{where}: builds")
    if not builds:
        raise PlanError(f"{where} has no builds")
    wants_erasing = document.get("new_install_prompt_erase") is True
    return [
        attrs.evolve(_build(folder, value, f"{where}: builds"), wants_erasing=wants_erasing)
        for value in builds
    ]


def _build(folder: Folder, value: Json, where: str) -> Build:
    values = mapping(value, where)
    parts = sequence(values.get("parts"), f"{where}: parts")
    return Build(
        tool=TOOL,
        folder=folder.path,
        chip=word(text_of(values, "chipFamily", where), where),
        parts=tuple(_part(folder, part, f"{where}: parts") for part in parts),
        variant=word_of(values, "serialType", where),
    )


def _part(folder: Folder, value: Json, where: str) -> BuildPart:
    values = mapping(value, where)
    name = text_of(values, "path", where)
    if _SCHEME.match(name):
        raise PlanError(f"{where}: {shown(name)} is no path relative to the manifest")
    return BuildPart(
        name=word(PurePosixPath(name).stem, where),
        offset=offset_of(values.get("offset"), where),
        path=folder.file(name),
    )
