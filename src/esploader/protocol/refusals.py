"""Which refusal is final.

Nothing protects a request on the line: one bit makes an opcode one that is not known, or an
offset one beyond the end of the flash, and the loader is right to refuse. So what is refused is
tried once more, and believed to be impossible when it is refused for the same reason again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define

if TYPE_CHECKING:
    from esploader.errors import CommandFailedError

MAX_REASONS: Final = 3
"""How many different reasons in a row are heard before the last one counts."""


@define
class Refusals:
    """The refusals in a row, of one thing that is tried again."""

    _last: tuple[str, int] | None = attrs.field(default=None, init=False)
    _count: int = attrs.field(default=0, init=False)

    def is_final(self, error: CommandFailedError) -> bool:
        """Take note of a refusal, and tell whether another try would change nothing."""
        refusal = (error.command, error.code)
        is_known = refusal == self._last
        self._last = refusal
        self._count += 1
        return is_known or self._count >= MAX_REASONS

    def clear(self) -> None:
        """Forget them: something was carried out."""
        self._last = None
        self._count = 0
