"""When looking for the loader again would be in vain."""

from __future__ import annotations

from typing import Final

import attrs

from esploader.classes import define
from esploader.errors import ConnectError, SilentDeviceError

SILENT_ROUNDS: Final = 2
"""After how many rounds of resets without a single byte a device is lost."""


@define
class Search:
    """What came of looking for the loader of one device, round by round."""

    is_in_vain: bool = attrs.field(default=False, init=False)
    """No loader answered in the last round, and another would be in vain.

    Nothing can be reset there, or several rounds of resets did not bring a single byte.
    """

    _silent_rounds: int = attrs.field(default=0, init=False)

    def fail(self, error: ConnectError, *, may_reset: bool) -> None:
        """Note a round in which no loader answered."""
        self._silent_rounds += isinstance(error, SilentDeviceError)
        self.is_in_vain = not may_reset or self._silent_rounds >= SILENT_ROUNDS

    def succeed(self) -> None:
        """Note that one has."""
        self._silent_rounds = 0
        self.is_in_vain = False
