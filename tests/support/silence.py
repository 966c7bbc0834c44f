"""An output for tests that do not look at what is printed, and commands for a device at hand."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from typing_extensions import override

from esploader.commands.on_device import OnDevice
from esploader.commands.output import Json, Output
from esploader.commands.parser import parse

if TYPE_CHECKING:
    from esploader.device.device import Device
    from esploader.flash.progress import ProgressEvent


class Silent(Output):
    """Prints nothing."""

    def __init__(self) -> None:
        super().__init__(Namespace(json=False, silent=True, quiet=False))

    @override
    def line(self, text: str = "") -> None:
        """Print nothing."""

    @override
    def note(self, text: str) -> None:
        """Print nothing."""

    @override
    def progress(self, event: ProgressEvent) -> None:
        """Draw nothing."""


def do_work(device: Device, words: list[str], output: Output) -> dict[str, Json]:
    """Have a command do its work on a device that is connected already."""
    command, arguments = parse(words, {})
    assert isinstance(command.run, OnDevice)
    return command.run.work(device, arguments, output)
