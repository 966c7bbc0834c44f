"""A board that takes its time, outlives whoever serves it, and whose flash is a file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs

from eventually import eventually
from programs import served_chip
from simulated import incompressible
from untouched import assert_untouched, old_content
from writes import OFFSET, require_boot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 4 * 1024 * 1024
DATA = incompressible(0x8000)
END = OFFSET + len(DATA)


@attrs.frozen
class BoardFiles:
    """What a board holds and does, and what is to be written to it."""

    folder: Path

    @classmethod
    def of_old(cls, folder: Path) -> BoardFiles:
        """Return those of a board whose flash holds something everywhere."""
        files = cls(folder)
        files.flash.write_bytes(old_content(SIZE))
        files.image.write_bytes(DATA)
        return files

    @property
    def flash(self) -> Path:
        return self.folder / "flash.bin"

    @property
    def image(self) -> Path:
        return self.folder / "image.bin"

    @property
    def trace(self) -> Path:
        return self.folder / "trace.txt"

    def assert_written(self) -> None:
        """Assert that the flash holds the image, and around it what it held before."""
        assert self.flash.read_bytes()[OFFSET:END] == DATA
        self.assert_untouched()

    def assert_untouched(self) -> None:
        """Assert that nothing has changed but where the image goes."""
        assert_untouched(old_content(SIZE), self.flash.read_bytes(), [(OFFSET, END)])

    def await_its_application(self) -> None:
        """Wait until it has been left as it should be."""
        eventually(lambda: require_boot(self.trace, "its application"), AssertionError)


@contextlib.contextmanager
def slow_board(files: BoardFiles) -> Iterator[str]:
    """Serve the board; yield its URL."""
    options = ("--realtime", "--flash", str(files.flash), "--trace", str(files.trace))
    with served_chip("esp32c3", *options) as urls:
        yield urls["rfc2217"]
