"""What becomes of the loader while a command runs: a line when a stub runs, or the rate changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import define
from esploader.protocol.dialect import STUB

if TYPE_CHECKING:
    from esploader.commands.output import Output
    from esploader.device.device import Device


@define
class LoaderWatch:
    """Looks at the loader of a device now and then; nothing is sent for that."""

    _device: Device
    _output: Output
    _baudrate: int
    """That of the port when it was last looked at, in baud."""
    _has_stub: bool | None = attrs.field(default=None, init=False)
    """A stub was running then; ``None`` before the first look."""

    def look(self) -> None:
        """Say what has changed since the last look, in the words that tools know."""
        with self._output.beside():
            self._look()

    def _look(self) -> None:
        session = self._device.session
        has_stub = session.dialect is STUB
        if has_stub and self._has_stub is None:
            self._output.line("Stub flasher is already running. No upload is necessary.")
        elif has_stub and not self._has_stub:
            self._output.line("Stub flasher running.")
        self._has_stub = has_stub
        baudrate = session.transport.baudrate
        if baudrate != self._baudrate:
            self._output.line(f"Changing baud rate to {baudrate}... Changed.")
        self._baudrate = baudrate
