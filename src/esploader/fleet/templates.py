"""What a board gets that is named after it: files and texts with its MAC or its serial number.

What is put in place of a name is made of letters, digits, ``.``, ``_`` and ``-`` alone, whoever
said it, so that nothing from a wire or a list leads out of a folder.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.errors import ConfigError, PlanError
from esploader.flash.source import read_source
from esploader.fleet.job import DeviceInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from esploader.fleet.results import Found

MAX_LIST_SIZE: Final = 64 << 20
"""Bytes of a list of serial numbers: a million boards have one of half that."""

NAMES: Final = ("mac", "chip", "label", "serial")
"""What may stand in braces."""

_NAME: Final = re.compile(r"\{([^{}]*)\}")
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_MAC: Final = re.compile(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}")


@frozen
class Template:
    """A text with names in braces: ``nvs/{mac}.bin``."""

    text: str

    @classmethod
    def parse(cls, text: str, source: str) -> Template:
        """Return the template that ``text`` is.

        Raises:
            ConfigError: it has a name that means nothing. The message begins with ``source``.
        """
        for name in _NAME.findall(text):
            if name not in NAMES:
                known = ", ".join(f"{{{each}}}" for each in NAMES)
                raise ConfigError(source, f"{{{name}}} is none of {known}")
        return cls(text)

    def uses(self, name: str) -> bool:
        """Tell whether a name is in it."""
        return name in _NAME.findall(self.text)

    def filled(self, found: Found, serials: Mapping[str, str] | None) -> str:
        """Return the text for a board.

        Raises:
            PlanError: the board does not tell what is needed, or has no serial number.
        """
        return _NAME.sub(lambda match: _value(match[1], found, serials), self.text)


def _value(name: str, found: Found, serials: Mapping[str, str] | None) -> str:
    if name == "chip":
        return found.chip.key
    if name == "label":
        return harmless(found.label)
    if found.mac is None:
        raise PlanError("in Secure Download Mode a device does not tell its MAC")
    if name == "mac":
        return found.mac.replace(":", "")
    serial = (serials or {}).get(found.mac)
    if serial is None:
        raise PlanError(f"there is no serial number for the MAC {found.mac}")
    return serial


def harmless(text: str) -> str:
    """Return ``text``, which may be a part of the name of a file.

    Raises:
        PlanError: it may not.
    """
    if _HARMLESS.fullmatch(text) is None:
        raise PlanError(f"{text!r} cannot be in the name of a file: letters, digits, ._- can")
    return text


@frozen
class DeviceFile:
    """A file, or a text, that each board has one of."""

    where: int | str
    """An offset, or the name of a partition."""
    template: Template
    folder: Path | None
    """Where the names of files begin; ``None`` where the text itself is what is written."""
    encrypted: bool

    def input_for(self, found: Found, serials: Mapping[str, str] | None) -> DeviceInput:
        """Return what goes to a board.

        Raises:
            PlanError: the board has none.
        """
        text = self.template.filled(found, serials)
        source = text.encode("utf-8") if self.folder is None else self.folder / text
        return DeviceInput(self.where, source, self.encrypted)


def read_serials(path: Path) -> dict[str, str]:
    """Return the serial numbers in a file of lines ``MAC,SERIAL``, by MAC with colons.

    Raises:
        ConfigError: it cannot be read, a line is none, or something is there twice.
    """
    try:
        text = read_source(path, limit=MAX_LIST_SIZE).decode("utf-8-sig")
    except (PlanError, UnicodeDecodeError) as exc:
        raise ConfigError(str(path), f"it cannot be read: {exc}") from exc
    serials: dict[str, str] = {}
    seen: set[str] = set()
    for number, row in enumerate(_rows(text, path), 1):
        if not row or (number == 1 and row[0].strip().lower() == "mac"):
            continue
        place = f"{path}: line {number}"
        mac, serial = _row(row, place)
        if mac in serials or serial in seen:
            raise ConfigError(place, f"{mac if mac in serials else serial} is there twice")
        serials[mac] = serial
        seen.add(serial)
    return serials


def _rows(text: str, path: Path) -> Iterator[list[str]]:
    try:
        yield from csv.reader(io.StringIO(text))
    except csv.Error as exc:
        raise ConfigError(str(path), f"it is no list: {exc}") from exc


def _row(row: list[str], place: str) -> tuple[str, str]:
    try:
        mac, serial = (each.strip() for each in row)
    except ValueError:
        raise ConfigError(place, "it is not MAC,SERIAL") from None
    if _MAC.fullmatch(mac.lower()) is None:
        raise ConfigError(place, f"{mac[:60]!r} is no MAC address")
    try:
        return bytes.fromhex(re.sub("[:-]", "", mac)).hex(":"), harmless(serial[:200])
    except PlanError as exc:
        raise ConfigError(place, str(exc)) from exc
