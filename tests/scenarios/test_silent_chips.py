"""A chip that falls silent for good is given up before anybody loses patience."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader import connect
from esploader.errors import EsploaderError
from esploader.urls import open_transport
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.transport.base import Capabilities

IMAGE = random.Random(0).randbytes(0x1_0000)  # noqa: S311 - data, not a secret

WITHOUT_LINES = 30.0
"""How long it may take where nothing can be reset, in seconds."""

WITH_LINES = 60.0
"""And where every reset is tried."""


@attrs.define
class DyingTransport(UnreliableTransport):
    """A port that brings nothing any more once its chip has died."""

    has_lines: bool = True
    is_dead: bool = attrs.field(default=False, init=False)
    writes_left: int | None = attrs.field(default=None, init=False)
    """Of the host, before the chip dies."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        found = self.inner.capabilities
        return attrs.evolve(
            found, set_lines=self.has_lines and found.set_lines, set_lines_at_once=False
        )

    @override
    def write(self, data: bytes) -> None:
        if self.writes_left is not None:
            self.writes_left -= 1
            self.is_dead = self.is_dead or self.writes_left < 0
        super().write(data)

    @override
    def read(self, deadline: float) -> bytes:
        data = super().read(deadline)
        while self.is_dead and data:
            data = super().read(deadline)
        return data


# And after how many writes of the host its chip dies, so that it is in the middle.
OPERATIONS: dict[str, tuple[Callable[[Device], object], int]] = {
    "read": (lambda device: device.flash.read(0, 0x2_0000), 4),
    "write": (lambda device: device.flash.write([(0x1_0000, IMAGE)], skip=False), 12),
    "write much": (lambda device: device.flash.write([(0, b"\1" * 0x3F_0000)], skip=False), 4),
    "verify": (lambda device: device.flash.verify([(0x1_0000, IMAGE)]), 2),
    "skip": (lambda device: device.flash.write([(0x1_0000, IMAGE)]), 2),
    "erase": (lambda device: device.flash.erase_region(0x1_0000, 0x2_0000), 4),
    "erase much": (lambda device: device.flash.erase_region(0x1_0000, 0x3F_0000), 4),
    "at once": (lambda device: device.flash.read(0, 0x2_0000), 0),
}


@pytest.mark.parametrize("has_lines", [False, True], ids=["no lines", "lines"])
@pytest.mark.parametrize("has_stub", [False, True], ids=["rom", "stub"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_chip_that_falls_silent_is_given_up(
    operation: str,
    has_stub: bool,  # noqa: FBT001 - of the table
    has_lines: bool,  # noqa: FBT001 - of the table
    tmp_path: Path,
) -> None:
    port = DyingTransport(open_transport("sim://esp32c3?state=download"), has_lines=has_lines)
    device = connect(port, stub=stub_directory(tmp_path) if has_stub else False)
    device.flash.prepare()
    device.flash.id()
    work, port.writes_left = OPERATIONS[operation]
    start = port.clock.now()
    with pytest.raises(EsploaderError, match=r"nothing was received in 7|no response within"):
        work(device)
    assert port.clock.now() - start < (WITH_LINES if has_lines else WITHOUT_LINES)


def test_a_chip_that_comes_back_in_the_second_round_of_resets_goes_on() -> None:
    port = DyingTransport(open_transport("sim://esp32c3?state=download"))
    device = connect(port, stub=False)
    device.flash.write([(0x1_0000, IMAGE)])
    port.writes_left = 4
    syncs = 0

    def come_back(data: bytes) -> bytes:
        nonlocal syncs
        syncs += data[2:3] == b"\x08"
        # Some sixteen in each of seven attempts.
        if syncs == 150:
            port.is_dead, port.writes_left = False, None
        return data

    port.garble_output = come_back
    assert device.flash.read(0xF000, len(IMAGE) + 0x2000) == (
        b"\xff" * 0x1000 + IMAGE + b"\xff" * 0x1000
    )
