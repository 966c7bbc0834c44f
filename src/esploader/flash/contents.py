"""What an input holds: bytes as they are, or what a file of one of the known formats says.

A file at a path is known by its content, and by how its name ends: what is named so and is no such
file is refused, and never written as it is.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.flash.source import (
    Contents,
    Source,
    begin,
    is_lasting,
    is_path,
    open_source,
    read_all,
    read_source,
)
from esploader.image import hexfile, uf2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esploader.image.runs import Readable, Run

_log: Final = logging.getLogger(__name__)


class _Format(NamedTuple):
    """A kind of file that says itself where its bytes belong."""

    name: str
    """With its article."""
    suffixes: frozenset[str]
    is_it: Callable[[bytes], bool]
    """Tells it by what it begins with."""
    read: Callable[[Readable, int], Contents]


def _read_hex(file: Readable, room: int) -> Contents:
    return Contents(_parts(hexfile.read_file(file, max_size=room)))


def _read_uf2(file: Readable, room: int) -> Contents:
    found = uf2.read_file(file, max_size=room)
    return Contents(_parts(found.runs), family=found.family)


def _parts(runs: Iterable[Run]) -> tuple[tuple[int, bytes], ...]:
    return tuple((run.address, run.data) for run in runs)


_FORMATS: Final = (
    _Format("an Intel HEX file", hexfile.SUFFIXES, hexfile.is_hex, _read_hex),
    _Format("a UF2 file", uf2.SUFFIXES, uf2.is_uf2, _read_uf2),
)
_SAMPLE_SIZE: Final = hexfile.SAMPLE_SIZE
"""How much of the beginning of a file tells what it is, in bytes."""


def read_contents(source: Source, room: int) -> Contents:
    """Return what ``source`` holds, up to ``room`` bytes.

    What is not at a path is taken as it is.

    Raises:
        PlanError: it cannot be read, is too large, or is a damaged file of a known format.
    """
    if isinstance(source, Contents):
        return source
    if not is_path(source):
        return Contents(((0, read_source(source, limit=room)),))
    with open_source(source) as file:
        beginning, whole = begin(file, _SAMPLE_SIZE)
        named = _by_name(source)
        found = next((each for each in _FORMATS if each.is_it(beginning)), named)
        if found is None:
            return Contents(((0, read_all(whole, room)),), name=os.fspath(source))
        if found is not named:
            _log.warning("%s is read as %s: that is what it holds", source, found.name)
        return found.read(whole, room)._replace(name=os.fspath(source))


def is_known_as_packed(source: Source) -> bool:
    """Tell whether the size of ``source`` is not that of what it holds, and wait for nobody."""
    if not is_path(source):
        return False
    if _by_name(source) is not None or not is_lasting(source):
        return _by_name(source) is not None
    with open_source(source) as file:
        beginning, _ = begin(file, _SAMPLE_SIZE)
        return any(each.is_it(beginning) for each in _FORMATS)


def _by_name(path: str | os.PathLike[str]) -> _Format | None:
    suffix = Path(path).suffix.lower()
    return next((each for each in _FORMATS if suffix in each.suffixes), None)
