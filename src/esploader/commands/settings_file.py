"""Files that set defaults: those that esptool has, and ``pyproject.toml``.

Names, places and keys are those of esptool; source: its documentation, "Configuration File".
In ``pyproject.toml`` the table ``[tool.esploader]`` has the same keys. A file never chooses a
port: there is no key for that.
"""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_SIZE: Final = 1 << 20
"""Bytes that a file with settings may have."""

_TOML: Final = "pyproject.toml"
_NAMES: Final = (_TOML, "esptool.cfg", "setup.cfg", "tox.ini")
# As text: they are compiled when there is a file.
_INI_SECTION: Final = r"(?m)^\[esptool\][^\S\n]*(?:[#;].*)?$"
_NEXT_SECTION: Final = r"(?m)^\["
_TOML_TABLE: Final = r"""(?m)^\s*\[\s*tool\s*\.\s*(["']?)esploader\1\s*\]"""


class SettingsFileError(Exception):
    """A file with settings cannot be used; the text names it, and the line if there is one."""


class Setting(NamedTuple):
    """One of the settings in a file."""

    key: str
    """In small letters, as in the file otherwise."""
    text: str
    place: str
    """The file and the line, for messages."""


class SettingsFile(NamedTuple):
    """What a file sets."""

    path: Path
    settings: tuple[Setting, ...]
    is_named: bool
    """It is not one of those in the usual places."""


def find_settings(named: str | None) -> SettingsFile | None:
    """Return what the first file sets that has settings; ``None`` where there is none.

    ``named`` is the one to look at before all others, if there is one.

    Raises:
        SettingsFileError: it has, and cannot be understood.
    """
    first = [Path(named).absolute()] if named else []
    for path in (*first, *_usual_places()):
        text = _text(path)
        if text is None:
            continue
        found = _of_toml(path, text) if path.suffix == ".toml" else _of_ini(path, text)
        if found is not None:
            return SettingsFile(path, tuple(found), is_named=path in first)
    return None


def _usual_places() -> Iterator[Path]:
    own = "AppData/Local/esptool" if sys.platform == "win32" else ".config/esptool"
    for place in (Path.cwd, lambda: Path.home() / own, Path.home):
        # A working directory may be gone, and a user need not have a home.
        with contextlib.suppress(OSError, RuntimeError):
            folder = place()
            yield from (folder / name for name in _NAMES)


def _text(path: Path) -> str | None:
    """Return what is in a file; ``None`` where it is none, none of ours, or closed to us."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError:
        return None
    section = _TOML_TABLE if path.suffix == ".toml" else _INI_SECTION
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    if re.search(section, text) is None:
        return None
    if len(data) > MAX_FILE_SIZE:
        raise SettingsFileError(f"{path} has more than 1 MiB")
    if "\N{REPLACEMENT CHARACTER}" in text:
        raise SettingsFileError(f"{path} is no text of UTF-8")
    return text


def _of_ini(path: Path, text: str) -> list[Setting] | None:
    """Return what the section sets: other sections may be whatever they like."""
    import configparser

    begin = re.search(_INI_SECTION, text)
    if begin is None:
        return None
    end = re.compile(_NEXT_SECTION).search(text, begin.end())
    section = text[begin.start() : len(text) if end is None else end.start()]
    first_line = text.count("\n", 0, begin.start())
    parser = configparser.RawConfigParser()
    try:
        # So that a line has its number in the whole file.
        parser.read_string("\n" * first_line + section, str(path))
    except configparser.DuplicateOptionError as exc:
        reason = f"{exc.option} is there twice"
        raise SettingsFileError(f"{path}, line {exc.lineno}: {reason}") from None
    except configparser.ParsingError as exc:
        number, _ = exc.errors[0]
        raise SettingsFileError(f"{path}, line {number}: it sets nothing") from None
    return [
        Setting(key, value, _place(path, text, begin.end(), key))
        for key, value in parser.items("esptool")
    ]


def _of_toml(path: Path, text: str) -> list[Setting] | None:
    import tomllib

    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise SettingsFileError(f"{path} is no TOML: {exc}") from None
    begin = re.search(_TOML_TABLE, text)
    tools = document.get("tool")
    table = tools.get("esploader") if isinstance(tools, dict) else None
    if begin is None or not isinstance(table, dict):
        return None
    found = []
    for key, value in table.items():
        place = _place(path, text, begin.end(), key)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise SettingsFileError(f"{place}: {key} is neither a number nor text")
        found.append(Setting(key.lower(), str(value), place))
    return found


def _place(path: Path, text: str, start: int, key: str) -> str:
    """Return where a key is set, behind the beginning of its section."""
    pattern = re.compile(
        rf"""^\s*["']?{re.escape(key)}["']?\s*[:=]""", re.MULTILINE | re.IGNORECASE
    )
    match = pattern.search(text, start)
    if match is None:
        return str(path)
    at = match.end()
    return f"{path}, line {text.count(chr(10), 0, at) + 1}"
