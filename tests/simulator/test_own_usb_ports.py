"""A reset may take a chip's own USB port off the bus, and its host has to find it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.errors import TransportClosedError
from esploader.simulator import UNPACED, SimulatedDevice, Timings
from esploader.transport import reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.simulator import SimulatedTransport
    from esploader.transport.steps import ResetSequence

ENUMERATION = Timings().enumeration


def is_there(port: SimulatedTransport) -> bool:
    """Tell whether the port can be used."""
    try:
        port.discard_input()
    except TransportClosedError:
        return False
    return True


def restart(device: SimulatedDevice) -> None:
    """Have the lines restart the device, whatever that does to its port."""
    reset.play(reset.HARD_RESET, device.open_transport())


@pytest.mark.parametrize("way", [restart, SimulatedDevice.press_reset])
def test_usb_otg_is_gone_after_a_reset_and_back_some_time_later(
    way: Callable[[SimulatedDevice], None],
) -> None:
    device = SimulatedDevice("esp32s3", port="usb-otg")
    port = device.open_transport()
    way(device)
    with pytest.raises(TransportClosedError, match="a reset has taken the port away"):
        port.read(device.clock.now())
    with pytest.raises(TransportClosedError, match="a reset has taken the port away"):
        port.write(b"x")
    device.clock.sleep(2 * ENUMERATION)
    assert is_there(port)


def test_whoever_looks_only_when_it_is_back_learns_that_it_was_gone() -> None:
    device = SimulatedDevice("esp32s3", port="usb-otg")
    port = device.open_transport()
    restart(device)
    device.clock.sleep(2 * ENUMERATION)
    assert [is_there(port), is_there(port)] == [False, True]
    assert is_there(device.open_transport())


def test_lines_are_released_when_the_port_is_back() -> None:
    device = SimulatedDevice("esp32s3", port="usb-otg")
    device.open_transport().set_lines(dtr=True, rts=True)
    device.press_reset()
    device.clock.sleep(2 * ENUMERATION)
    assert (device.dtr, device.rts) == (False, False)


def test_usb_serial_jtag_outlasts_the_resets_that_its_own_lines_ask_for() -> None:
    device = SimulatedDevice("esp32c3", port="usb-serial-jtag")
    port = device.open_transport()
    reset.play(reset.USB_SERIAL_JTAG, port)
    reset.play(reset.HARD_RESET, port)
    device.clock.sleep(0.1)
    assert b"boot:" in port.read(device.clock.now())
    assert len(device.history.boots) == 2


@pytest.mark.parametrize(
    ("sequence", "download"),
    [(reset.HARD_RESET, True), (reset.USB_SERIAL_JTAG_HARD_RESET, False)],
    ids=["usual", "of the port"],
)
def test_a_request_for_download_mode_is_forgotten_where_the_reset_takes_it_back(
    sequence: ResetSequence,
    download: bool,  # noqa: FBT001 - of the table
) -> None:
    device = SimulatedDevice("esp32c3", port="usb-serial-jtag")
    port = device.open_transport()
    port.set_lines(dtr=True)
    reset.play(sequence, port)
    assert device.history.boots[-1].download is download


def test_usb_serial_jtag_does_not_outlast_a_reset_of_the_whole_chip() -> None:
    device = SimulatedDevice("esp32c3", port="usb-serial-jtag")
    port = device.open_transport()
    device.press_reset()
    assert not is_there(port)
    device.clock.sleep(2 * ENUMERATION)
    assert is_there(port)


def test_a_uart_outlasts_every_reset() -> None:
    device = SimulatedDevice("esp32s3")
    port = device.open_transport()
    restart(device)
    device.press_reset()
    assert is_there(port)


def test_no_port_vanishes_where_the_host_is_to_have_it_at_once() -> None:
    device = SimulatedDevice("esp32s3", port="usb-otg", timings=UNPACED)
    port = device.open_transport()
    restart(device)
    device.press_reset()
    assert is_there(port)
