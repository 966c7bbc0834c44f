"""Who may take a port from whom. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.transport.turns import Denial, proves

if TYPE_CHECKING:
    from esploader.transport.turns import Ask

QUIET_TIME: Final = 5.0
"""For how long a client has to have done nothing before its port may be taken over, in
seconds."""


@frozen(kw_only=True)
class TurnRules:
    """Whether a port may be taken over, and by whom at any time."""

    takeover: bool = False
    """It may be taken from a client that does nothing with it."""

    token: bytes | None = attrs.field(default=None, repr=False)
    """With what it may be taken from a client that works with it, too; ``None`` for never."""

    def judge(self, ask: Ask, signature: bytes, *, at_work: bool) -> Denial | None:
        """Return why a client may not take the port over; ``None`` when it may.

        ``signature`` is what the server said to the client of itself.
        """
        if not self.takeover:
            return Denial.NOT_ALLOWED
        if ask.proof is None:
            return Denial.AT_WORK if at_work else None
        if self.token is None or not proves(ask.proof, self.token, signature):
            return Denial.TOKEN
        return None
