"""The flash as a loader reaches it: with addresses of three bytes or four, if it answers.

What a loader makes of a flash that does not answer is worked out, not recorded: it reads what
the line floats at, and what it programs and erases stays as it is. Where it drives other pins than
those at which the flash is, it waits for ever for the flash to be idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.classes import define
from esploader.simulator.flash.nor import EverBusyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.simulator.flash.chip import FlashChip

REACH_OF_3_BYTES: Final = 16 * 1024 * 1024
"""Behind that an address is one at the beginning of the flash again."""

_FLOATING: Final = b"\xff"


@define(eq=False)
class LoaderFlash:
    """The cells of a flash chip, for the commands of one loader."""

    chip: FlashChip
    reach: int | None
    """In bytes; ``None``: all of it."""

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on."""
        if not self.chip.answers:
            return _FLOATING * size
        parts = self._parts(offset, size)
        return b"".join(self.chip.nor.read(start, count) for start, count in parts)

    def md5(self, offset: int, size: int) -> bytes:
        """Return the MD5 of ``size`` bytes from ``offset`` on."""
        parts = list(self._parts(offset, size))
        if self.chip.answers and len(parts) == 1:
            return self.chip.nor.md5(*parts[0])
        import hashlib

        return hashlib.md5(self.read(offset, size), usedforsecurity=False).digest()

    def is_blank(self, offset: int, size: int) -> bool:
        """Tell whether all bits of ``size`` bytes from ``offset`` on are set."""
        return not self.chip.answers or all(
            self.chip.nor.is_blank(start, count) for start, count in self._parts(offset, size)
        )

    def program(self, offset: int, data: bytes) -> float:
        """Clear the bits that are clear in ``data``; return the seconds that takes.

        Raises :exc:`~esploader.simulator.flash.nor.PowerLostError`, and
        :exc:`~esploader.simulator.flash.nor.EverBusyError` where the flash is elsewhere.
        """
        if data:
            self._find()
        if not self.chip.answers:
            return 0.0
        seconds, done = 0.0, 0
        for start, count in self._parts(offset, len(data)):
            seconds += self.chip.nor.program(start, data[done : done + count])
            done += count
        return seconds

    def erase(self, offset: int, size: int) -> float:
        """Set all bits of the sectors in the region; return the seconds that takes.

        Raises as :meth:`program`.
        """
        if size:
            self._find()
        if not self.chip.answers:
            return 0.0
        return sum(self.chip.nor.erase(start, count) for start, count in self._parts(offset, size))

    def _find(self) -> None:
        if not self.chip.is_connected():
            raise EverBusyError

    def _parts(self, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield offsets and sizes, as the addresses on the bus have them."""
        reach = self.reach
        if reach is None or offset + size <= reach:
            yield offset, size
            return
        done = 0
        while done < size:
            start = (offset + done) % reach
            count = min(size - done, reach - start)
            yield start, count
            done += count
