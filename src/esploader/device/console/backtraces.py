"""What the addresses in a line of a device's output mean in its programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import DebugInfoError
from esploader.numerals import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from esploader.device.console.debug_info import DebugInfo, Place

MAX_ADDRESSES: Final = 64
"""Of a line; those beyond are not looked up."""

MAX_REMEMBERED: Final = 4096
"""Addresses whose meaning is kept: a device may print any number of others."""

_ADDRESS: Final = re.compile(r"0x([0-9a-fA-F]{8})(?![0-9a-fA-F])")

_RETURNS_TO: Final = re.compile(r"\bRA *: *0x([0-9a-fA-F]{8})")
"""Where a function of RISC-V returns to: the call itself is in front of that."""

_DIGEST: Final = re.compile(r"ELF file SHA256: *([0-9a-f]{8,64})")
"""What a panic handler, and the start of an application, tell of the file it was made of."""


@define(eq=False)
class BacktraceDecoder:
    """Explains addresses by the debug information of some programs, the first that knows them."""

    _programs: list[DebugInfo]
    _known: dict[int, list[str]] = attrs.field(factory=dict, init=False)
    _strangers: set[str] = attrs.field(factory=set, init=False)

    def explain(self, line: str) -> list[str]:
        """Return what there is to say of the addresses in a line, a line for each.

        Also that the application is not the one of the programs, once, and that one of these
        cannot be read any further.
        """
        found = list(self._doubts(line))
        after_calls = {int(digits, 16) for digits in _RETURNS_TO.findall(line)}
        addresses = [int(digits, 16) for digits in _ADDRESS.findall(line)[:MAX_ADDRESSES]]
        for address in dict.fromkeys(addresses):
            found += self._meaning(address, is_behind_call=address in after_calls)
        return found

    def _meaning(self, address: int, *, is_behind_call: bool) -> list[str]:
        instruction = address - 1 if is_behind_call else address
        if instruction in self._known:
            places: Iterable[str] = self._known[instruction]
            return [f"{address:#010x}: {place}" for place in places]
        found: list[str] = []
        doubts: list[str] = []
        for program in list(self._programs):
            try:
                places = list(map(_told, program.places(instruction)))
            except DebugInfoError as exc:
                self._programs.remove(program)
                doubts.append(f"{exc}; it is not looked at any more")
                continue
            if places:
                first, *outer = places
                found = [first, *(f"  inlined in {place}" for place in outer)]
                break
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[instruction] = found
        return [*(f"{address:#010x}: {place}" for place in found), *doubts]

    def _doubts(self, line: str) -> Iterator[str]:
        for digest in _DIGEST.findall(line):
            is_known = any(program.digest.startswith(digest) for program in self._programs)
            if self._programs and not is_known and digest not in self._strangers:
                if len(self._strangers) < MAX_REMEMBERED:
                    self._strangers.add(digest)
                names = ", ".join(f"'{program.path}'" for program in self._programs)
                yield (
                    f"the application was made of another ELF file ({digest}) than {names}: "
                    "what is said of its addresses may be wrong"
                )


def _told(place: Place) -> str:
    file, function = printable(place.file or "??"), printable(place.function or "??")
    return f"{function} at {file}:{place.line or '?'}"
