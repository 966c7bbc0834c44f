"""A device whose EN and IO0 are driven by outputs of a lab, in place of lines of its port."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import attrs
import pytest
from typing_extensions import override

from esploader.errors import CapabilityError, TransportError
from esploader.integrations.output_lines import OutputLines, Pin, Pins
from esploader.simulator import SimulatedDevice
from esploader.transport.wrapping import WrappingTransport
from untouched import connect

if TYPE_CHECKING:
    from esploader.simulator.bench import HardwareOnBench
    from esploader.transport.base import Capabilities

BOOTS = b"SPI_FAST_FLASH_BOOT"
RESET_AND_RELEASED = ["IO0 high", "EN low", "IO0 high", "EN high"]


class WithoutLines(WrappingTransport):
    """A port with neither DTR nor RTS, as that of a raw socket."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self.inner.capabilities, set_lines=False, set_lines_at_once=False)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        raise CapabilityError(self.name, "set DTR and RTS")


@attrs.define
class Bench:
    """A device with an output at each of the two pins."""

    device: HardwareOnBench
    is_inverted: bool = False
    done: list[str] = attrs.field(factory=list)
    """What was done to the pins, in order."""

    @property
    def pins(self) -> Pins:
        en, boot = Output(self, "EN"), Output(self, "IO0")
        return Pins(en=Pin("EN", en, self.is_inverted), boot=Pin("IO0", boot, self.is_inverted))

    def pull(self, pin: str, *, low: bool) -> None:
        was_low = f"{pin} low" in self.done[-2:]
        self.done.append(f"{pin} {'low' if low else 'high'}")
        if pin == "EN":
            if was_low and not low:
                self.device.press_reset(0.001)
        elif low:
            self.device.press_boot()
        else:
            self.device.release_boot()


@attrs.frozen
class Output:
    """One of the two outputs."""

    bench: Bench
    pin: str

    def set(self, status: bool, /) -> None:  # noqa: FBT001 - as labgrid has it
        self.bench.pull(self.pin, low=status is not self.bench.is_inverted)


class Broken:
    """An output that cannot be reached."""

    def set(self, _status: bool, /) -> NoReturn:  # noqa: FBT001 - as labgrid has it
        raise RuntimeError("no route to the relay")


@pytest.mark.parametrize("is_inverted", [False, True], ids=["on is low", "off is low"])
def test_a_port_without_lines_is_reset_by_outputs(
    is_inverted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    simulated = SimulatedDevice("esp32c3")
    bench = Bench(simulated, is_inverted)
    port = OutputLines(WithoutLines(simulated.open_transport()), bench.pins)
    with connect(port, stub=False) as device:
        device.flash.write([(0x1_0000, b"application")])
        device.reset()
        device.session.transport.clock.sleep(0.5)
        assert BOOTS in device.session.transport.discard_input()
    assert simulated.nor.read(0x1_0000, 11) == b"application"
    # Neither is left pulled low.
    assert bench.done[-4:] == RESET_AND_RELEASED


def test_the_boot_strap_is_low_before_the_reset_ends_and_while_it_does() -> None:
    simulated = SimulatedDevice("esp32")
    bench = Bench(simulated)
    with connect(OutputLines(WithoutLines(simulated.open_transport()), bench.pins), stub=False):
        assert bench.done == ["IO0 high", "EN low", "IO0 low", "EN high", "IO0 high"]


def test_a_restart_leaves_both_pins_released_and_asks_no_port() -> None:
    simulated = SimulatedDevice("esp32c3", state="download")
    line, bench = simulated.open_transport(), Bench(simulated)
    bench.pins.restart(line.clock.sleep)
    line.clock.sleep(0.5)
    assert BOOTS in line.discard_input()
    assert bench.done == RESET_AND_RELEASED


def test_who_is_interrupted_does_not_leave_the_device_in_reset() -> None:
    bench = Bench(SimulatedDevice("esp32c3"))

    def interrupted(_seconds: float) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.pins.restart(interrupted)
    assert bench.done == RESET_AND_RELEASED


def test_an_output_that_fails_is_an_error_of_the_port() -> None:
    simulated = SimulatedDevice("esp32c3")
    pins = attrs.evolve(Bench(simulated).pins, en=Pin("EN", Broken(), is_inverted=False))
    with pytest.raises(TransportError, match=r"^EN: its digital output failed: no route"):
        connect(OutputLines(simulated.open_transport(), pins), stub=False)
    with pytest.raises(TransportError, match="no route to the relay"):
        pins.restart()
