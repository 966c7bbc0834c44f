"""The helper that compares what no plan covers sees what it is there for."""

from __future__ import annotations

import pytest

from esploader.errors import EsploaderError
from esploader.simulator import SimulatedDevice
from untouched import assert_untouched, comparing, connect, fill, old_content

SIZE = 0x8000


@pytest.mark.parametrize(
    ("start", "wrong"),
    [
        pytest.param(0x3000, b"\xff" * 0x1000, id="a sector erased behind the region"),
        pytest.param(0x1FFF, b"\0", id="a byte in front of it"),
        pytest.param(0x3000, b"\0", id="a byte behind its last sector"),
    ],
)
def test_a_change_outside_the_regions_is_seen(start: int, wrong: bytes) -> None:
    before = old_content(SIZE)
    after = before[:start] + wrong + before[start + len(wrong) :]
    with pytest.raises(AssertionError, match=hex(start - start % 0x1000)):
        assert_untouched(before, after, [(0x2000, 0x2001)])


def test_a_change_of_their_sectors_is_none() -> None:
    before = old_content(SIZE)
    assert_untouched(before, before[:0x2000] + bytes(0x1000) + before[0x3000:], [(0x2400, 0x2401)])


def test_old_content_shows_each_erase_each_zero_and_each_move() -> None:
    old = old_content(SIZE)
    assert not {0x00, 0xFF} & set(old)
    assert len({old[start : start + 0x1000] for start in range(0, SIZE, 0x1000)}) == 8


def test_a_flash_is_filled_with_it_but_for_what_it_holds() -> None:
    simulated = SimulatedDevice("esp32c3", flash_size=32 << 20, flash={0x1000: b"held"})
    fill(simulated)
    expected = bytearray(old_content(32 << 20))
    expected[0x1000:0x2000] = b"held".ljust(0x1000, b"\xff")
    assert simulated.nor.read(0, 32 << 20) == expected


def test_what_is_done_in_error_is_compared_as_well() -> None:
    simulated = SimulatedDevice("esp32c3")
    fill(simulated)

    def fail() -> None:
        with comparing(simulated, (0, 0x1000)):
            simulated.nor.erase(0x5000, 1)
            raise EsploaderError

    with pytest.raises(AssertionError, match="0x5000"):
        fail()


def test_a_write_that_goes_elsewhere_does_not_pass() -> None:
    simulated = SimulatedDevice("esp32c3")
    with connect(simulated.open_transport(), stub=False) as device:
        device.flash.write([(0x1000, b"data")])
        device.flash.erase_region(0x3000, 0x1000)

        def erase_elsewhere(_: object) -> None:
            simulated.nor.erase(0x9000, 1)

        with pytest.raises(AssertionError, match="0x9000"):
            device.flash.write([(0x2000, b"data")], on_progress=erase_elsewhere)
