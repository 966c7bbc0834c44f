"""A build, as a device is to get it: parts with a place and a name, and what it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.registry import chip_by_name
from esploader.classes import frozen, override
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.parameters import KEEP_PARAMETERS, FlashParameters

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.flash.source import Source
    from esploader.image.partition import Partition

APP: Final = "app"
"""What every tool's application is called here."""
BOOTLOADER: Final = "bootloader"
PARTITION_TABLE: Final = "partition-table"
OTADATA: Final = "otadata"
"""What says which application boots."""


@frozen(kw_only=True)
class BuildPart:
    """What goes to one place of the flash."""

    name: str
    """What the build tool calls it, or what it is: ``app``, ``bootloader``, ..."""
    offset: int = attrs.field(repr=hex)
    """Where it goes, in bytes."""
    path: Path | None
    """The file; ``None`` for :attr:`content`."""
    content: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    """What every build of the tool has there, and no file of this folder."""
    encrypted: bool = False
    """The build tool has it encrypted where flash encryption is on."""
    partition: Partition | None = None
    """The partition that begins there, if the table of the build has one."""

    @property
    def source(self) -> Source:
        """What is written."""
        return self.content if self.path is None else self.path

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called."""
        if self.partition is None or self.partition.shown_name == self.name:
            return (self.name,)
        return (self.name, self.partition.shown_name)

    @override
    def __str__(self) -> str:
        name = " or ".join(self.names)
        size = len(self.content)
        what = f"{size} bytes, always the same" if self.path is None else f"'{self.path}'"
        return f"0x{self.offset:08x}: {name}: {what}"


@frozen(kw_only=True)
class Build:
    """What a build tool has made for one kind of chip."""

    tool: str
    """Which one: ``ESP-IDF``, ``PlatformIO``, ..."""
    folder: Path
    """Where it was found."""
    chip: str | None
    """The chip that it is for, as the tool calls it; ``None`` where it does not say."""
    parts: tuple[BuildPart, ...]
    """In order of the offsets."""
    parameters: FlashParameters = KEEP_PARAMETERS
    """What the tool has put into the header of the bootloader as it writes it."""
    variant: str | None = None
    """Which of several for the same chip it is."""
    wants_erasing: bool = False
    """Whoever writes it is to be asked whether to erase the flash first."""

    @override
    def __str__(self) -> str:
        chip = "a chip that it does not name" if self.chip is None else self.chip
        return f"{self.tool} build for {chip} in '{self.folder}'"

    def inputs(self, *, encrypt: bool = False) -> list[tuple[int, Source]]:
        """Return what is written as it is: all, or with ``encrypt`` what is not to be encrypted."""
        return [
            (part.offset, part.source) for part in self.parts if not (encrypt and part.encrypted)
        ]

    def encrypted_inputs(self, *, encrypt: bool = True) -> list[tuple[int, Source]]:
        """Return what the device is to encrypt: with ``encrypt`` what the tool has it encrypt."""
        return [(part.offset, part.source) for part in self.parts if encrypt and part.encrypted]

    def only(self, names: Collection[str]) -> Build:
        """Return the parts with these names, and nothing else.

        Raises:
            PlanError: there is none of one of the names.
        """
        for name in names:
            if not any(name in part.names for part in self.parts):
                known = ", ".join(name for part in self.parts for name in part.names)
                raise PlanError(f"the {self.tool} build has no {name!r}; it has: {known}")
        kept = tuple(part for part in self.parts if not set(names).isdisjoint(part.names))
        return attrs.evolve(self, parts=kept)


def same_chip(name: str, chip: Chip) -> bool:
    """Tell whether a build tool means ``chip`` by ``name``."""
    try:
        return chip_by_name(name.replace("_", "-"), [chip]) is chip
    except UnsupportedError:
        return False
