"""What the device encrypts cannot be compared; on a bad line it is right all the same.

Time is virtual and every seed fixed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import pytest

from esploader import connect
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

if TYPE_CHECKING:
    from pathlib import Path

Fault: TypeAlias = Drop | Corrupt | Stall | Cut

OFFSET = 0x10000
IMAGE = random.Random(5).randbytes(0x20000)  # noqa: S311 - data, not a secret

SEEDS = (3, 4, 5)

LINES: dict[str, Fault] = {
    "drops": Drop(rate=2e-5),
    "corrupts": Corrupt(rate=2e-5),
    "stalls": Stall(rate=2e-5, seconds=5.0),
    "cuts off and returns": Cut(rate=2e-5, seconds=1.0),
}

EFUSES = {
    "esp32": {"flash_crypt_config": 0xF, "flash_key": 5},
    "esp32c3": {"key_purpose_0": 4, "key0": 5},
}


@pytest.mark.parametrize("fault", LINES.values(), ids=LINES)
@pytest.mark.parametrize(
    ("chip", "loader"), [("esp32", "stub"), ("esp32c3", "stub"), ("esp32c3", "rom")]
)
def test_encrypted_writes_get_through_bad_lines(
    chip: str, loader: str, fault: Fault, tmp_path: Path
) -> None:
    restarts = 0
    # With one of the others a byte of FLASH_BEGIN is lost, and what is left over refused.
    for seed in SEEDS:
        device = SimulatedDevice(chip, efuses=EFUSES[chip])
        device.nor.program(OFFSET, bytes(len(IMAGE)))
        line = FaultyTransport(SimulatedTransport(device), (fault,), seed=seed)
        stub = stub_directory(tmp_path) if loader == "stub" else False
        with connect(line, baudrate=460800, stub=stub) as target:
            target.link.reopen = line.reopen
            (result,) = target.write_flash(encrypted_inputs=[(OFFSET, IMAGE)])
        restarts += result.restarts
        assert device.nor.read(OFFSET, len(IMAGE)) == encrypt(device, OFFSET, IMAGE)
    assert restarts
