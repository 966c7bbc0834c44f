"""Leaving a device as it is to be left, whatever became of the work on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from esploader.errors import EsploaderError
from esploader.loader.resetting import After

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.device import Device

BY_HAND: Final = "it needs a reset by hand before a run that does not reset it finds it"


class Witness(Protocol):
    """Hears how a device is left."""

    def leaves(self, way: After, device: Device) -> None:
        """Hear how it will be left now, which may be another way than was asked for."""

    def note(self, text: str) -> None:
        """Hear what else there is to know of it."""

    def fails(self, reason: str) -> None:
        """Hear why it is not left as was asked for."""


def work_and_leave(
    device: Device, after: After, witness: Witness, work: Callable[[], bool]
) -> None:
    """Do ``work`` and leave the device as ``after`` says, also when the work fails.

    ``work`` returns whether there is still a loader to leave. An interruption stops neither
    the leaving half-way nor before it began.

    Raises:
        EsploaderError: the work failed, or the device cannot be left like that.
        KeyboardInterrupt: as soon as it is left.
    """
    try:
        is_loader_there = work()
    except BaseException:
        _leave_anyhow(device, after, witness)
        raise
    if not is_loader_there:
        return
    try:
        leave(device, after, witness)
    except EsploaderError:
        raise
    except BaseException:
        _leave_anyhow(device, after, witness)
        raise


def leave(device: Device, after: After, witness: Witness) -> None:
    """Leave the device as ``after`` says; where the port cannot do that, in download mode.

    Raises:
        EsploaderError: that cannot be done.
    """
    # A stub may have been started since that was looked at first.
    device.check_reset(after)
    way = device.way_to_reset(after)
    if way is After.HARD_RESET and not device.session.transport.capabilities.set_lines:
        witness.note("this port has no DTR and RTS: the device stays in download mode")
        way = After.NO_RESET
    witness.leaves(way, device)
    device.reset(way)


def _leave_anyhow(device: Device, after: After, witness: Witness) -> None:
    """Leave the device after trouble, and say so where it is not left as it should be.

    What went wrong before is what counts: this raises nothing but another interruption.
    """
    try:
        try:
            leave(device, after, witness)
        except EsploaderError as exc:
            witness.fails(str(exc))
            device.reset(After.NO_RESET)
    except EsploaderError:
        witness.note(f"the device does not listen: {BY_HAND}")
    except BaseException:
        witness.fails(BY_HAND)
        raise
