"""How a command leaves its device: as ``--after`` says, whatever became of the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.device import leaving
from esploader.errors import UnsupportedError
from esploader.loader.resetting import After
from esploader.protocol.dialect import STUB

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.commands.output import Output
    from esploader.device.device import Device

_WORDS: Final = {
    After.HARD_RESET: "Hard resetting via RTS pin...",
    After.WATCHDOG_RESET: "Hard resetting with a watchdog...",
    After.SOFT_RESET: "Soft resetting...",
    After.NO_RESET: "Staying in bootloader.",
}


class Leaving(NamedTuple):
    """How to leave a device."""

    after: After
    names_stub: bool = False
    """Whoever asked for that wants to hear that the stub stays, if one runs."""
    before_reset: Callable[[], None] | None = None
    """What to do to the port before its lines restart the device, for whoever listens then."""


def chosen_leaving(device: Device, name: str, output: Output) -> Leaving:
    """Return how ``device`` will be left, for what ``--after`` says.

    The lines do it where its watchdog cannot, as scripts for esptool expect.

    Raises:
        UnsupportedError: it cannot be left like that.
    """
    if name == "no-reset-stub":
        # A stub that runs stays with the other one, too.
        return Leaving(After.NO_RESET, names_stub=True)
    after = After(name)
    try:
        device.check_reset(after)
    except UnsupportedError as exc:
        if after is not After.WATCHDOG_RESET or not device.session.transport.capabilities.set_lines:
            raise
        output.note(f"{exc}: the lines reset the device instead")
        return Leaving(After.HARD_RESET)
    return Leaving(after)


class _Witness(NamedTuple):
    """Says how the device is left, in the words that tools know."""

    output: Output
    how: Leaving

    def leaves(self, way: After, device: Device) -> None:
        """Say it."""
        is_stub_named = self.how.names_stub and device.session.dialect is STUB
        with self.output.beside():
            self.output.line("Staying in flasher stub." if is_stub_named else _WORDS[way])
        if way is After.HARD_RESET and self.how.before_reset is not None:
            self.how.before_reset()

    def note(self, text: str) -> None:
        """Pass it on."""
        self.output.note(text)

    def fails(self, reason: str) -> None:
        """Name the option that it is not left by."""
        self.note(f"the device is not left as --after says: {reason}")


def work_and_leave(device: Device, how: Leaving, output: Output, work: Callable[[], bool]) -> None:
    """Do ``work`` and leave the device as ``how`` says, also when the work fails.

    As :func:`esploader.device.leaving.work_and_leave`, with words for people.
    """
    leaving.work_and_leave(device, how.after, _Witness(output, how), work)
