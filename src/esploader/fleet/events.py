"""What happens to boards, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from esploader.classes import frozen

if TYPE_CHECKING:
    from esploader.errors import EsploaderError
    from esploader.flash.progress import ProgressEvent
    from esploader.fleet.results import BoardResult, Found


@frozen(kw_only=True)
class Began:
    """An attempt at a board begins."""

    label: str
    """What its place is called."""
    attempt: int
    """Its number, from 1."""


@frozen(kw_only=True)
class Identified:
    """A board has answered, and said which one it is."""

    label: str
    """What its place is called."""
    found: Found
    """Which one."""


@frozen(kw_only=True)
class Progressed:
    """A board is written. Of several that nobody has taken yet, the last one counts."""

    label: str
    """What its place is called."""
    progress: ProgressEvent
    """How far, or from where again."""


@frozen(kw_only=True)
class Warned:
    """The library warns of something on a board."""

    label: str
    """What its place is called."""
    text: str
    """Of what."""


@frozen(kw_only=True)
class Failed:
    """An attempt has failed, and another one follows."""

    label: str
    """What its place is called."""
    attempt: int
    """Its number, from 1."""
    error: EsploaderError
    """Why."""


@frozen(kw_only=True)
class Ended:
    """What became of a board is known, and recorded."""

    label: str
    """What its place is called."""
    result: BoardResult
    """What."""


@frozen(kw_only=True)
class Waiting:
    """A place in a bed waits for the next board, or for one to be taken away."""

    label: str
    """What its place is called."""
    for_removal: bool
    """For the board that is there to be taken away."""
    trouble: Exception | None = None
    """What is wrong with the port meanwhile, other than that nothing is there."""


@frozen(kw_only=True)
class SeenAgain:
    """A board is in a bed that was there a short while ago; it is left alone."""

    label: str
    """What its place is called."""
    result: BoardResult
    """What became of it then."""


@frozen(kw_only=True)
class VerdictLost:
    """Whoever was to hear the verdict on a board failed to."""

    label: str
    """What its place is called."""
    result: BoardResult
    """What."""
    reason: str
    """Why."""


FleetEvent: TypeAlias = (
    Began | Identified | Progressed | Warned | Failed | Ended | Waiting | SeenAgain | VerdictLost
)

OnEvent: TypeAlias = Callable[[FleetEvent], object]
"""Called in the thread that waits for the boards, one event at a time: no board waits for it.
What it raises cancels all."""
