"""Which build is for a chip, which parts of it are wanted, and whether it is what it says it is.

What is looked at is what the file system says of the last change and the size of a file, and what
images say of the chip that they are for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from esploader.chips.registry import chip_by_name
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.builds.build import APP, Build, same_chip
from esploader.flash.builds.esp_idf import ARGUMENTS, TOOL
from esploader.flash.builds.layout import chip_of, damage_of, size_of
from esploader.flash.builds.reading import read_builds
from esploader.flash.contents import is_known_as_packed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.security_state import SecurityState
    from esploader.image.partition import Partition

__all__ = [
    "check_encryption",
    "check_erasing",
    "choose",
    "named_chip",
    "read_builds",
    "warn_of",
]

_log: Final = logging.getLogger(__name__)

_HOW: Final = "build it again"

_TOLERANCE: Final = 2_000_000_000
"""Who copies a folder may mix up what is so few nanoseconds apart; some file systems do."""


def choose(
    builds: Sequence[Build],
    chip: Chip,
    *,
    app_only: bool = False,
    names: Collection[str] = (),
    force: bool = False,
) -> Build:
    """Return that of ``builds`` that is for ``chip``, with the parts that are wanted.

    ``names`` are those of parts or of partitions; ``force`` leaves out that nothing is out of date.

    Raises:
        PlanError: none is, or more than one; it has no such part; a file is older than the ELF
            file that it is made of, has become empty, or is larger than its partition; or an
            image is for another chip, or an application is damaged.
    """
    build = _only_one(builds, chip)
    wanted = [*names, *([APP] if app_only else [])]
    if wanted:
        build = build.only(wanted)
    if not force:
        _check(build, chip)
    return build


def named_chip(builds: Sequence[Build]) -> Chip | None:
    """Return the chip that a single build names; ``None`` where only the device can tell."""
    name = builds[0].chip if len(builds) == 1 else None
    try:
        return None if name is None else chip_by_name(name.replace("_", "-"))
    except UnsupportedError:
        return None


def check_erasing(*, erase_all: bool, is_partial: bool) -> None:
    """Refuse to erase the whole flash where not all of a build is written.

    Raises:
        PlanError: that is what is asked for.
    """
    if erase_all and is_partial:
        raise PlanError(
            "to erase the whole flash would erase what is not written again: write all of the "
            "build, or erase nothing"
        )


def check_encryption(build: Build, security: SecurityState) -> None:
    """Refuse to write as it is what the build has encrypted, where the device would decrypt it.

    Raises:
        PlanError: it would.
    """
    marked = [part.name for part in build.parts if part.encrypted]
    if security.flash_encryption and marked:
        raise PlanError(
            "flash encryption is on, and the device would decrypt what is written as it is: the "
            f"build has {', '.join(marked)} encrypted, which --encrypt does"
        )


def warn_of(build: Build, *, erase_all: bool) -> None:
    """Say what may be wrong with a build, and need not be."""
    # It may change without the application.
    description = build.folder / ARGUMENTS
    for part in build.parts if build.tool == TOOL else ():
        if part.name == APP and part.path is not None and _is_newer(description, part.path):
            _log.warning("%s is older than %s: it may be out of date", part.path, ARGUMENTS)
    if build.wants_erasing and not erase_all:
        _log.warning(
            "the %s has people asked whether to erase the flash first; it is not erased", build
        )


def _only_one(builds: Sequence[Build], chip: Chip) -> Build:
    found = [build for build in builds if build.chip is None or same_chip(build.chip, chip)]
    first = builds[0]
    if not found:
        kinds = " and ".join(dict.fromkeys(str(build.chip) for build in builds))
        raise PlanError(
            f"the {first.tool} build in '{first.folder}' is for {kinds}, not for {chip.name}"
        )
    usual = [build for build in found if build.variant is None] or found
    if len(usual) > 1:
        variants = ", ".join(build.variant for build in usual if build.variant is not None)
        raise PlanError(
            f"'{first.folder}' has {len(usual)} builds for {chip.name}"
            f"{variants and f' ({variants})'}, and nothing says which one is meant"
        )
    return usual[0]


def _check(build: Build, chip: Chip) -> None:
    for part in build.parts:
        if part.path is None:
            continue
        elf = part.path.with_suffix(".elf")
        if _is_newer(elf, part.path):
            raise PlanError(f"{part.path} is out of date: {elf.name} is newer; {_HOW}")
        partition = part.partition
        _check_size(part.path, partition)
        if partition is not None and not (partition.is_app or partition.is_primary):
            # What is kept there may well be for another chip that is beside this one.
            continue
        made_for = chip_of(part.path)
        # The images of the ESP8266 do not say what they are for.
        if made_for and chip.image_chip_id is not None and not same_chip(made_for, chip):
            raise PlanError(
                f"{part.path} is for {made_for}, and the build is for {chip.name}; {_HOW}"
            )
        if part.name == APP or (partition is not None and partition.is_app):
            damage = damage_of(part.path, chip)
            if damage is not None:
                raise PlanError(f"{part.path} is damaged: {damage}; {_HOW}")


def _check_size(path: Path, partition: Partition | None) -> None:
    """Refuse a file that has become empty, or is larger than the partition it goes to.

    Raises:
        PlanError: it has, or is; or it cannot be read any more.
    """
    size = size_of(path)
    if not size:
        raise PlanError(f"{path} is empty; {_HOW}")
    # Of files that say themselves where their bytes belong the size tells little.
    if partition is not None and size > partition.size and not is_known_as_packed(path):
        raise PlanError(f"{path} has {size} bytes, too many for the partition {partition}")


def _is_newer(path: Path, other: Path) -> bool:
    try:
        return path.stat().st_mtime_ns > other.stat().st_mtime_ns + _TOLERANCE
    except OSError:
        return False
