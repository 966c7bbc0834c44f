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
class _Happening:
    """Something happens to a board, or in its place."""

    label: str
    """What the place is called."""


@frozen(kw_only=True)
class Began(_Happening):
    """An attempt at a board begins."""

    attempt: int
    """Its number, from 1."""


@frozen(kw_only=True)
class Identified(_Happening):
    """A board has answered, and said which one it is."""

    found: Found
    """Which one."""


@frozen(kw_only=True)
class Progressed(_Happening):
    """A board is written. Of several that nobody has taken yet, the last one counts."""

    progress: ProgressEvent
    """How far, or from where again."""


@frozen(kw_only=True)
class Warned(_Happening):
    """The library warns of something on a board."""

    text: str
    """Of what."""


@frozen(kw_only=True)
class Failed(_Happening):
    """An attempt has failed, and another one follows."""

    attempt: int
    """Its number, from 1."""
    error: EsploaderError
    """Why."""


@frozen(kw_only=True)
class Ended(_Happening):
    """What became of a board is known, and recorded."""

    result: BoardResult
    """What."""


@frozen(kw_only=True)
class Waiting(_Happening):
    """A place in a bed waits for the next board, or for one to be taken away."""

    for_removal: bool
    """For the board that is there to be taken away."""
    trouble: Exception | None = None
    """What is wrong with the port meanwhile, other than that nothing is there."""


@frozen(kw_only=True)
class SeenAgain(_Happening):
    """A board is in a bed that was there a short while ago; it is left alone."""

    result: BoardResult
    """What became of it then."""


@frozen(kw_only=True)
class VerdictLost(_Happening):
    """Whoever was to hear the verdict on a board failed to."""

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
