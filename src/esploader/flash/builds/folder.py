"""The files of a build folder: within bounds, and not outside of it."""

from __future__ import annotations

import json
import os
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.classes import frozen
from esploader.errors import PlanError
from esploader.numerals import shown, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_TEXT_SIZE: Final = 1024 * 1024
"""Of a file that describes a build, in bytes: one of ESP-IDF has a third of that, and what is made
of JSON takes many times its size."""

MAX_PARTS: Final = 64
"""So many files has no build; each becomes a region to be erased, written and compared."""

MAX_ENTRIES: Final = 10_000
"""So many files of a folder are looked at."""

MAX_NAME_SIZE: Final = 300
"""Characters of the name of a file that are shown, at most."""

MAX_WORD_SIZE: Final = 100
"""Characters that a name has, at most."""

_MAX_OFFSET: Final = 0xFFFF_FFFF


@frozen
class Folder:
    """A folder, and where else its files may lie."""

    path: Path
    """As it was named."""
    others: tuple[Path, ...] = ()
    """Folders in which files may lie, too, since the build tool has them there."""

    def __truediv__(self, name: str) -> Folder:
        return Folder(self.path / name)

    def has(self, *names: str) -> bool:
        """Tell whether there are files of all these names."""
        return all(os.path.isfile(self.path / name) for name in names)

    def matching(self, suffix: str) -> list[str]:
        """Return the names of files in it that end like that, in order."""
        return sorted(name for name in self._entries() if name.endswith(suffix) and self.has(name))

    def folders(self) -> list[str]:
        """Return the names of the folders in it, in order."""
        return sorted(name for name in self._entries() if os.path.isdir(self.path / name))

    def _entries(self) -> Iterator[str]:
        """Yield the names that can be shown: build tools make no others."""
        try:
            with os.scandir(self.path) as entries:
                names = islice((entry.name for entry in entries), MAX_ENTRIES)
                yield from filter(str.isprintable, names)
        except OSError:
            return

    def text(self, name: str) -> str:
        """Return what a file in it says.

        Raises:
            PlanError: it cannot be read, is too large, or no text.
        """
        path = self.path / name
        try:
            with path.open("rb") as file:
                data = file.read(MAX_TEXT_SIZE + 1)
            if len(data) > MAX_TEXT_SIZE:
                raise PlanError(f"{path} has more than {MAX_TEXT_SIZE} bytes")
            return data.decode("utf-8-sig")
        except OSError as exc:
            raise PlanError(f"{path} cannot be read: {exc.strerror or exc}") from exc
        except ValueError as exc:
            raise PlanError(f"{path} is no text in UTF-8") from exc

    def document(self, name: str) -> dict[str, Json]:
        """Return the JSON object that a file in it holds.

        Raises:
            PlanError: as :meth:`text`, or it holds none.
        """
        text = self.text(name)
        try:
            document: Json = json.loads(text)
        except (ValueError, RecursionError) as exc:
            reason = str(exc) if isinstance(exc, json.JSONDecodeError) else "it makes no sense"
            raise PlanError(f"{self.path / name} is no JSON: {reason}") from exc
        return mapping(document, f"{self.path / name}")

    def file(self, name: str) -> Path:
        """Return the path of a file that the build names.

        Links count as what they lead to.

        Raises:
            PlanError: it lies outside, is not there, or has no bytes; or its name has characters
                that are not for the eye.
        """
        if not name.isprintable():
            raise PlanError(
                f"the build in '{self.path}' names {shown(name)}, which no file is called"
            )
        try:
            path = self.path / name
            real = path.resolve()
            homes = [home.resolve() for home in (self.path, *self.others)]
            is_file = real.is_file()
            size = real.stat().st_size if is_file else 0
        except (OSError, ValueError, RuntimeError) as exc:
            # Else the text has the name once more, however long that is.
            reason = (exc.strerror if isinstance(exc, OSError) else None) or "it leads nowhere"
            raise PlanError(f"the build in '{self.path}' names {_quoted(name)}: {reason}") from exc
        if not any(real.is_relative_to(home) for home in homes):
            raise PlanError(
                f"the build in '{self.path}' names {_quoted(name)}, which lies outside of it"
            )
        if not is_file:
            raise PlanError(
                f"the build in '{self.path}' is not complete: there is no file {_quoted(name)}"
            )
        if not size:
            raise PlanError(f"the build in '{self.path}' is not complete: {_quoted(name)} is empty")
        return path


def _quoted(name: str) -> str:
    """Return the name of a file as it is shown: whole, unless it is no name for the eye."""
    return f"'{name}'" if name.isprintable() and len(name) <= MAX_NAME_SIZE else shown(name)


def mapping(value: Json, where: str) -> dict[str, Json]:
    """Return ``value`` if it is a JSON object. Raises :exc:`~esploader.errors.PlanError`."""
    if not isinstance(value, dict):
        raise PlanError(f"{where} holds {shown(value)} where an object belongs")
    return value


def sequence(value: Json, where: str) -> list[Json]:
    """Return ``value`` if it is a JSON array. Raises :exc:`~esploader.errors.PlanError`."""
    if not isinstance(value, list):
        raise PlanError(f"{where} holds {shown(value)} where a list belongs")
    return value


def text_of(values: Mapping[str, Json], key: str, where: str) -> str:
    """Return a text by its key. Raises :exc:`~esploader.errors.PlanError`."""
    value = values.get(key)
    if not isinstance(value, str):
        raise PlanError(f"{where} has {shown(value)} as {key!r}, where a text belongs")
    return value


def word_of(values: Mapping[str, Json], key: str, where: str) -> str | None:
    """Return a name by its key; ``None`` where there is none. Raises as :func:`word`."""
    return word(text_of(values, key, where), f"{where}: {key}") if key in values else None


def word(text: str, where: str) -> str:
    """Return a name that a build gives, if it can be shown in a line.

    Raises:
        PlanError: it is empty, too long, or has characters that are not for the eye.
    """
    if not 0 < len(text) <= MAX_WORD_SIZE or not text.isprintable():
        raise PlanError(f"{where} has {shown(text)} where a name belongs")
    return text


def offset_of(value: Json, where: str) -> int:
    """Return an offset in flash, a number or one in a text, in bytes.

    Raises:
        PlanError: it is none of 32 bits.
    """
    try:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_OFFSET:
            return value
        if isinstance(value, str):
            return whole(value, 0, _MAX_OFFSET)
    except ValueError as exc:
        raise PlanError(f"{where}: {exc}") from None
    raise PlanError(f"{where}: {shown(value)} is no offset in flash")
