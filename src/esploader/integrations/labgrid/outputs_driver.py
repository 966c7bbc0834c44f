"""The driver for devices whose EN and IO0 a lab drives by outputs of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs
from labgrid.driver import Driver
from labgrid.exceptions import InvalidConfigError
from labgrid.factory import target_factory
from labgrid.protocol import DigitalOutputProtocol

from esploader.classes import define, override
from esploader.integrations.labgrid.driver import EspLoaderDriver, operation
from esploader.integrations.output_lines import OutputLines, Pin, Pins

if TYPE_CHECKING:
    from esploader.device.device import Device


@target_factory.reg_driver
@define(eq=False, slots=False)
class EspLoaderOutputsDriver(EspLoaderDriver):
    """As :class:`EspLoaderDriver`, but digital outputs reset the device: ``en`` and ``boot``.

    An output that is on pulls its pin low: ``en`` holds the device in reset, ``boot`` has it boot
    into download mode. For those that are wired or set up the other way round there is
    ``invert_en`` and ``invert_boot``. The environment names both outputs under ``bindings``: a
    relay for something else must never be taken for one of them.
    """

    bindings: ClassVar = {
        **EspLoaderDriver.bindings,
        "en": Driver.NamedBinding(DigitalOutputProtocol),
        "boot": Driver.NamedBinding(DigitalOutputProtocol),
    }

    invert_en: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    """``en`` is off while the device is held in reset."""

    invert_boot: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    """``boot`` is off while the boot strap is pulled low."""

    def on_activate(self) -> None:
        """Refuse outputs that are lines of the port itself: these go when the port is borrowed.

        Raises:
            InvalidConfigError: one is.
        """
        for name, output in (("en", self.en), ("boot", self.boot)):
            if self.port in output.get_bound_resources():
                raise InvalidConfigError(
                    f"{name} of {self.display_name} is a line of the port itself: EspLoaderDriver "
                    "resets by these"
                )

    @override
    @operation()
    def reset(self) -> None:
        """Reset the device, which runs its application then. Nobody loses the port meanwhile.

        Raises:
            TransportError: an output failed.
        """
        self._pins.restart()

    @override
    def _connect(self) -> Device:
        return self._connect_to(OutputLines(self._open(), self._pins))

    @property
    def _pins(self) -> Pins:
        return Pins(
            en=Pin("EN", self.en, self.invert_en), boot=Pin("IO0", self.boot, self.invert_boot)
        )
