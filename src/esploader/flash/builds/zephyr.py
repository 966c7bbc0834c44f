"""Builds of Zephyr: what ``west flash`` would have esptool write.

``zephyr/runners.yaml`` says where the application goes, and the bootloader and the partition table
where there are any. Of YAML only what that file is made of is understood: names, texts and lists.

Source: Zephyr, ``scripts/west_commands/runners/esp32.py``, ``boards/common/esp32.board.cmake`` and
``cmake/flash/CMakeLists.txt``, which writes the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from esploader.errors import PlanError
from esploader.flash.builds.build import APP, BOOTLOADER, PARTITION_TABLE, Build, BuildPart
from esploader.flash.builds.folder import Folder, offset_of
from esploader.flash.builds.layout import chip_of
from esploader.flash.parameters import KEEP, FlashParameters

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOL: Final = "Zephyr"
RUNNERS: Final = "runners.yaml"
DOMAINS: Final = "domains.yaml"

_RUNNER: Final = "esp32"
_KEY: Final = re.compile(r"( *)([\w-]+):(?: +(.*))?")
_ITEM: Final = re.compile(r" *- (.*)")
_OPTION: Final = re.compile(r"--esp-([\w-]+)(?:=(.*))?")


def read(folder: Folder) -> Build:
    """Return the build whose folder ``zephyr`` is ``folder``.

    Raises:
        PlanError: it makes no sense, or a file is missing or lies elsewhere.
    """
    where = str(folder.path / RUNNERS)
    settings, words = _parsed(folder.text(RUNNERS))
    options = _options(words)
    if not words:
        raise PlanError(
            f"{where} has no runner {_RUNNER!r}: it is no build for a chip of Espressif"
        )
    # The bootloader is beside the folder, not in it.
    wider = Folder(folder.path, (folder.path.parent,))
    file = settings.get("bin_file", "zephyr.bin")
    parts = [_part(APP, options.get("app-address", "0x10000"), wider, file, where)]
    if "flash-bootloader" in options:
        address = options.get("boot-address", "0x1000")
        parts.append(_part(BOOTLOADER, address, wider, options["flash-bootloader"], where))
        if "flash-partition_table" in options:
            address = options.get("partition-table-address", "0x8000")
            table = options["flash-partition_table"]
            parts.append(_part(PARTITION_TABLE, address, wider, table, where))
    return Build(
        tool=TOOL,
        folder=folder.path.parent,
        chip=chip_of(wider.file(file)),
        parts=tuple(parts),
        parameters=FlashParameters(
            mode=options.get("flash-mode", KEEP),
            frequency=options.get("flash-freq", KEEP),
            size=options.get("flash-size", KEEP),
        ),
    )


def _part(name: str, address: str, folder: Folder, file: str, where: str) -> BuildPart:
    return BuildPart(name=name, offset=offset_of(address, where), path=folder.file(file))


def _parsed(text: str) -> tuple[Mapping[str, str], list[str]]:
    """Return what stands below ``config``, and the words below ``args`` and the runner."""
    settings: dict[str, str] = {}
    words: list[str] = []
    top = second = ""
    for line in text.splitlines():
        item = _ITEM.fullmatch(line)
        if item is not None:
            if (top, second) == ("args", _RUNNER):
                words.append(_plain(item[1]))
            continue
        key = _KEY.fullmatch(line.rstrip())
        if key is None:
            continue
        if not key[1]:
            top, second = key[2], ""
        else:
            second = key[2]
            if top == "config" and key[3]:
                settings[second] = _plain(key[3])
    return settings, words


def _options(words: list[str]) -> dict[str, str]:
    """Return what the runner is told, by the names of its options without ``--esp-``."""
    found = (_OPTION.fullmatch(word) for word in words)
    return {match[1]: match[2] or "" for match in found if match is not None}


def _plain(text: str) -> str:
    """Return a text without the quotes that it may have in YAML."""
    text = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text
