"""Read tables of a TOML file, and refuse what is not as it should be, by its name."""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Final, TypeVar

from esploader.errors import ConfigError
from esploader.numerals import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAX_CONFIG_SIZE: Final = 1024 * 1024
"""A larger file is no configuration, in bytes."""

_MAX_COUNT: Final = 100_000
_MAX_TIME: Final = 86_400.0

ValueT = TypeVar("ValueT", int, str)


def read_table(path: Path) -> Table:
    """Return what a file of TOML holds.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_SIZE + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise ConfigError(str(path), f"it cannot be read: {reason}") from exc
    if len(content) > MAX_CONFIG_SIZE:
        raise ConfigError(str(path), f"it has more than {MAX_CONFIG_SIZE} bytes")
    try:
        return Table(tomllib.loads(content.decode("utf-8")), str(path))
    except (ValueError, RecursionError) as exc:
        raise ConfigError(str(path), f"it is no TOML: {exc}") from exc


class Table:
    """A table of a file, which knows where it is and what has been asked for.

    Everything raises :exc:`~esploader.errors.ConfigError` for a value of the wrong kind.
    """

    def __init__(self, content: Mapping[str, object], place: str) -> None:
        self._content = content
        self._known: list[str] = []
        self.place = place

    def where(self, key: str) -> str:
        """Return how to name a key of this table."""
        return f"{self.place}: {key}"

    def get(self, key: str, kind: type[ValueT], default: ValueT | None) -> ValueT | None:
        """Return the value of ``key``, which is of that kind; ``default`` without it."""
        value = self._look_up(key)
        if value is None:
            return default
        # A bool is an int to Python, but not to whoever writes tcp-port = true.
        if not isinstance(value, kind) or isinstance(value, bool):
            wanted = "a whole number" if kind is int else "a text"
            raise ConfigError(self.where(key), f"{shown(value)} is not {wanted}")
        return value

    def text(self, key: str) -> str | None:
        """Return a text that is not empty; ``None`` without it."""
        value = self.get(key, str, None)
        if value is not None and not value.strip():
            raise ConfigError(self.where(key), "it is empty")
        return value

    def number(self, key: str, default: int | None, low: int, high: int) -> int | None:
        """Return a number between the two."""
        value = self.get(key, int, default)
        if value is not None and not low <= value <= high:
            raise ConfigError(self.where(key), f"{shown(value)} is not between {low} and {high}")
        return value

    def number_or_text(self, key: str, high: int) -> int | str | None:
        """Return a number from 0 to ``high``, or a text; ``None`` without it."""
        is_text = isinstance(self._content.get(key), str)
        return self.text(key) if is_text else self.number(key, None, 0, high)

    def count(self, key: str, default: int) -> int:
        """Return a number of connections."""
        value = self.number(key, default, 1, _MAX_COUNT)
        return default if value is None else value

    def seconds(self, key: str, default: float) -> float:
        """Return a positive time in seconds."""
        value = self.real(key, _MAX_TIME, "a number of seconds")
        return default if value is None else value

    def real(self, key: str, high: float, kind: str = "a number") -> float | None:
        """Return a number above 0, up to ``high``; ``kind`` says what it is for people."""
        value = self._look_up(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(self.where(key), f"{shown(value)} is not {kind}")
        if not 0 < value <= high:
            raise ConfigError(self.where(key), f"{shown(value)} is not between 0 and {high:g}")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.flag_or_none(key)
        return default if value is None else value

    def flag_or_none(self, key: str) -> bool | None:
        """Return true or false; ``None`` without it."""
        value = self._look_up(key)
        if value is not None and not isinstance(value, bool):
            raise ConfigError(self.where(key), f"{shown(value)} is neither true nor false")
        return value

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        """Return one of some texts."""
        known = [*choices]
        value = self.text(key)
        if value is not None and value not in known:
            raise ConfigError(self.where(key), f"{shown(value)} is none of {', '.join(known)}")
        return default if value is None else value

    def named_texts(self) -> dict[str, str]:
        """Return all of a table that has nothing but texts, under whatever keys."""
        return {key: self.text(key) or "" for key in self._content}

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts, or one text as a list; ``None`` without it."""
        value = self._look_up(key)
        if value is None:
            return None
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items:
            raise ConfigError(self.where(key), "it is not a list of texts")
        for item in items:
            if not isinstance(item, str) or not item.strip():
                raise ConfigError(self.where(key), f"{shown(item)} is not a text")
        return tuple(items)

    def table(self, key: str) -> Table | None:
        """Return a table within this one; ``None`` without it."""
        value = self._look_up(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ConfigError(self.where(key), f"{shown(value)} is not a table")
        return Table(value, f"{self.place}: {key}")

    def tables(self, key: str) -> list[Table]:
        """Return the tables of a list, ``[[key]]``."""
        value = self._look_up(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise ConfigError(self.where(key), f"{key}s are written [[{key}]]")
        tables = []
        for number, item in enumerate(value, 1):
            place = f"{self.place}: {key} {number}"
            if not isinstance(item, dict):
                raise ConfigError(place, f"{shown(item)} is not a table")
            tables.append(Table(item, place))
        return tables

    def refuse_others(self) -> None:
        """Refuse every key that nobody has asked for."""
        for key in self._content:
            if key not in self._known:
                known = ", ".join(self._known)
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f", perhaps {near[0]} is meant" if near else ""
                raise ConfigError(self.where(key), f"there is no such key{hint}; known are {known}")

    def _look_up(self, key: str) -> object | None:
        self._known.append(key)
        return self._content.get(key)
