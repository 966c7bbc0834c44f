"""Lines that are not those of the port: a lab drives EN and IO0 by outputs of its own."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import attrs

from esploader.classes import define, frozen, override
from esploader.errors import TransportError
from esploader.transport.reset import HARD_RESET
from esploader.transport.steps import SetLines
from esploader.transport.wrapping import WrappingTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.transport.base import Capabilities


class Output(Protocol):
    """A relay or a GPIO of a lab, as labgrid has them."""

    def set(self, status: bool, /) -> None:  # noqa: FBT001 - as they have it
        """Set it."""


@frozen
class Pin:
    """A pin of a device, and the output that drives it."""

    name: str
    """As people call it."""
    output: Output
    is_inverted: bool
    """The output has to be off, not on, for the pin to be pulled low."""

    def pull(self, *, low: bool) -> None:
        """Pull the pin low, or let go of it.

        Raises:
            TransportError: the output failed.
        """
        try:
            self.output.set(low is not self.is_inverted)
        except Exception as exc:
            # Outputs are of many kinds, and each has errors of its own.
            raise TransportError(self.name, f"its digital output failed: {exc}") from exc


@frozen
class Pins:
    """What resets a device and chooses what it boots into."""

    en: Pin
    boot: Pin

    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Do what these lines do: DTR pulls the boot strap low, RTS holds the device in reset.

        Raises:
            TransportError: an output failed.
        """
        if dtr is not None:
            self.boot.pull(low=dtr)
        if rts is not None:
            self.en.pull(low=rts)

    def restart(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Reset the device, with the boot strap released: it runs its application.

        Raises:
            TransportError: an output failed.
        """
        try:
            for step in HARD_RESET:
                if isinstance(step, SetLines):
                    self.set_lines(dtr=step.dtr, rts=step.rts)
                else:
                    sleep(step.seconds)
        except BaseException:
            # Whoever is interrupted must not leave the device held in reset.
            with suppress(TransportError):
                self.set_lines(dtr=False, rts=False)
            raise


@define(eq=False, repr=False)
class OutputLines(WrappingTransport):
    """A port whose lines are digital outputs, one changed after the other."""

    pins: Pins

    @property
    @override
    def capabilities(self) -> Capabilities:
        return attrs.evolve(
            self.inner.capabilities, set_lines=True, set_lines_at_once=False, gated=False
        )

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.pins.set_lines(dtr=dtr, rts=rts)
