"""What a device holds while it is written and compared, over what all devices share.

The devices are simulated by another process, which is not counted.
"""

from __future__ import annotations

import contextlib
import random
import tracemalloc
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest
from typing_extensions import override

from esploader import connect, open_transport
from esploader.flash.artefact import Artefact
from esploader.flash.hashing import md5_of_erased
from esploader.flash.limits import REACH_OF_3_BYTES
from esploader.protocol import dialect
from esploader.transport.wrapping import WrappingTransport
from programs import served_chip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esploader.device.device import Device

PeakOf: TypeAlias = "Callable[[Callable[[], object]], int]"

MIB = 1024 * 1024
MOST = 2 * MIB
"""What one device may hold, in bytes."""

CHIP = "sim://esp32s3?flash=32MB&state=download"
FLASH_SIZE = 32 * MIB
OFFSET = 0x1_0000
KEY = "&efuses=key_purpose_0:4,key0:0x0123"

STUB = pytest.param(3 * MIB, True, id="stub")
SLOW = [
    pytest.param(16 * MIB, True, id="stub-16-mib", marks=pytest.mark.slow),
    # More than that a ROM loader does not reach.
    pytest.param(15 * MIB, False, id="rom-15-mib", marks=pytest.mark.slow),
]


@attrs.define(eq=False)
class Spoiling(WrappingTransport):
    """Spoils what is written, once, when so many bytes are still to go to the device."""

    left: int = 0

    @override
    def write(self, data: bytes) -> None:
        is_hit = 0 < self.left <= len(data)
        self.left -= len(data)
        self.inner.write(data[:-40] + bytes(40) if is_hit else data)


@pytest.fixture(name="peak_of")
def _peak_of() -> Iterator[PeakOf]:
    """Return what tells how much more is held during a job than before, at its most."""

    def peak_of(job: Callable[[], object]) -> int:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        job()
        _, peak = tracemalloc.get_traced_memory()
        return peak - before

    tracemalloc.start()
    try:
        yield peak_of
    finally:
        tracemalloc.stop()


def noise(size: int) -> bytes:
    """Return bytes that do not become smaller."""
    return random.Random(size).randbytes(size)  # noqa: S311 - data, not a secret


@contextlib.contextmanager
def prepared(chip: str, *, stub: bool = True) -> Iterator[tuple[Device, Spoiling]]:
    """Connect to a chip in a process of its own."""
    with served_chip(chip, "--tcp", "0") as urls:
        line = Spoiling(open_transport(urls["tcp"]))
        with connect(line, before="no-reset", stub=stub) as device:
            device.flash.prepare()
            yield device, line


@pytest.mark.parametrize(("size", "stub"), [STUB, *SLOW])
def test_a_device_holds_little_over_what_all_share(
    size: int, peak_of: PeakOf, *, stub: bool
) -> None:
    # A last sector that is not filled: the region is no input as it was read.
    artefact = Artefact.read([(OFFSET, noise(size)[:-100])])
    with prepared(CHIP, stub=stub) as (device, _):
        flash = device.flash
        # The blocks, and a hash of each sector.
        assert peak_of(lambda: flash.write(artefact, compress=True)) <= size + MOST
        assert peak_of(lambda: flash.write(artefact, skip=False, compress=True)) <= MOST
        assert peak_of(lambda: flash.write(artefact)) <= MOST
        assert peak_of(lambda: flash.verify(artefact)) <= MOST
        assert_blank_around(device, OFFSET, OFFSET + size)


@pytest.mark.slow
def test_what_is_sent_anew_after_trouble_is_not_held(peak_of: PeakOf) -> None:
    size = 3 * MIB
    artefact = Artefact.read([(OFFSET, noise(size))])
    with prepared(CHIP) as (device, line):
        device.flash.write(artefact, compress=True)
        line.left = size // 2
        restarts: list[int] = []

        def write_again() -> None:
            results = device.flash.write(artefact, skip=False, compress=True)
            restarts.extend(result.restarts for result in results)

        assert peak_of(write_again) <= MOST
        assert restarts == [1]
        assert_blank_around(device, OFFSET, OFFSET + size)


@pytest.mark.parametrize(("size", "stub"), SLOW)
def test_what_the_device_encrypts_is_no_exception(
    size: int, peak_of: PeakOf, *, stub: bool
) -> None:
    artefact = Artefact.read(encrypted_inputs=[(OFFSET, noise(size))])
    with prepared(CHIP + KEY, stub=stub) as (device, _):
        assert peak_of(lambda: device.flash.write(artefact)) <= MOST + stub * size
        assert peak_of(lambda: device.flash.write(artefact)) <= MOST
        assert_blank_around(device, OFFSET, OFFSET + size)


def assert_blank_around(device: Device, start: int, end: int) -> None:
    """Assert that nothing was written beside a range of flash, which was blank before."""
    reach = FLASH_SIZE if device.session.dialect is dialect.STUB else REACH_OF_3_BYTES
    for offset, size in ((0, start), (end, reach - end)):
        assert device.flash.md5(offset, size) == md5_of_erased(size)
