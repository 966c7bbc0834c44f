"""Noticing that what comes is no text, as at a wrong baud rate."""

from __future__ import annotations

from typing import Final

import attrs

from esploader.classes import define

_ENOUGH: Final = 256
"""Bytes to judge by."""

_MOST: Final = 0.3
"""The share of them that may be no text; of what is read at a wrong rate half is none."""

_CONTROLS: Final = "\t\n\r\x1b"


@define(eq=False)
class GarbageWatch:
    """Looks at the bytes of a device until it has an opinion."""

    _seen: int = attrs.field(default=0, init=False)
    _strange: int = attrs.field(default=0, init=False)

    def feed(self, data: bytes) -> bool:
        """Tell whether ``data`` make it clear that all this is no text; at most once."""
        if self._seen >= _ENOUGH:
            return False
        data = data[: _ENOUGH - self._seen]
        self._seen += len(data)
        text = data.decode("utf-8", "ignore")
        # Letters of all languages are text; what is left of a character that is cut hardly counts.
        known = sum(len(each.encode()) for each in text if each.isprintable() or each in _CONTROLS)
        self._strange += len(data) - known
        return self._seen >= _ENOUGH and self._strange > _MOST * self._seen
