"""Words of the command line that stand in a file: ``@flash_args``.

ESP-IDF writes such a file beside what it builds, and prints ``write_flash @flash_args``.
Source: ESP-IDF, "Flashing with esptool".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FILE_SIZE: Final = 1 << 20
"""Bytes that a file of words may have: who names a firmware by mistake is told so."""

_SIGN: Final = "@"


class ArgumentFileError(Exception):
    """A file of words cannot be used; the text says which, and why."""


def expanded(words: Sequence[str]) -> list[str]:
    """Return ``words`` with what stands in a file in place of ``@FILE``.

    A file is UTF-8 text and holds words as a shell would take them, on as many lines as wanted,
    without comments. Its name is relative to the working directory, and so are names in it.
    What stands behind ``--`` belongs to somebody else and stays as it is.

    Raises:
        ArgumentFileError: a file cannot be read, or holds no words, or another such name.
    """
    end = words.index("--") if "--" in words else len(words)
    found: list[str] = []
    for word in words[:end]:
        found += _words_in(word[1:]) if word.startswith(_SIGN) else (word,)
    return [*found, *words[end:]]


def _words_in(name: str) -> Iterator[str]:
    # Nearly no command line has such a file, and shlex takes a while to load.
    import shlex

    for number, line in enumerate(_text(name).splitlines(), 1):
        try:
            words = shlex.split(line)
        except ValueError as exc:
            raise ArgumentFileError(f"{name}, line {number}: {str(exc).lower()}") from None
        for word in words:
            if word.startswith(_SIGN):
                raise ArgumentFileError(
                    f"{name}, line {number}: {word}: a file of words names no other one"
                )
            yield word


def _text(name: str) -> str:
    if not name:
        raise ArgumentFileError(f"{_SIGN} is followed by the name of a file of words")
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except (OSError, ValueError) as exc:
        reason = os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc)
        raise ArgumentFileError(f"{_SIGN}{name} cannot be read: {reason}") from None
    if len(data) > MAX_FILE_SIZE:
        raise ArgumentFileError(f"{name} is no file of words: it has more than 1 MiB")
    try:
        # Editors of Windows put a mark in front of UTF-8.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ArgumentFileError(f"{name} is no file of words: it is no text")
    return text
