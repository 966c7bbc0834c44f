"""The stubs that the installed esptool brings can be put into the chips they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.loader.stub import find_stub
from esploader.protocol.dialect import STUB

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_a_stub_has_its_place_and_is_started(chip: Chip) -> None:
    data = bytes(range(256)) * 20
    with connect(f"sim://{chip.key}", stub=True, baudrate=460800) as device:
        device.flash.write([(0x1_F000, data)])

        assert find_stub(chip, None, {}).segments
        assert device.session.dialect is STUB
        assert device.session.transport.baudrate == 460800
        assert device.flash.read(0x1_F000, len(data)) == data
