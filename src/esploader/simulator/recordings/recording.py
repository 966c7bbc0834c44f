"""Recorded exchanges with a loader, and the files that hold them.

``tests/vectors/README.md`` describes the format. What is read from a file is checked before
anything is done with it.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.chips.registry import chip_by_name
from esploader.classes import frozen
from esploader.errors import RecordingError, UnsupportedError
from esploader.simulator.config import InitialState
from esploader.simulator.flash.nor import MAX_FLASH_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esploader.chips.model.chip import Chip

MAX_FILE_SIZE: Final = 64 * 1024 * 1024
"""A larger file is no recording, in bytes."""

LOADERS: Final = MappingProxyType({"rom": InitialState.DOWNLOAD, "stub": InitialState.STUB})
"""By its name in a file: the state of a device in which that loader waits."""

_ABBREVIATIONS: Final = ("...", "\u2026")

REPEATED_BYTES: Final = "bytes 0..255 repeated"
"""The one content of the flash that has a name."""

MAX_BAUDRATE: Final = 20_000_000
"""No UART goes beyond this, in baud."""

_MAX_WORD: Final = 0xFFFF_FFFF

_FILE_KEYS: Final = frozenset({"chip", "loader", "source", "baudrate", "flash_attached", "rows"})
_ROW_KEYS: Final = frozenset(
    {"name", "baudrate", "lines", "send", "recv", "recovery", "needs", "note"}
)
_NEEDS_KEYS: Final = frozenset({"memory", "flash", "sent"})
_FLASH_KEYS: Final = frozenset({"content", "offset", "size"})

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


@frozen(kw_only=True)
class LineChange:
    """DTR and RTS as the host set them."""

    seconds: float
    """After the change before, in seconds; 0 for the first one."""
    dtr: bool
    rts: bool

    @property
    def holds_reset(self) -> bool:
        """The chip is held in reset: RTS alone does that on the usual circuit."""
        return self.rts and not self.dtr

    @property
    def pulls_strap(self) -> bool:
        """The boot strap is low: DTR alone does that."""
        return self.dtr and not self.rts

    def followed_by(
        self, *, dtr: bool | None, rts: bool | None, seconds: float = 0.0
    ) -> LineChange:
        """Return the next change; ``None`` leaves a line as it is."""
        return LineChange(
            seconds=seconds,
            dtr=self.dtr if dtr is None else dtr,
            rts=self.rts if rts is None else rts,
        )


RELEASED: Final = LineChange(seconds=0.0, dtr=False, rts=False)
"""As lines are when a port is opened."""


@frozen(kw_only=True)
class FlashNeed:
    """Where the flash has to hold the bytes from 0 to 255, again and again."""

    offset: int = attrs.field(repr=hex)
    size: int = attrs.field(repr=hex)


@frozen(kw_only=True)
class Needs:
    """What a row takes for granted, and the file does not show."""

    memory: Mapping[int, int] = MappingProxyType({})
    """Words by address."""

    flash: FlashNeed | None = None

    sent: tuple[bytes, ...] = ()
    """Requests that went before it, and of which nothing else is known."""


@frozen(kw_only=True)
class Row:
    """One exchange: what the host did, and what came back until it did something else."""

    name: str
    baudrate: int | None = None
    """The rate that the host set at first, in baud; ``None`` where it set none."""
    lines: tuple[LineChange, ...] = ()
    """What the host then did with its lines."""
    sent: bytes = b""
    """What the host sent at last."""
    received: bytes = b""
    recovery: str | None = None
    """What it took to get an answer again, in words; such a row has nothing else."""
    needs: Needs = attrs.field(factory=Needs)
    problem: str | None = None
    """Why it cannot be read; such a row has nothing else."""


@frozen(kw_only=True)
class Recording:
    """Exchanges in order, on one connection."""

    chip: Chip
    """The chip that was recorded."""
    loader: str
    """Which one answered at first: a key of :data:`LOADERS`."""
    source: str = ""
    """Where it comes from, in words."""
    baudrate: int | None = None
    """The host's rate at first, in baud; ``None`` where it always suited the device."""
    flash_attached: bool = False
    """The ROM found the flash without SPI_ATTACH, as in emulators."""
    rows: tuple[Row, ...] = attrs.field(default=(), repr=lambda rows: f"<{len(rows)} rows>")
    """The exchanges, in order."""


