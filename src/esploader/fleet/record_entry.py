"""One line of a record: what became of one board, in a form that is made to be kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Final, TypeVar, get_args, get_origin, get_type_hints

import attrs

from esploader.classes import frozen, override
from esploader.fleet.results import Status
from esploader.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from esploader.flash.artefact import ArtefactPart
    from esploader.fleet.results import BoardResult

SCHEMA: Final = 1
"""The version of the form. A reader of it refuses later ones: their words may mean other things."""

MAX_LINE_SIZE: Final = 1 << 20
"""No line has more bytes."""

_INFINITY: Final = float("inf")

EntryT = TypeVar("EntryT")


@frozen(kw_only=True)
class RecordedInput:
    """What was to be written to one place."""

    name: str | None
    """The path that it was read from; ``None`` for bytes."""
    offset: int = attrs.field(repr=hex)
    """Where it goes."""
    size: int
    """Bytes of it."""
    sha256: str
    """The SHA-256 of them, in hexadecimal."""
    encrypted: bool
    """The device encrypted it."""


@frozen(kw_only=True)
class RecordedRegion:
    """What was written to one region, as :class:`~esploader.RegionResult` has it."""

    offset: int = attrs.field(repr=hex)
    size: int
    written: int
    sent: int
    restarts: int
    verified: bool
    seconds: float
    warnings: tuple[str, ...]


@frozen(kw_only=True)
class RecordedFlash:
    """What the flash of a board says it is."""

    id: int = attrs.field(repr=hex)
    """Its JEDEC id."""
    size: int | None
    """Its bytes, where that is known."""


@frozen(kw_only=True)
class RecordEntry:
    """What became of one board."""

    schema: int = SCHEMA
    """The version of the form."""
    esploader: str = __version__
    """Its version."""
    started: str | None
    """When the first attempt began, in UTC, as ISO 8601 has it; ``None`` where none did."""
    ended: str | None
    """When the last one had ended, likewise."""
    seconds: float
    """How long all attempts took."""
    result: str
    """One of the values of :class:`Status`."""
    label: str
    """What its place was called."""
    port: str
    """Name or URL of the port."""
    chip: str | None
    """The model of chip that answered."""
    revision: str | None
    """That of the silicon, where it is told."""
    mac: str | None
    """The MAC address, where it is told."""
    flash: RecordedFlash | None
    """What its flash said it is."""
    inputs: tuple[RecordedInput, ...]
    """What all boards of the run were to get."""
    device_inputs: tuple[RecordedInput, ...]
    """What was for this one alone."""
    regions: tuple[RecordedRegion, ...]
    """What was written; nothing where not all of it was."""
    verified: bool
    """All of it was seen to be in place."""
    attempts: int
    """How often it was begun."""
    hung: bool
    """The thread that worked on it did not end."""
    warnings: tuple[str, ...]
    """What the library warned of."""
    error_class: str | None
    """What went wrong at last, by the class of the exception."""
    error_message: str | None
    """And in words."""
    verdict_failure: str | None
    """Why nobody heard the verdict on it. Such a line follows the one by which the board counts."""
    fields: Mapping[str, str]
    """What the operator has said of the run."""

    @classmethod
    def of(cls, result: BoardResult, fields: Mapping[str, str]) -> RecordEntry:
        """Return the entry for what became of a board."""
        found, error = result.found, result.error
        identity = None if found is None else found.identity
        revision = None if identity is None else identity.revision
        flash = None if found is None else found.flash
        return cls(
            started=_moment(result.began),
            ended=_moment(result.ended),
            seconds=round(result.seconds, 3),
            result=result.status.value,
            label=result.label,
            port=result.port,
            chip=None if found is None else found.chip.name,
            revision=None if revision is None else str(revision),
            mac=result.mac,
            flash=None if flash is None else RecordedFlash(id=flash.jedec_id, size=flash.size),
            inputs=tuple(_inputs(result.inputs)),
            device_inputs=tuple(_inputs(result.device_inputs)),
            regions=tuple(
                RecordedRegion(
                    offset=region.offset,
                    size=region.size,
                    written=region.written,
                    sent=region.sent,
                    restarts=region.restarts,
                    verified=region.verified,
                    seconds=round(region.seconds, 3),
                    warnings=region.warnings,
                )
                for region in result.regions
            ),
            verified=result.is_verified,
            attempts=result.attempts,
            hung=result.is_hung,
            warnings=result.warnings,
            error_class=None if error is None else type(error).__name__,
            error_message=None if error is None else str(error),
            verdict_failure=result.verdict_failure,
            fields=dict(fields),
        )

    @override
    def __repr__(self) -> str:
        return f"<RecordEntry: {self.label} {self.mac}: {self.result}, {self.ended}>"

    @property
    def status(self) -> Status:
        """What became of the board."""
        return Status(self.result)

    def to_line(self) -> bytes:
        """Return it as one line of JSON, with its end."""
        return json.dumps(attrs.asdict(self)).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> RecordEntry | None:
        """Return what a line says; ``None`` for one that was torn, and is no JSON.

        Raises:
            ValueError: it is, and is no entry, or one that a later version has made.
        """
        try:
            document = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return None
        if isinstance(document, dict) and isinstance(document.get("schema"), int):
            version = document["schema"]
            if version != SCHEMA:
                raise ValueError(f"it has the form {version}, and only {SCHEMA} is known")
        entry = _structured(cls, document)
        if entry.result not in {status.value for status in Status}:
            raise ValueError(f"no result is called {entry.result[:60]!r}")
        return entry


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _inputs(parts: Iterable[ArtefactPart]) -> Iterable[RecordedInput]:
    for part in parts:
        yield RecordedInput(
            name=part.name,
            offset=part.offset,
            size=part.size,
            sha256=part.sha256,
            encrypted=part.encrypted,
        )


def _structured(cls: type[EntryT], document: object) -> EntryT:
    """Return an object of one of our classes, made of what JSON has, each value of its kind.

    Raises:
        ValueError: something is missing, too much, or of another kind.
    """
    hints = get_type_hints(cls)
    if not isinstance(document, dict) or document.keys() != hints.keys():
        raise ValueError(f"no {cls.__name__} has these keys")
    values = {name: _converted(hint, document[name], name) for name, hint in hints.items()}
    return cls(**values)


def _converted(hint: object, value: object, name: str) -> object:
    """Return a value of JSON as one of the kind that ``hint`` names.

    Raises:
        ValueError: it is of another kind.
    """
    choices = get_args(hint)
    match get_origin(hint), value:
        case (origin, None) if NoneType in choices and origin is not None:
            return None
        case (origin, _) if NoneType in choices and origin is not None:
            (kind,) = (each for each in choices if each is not NoneType)
            return _converted(kind, value, name)
        case (origin, list()) if origin is tuple:
            return tuple(_converted(choices[0], each, name) for each in value)
        case (origin, dict()) if origin is Mapping:
            return {key: _converted(choices[1], each, name) for key, each in value.items()}
    if isinstance(hint, type) and attrs.has(hint):
        return _structured(hint, value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (isinstance(value, int | float) and not 0 <= value < _INFINITY):
        raise ValueError(f"{name} is of another kind")
    return value
