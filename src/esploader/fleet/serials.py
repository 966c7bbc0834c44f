"""Serial numbers of boards: a list of them, and a counter that goes on where the list ends."""

from __future__ import annotations

import csv
import io
import os
import re
import threading
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import ConfigError, PlanError
from esploader.flash.source import read_source
from esploader.fleet.appending import append, locked, open_to_append
from esploader.fleet.templates import harmless
from esploader.numerals import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_LIST_SIZE: Final = 64 << 20
"""Bytes of a list of serial numbers: a million boards have one of half that."""

_MAC: Final = re.compile(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}")
_COUNTED: Final = re.compile(r"(.*?)([0-9]{1,18})")


@define(eq=False)
class Serials:
    """The serial numbers in a file, by MAC. Threads share it, and programs the file.

    A board that is not in it gets the next number, if any are given, and keeps it: the file has
    it before anything is written to the board. So none is ever given twice.
    """

    path: Path
    """The file, of lines ``MAC,SERIAL``."""
    first: str | None = None
    """The first number that is given; its digits at the end count up. ``None``: none are."""
    keeps: bool = True
    """What is given is appended to the file; else it is forgotten with this object."""
    _known: dict[str, str] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @classmethod
    def open(cls, path: Path, first: str | None, *, keeps: bool) -> Serials:
        """Read the list, and see that numbers can be appended, if any are given.

        Raises:
            ConfigError: the list makes no sense, or cannot be read or written.
        """
        serials = cls(path, first, keeps)
        if first is not None:
            if keeps:
                try:
                    os.close(open_to_append(path))
                except (OSError, ValueError) as exc:
                    raise ConfigError(str(path), f"it cannot be written: {_reason(exc)}") from exc
            elif not path.exists():
                return serials
        serials._known = read_serials(path, is_counted=first is not None)
        return serials

    def of(self, mac: str) -> str:
        """Return the serial number of the board with that MAC.

        Raises:
            PlanError: it has none, none is left, or it cannot be kept.
            ConfigError: another program has made the list one that makes no sense.
        """
        with self._lock:
            if mac not in self._known:
                self._give(mac)
            return self._known[mac]

    def _give(self, mac: str) -> None:
        if self.first is None:
            raise PlanError(f"there is no serial number for the MAC {mac}")
        if not self.keeps:
            self._known[mac] = next_serial(self.first, self._known.values())
            return
        try:
            with locked(self.path) as file:
                # Other programs may have given some meanwhile.
                known = read_serials(self.path, is_counted=True)
                if mac not in known:
                    serial = next_serial(self.first, known.values())
                    append(file, f"{mac},{serial}\n".encode("ascii"))
                    known[mac] = serial
        except OSError as exc:
            reason = f"a serial number cannot be kept in {self.path}: {_reason(exc)}"
            raise PlanError(reason) from exc
        self._known = known


def check_first(first: str, place: str) -> str:
    """Return the first serial number that is to be given.

    Raises:
        ConfigError: nothing can be counted up from it. The message begins with ``place``.
    """
    if _COUNTED.fullmatch(first) is None:
        raise ConfigError(place, f"{shown(first)} does not end with a digit")
    try:
        return harmless(first)
    except PlanError as exc:
        raise ConfigError(place, str(exc)) from exc


def next_serial(first: str, given: Iterable[str]) -> str:
    """Return the number behind all of its form that are given, which is ``first`` if none are.

    Raises:
        PlanError: it would have more digits.
    """
    match = _COUNTED.fullmatch(first)
    assert match is not None  # noqa: S101 - check_first has seen to it
    prefix, digits = match[1], match[2]
    form = re.compile(f"{re.escape(prefix)}([0-9]{{{len(digits)}}})")
    taken = [int(found[1]) for found in map(form.fullmatch, given) if found is not None]
    number = max([int(digits), *(each + 1 for each in taken)])
    serial = f"{prefix}{number:0{len(digits)}}"
    if len(serial) > len(first):
        raise PlanError(f"no serial number of the form {first} is left")
    return serial


def _reason(exc: OSError | ValueError) -> str:
    return exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)


def read_serials(path: Path, *, is_counted: bool = False) -> dict[str, str]:
    """Return the serial numbers in a file of lines ``MAC,SERIAL``, by MAC with colons.

    Of one to which numbers are appended, ``is_counted``, the last line has to have its end, too:
    half a number looks like a whole one.

    Raises:
        ConfigError: it cannot be read, a line is none, or something is there twice.
    """
    try:
        text = read_source(path, limit=MAX_LIST_SIZE).decode("utf-8-sig")
    except (PlanError, UnicodeDecodeError) as exc:
        raise ConfigError(str(path), f"it cannot be read: {exc}") from exc
    if is_counted and text and not text.endswith("\n"):
        raise ConfigError(str(path), "its last line has no end: see that it is whole, and end it")
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
