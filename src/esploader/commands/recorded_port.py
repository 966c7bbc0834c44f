"""A port whose exchanges go to a file: the option ``--record``."""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Final

from esploader.classes import define
from esploader.commands.output_file import OutputFile
from esploader.errors import PlanError
from esploader.simulator.recordings.recorder import RecordingTransport
from esploader.simulator.recordings.recording import encode_recording
from esploader.transport.patience import open_patiently
from esploader.urls import open_transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip

_LOG: Final = logging.getLogger(__name__)


@define(eq=False)
class RecordedPort:
    """A port, and the chip that turned out to be behind it."""

    transport: RecordingTransport
    chip: Chip | None = None
    """A recording says which chip it is of: without one nothing is written."""


@contextlib.contextmanager
def recorded_port(
    name: str, path: Path, *, baudrate: int, open_attempts: int
) -> Iterator[RecordedPort]:
    """Open a port, and write at the end what passed, whatever went wrong meanwhile.

    The file is opened before the port: one that cannot be written is refused.

    Raises:
        PlanError: the file cannot be written.
        UrlError: the port's name makes no sense.
        TransportError: the port cannot be opened.
    """
    opened = functools.partial(open_transport, name, baudrate=baudrate)
    with OutputFile.open(path) as file, open_patiently(opened, open_attempts) as transport:
        port = RecordedPort(RecordingTransport(transport))
        try:
            yield port
        except BaseException:
            # What went wrong is what counts, whatever becomes of the recording.
            try:
                _write(port, name, path, file)
            except PlanError as exc:
                _LOG.warning("%s", exc)
            raise
        _write(port, name, path, file)


def _write(port: RecordedPort, name: str, path: Path, file: OutputFile) -> None:
    if port.chip is None:
        _LOG.warning("%s: not written: it is not known which chip it would be of", path)
        return
    recording = port.transport.recording(port.chip, source=f"recorded from {name}")
    file.write(encode_recording(recording))
