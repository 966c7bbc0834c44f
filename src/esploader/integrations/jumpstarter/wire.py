"""What a client and an exporter say to each other, as JSON: requests, events, results.

jumpstarter carries whatever is JSON. Neither end trusts the other: what makes no sense is refused
by a :exc:`~esploader.errors.PlanError`, as it is in the files that describe a build.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs

from esploader.classes import frozen
from esploader.errors import PlanError
from esploader.flash.builds.build import Build
from esploader.flash.builds.folder import (
    MAX_NAME_SIZE,
    MAX_PARTS,
    mapping,
    sequence,
    text_of,
    word,
    word_of,
)
from esploader.flash.erasure import EraseResult
from esploader.flash.parameters import FlashParameters
from esploader.flash.plan import InputPart
from esploader.flash.progress import Phase, Progress, ProgressEvent, Restarted
from esploader.flash.write_plan import RegionResult
from esploader.numerals import printable, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esploader.flash.builds.folder import Json

_ResultT = TypeVar("_ResultT")

RESULT: Final = "result"
"""The only key of the last message of an operation: what came of it."""

_PROGRESS: Final = "progress"
_RESTARTED: Final = "restarted"
_NOTE: Final = "note"

_ANSWER: Final = "the answer of the exporter"
_REQUEST: Final = "the request of the client"

_MAX_WHOLE: Final = 1 << 53
"""Numbers travel as doubles, which have all whole numbers up to here."""

_MAX_TEXT_SIZE: Final = 2000
"""Characters of a sentence, at most."""

_SHA256_SIZE: Final = 64
"""Characters of a SHA-256 in hexadecimal digits."""


@frozen
class Note:
    """What the exporter has to say of an operation, that is no error: a warning in a sentence."""

    text: str


Event: TypeAlias = ProgressEvent | Note
"""What an operation tells on its way."""


@frozen(kw_only=True)
class Upload:
    """A file on its way from the client to the flash."""

    name: str
    """That of the file, without its folders."""
    target: str | None
    """Where it goes: an offset in a text, or the name of a partition; ``None`` where the file
    says that itself, or is all of the flash."""
    source: Json
    """What the exporter gets its bytes by; only jumpstarter understands it."""
    sha256: str | None
    """The hash of its bytes; ``None`` where the client has not seen them."""
    encrypted: bool = False
    """The build tool has it encrypted where flash encryption is on."""


@frozen(kw_only=True)
class FlashRequest:
    """What is to be written, and how."""

    uploads: tuple[Upload, ...]
    build: Build | None = None
    """What the files are parts of, itself without parts; ``None`` where they are of no build."""
    encrypt: bool = False
    """Have the device encrypt them; of a build, those that it marks so."""
    erase_all: bool = False
    """Erase the whole flash first."""
    force: bool = False
    """Leave out the checks of ``force`` in :meth:`~esploader.device.flash.DeviceFlash.write`."""


@frozen(kw_only=True)
class DumpResult:
    """What was read."""

    offset: int = attrs.field(repr=hex)
    """Where the region begins."""
    size: int
    """Bytes of it."""
    sha256: str
    """The SHA-256 of what the flash holds there, in hexadecimal digits."""


@frozen(kw_only=True)
class ChipInfo:
    """Who a device is. What cannot be read in Secure Download Mode is ``None`` there."""

    chip: str
    """The model, such as ``ESP32-C3``."""
    description: str | None
    """Variant and package."""
    revision: str | None
    """Of the silicon; ``None``, too, where the chip does not tell."""
    features: tuple[str, ...]
    """Radios, cores, embedded flash and PSRAM."""
    mac: str | None
    """The MAC address from the factory."""
    flash_size: int | None
    """Bytes of flash; ``None``, too, where the flash does not tell, or is none."""
    secure_download_mode: bool
    """The loader restricts itself to writing flash."""


# Events ---------------------------------------------------------------------------------------


def event_document(event: Event) -> dict[str, Json]:
    """Return an event as JSON."""
    match event:
        case Progress():
            return {_PROGRESS: {**attrs.asdict(event), "phase": event.phase.value}}
        case Restarted():
            return {_RESTARTED: attrs.asdict(event)}
        case Note():
            return {_NOTE: event.text[:_MAX_TEXT_SIZE]}


def read_event(message: Mapping[str, Json]) -> Event:
    """Return the event that an exporter tells of. Raises :exc:`~esploader.errors.PlanError`."""
    if _PROGRESS in message:
        values = mapping(message[_PROGRESS], _ANSWER)
        try:
            phase = Phase(text_of(values, "phase", _ANSWER))
        except ValueError:
            raise PlanError(f"{_ANSWER} has {shown(values['phase'])} as a phase") from None
        return Progress(
            phase=phase,
            offset=_number(values, "offset", _ANSWER),
            done=_number(values, "done", _ANSWER),
            total=_number(values, "total", _ANSWER),
            wire_bytes=_number(values, "wire_bytes", _ANSWER),
        )
    if _RESTARTED in message:
        values = mapping(message[_RESTARTED], _ANSWER)
        return Restarted(
            offset=_number(values, "offset", _ANSWER), reason=_sentence(values, "reason")
        )
    return Note(_sentence(message, _NOTE))


# Requests -------------------------------------------------------------------------------------


def request_document(request: FlashRequest) -> dict[str, Json]:
    """Return a request as JSON."""
    build = request.build
    return {
        "uploads": [upload_document(upload) for upload in request.uploads],
        "build": None if build is None else _build_document(build),
        "encrypt": request.encrypt,
        "erase_all": request.erase_all,
        "force": request.force,
    }


def upload_document(upload: Upload) -> dict[str, Json]:
    """Return a file on its way as JSON."""
    return attrs.asdict(upload)


def _build_document(build: Build) -> dict[str, Json]:
    return {
        "tool": build.tool,
        "folder": str(build.folder),
        "chip": build.chip,
        "parameters": attrs.asdict(build.parameters),
    }


def read_request(document: Json) -> FlashRequest:
    """Return what a client asks for.

    Raises:
        PlanError: it makes no sense, or has no files, or too many.
    """
    values = mapping(document, _REQUEST)
    uploads = sequence(values.get("uploads"), _REQUEST)
    if not 0 < len(uploads) <= MAX_PARTS:
        raise PlanError(f"{_REQUEST} has {len(uploads)} files, and not 1 to {MAX_PARTS}")
    build = values.get("build")
    return FlashRequest(
        uploads=tuple(_read_upload(mapping(upload, _REQUEST)) for upload in uploads),
        build=None if build is None else _read_build(mapping(build, _REQUEST)),
        encrypt=_flag(values, "encrypt", _REQUEST),
        erase_all=_flag(values, "erase_all", _REQUEST),
        force=_flag(values, "force", _REQUEST),
    )


def read_target(value: Json) -> str | None:
    """Return what a client names of the flash; ``None`` for all of it.

    Raises:
        PlanError: it is no name.
    """
    return _word_or_none({"target": value}, "target")


def _read_upload(values: dict[str, Json]) -> Upload:
    sha256 = _word_or_none(values, "sha256")
    if sha256 is not None and len(sha256) != _SHA256_SIZE:
        raise PlanError(f"{_REQUEST} has {shown(sha256)} as a SHA-256")
    return Upload(
        name=_short(values, "name"),
        target=_word_or_none(values, "target"),
        source=values.get("source"),
        sha256=sha256,
        encrypted=_flag(values, "encrypted", _REQUEST),
    )


def _read_build(values: dict[str, Json]) -> Build:
    parameters = mapping(values.get("parameters"), _REQUEST)
    words = {key: word_of(parameters, key, _REQUEST) for key in ("mode", "frequency", "size")}
    return Build(
        tool=word(text_of(values, "tool", _REQUEST), _REQUEST),
        folder=Path(_short(values, "folder")),
        chip=_word_or_none(values, "chip"),
        parts=(),
        parameters=FlashParameters(
            **{key: value for key, value in words.items() if value is not None}
        ),
    )


# Results --------------------------------------------------------------------------------------


def result_document(result: attrs.AttrsInstance) -> dict[str, Json]:
    """Return a result as JSON; the functions below make it of that again."""
    return attrs.asdict(result)


def read_regions(document: Json) -> tuple[RegionResult, ...]:
    """Return what became of each region. Raises :exc:`~esploader.errors.PlanError`."""
    return _read_all(document, _read_region)


def _read_region(values: dict[str, Json]) -> RegionResult:
    return RegionResult(
        offset=_number(values, "offset", _ANSWER),
        size=_number(values, "size", _ANSWER),
        written=_number(values, "written", _ANSWER),
        sent=_number(values, "sent", _ANSWER),
        restarts=_number(values, "restarts", _ANSWER),
        verified=_flag(values, "verified", _ANSWER),
        seconds=_real(values, "seconds"),
        warnings=_texts(values, "warnings"),
        inputs=_read_all(values.get("inputs"), _read_input),
    )


def _read_input(values: dict[str, Json]) -> InputPart:
    return InputPart(
        name=_text_or_none(values, "name"),
        offset=_number(values, "offset", _ANSWER),
        size=_number(values, "size", _ANSWER),
    )


def read_erase_result(document: Json) -> EraseResult:
    """Return what became of an erasure. Raises :exc:`~esploader.errors.PlanError`."""
    values = mapping(document, _ANSWER)
    return EraseResult(
        offset=_number(values, "offset", _ANSWER),
        size=_number_or_none(values, "size"),
        restarts=_number(values, "restarts", _ANSWER),
        verified=_flag(values, "verified", _ANSWER),
        seconds=_real(values, "seconds"),
        warnings=_texts(values, "warnings"),
    )


def read_dump_result(document: Json) -> DumpResult:
    """Return what was read. Raises :exc:`~esploader.errors.PlanError`."""
    values = mapping(document, _ANSWER)
    return DumpResult(
        offset=_number(values, "offset", _ANSWER),
        size=_number(values, "size", _ANSWER),
        sha256=word(text_of(values, "sha256", _ANSWER), _ANSWER),
    )


def read_chip_info(document: Json) -> ChipInfo:
    """Return who a device is. Raises :exc:`~esploader.errors.PlanError`."""
    values = mapping(document, _ANSWER)
    return ChipInfo(
        chip=_sentence(values, "chip"),
        description=_text_or_none(values, "description"),
        revision=_text_or_none(values, "revision"),
        features=_texts(values, "features"),
        mac=_text_or_none(values, "mac"),
        flash_size=_number_or_none(values, "flash_size"),
        secure_download_mode=_flag(values, "secure_download_mode", _ANSWER),
    )


# Values ---------------------------------------------------------------------------------------


def _number(values: Mapping[str, Json], key: str, where: str) -> int:
    value = values.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_WHOLE:
        raise PlanError(f"{where} has {shown(value)} as {key!r}, where a whole number belongs")
    return value


def _number_or_none(values: Mapping[str, Json], key: str) -> int | None:
    return None if values.get(key) is None else _number(values, key, _ANSWER)


def _real(values: Mapping[str, Json], key: str) -> float:
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PlanError(f"{_ANSWER} has {shown(value)} as {key!r}, where a number belongs")
    return float(value)


def _flag(values: Mapping[str, Json], key: str, where: str) -> bool:
    value = values.get(key)
    if not isinstance(value, bool):
        raise PlanError(f"{where} has {shown(value)} as {key!r}, where true or false belongs")
    return value


def _sentence(values: Mapping[str, Json], key: str) -> str:
    """Return a text that the exporter has for people, without what is not for the eye."""
    return printable(text_of(values, key, _ANSWER)[:_MAX_TEXT_SIZE])


def _text_or_none(values: Mapping[str, Json], key: str) -> str | None:
    return None if values.get(key) is None else _sentence(values, key)


def _texts(values: Mapping[str, Json], key: str) -> tuple[str, ...]:
    texts = sequence(values.get(key), _ANSWER)
    return tuple(_sentence({key: text}, key) for text in texts)


def _short(values: Mapping[str, Json], key: str) -> str:
    """Return the name of a file or folder, which is only shown."""
    text = text_of(values, key, _REQUEST)
    if not text.isprintable() or len(text) > MAX_NAME_SIZE:
        raise PlanError(f"{_REQUEST} has {shown(text)} as {key!r}, where a short name belongs")
    return text


def _word_or_none(values: Mapping[str, Json], key: str) -> str | None:
    return None if values.get(key) is None else word_of(values, key, _REQUEST)


def _read_all(document: Json, read: Callable[[dict[str, Json]], _ResultT]) -> tuple[_ResultT, ...]:
    values = sequence(document, _ANSWER)
    return tuple(read(mapping(value, _ANSWER)) for value in values)
