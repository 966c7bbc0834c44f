"""What ``fleet`` does: a file to jobs, and what becomes of them to people and programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader.commands.exit_codes import EXPLANATIONS, FAILED, explain
from esploader.commands.fleet_display import choose_display
from esploader.commands.plan_report import plan_document
from esploader.errors import ConfigError, EsploaderError, RecordError
from esploader.flash.artefact import Artefact
from esploader.fleet.bed import run_bed
from esploader.fleet.config import FleetConfig, read_fleet
from esploader.fleet.job import Job
from esploader.fleet.mailbox import ignore_event
from esploader.fleet.many import flash_many
from esploader.fleet.record import Record
from esploader.fleet.record_entry import RecordEntry
from esploader.fleet.results import Status
from esploader.fleet.verdict import VerdictProgram
from esploader.loader.resetting import After

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from esploader.commands.output import Json, Output
    from esploader.fleet.events import OnEvent
    from esploader.fleet.results import BoardResult, FleetResult


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Write to all boards; return 0 where all are done and all were begun.

    Otherwise 2, or in detail the code that all boards have that are not done.

    Raises:
        EsploaderError: the file makes no sense, or something it names cannot be read.
    """
    output.banner()
    if arguments.limit is not None and not arguments.bed:
        raise ConfigError("--limit", "it is for --bed")
    config = read_fleet(Path(arguments.jobs), usual_job(arguments), dry_run=arguments.dry_run)
    record = _record(arguments, config)
    fields = {**config.fields, **dict(arguments.fields)}
    if arguments.port:
        output.note("--port is not heeded: the file names the ports")
    display = choose_display(arguments, output, [job.name for job in config.jobs])
    try:
        result = _run(
            arguments,
            config,
            None if record is None else Record(record, fields=fields),
            VerdictProgram(words=config.bed.verdict, fields=fields, seconds=config.bed.verdict_time)
            if config.bed.verdict
            else ignore_event,
            display.show,
        )
    finally:
        display.end()
    _say(result, output)
    output.finish(
        {
            "boards": [_document(board, fields) for board in result],
            "stopped": result.stopped,
            "warnings": output.warnings,
        }
    )
    if result.is_done and result.stopped is None:
        return 0
    return _common_code(result) if arguments.exit_codes == "detailed" else FAILED


def _common_code(result: FleetResult) -> int:
    """Return the code that all boards have which were begun and are not done; 2 without one."""
    left = [board for board in result if not board.is_done and board.status is not Status.NOT_BEGUN]
    codes = {_code(board) for board in left}
    return codes.pop() if len(codes) == 1 else FAILED


def _code(board: BoardResult) -> int:
    if board.status is Status.UNRECORDED:
        return EXPLANATIONS[RecordError].code
    return explain(board.error).code if isinstance(board.error, EsploaderError) else FAILED


def _run(
    arguments: argparse.Namespace,
    config: FleetConfig,
    record: Record | None,
    on_verdict: Callable[[BoardResult], object],
    on_event: OnEvent,
) -> FleetResult:
    """Write to all boards, or to one after the other in each place."""
    if arguments.bed:
        return run_bed(
            config.jobs,
            again=config.bed.again,
            limit=arguments.limit,
            retries=config.retries,
            time_limit=config.time_limit,
            stop=config.stop,
            record=record,
            on_event=on_event,
            on_verdict=on_verdict,
        )
    return flash_many(
        config.jobs,
        workers=config.workers,
        retries=config.retries,
        time_limit=config.time_limit,
        stop=config.stop,
        dry_run=arguments.dry_run,
        record=record,
        on_event=on_event,
    )


def usual_job(arguments: argparse.Namespace) -> Job:
    """Return what holds where the file says nothing: options, environment and settings."""
    after = arguments.after
    return Job(
        port="",
        artefact=Artefact.read(),
        chip=None if arguments.chip.lower() == "auto" else arguments.chip,
        baudrate=arguments.baud,
        before=arguments.before,
        attempts=arguments.connect_attempts,
        open_attempts=arguments.open_attempts,
        reset_sequence=arguments.custom_reset_sequence,
        hard_reset_sequence=arguments.custom_hard_reset_sequence,
        reset_delay=arguments.reset_delay,
        stub=False if arguments.no_stub else (arguments.stub or True),
        after=After.NO_RESET if after == "no-reset-stub" else After(after),
    )


def _record(arguments: argparse.Namespace, config: FleetConfig) -> Path | None:
    return config.record if arguments.record is None else Path(arguments.record)


def _say(result: FleetResult, output: Output) -> None:
    """Say how many boards are done, what is planned, and what to try with those that failed."""
    for board in result:
        if board.plan is not None:
            output.line(f"[{board.label}] Would write:")
            output.line(str(board.plan))
    if result.stopped is not None:
        output.write(f"WARNING: no more boards were begun: {result.stopped}\n")
    what = "planned" if any(board.plan is not None for board in result) else "done"
    with output.asked_for():
        output.line(f"{result.done_count} of {result.count} boards {what}.")
    errors = [board.error for board in result if isinstance(board.error, EsploaderError)]
    for hint in dict.fromkeys(explain(error).hint for error in errors):
        if hint:
            output.write(f"HINT: {hint}\n")


def _document(board: BoardResult, fields: dict[str, str]) -> Json:
    document: dict[str, Json] = attrs.asdict(RecordEntry.of(board, fields))
    if board.plan is not None:
        document["plan"] = plan_document(board.plan)
    return document