def encode_recording(recording: Recording) -> bytes:
    """Return the content of a file, with a line for each row."""
    rows = ",\n".join(f"  {json.dumps(_row_document(row))}" for row in recording.rows)
    head: dict[str, Json] = {"chip": recording.chip.key, "loader": recording.loader}
    head["source"] = recording.source
    if recording.baudrate is not None:
        head["baudrate"] = recording.baudrate
    if recording.flash_attached:
        head["flash_attached"] = True
    start = json.dumps(head, indent=1).removesuffix("\n}")
    return f'{start},\n "rows": [\n{rows}\n ]\n}}\n'.encode()


def read_recording(path: Path, *, skips_unreadable: bool = False) -> Recording:
    """Return what a file holds.

    ``skips_unreadable`` has rows that cannot be read in it, too, with the reason.

    Raises:
        RecordingError: it cannot be read, or is no recording.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
    except OSError as exc:
        raise RecordingError(str(path), f"it cannot be read: {exc.strerror or exc}") from exc
    if len(content) > MAX_FILE_SIZE:
        raise RecordingError(str(path), f"it has more than {MAX_FILE_SIZE} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise RecordingError(str(path), f"it is no JSON: {exc}") from exc
    try:
        return _parse(_Object(document, "the file"), skips_unreadable=skips_unreadable)
    except _FormatError as exc:
        raise RecordingError(str(path), str(exc)) from exc


def _row_document(row: Row) -> dict[str, Json]:
    document: dict[str, Json] = {"name": row.name}
    if row.baudrate is not None:
        document["baudrate"] = row.baudrate
    if row.lines:
        document["lines"] = [[round(each.seconds, 6), each.dtr, each.rts] for each in row.lines]
    if row.recovery is not None:
        return {**document, "recovery": row.recovery}
    return {**document, "send": row.sent.hex(), "recv": row.received.hex()}


class _FormatError(Exception):
    """Something in a file is not as it should be."""


@frozen
class _Object:
    """An object of JSON, of which anything is believed only after a look at it.

    Every method raises :exc:`_FormatError` for what is not as it should be.
    """

    value: object
    place: str

    def require_keys(self, known: frozenset[str]) -> None:
        """See that there is nothing but what is asked for: a damaged name is not passed over."""
        for key in self.value if isinstance(self.value, dict) else ():
            if key not in known:
                raise _FormatError(f"{self.place}: there is no such key as {key!r}")

    def get(self, key: str) -> object:
        if not isinstance(self.value, dict):
            raise _FormatError(f"{self.place} is no object")
        return self.value.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise _FormatError(f"{self.place}: {key} is no text")
        return value

    def number(self, key: str) -> int:
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_WORD:
            raise _FormatError(f"{self.place}: {key} is no number of 32 bits")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            raise _FormatError(f"{self.place}: {key} is neither true nor false")
        return bool(value)

    def baudrate(self) -> int | None:
        rate = None if self.get("baudrate") is None else self.number("baudrate")
        if rate is not None and not 0 < rate <= MAX_BAUDRATE:
            raise _FormatError(f"{self.place}: no UART has that baud rate")
        return rate

    def data(self, key: str) -> bytes:
        return _bytes(self.text(key, ""), f"{self.place}: {key}")

    def items(self, key: str, default: list[object] | None = None) -> list[object]:
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, list):
            raise _FormatError(f"{self.place}: {key} is no list")
        return value

    def child(self, key: str) -> _Object | None:
        value = self.get(key)
        return None if value is None else _Object(value, f"{self.place}: {key}")


def _bytes(value: object, place: str) -> bytes:
    try:
        if isinstance(value, str):
            return bytes.fromhex(value)
    except ValueError:
        pass
    if isinstance(value, str) and any(mark in value for mark in _ABBREVIATIONS):
        raise _FormatError(f"{place} is abbreviated")
    raise _FormatError(f"{place} is not hexadecimal")


def _parse(document: _Object, *, skips_unreadable: bool) -> Recording:
    document.require_keys(_FILE_KEYS)
    try:
        chip = chip_by_name(document.text("chip"))
    except UnsupportedError as exc:
        raise _FormatError(str(exc)) from exc
    loader = document.text("loader")
    if loader not in LOADERS:
        raise _FormatError(f"the loader {loader!r} is none of {', '.join(LOADERS)}")
    rows = enumerate(document.items("rows"))
    return Recording(
        chip=chip,
        loader=loader,
        source=document.text("source", ""),
        baudrate=document.baudrate(),
        flash_attached=document.flag("flash_attached"),
        rows=tuple(
            _parse_or_skip(_Object(row, f"row {index}"), skips_unreadable=skips_unreadable)
            for index, row in rows
        ),
    )


def _parse_or_skip(row: _Object, *, skips_unreadable: bool) -> Row:
    try:
        return _parse_row(row)
    except _FormatError as error:
        if not skips_unreadable:
            raise
        name = row.value.get("name") if isinstance(row.value, dict) else None
        return Row(name=name if isinstance(name, str) else "without a name", problem=str(error))


def _parse_row(row: _Object) -> Row:
    row.require_keys(_ROW_KEYS)
    is_recovery = row.get("recovery") is not None
    needs = row.child("needs")
    return Row(
        name=row.text("name"),
        baudrate=row.baudrate(),
        lines=tuple(_parse_lines(change, row.place) for change in row.items("lines", [])),
        sent=row.data("send"),
        received=row.data("recv"),
        recovery=row.text("recovery") if is_recovery else None,
        needs=Needs() if needs is None else _parse_needs(needs),
    )


def _parse_lines(value: object, place: str) -> LineChange:
    match value:
        case [int() | float() as seconds, bool() as dtr, bool() as rts] if (
            0 <= seconds <= _MAX_WORD
        ):
            return LineChange(seconds=float(seconds), dtr=dtr, rts=rts)
    raise _FormatError(f"{place}: lines are [SECONDS, DTR, RTS]")


def _parse_needs(needs: _Object) -> Needs:
    needs.require_keys(_NEEDS_KEYS)
    memory, flash = needs.child("memory"), needs.child("flash")
    return Needs(
        memory={} if memory is None else _parse_memory(memory),
        flash=None if flash is None else _parse_flash(flash),
        sent=tuple(_bytes(each, f"{needs.place}: sent") for each in needs.items("sent", [])),
    )


def _parse_memory(memory: _Object) -> dict[int, int]:
    if not isinstance(memory.value, dict):
        raise _FormatError(f"{memory.place} is no object")
    try:
        words = {int(key, 16): int(str(value), 16) for key, value in memory.value.items()}
    except ValueError:
        raise _FormatError(f"{memory.place}: a word is hexadecimal") from None
    if not all(0 <= number <= _MAX_WORD for pair in words.items() for number in pair):
        raise _FormatError(f"{memory.place}: a word has 32 bits")
    return words


def _parse_flash(flash: _Object) -> FlashNeed:
    flash.require_keys(_FLASH_KEYS)
    if flash.text("content") != REPEATED_BYTES:
        raise _FormatError(f"{flash.place}: the content is not {REPEATED_BYTES!r}")
    need = FlashNeed(offset=flash.number("offset"), size=flash.number("size"))
    if need.offset + need.size > MAX_FLASH_SIZE:
        raise _FormatError(f"{flash.place}: no flash is so large")
    return need
