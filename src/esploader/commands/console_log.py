"""The file that what a device says is appended to."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import attrs

from esploader.classes import define
from esploader.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.console.stamps import LineStamper


@define(eq=False)
class ConsoleLog:
    """A file that has all that came, as soon as it came, with the times that lines have.

    A disk that is full ends the log, and nothing else.
    """

    path: Path
    _file: BinaryIO | None
    _stamper: LineStamper
    _on_loss: Callable[[str], None] = attrs.field(repr=False)

    @classmethod
    def open(cls, path: Path, stamper: LineStamper, on_loss: Callable[[str], None]) -> ConsoleLog:
        """Open a file behind whose end is written; ``on_loss`` is called when that fails.

        Raises:
            PlanError: it cannot be written.
        """
        return cls(path, _open(path), stamper, on_loss)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        if self._file is None:
            return
        # Times are ASCII, and of bytes each is a character here.
        unsent = memoryview(self._stamper.feed(data.decode("latin-1")).encode("latin-1"))
        try:
            while unsent:
                unsent = unsent[self._file.write(unsent) :]
        except OSError as exc:
            self.close()
            self._on_loss(f"nothing more is written to '{self.path}': {exc.strerror}")

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as exc:
                self._on_loss(f"'{self.path}' may lack its end: {exc.strerror}")


def check_log(path: Path) -> None:
    """Refuse a file that cannot be appended to.

    Raises:
        PlanError: it cannot.
    """
    _open(path).close()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("ab", buffering=0)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise PlanError(f"'{path}' cannot be written: {reason}") from exc
