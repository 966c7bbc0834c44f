"""How a command leaves its device: as ``--after`` says, whatever became of the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.errors import EsploaderError, UnsupportedError
from esploader.loader.resetting import After
from esploader.protocol.dialect import STUB

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.commands.output import Output
    from esploader.device.device import Device

BY_HAND: Final = "it needs a reset by hand before a run that does not reset it finds it"

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


def work_and_leave(
    device: Device, leaving: Leaving, output: Output, work: Callable[[], bool]
) -> None:
    """Do ``work`` and leave the device as ``leaving`` says, also when the work fails.

    ``work`` returns whether there is still a loader to leave. An interruption stops neither
    the leaving half-way nor before it began.

    Raises:
        EsploaderError: the work failed, or the device cannot be left like that.
        KeyboardInterrupt: as soon as it is left.
    """
    try:
        is_loader_there = work()
    except BaseException:
        _leave_anyhow(device, leaving, output)
        raise
    if not is_loader_there:
        return
    try:
        leave(device, leaving, output)
    except KeyboardInterrupt:
        _leave_anyhow(device, leaving, output)
        raise


def leave(device: Device, leaving: Leaving, output: Output) -> None:
    """Leave the device as ``leaving`` says; where the port cannot do that, in download mode.

    Raises:
        EsploaderError: that cannot be done.
    """
    # A stub may have been started since that was looked at first.
    device.check_reset(leaving.after)
    way = device.way_to_reset(leaving.after)
    if way is After.HARD_RESET and not device.session.transport.capabilities.set_lines:
        output.note("this port has no DTR and RTS: the device stays in download mode")
        way = After.NO_RESET
    is_stub_named = leaving.names_stub and device.session.dialect is STUB
    with output.beside():
        output.line("Staying in flasher stub." if is_stub_named else _WORDS[way])
    device.reset(way)


def _leave_anyhow(device: Device, leaving: Leaving, output: Output) -> None:
    """Leave the device after trouble, and say so where it is not left as it should be.

    What went wrong before is what counts: this raises nothing but another interruption.
    """
    try:
        try:
            leave(device, leaving, output)
        except EsploaderError as exc:
            output.note(f"the device is not left as --after says: {exc}")
            device.reset(After.NO_RESET)
    except EsploaderError:
        output.note(f"the device does not listen: {BY_HAND}")
    except KeyboardInterrupt:
        output.note(f"the device is not left as --after says: {BY_HAND}")
        raise
