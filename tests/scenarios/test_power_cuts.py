"""Whenever the power goes, a second run puts everything right."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from esploader.errors import EsploaderError
from esploader.simulator import SimulatedDevice, SimulatedTransport
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = random.Random(5).randbytes(40_000) + bytes(30_000)  # noqa: S311 - data, not a secret
OFFSET = 0x10000

DATA_OPCODES = (b"\x03", b"\x11")


def write(device: SimulatedDevice, transport: UnreliableTransport, stub: Path | None) -> None:
    with connect(transport, baudrate=460800, stub=stub or False) as target:
        target.flash.write([(OFFSET, IMAGE)])
    assert bytes(device.nor.read(OFFSET, len(IMAGE))) == IMAGE


class PowerCut:
    """Cuts the power when the n-th block is under way, and gives it back some time later."""

    def __init__(self, device: SimulatedDevice, at_block: int, off_for: float) -> None:
        self._device = device
        self._blocks_left = at_block
        self._off_for = off_for
        self._on_at: float | None = None
        self.transport: UnreliableTransport | None = None
        self.was_cut = False

    def pass_on(self, data: bytes) -> bytes:
        assert self.transport is not None
        now = self.transport.clock.now()
        if self._on_at is not None and now >= self._on_at:
            self._device.power_on()
            self._on_at = None
        if data[2:3] in DATA_OPCODES and len(data) > 30:
            self._blocks_left -= 1
            if self._blocks_left == 0:
                self._device.power_off()
                self.was_cut = True
                self._on_at = now + self._off_for
        return data if self._on_at is None else b""


def cut(
    chip: str, block: int, off_for: float
) -> tuple[SimulatedDevice, UnreliableTransport, PowerCut]:
    device = SimulatedDevice(chip)
    device.nor.program(OFFSET, bytes(len(IMAGE)))
    power = PowerCut(device, block, off_for)
    transport = UnreliableTransport(SimulatedTransport(device), garble_output=power.pass_on)
    power.transport = transport
    return device, transport, power


@pytest.mark.parametrize("block", range(1, 4))
@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_a_write_goes_on_by_itself_when_the_power_returns(
    chip: str, block: int, tmp_path: Path
) -> None:
    device, transport, power = cut(chip, block, off_for=0.5)
    write(device, transport, stub_directory(tmp_path))
    assert power.was_cut


# All blocks there are: 3 of the stub's 16 KiB, 7 of the ROM loader's 6 KiB.
CUTS = [("stub", block) for block in range(1, 4)] + [("rom", block) for block in range(1, 8)]


@pytest.mark.parametrize(("loader", "block"), CUTS)
def test_a_second_run_repairs_what_a_power_cut_left(
    loader: str, block: int, tmp_path: Path
) -> None:
    stub = stub_directory(tmp_path) if loader == "stub" else None
    device, transport, power = cut("esp32c3", block, off_for=1e9)
    with pytest.raises(EsploaderError):
        write(device, transport, stub)
    assert power.was_cut
    device.power_on()
    write(device, UnreliableTransport(SimulatedTransport(device)), stub)
