"""What a board gets that is named after it: files and texts with its MAC or its serial number.

What is put in place of a name is made of letters, digits, ``.``, ``_`` and ``-`` alone, whoever
said it, so that nothing from a wire or a list leads out of a folder.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.classes import frozen
from esploader.errors import ConfigError, PlanError
from esploader.fleet.job import DeviceInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.fleet.results import Found

SerialOf: TypeAlias = "Callable[[str], str]"
"""Returns the serial number of the board with a MAC, or raises what fails that board."""

NAMES: Final = ("mac", "chip", "label", "serial")
"""What may stand in braces."""

_NAME: Final = re.compile(r"\{([^{}]*)\}")
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


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

    def filled(self, found: Found, serial_of: SerialOf | None) -> str:
        """Return the text for a board.

        Raises:
            PlanError: the board does not tell what is needed, or has no serial number.
        """
        return _NAME.sub(lambda match: _value(match[1], found, serial_of), self.text)


def _value(name: str, found: Found, serial_of: SerialOf | None) -> str:
    if name == "chip":
        return found.chip.key
    if name == "label":
        return harmless(found.label)
    if found.mac is None:
        raise PlanError("in Secure Download Mode a device does not tell its MAC")
    if name == "mac":
        return found.mac.replace(":", "")
    if serial_of is None:
        raise PlanError("there is no list of serial numbers")
    return serial_of(found.mac)


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

    def input_for(self, found: Found, serial_of: SerialOf | None) -> DeviceInput:
        """Return what goes to a board.

        Raises:
            PlanError: the board has none.
        """
        text = self.template.filled(found, serial_of)
        source = text.encode("utf-8") if self.folder is None else self.folder / text
        return DeviceInput(self.where, source, self.encrypted)
