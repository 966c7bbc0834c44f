"""One bit makes a request for registers one that moves the flash: it is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from esploader import connect
from esploader.protocol import slip
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice
from simulated import incompressible
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device

CONTENT = incompressible(0x4_0000)


@attrs.define
class OneRequest:
    """Makes another request of one of a kind, and leaves the others alone."""

    opcode: Opcode
    another: Opcode
    number: int
    """How many of that kind pass before."""

    def __call__(self, data: bytes) -> bytes:
        result = b""
        for event in slip.SlipDecoder().feed(data):
            if not isinstance(event, slip.Frame):
                return data
            packet = bytearray(event.payload)
            if packet[1] == self.opcode:
                if self.number == 0:
                    packet[1] = self.another
                self.number -= 1
            result += slip.encode(bytes(packet))
        return result


OPERATIONS: dict[str, Callable[[Device], object]] = {
    "id": lambda device: device.flash.id(),
    "sfdp": lambda device: device.flash.sfdp(0, 20),
    "status": lambda device: device.flash.status(2),
}


@pytest.mark.parametrize(
    "number", [0, 5, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 5))]
)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "stub"])
def test_a_flash_that_was_attached_elsewhere_is_found_again(
    chip: str, operation: str, number: int, tmp_path: Path
) -> None:
    simulated = SimulatedDevice("esp32c3" if chip == "stub" else chip, flash=CONTENT)
    port = UnreliableTransport(simulated.open_transport())
    with connect(port, stub=stub_directory(tmp_path) if chip == "stub" else False) as device:
        device.flash.prepare()
        before = OPERATIONS[operation](device)
        port.garble_output = OneRequest(Opcode.WRITE_REG, Opcode.SPI_ATTACH, number)
        assert OPERATIONS[operation](device) == before
        port.garble_output = OneRequest(Opcode.READ_REG, Opcode.SPI_SET_PARAMS, number)
        assert OPERATIONS[operation](device) == before
        assert device.flash.read(0x1000, 0x100) == CONTENT[0x1000:0x1100]
    assert simulated.flash[: len(CONTENT)] == CONTENT
