"""Write down what devices do, in a file: a line for each thing that happens.

``   0.001234 sim://esp32c3 > READ_REG address=0x40001000`` is a request that a loader took up,
``<`` its response and the outcome, ``=`` what the host did with its lines, ``*`` a boot. Times
are seconds from the beginning.
"""

from __future__ import annotations

import functools
import logging
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, assert_never

import attrs

from esploader.classes import define
from esploader.simulator.description import describe_command
from esploader.simulator.history import Boot, SeenCommand, SeenLines, SentResponse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.simulator.bench import HardwareOnBench
    from esploader.simulator.history import HistoryEvent

_logger = logging.getLogger(__name__)

MAX_TRACE_SIZE: Final = 64 * 1024 * 1024
"""A trace ends when it has so many characters."""


@define(eq=False)
class Trace:
    """A file that lines are added to, of any number of devices, each line at once."""

    _file: IO[str]
    _name: str = "trace"
    _room: int = MAX_TRACE_SIZE
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    @classmethod
    def open(cls, path: Path) -> Trace:
        """Begin a file anew. Raises :exc:`OSError`."""
        # Whoever follows the file sees each line when it is there.
        return cls(path.open("w", encoding="utf-8", buffering=1), str(path))

    def follow(self, device: HardwareOnBench, label: str, start: float) -> None:
        """Write down what a device does from now on; ``start`` is the moment to count from."""
        device.history.listeners.append(functools.partial(self._add, label, start))

    def close(self) -> None:
        """End the file."""
        with self._lock, self._ending_early():
            self._file.close()

    def _add(self, label: str, start: float, event: HistoryEvent) -> None:
        line = f"{event.moment - start:11.6f} {label} {describe_event(event)}\n"
        with self._lock:
            if self._room <= 0 or self._file.closed:
                return
            self._room -= len(line)
            with self._ending_early():
                self._file.write(line if self._room > 0 else "the trace ends here\n")

    @contextmanager
    def _ending_early(self) -> Iterator[None]:
        """A full disk ends the trace, not the device."""
        try:
            yield
        except OSError as exc:
            if self._room > 0:
                _logger.warning("%s ends early: %s", self._name, exc.strerror)
            self._room = 0


def describe_event(event: HistoryEvent) -> str:
    """Return what happened in one line, which begins with the sign for its kind."""
    match event:
        case SeenCommand():
            return f"> {describe_command(event.opcode, event.body)}"
        case SentResponse():
            outcome = f"refused: error {event.error:#04x}" if event.error else "done"
            return f"< {event.name} {outcome}"
        case SeenLines():
            dtr, rts = ("asserted" if line else "released" for line in (event.dtr, event.rts))
            return f"= DTR {dtr}, RTS {rts}"
        case Boot():
            return f"* boots into {'download mode' if event.download else 'its application'}"
        case _:
            assert_never(event)
