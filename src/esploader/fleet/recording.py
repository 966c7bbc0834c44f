"""What is not recorded is not done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.errors import RecordError
from esploader.fleet.record_entry import RecordEntry
from esploader.fleet.results import Status

if TYPE_CHECKING:
    from esploader.fleet.record import Record
    from esploader.fleet.results import BoardResult


def recorded_unheard(
    result: BoardResult, record: Record | None, reason: str
) -> tuple[BoardResult, str]:
    """Write down that nobody heard the verdict on a board.

    Return what that makes of the result, and why it is so: what is recorded already stays done.
    """
    result = attrs.evolve(result, verdict_failure=reason)
    if record is not None:
        try:
            record.append(RecordEntry.of(result, record.fields))
        except RecordError as exc:
            reason = f"{reason}; not recorded: {exc}"
    return result, reason


def recorded(result: BoardResult, record: Record | None) -> BoardResult:
    """Write down what became of a board, and return what that makes of it."""
    if record is None:
        return result
    try:
        record.append(RecordEntry.of(result, record.fields))
    except Exception as exc:  # noqa: BLE001 - fields and errors may be anybody's objects
        status = Status.UNRECORDED if result.status is Status.DONE else result.status
        reason = str(exc) if isinstance(exc, RecordError) else f"{type(exc).__name__}: {exc}"
        return attrs.evolve(result, status=status, record_failure=reason)
    return result
