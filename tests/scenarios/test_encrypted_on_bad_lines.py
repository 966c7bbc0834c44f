"""What the device encrypts cannot be compared; on a bad line it is right all the same.

Time is virtual and every seed fixed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import pytest

from covering import covering_parameters
from esploader.simulator import (
    Corrupt,
    Cut,
    Drop,
    FaultyTransport,
    SimulatedDevice,
    SimulatedTransport,
    Stall,
)
from esploader.simulator.soc.flash_encryption import encrypt
from stub_files import stub_directory
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

Fault: TypeAlias = Drop | Corrupt | Stall | Cut

OFFSET = 0x10000
IMAGE = random.Random(5).randbytes(0x20000)  # noqa: S311 - data, not a secret

LINES: dict[str, Fault] = {
    "drops": Drop(rate=2e-5),
    "corrupts": Corrupt(rate=2e-5),
    "stalls": Stall(rate=2e-5, seconds=5.0),
    "cuts off and returns": Cut(rate=2e-5, seconds=1.0),
}

LOADERS = [("esp32", "stub"), ("esp32c3", "stub"), ("esp32c3", "rom")]

EFUSES = {
    "esp32": {"flash_crypt_config": 0xF, "flash_key": 5},
    "esp32c3": {"key_purpose_0": 4, "key0": 5},
}


def aspects(line: str, chip: str, loader: str) -> tuple[str, tuple[str, str]]:
    return line, (chip, loader)


@pytest.mark.parametrize(
    ("line", "chip", "loader"),
    covering_parameters([(line, *loader) for line in LINES for loader in LOADERS], aspects),
)
def test_encrypted_writes_get_through_bad_lines(
    line: str, chip: str, loader: str, tmp_path: Path
) -> None:
    fault = LINES[line]
    stub = stub_directory(tmp_path) if loader == "stub" else False
    restarts = 0
    for seed in range(3):
        device = SimulatedDevice(chip, efuses=EFUSES[chip])
        device.nor.program(OFFSET, bytes(len(IMAGE)))
        bad_line = FaultyTransport(SimulatedTransport(device), (fault,), seed=seed)
        with connect(bad_line, baudrate=460800, stub=stub) as target:
            target.link.reopen = bad_line.reopen
            (result,) = target.flash.write(encrypted_inputs=[(OFFSET, IMAGE)])
        restarts += result.restarts
        assert device.nor.read(OFFSET, len(IMAGE)) == encrypt(device, OFFSET, IMAGE)
    assert restarts
