"""What the flash engine needs of whoever holds the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.session.session import Session


class Loader(Protocol):
    """A loader that answers, and can be made to answer again."""

    @property
    def session(self) -> Session:
        """The conversation with it. Another one may take its place in :meth:`revive`."""

    @property
    def chip(self) -> Chip:
        """What it runs on."""

    def revive(self, *, slower: bool) -> None:
        """Have the loader listen again, whatever it takes: SYNC, a reset, a new port.

        ``slower`` asks for a lower baud rate, because the line seems to be to blame.

        Raises:
            EsploaderError: it cannot be done.
        """
