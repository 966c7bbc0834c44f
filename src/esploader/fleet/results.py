"""What became of each board of a run, and of all of them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen, override

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.identity import Identity
    from esploader.flash.artefact import ArtefactPart
    from esploader.flash.jedec import FlashId
    from esploader.flash.plan import WritePlan
    from esploader.flash.write_plan import RegionResult


@enum.unique
class Status(enum.Enum):
    """What became of a board."""

    DONE = "done"
    """All of it was written, and is recorded if anything is."""
    UNRECORDED = "unrecorded"
    """All of it was written, and that could not be recorded: it counts as not done."""
    FAILED = "failed"
    """Something went wrong, as often as it was tried."""
    GIVEN_UP = "given up"
    """It took longer than it may."""
    CANCELLED = "cancelled"
    """Somebody wanted all to end."""
    NOT_BEGUN = "not begun"
    """Nothing was done to it."""


@frozen(kw_only=True)
class Found:
    """Which board answered at a port."""

    port: str
    """Name or URL of the port."""
    label: str
    """What the place is called."""
    chip: Chip
    """The model of chip that answered."""
    identity: Identity | None
    """What its eFuses say; ``None`` in Secure Download Mode, where they cannot be read."""
    flash: FlashId | None = None
    """What its flash says it is; ``None`` in Secure Download Mode."""

    @override
    def __repr__(self) -> str:
        return f"<Found: {self.chip.name} {self.mac or 'in Secure Download Mode'} at {self.label}>"

    @property
    def mac(self) -> str | None:
        """The MAC address, as six pairs of hexadecimal digits; ``None`` where it is not told."""
        return None if self.identity is None else self.identity.mac


@frozen(kw_only=True)
class BoardResult:
    """What became of one board."""

    label: str
    """What its place is called."""
    port: str
    """Name or URL of the port."""
    status: Status
    """What became of it."""
    found: Found | None = None
    """Which board it was; ``None`` where none was identified."""
    regions: tuple[RegionResult, ...] = ()
    """What was written, where all of it was."""
    inputs: tuple[ArtefactPart, ...] = ()
    """What was to be written, with its hashes."""
    device_inputs: tuple[ArtefactPart, ...] = ()
    """What of that was for this board alone."""
    plan: WritePlan | None = None
    """What would be written, where nothing was to be."""
    error: BaseException | None = None
    """What went wrong at last; usually an :exc:`~esploader.errors.EsploaderError`."""
    attempts: int = 0
    """How often it was begun."""
    began: datetime | None = None
    """When that was for the first time, in UTC; ``None`` where it was not."""
    ended: datetime | None = None
    """When the work on it ended, likewise."""
    seconds: float = 0.0
    """How long all attempts took."""
    warnings: tuple[str, ...] = ()
    """What the library warned of meanwhile, at most the first 100."""
    log: tuple[str, ...] = ()
    """What its loggers said, as far as they are turned on, at most the last 200 lines."""
    is_hung: bool = False
    """Its thread did not end, and was left behind; nobody knows what the board holds."""
    record_failure: str | None = None
    """Why it could not be recorded; ``None`` where it was, or was not to be."""
    verdict_failure: str | None = None
    """Why nobody heard the verdict on it in a bed; ``None`` where somebody did, or was not to."""

    @override
    def __repr__(self) -> str:
        error = "" if self.error is None else f", {type(self.error).__name__}"
        return f"<BoardResult: {self.label} {self.mac}: {self.status.value}{error}>"

    @property
    def mac(self) -> str | None:
        """The MAC address of the board, where it is known."""
        return None if self.found is None else self.found.mac

    @property
    def is_done(self) -> bool:
        """Nothing is left to do."""
        return self.status is Status.DONE

    @property
    def is_verified(self) -> bool:
        """All that was written was seen to be in place; of what is only planned nothing was."""
        return (
            self.is_done and self.plan is None and all(region.verified for region in self.regions)
        )


@frozen(kw_only=True)
class FleetResult:
    """What became of all boards."""

    boards: tuple[BoardResult, ...] = attrs.field(repr=lambda boards: f"<{len(boards)}>")
    """In the order of the jobs; of a bed the latest, in the order in which they ended."""
    count: int
    """How many there were; of a bed more than are kept, it may be."""
    done_count: int
    """How many of them are done."""
    stopped: str | None = None
    """Why not all were begun; ``None`` where all were."""

    @property
    def is_done(self) -> bool:
        """Every board is done."""
        return self.done_count == self.count

    def with_status(self, status: Status) -> tuple[BoardResult, ...]:
        """Return the boards of which that became."""
        return tuple(board for board in self.boards if board.status is status)

    def __iter__(self) -> Iterator[BoardResult]:
        return iter(self.boards)
