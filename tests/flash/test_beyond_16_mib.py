"""Beyond 16 MiB a loader needs addresses of four bytes: it has them, or is not asked."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.chips.model.chip import MIB
from esploader.errors import PlanError
from esploader.protocol.dialect import STUB
from esploader.protocol.opcodes import Opcode
from esploader.simulator.device import SimulatedDevice
from simulated import make_bench, words
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device

BOUNDARY = 16 * MIB
SECTOR = 0x1000
DATA = random.Random(16).randbytes(3 * SECTOR)  # noqa: S311 - data, not a secret
MARK = b"what a wrapped address would hit" * 128

CAN = [chip.key for chip in DESCRIBED if chip.supports_4_byte_addresses]
CANNOT = [
    (chip.key, has_stub)
    for chip in DESCRIBED
    for has_stub in (False, True)
    if not (has_stub and chip.supports_4_byte_addresses)
]

OPERATIONS: dict[str, Callable[[Device, int], object]] = {
    "write": lambda device, offset: device.flash.write([(offset, DATA)]),
    "read": lambda device, offset: device.flash.read(offset, len(DATA)),
    "verify": lambda device, offset: device.flash.verify([(offset, DATA)]),
    "hash": lambda device, offset: device.flash.md5(offset, len(DATA)),
    "erase": lambda device, offset: device.flash.erase_region(offset, len(DATA)),
}


@pytest.mark.parametrize(
    ("chip", "size"),
    covering_parameters(
        list(itertools.product(CAN, [32 * MIB, 64 * MIB, 128 * MIB])),
        lambda chip, size: (chip, size),
    ),
)
def test_a_stub_with_long_addresses_does_all_of_it_there(chip: str, size: int) -> None:
    simulated = SimulatedDevice(chip, flash_size=size, flash={0: MARK})
    with connect(simulated.open_transport(), stub=shared_stubs()) as device:
        for offset in (BOUNDARY - SECTOR, size - len(DATA)):
            device.flash.write([(offset, DATA)])
            assert simulated.nor.read(offset, len(DATA)) == DATA
            assert device.flash.read(offset, len(DATA)) == DATA
            assert device.flash.verify([(offset, DATA)]) == ()
            device.flash.erase_region(offset, len(DATA))
            assert simulated.nor.is_blank(offset, len(DATA))
        assert device.session.dialect is STUB
    assert simulated.nor.read(0, len(MARK)) == MARK


@pytest.mark.parametrize(
    ("chip", "has_stub", "name"),
    covering_parameters(
        [(chip, has_stub, name) for chip, has_stub in CANNOT for name in OPERATIONS],
        lambda chip, has_stub, name: ((chip, has_stub), (has_stub, name)),
    ),
)
def test_elsewhere_it_is_refused_before_a_byte_is_sent(
    chip: str,
    has_stub: bool,  # noqa: FBT001 - a parameter of the test
    name: str,
) -> None:
    simulated = SimulatedDevice(chip, flash_size=32 * MIB, flash={0: MARK})
    source = shared_stubs() if has_stub else False
    with connect(simulated.open_transport(), stub=source) as device:
        seen = len(simulated.history.commands)
        loader = "a stub" if has_stub else "the ROM loader"
        with pytest.raises(PlanError, match=f"{loader} of the .* reaches 0x1000000 bytes"):
            OPERATIONS[name](device, BOUNDARY - SECTOR)
        assert simulated.history.commands[seen:] == []
    assert simulated.nor.erase_counts == {}


@pytest.mark.parametrize("chip", ["esp32", "esp32c3", "esp32s3"])
def test_below_all_loaders_use_a_large_flash(chip: str) -> None:
    for source in (False, shared_stubs()):
        simulated = SimulatedDevice(chip, flash_size=32 * MIB)
        with connect(simulated.open_transport(), stub=source) as device:
            device.flash.write([(BOUNDARY - len(DATA), DATA)])
            assert device.flash.read(BOUNDARY - len(DATA), len(DATA)) == DATA


@pytest.mark.parametrize("chip", [chip for chip in DESCRIBED if chip.mmu_page_sizes])
def test_a_loader_without_long_addresses_would_hit_the_beginning(chip: Chip) -> None:
    """Which is why it is not asked."""
    bench = make_bench(chip, flash_size=32 * MIB)
    assert bench.status(Opcode.SPI_SET_PARAMS, words(0, 32 * MIB, 0, 0, 0, 0)) == b"\0\0"
    bench.device.nor.program(0, DATA[:16])
    answer = bench.command(Opcode.READ_FLASH_SLOW, words(BOUNDARY, 16))
    assert answer[8:24] == DATA[:16]


@pytest.mark.parametrize("size", [32 * MIB, 64 * MIB, 128 * MIB])
def test_erasing_everything_takes_no_address(size: int) -> None:
    # The largest takes longer than most have to wait.
    simulated = SimulatedDevice("esp32", flash_size=size)
    simulated.nor.program(BOUNDARY + SECTOR, DATA)
    with connect(simulated.open_transport(), stub=shared_stubs()) as device:
        device.flash.erase()
    assert simulated.nor.is_blank(0, size)
