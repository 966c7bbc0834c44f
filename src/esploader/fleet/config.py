"""What a run over many boards is told by a ``jobs.toml``.

Everything in it is checked, and all files that it names are read, before any port is opened.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Final, cast, get_args

import attrs

from esploader.chips.registry import chip_by_name
from esploader.classes import frozen
from esploader.errors import ConfigError, PlanError, UnsupportedError, UrlError
from esploader.flash.artefact import Artefact
from esploader.flash.builds.choosing import check_encryption, choose, read_builds, warn_of
from esploader.flash.contents import read_contents
from esploader.flash.parameters import KEEP, KEEP_PARAMETERS, FlashParameters
from esploader.flash.source import MAX_SOURCE_SIZE
from esploader.fleet.bed import Again
from esploader.fleet.job import DeviceInput, Job, require_distinct
from esploader.fleet.serials import Serials, check_first
from esploader.fleet.stop import StopRules
from esploader.fleet.templates import DeviceFile, Template
from esploader.fleet.verdict import VERDICT_TIME
from esploader.loader.download_mode import Before
from esploader.loader.resetting import After
from esploader.numerals import shown
from esploader.server.discovery import chosen_source, read_usb
from esploader.server.toml_table import Table, read_table
from esploader.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.flash.builds.build import Build
    from esploader.flash.place import Offset
    from esploader.flash.source import Source
    from esploader.fleet.results import Found
    from esploader.fleet.templates import SerialOf

MAX_PORTS: Final = 1024
"""More ports than that are refused."""

MAX_FIELDS: Final = 64
"""More fields than that are refused."""

_MAX_OFFSET: Final = (1 << 32) - 1
_MAX_BAUDRATE: Final = 20_000_000
_MAX_ATTEMPTS: Final = 1_000_000
_MAX_RETRIES: Final = 100
_MAX_TIME: Final = 86_400.0
_PARTITION: Final = "part:"


@frozen(kw_only=True)
class BedConfig:
    """What a needle bed is told besides."""

    again: Again = Again.SKIP
    verdict: tuple[str, ...] | None = None
    """The program that is run for each board, and its arguments."""
    verdict_time: float = VERDICT_TIME
    """How long it may take, in seconds."""


@frozen(kw_only=True)
class FleetConfig:
    """Everything that a run is told."""

    jobs: tuple[Job, ...]
    retries: int = 0
    time_limit: float | None = None
    workers: int | None = None
    stop: StopRules = attrs.field(factory=StopRules)
    record: Path | None = None
    fields: Mapping[str, str] = attrs.field(factory=dict)
    """What the operator says of the run."""
    bed: BedConfig = attrs.field(factory=BedConfig)


def read_fleet(path: Path, usual: Job, *, dry_run: bool = False) -> FleetConfig:
    """Return what the file says; ``usual`` has what holds where it says nothing.

    Names of files in it start at its own directory. With ``dry_run`` no serial number that is
    given is kept.

    Raises:
        ConfigError: it cannot be read, or something in it makes no sense.
        EsploaderError: what is to be written cannot be read.
    """
    table, folder = read_table(path), path.parent
    usual = _read_connecting(table, usual, folder)
    usual = _read_writing(table, usual)
    usual = _read_inputs(table, usual, folder, dry_run=dry_run)
    stop, fields, bed = table.table("stop"), table.table("fields"), table.table("bed")
    time_limit = table.real("time-limit", _MAX_TIME, "a number of seconds")
    retries = table.number("retries", 0, 0, _MAX_RETRIES)
    workers = table.number("workers", None, 1, MAX_PORTS)
    record = table.text("record")
    jobs = tuple(_read_port(each, usual) for each in table.tables("port"))
    table.refuse_others()
    if not jobs:
        raise ConfigError(table.place, "there is no [[port]]")
    if len(jobs) > MAX_PORTS:
        raise ConfigError(table.place, f"there are more than {MAX_PORTS} ports")
    require_distinct(jobs)
    return FleetConfig(
        jobs=jobs,
        retries=retries or 0,
        time_limit=time_limit,
        workers=workers,
        stop=StopRules() if stop is None else _read_stop(stop),
        record=None if record is None else folder / record,
        fields={} if fields is None else _read_fields(fields),
        bed=BedConfig() if bed is None else _read_bed(bed, folder),
    )


def _read_connecting(table: Table, usual: Job, folder: Path) -> Job:
    chip = table.text("chip")
    if chip is not None:
        try:
            chip_by_name(chip)
        except UnsupportedError as exc:
            raise ConfigError(table.where("chip"), str(exc)) from exc
    stub = usual.stub
    named = table.text("stub")
    if not table.flag("use-stub", default=True):
        stub = False
    elif named is not None:
        stub = folder / named
    before = cast("Before", table.choice("before", get_args(Before), usual.before))
    after = table.choice("after", (each.value for each in After), usual.after.value)
    attempts = table.number("connect-attempts", usual.attempts, 0, _MAX_ATTEMPTS)
    open_attempts = table.number("open-attempts", usual.open_attempts, 0, _MAX_ATTEMPTS)
    return attrs.evolve(
        usual,
        chip=chip or usual.chip,
        baudrate=_read_rate(table, usual),
        before=before,
        attempts=usual.attempts if attempts is None else attempts,
        open_attempts=usual.open_attempts if open_attempts is None else open_attempts,
        stub=stub,
        after=After(after),
    )


def _read_rate(table: Table, usual: Job) -> int:
    rate = table.number("baud", usual.baudrate, 1, _MAX_BAUDRATE)
    return usual.baudrate if rate is None else rate


def _read_writing(table: Table, usual: Job) -> Job:
    offset = table.number("partition-table-offset", usual.table_offset, 0, _MAX_OFFSET)
    return attrs.evolve(
        usual,
        parameters=FlashParameters(
            mode=table.text("flash-mode") or KEEP,
            frequency=table.text("flash-frequency") or KEEP,
            size=table.text("flash-size") or KEEP,
        ),
        erase_all=table.flag("erase-all", default=False),
        skip=table.flag("skip", default=True),
        compress=table.flag("compress", default=None),
        force=table.flag("force", default=False),
        table_offset=usual.table_offset if offset is None else offset,
    )


def _read_inputs(table: Table, usual: Job, folder: Path, *, dry_run: bool) -> Job:
    """Return the job with all that is to be written, shared by all ports."""
    inputs = [_read_input(each, folder) for each in table.tables("input")]
    files = tuple(_read_device_file(each, folder) for each in table.tables("device-input"))
    serial_of = _read_serials(table, files, folder, keeps=not dry_run)
    usual, built = _read_build(table, usual, folder)

    def at_offsets(*, encrypted: bool) -> list[tuple[Offset, Source]]:
        return [
            (each.where, each.source)
            for each in (*built, *inputs)
            if not isinstance(each.where, str) and each.encrypted is encrypted
        ]

    # All at once: what is added to an artefact is not shared.
    artefact = Artefact.read(
        at_offsets(encrypted=False), encrypted_inputs=at_offsets(encrypted=True)
    )
    named = tuple(each for each in inputs if isinstance(each.where, str))
    if not (artefact.size or named or files):
        raise ConfigError(table.place, "there is nothing to write: no build and no [[input]]")
    own = functools.partial(_own_inputs, named, files, serial_of) if named or files else None
    return attrs.evolve(usual, artefact=artefact, device_inputs=own)


def _own_inputs(
    named: tuple[DeviceInput, ...],
    files: tuple[DeviceFile, ...],
    serial_of: SerialOf | None,
    found: Found,
) -> Iterator[DeviceInput]:
    """Yield what goes to places that only the device knows, and what is for it alone."""
    yield from named
    for each in files:
        yield each.input_for(found, serial_of)


def _read_input(table: Table, folder: Path) -> DeviceInput:
    where = _read_where(table)
    file = table.text("file")
    encrypted = table.flag("encrypt", default=False)
    table.refuse_others()
    if file is None:
        raise ConfigError(table.where("file"), "it is missing")
    try:
        contents = read_contents(folder / file, MAX_SOURCE_SIZE)
    except PlanError as exc:
        raise ConfigError(table.where("file"), str(exc)) from exc
    return DeviceInput(where, contents, encrypted)


def _read_device_file(table: Table, folder: Path) -> DeviceFile:
    where = _read_where(table)
    file, text = table.text("file"), table.text("text")
    encrypted = table.flag("encrypt", default=False)
    table.refuse_others()
    if (file is None) is (text is None):
        raise ConfigError(table.place, "it takes file or text, one of them")
    key = "text" if file is None else "file"
    template = Template.parse(file or text or "", table.where(key))
    return DeviceFile(where, template, None if file is None else folder, encrypted)


def _read_where(table: Table) -> int | str:
    where = table.number_or_text("offset", _MAX_OFFSET)
    if isinstance(where, str):
        name = where.removeprefix(_PARTITION)
        if name == where or not name:
            raise ConfigError(
                table.where("offset"), f"{shown(where)} is neither a number nor {_PARTITION}NAME"
            )
        return name
    if where is None:
        raise ConfigError(table.where("offset"), "it is missing")
    return where


def _read_serials(
    table: Table, files: tuple[DeviceFile, ...], folder: Path, *, keeps: bool
) -> SerialOf | None:
    name, first = table.text("serials"), table.text("first-serial")
    if first is not None:
        check_first(first, table.where("first-serial"))
        if name is None:
            raise ConfigError(table.where("serials"), "first-serial needs a file to keep them in")
    if name is not None:
        return Serials.open(folder / name, first, keeps=keeps).of
    if any(each.template.uses("serial") for each in files):
        raise ConfigError(table.where("serials"), "{serial} is used, and it is missing")
    return None


def _read_build(table: Table, usual: Job, folder: Path) -> tuple[Job, list[DeviceInput]]:
    """Return the job for the chip of a build, and what it has; nothing where there is none."""
    name, encrypts = table.text("build"), table.flag("encrypt", default=False)
    if name is None:
        if encrypts:
            raise ConfigError(table.where("encrypt"), "it is for a build; an input has its own")
        return usual, []
    build, chip = _chosen_build(folder / name, usual, table.where("build"))
    warn_of(build, erase_all=usual.erase_all)
    keeps = usual.parameters == KEEP_PARAMETERS
    usual = attrs.evolve(
        usual,
        chip=chip.key,
        parameters=build.parameters if keeps else usual.parameters,
        check=None if encrypts or usual.force else functools.partial(_check_encryption, build),
    )
    return usual, [
        DeviceInput(part.offset, part.source, encrypts and part.encrypted) for part in build.parts
    ]


def _chosen_build(path: Path, usual: Job, place: str) -> tuple[Build, Chip]:
    """Return the build at ``path`` for the chip that is wanted, or the only one that it is for."""
    builds = read_builds(path)
    name = usual.chip or (builds[0].chip if len(builds) == 1 else None)
    if name is None:
        raise ConfigError(place, "it does not say for which chip it is: name it by chip")
    chip = chip_by_name(name.replace("_", "-"))
    return choose(builds, chip, force=usual.force), chip


def _check_encryption(build: Build, device: Device) -> None:
    check_encryption(build, device.security.state())


def _read_port(table: Table, usual: Job) -> Job:
    device, usb, label = table.text("device"), read_usb(table), table.text("label")
    rate = _read_rate(table, usual)
    table.refuse_others()
    port = chosen_source(device, usb, table.place)
    try:
        if isinstance(port, str):
            check_url(port)
    except UrlError as exc:
        raise ConfigError(table.where("device"), str(exc)) from exc
    if label is not None and not label.isprintable():
        raise ConfigError(table.where("label"), f"{shown(label)} cannot be printed")
    if label is None and isinstance(port, str) and not port.isprintable():
        raise ConfigError(table.where("device"), f"{shown(port)} cannot be printed")
    return attrs.evolve(usual, port=port, label=label or "", baudrate=rate)


def _read_stop(table: Table) -> StopRules:
    defaults = StopRules()
    rules = StopRules(
        failures=table.number("failures", None, 1, _MAX_ATTEMPTS),
        in_a_row=table.number("in-a-row", None, 1, _MAX_ATTEMPTS),
        share=table.real("share", 1.0),
        share_after=table.count("share-after", defaults.share_after),
    )
    table.refuse_others()
    return rules


def _read_fields(table: Table) -> dict[str, str]:
    fields = table.named_texts()
    if len(fields) > MAX_FIELDS:
        raise ConfigError(table.place, f"there are more than {MAX_FIELDS}")
    return fields


def _read_bed(table: Table, folder: Path) -> BedConfig:
    defaults = BedConfig()
    again = table.choice("again", (each.value for each in Again), defaults.again.value)
    verdict = table.texts("verdict")
    if verdict is not None and os.path.basename(verdict[0]) != verdict[0]:  # noqa: PTH119 - a text
        # A name alone is looked for where programs are.
        verdict = (str(folder / verdict[0]), *verdict[1:])
    config = BedConfig(
        again=Again(again),
        verdict=verdict,
        verdict_time=table.seconds("verdict-time", defaults.verdict_time),
    )
    table.refuse_others()
    return config
