"""What no plan covers stays as it was: every test that writes or erases compares it.

:func:`connect` is that of the library, to a simulated device whose flash holds something
everywhere, and compares the rest of the flash around each write and erase.
"""

from __future__ import annotations

import contextlib
import functools
from operator import index
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import attrs
from typing_extensions import override

import esploader
from esploader.device.flash import DeviceFlash
from esploader.flash.parameters import KEEP
from esploader.flash.progress import ProgressCallback, ignore_progress
from esploader.simulator import SimulatedTransport
from esploader.simulator.config import FlashPresence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from esploader.device.device import Device
    from esploader.flash.erasure import EraseResult
    from esploader.flash.plan import WritePlan
    from esploader.simulator.bench import HardwareOnBench
    from esploader.transport.base import Transport

P = ParamSpec("P")
R = TypeVar("R")

SECTOR = 0x1000
_BLANK_SECTOR = b"\xff" * SECTOR

# No byte is one that erasing or a window of zeros leaves, and no two sectors are alike.
_PATTERN = bytes(1 + number * 37 % 254 for number in range(4093))


def old_content(size: int) -> bytes:
    """Return what the flash holds of old."""
    return (_PATTERN * (size // len(_PATTERN) + 1))[:size]


@functools.lru_cache
def _old_sectors(size: int) -> dict[int, bytes]:
    """Return :func:`old_content` by sectors, each of which is in memory once."""
    different = min(size // SECTOR, len(_PATTERN))
    old = old_content(different * SECTOR)
    sectors = [old[start : start + SECTOR] for start in range(0, len(old), SECTOR)]
    return {index: sectors[index % different] for index in range(size // SECTOR)}


def fill(simulated: HardwareOnBench) -> None:
    """Put something into all sectors of the flash that are blank."""
    nor = simulated.nor
    held = {index: data for index, data in nor.sectors().items() if data != _BLANK_SECTOR}
    nor.put_sectors({**_old_sectors(nor.size), **held})


def assert_untouched(before: bytes, after: bytes, regions: Iterable[tuple[int, int]]) -> None:
    """Assert that nothing but the sectors of ``regions``, offsets and ends, has changed."""
    assert len(before) == len(after)
    _assert_same(
        {
            start // SECTOR
            for start in range(0, len(after), SECTOR)
            if before[start : start + SECTOR] != after[start : start + SECTOR]
        },
        regions,
    )


def _assert_same(changed: set[int], regions: Iterable[tuple[int, int]]) -> None:
    """Assert that the sectors that have changed, by number, are among those of ``regions``."""
    for start, end in regions:
        changed -= set(range(start // SECTOR, -(-end // SECTOR)))
    wrong = [hex(index * SECTOR) for index in sorted(changed)]
    assert not wrong, f"changed, though no plan covers it: {wrong}"


def _changed(before: dict[int, bytes], after: dict[int, bytes]) -> set[int]:
    return {
        index
        for index, _ in before.items() ^ after.items()
        if before.get(index, _BLANK_SECTOR) != after.get(index, _BLANK_SECTOR)
    }


@contextlib.contextmanager
def comparing(simulated: HardwareOnBench, *regions: tuple[int, int]) -> Iterator[None]:
    """Assert that what is done meanwhile changes nothing but ``regions``, offsets and ends.

    However that ends.
    """
    before = simulated.nor.sectors()
    try:
        yield
    finally:
        _assert_same(_changed(before, simulated.nor.sectors()), regions)


def simulated_behind(transport: Transport) -> HardwareOnBench:
    """Return the device at the end of a chain of transports."""
    while not isinstance(transport, SimulatedTransport):
        transport = transport.inner  # type: ignore[attr-defined]
    return transport.device


def _noting(
    plan: Callable[Concatenate[DeviceFlash, P], WritePlan],
) -> Callable[Concatenate[_WatchedFlash, P], WritePlan]:
    def noted(self: _WatchedFlash, /, *args: P.args, **kwargs: P.kwargs) -> WritePlan:
        found = plan(self, *args, **kwargs)
        self.planned = [(region.offset, region.end) for region in found.regions]
        if found.erase_all:
            self.planned = [(0, self.simulated.nor.size)]
        return found

    return noted


def _watched(
    operation: Callable[Concatenate[DeviceFlash, P], R],
) -> Callable[Concatenate[_WatchedFlash, P], R]:
    def compared(self: _WatchedFlash, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.comparing():
            return operation(self, *args, **kwargs)

    return compared


@attrs.define
class _WatchedFlash(DeviceFlash):
    """A flash that is compared around whatever changes it, however that ends."""

    simulated: HardwareOnBench = attrs.field(kw_only=True)
    planned: list[tuple[int, int]] = attrs.field(factory=list, init=False)
    """Offsets and ends of what is to change."""

    plan = _noting(DeviceFlash.plan)
    write = _watched(DeviceFlash.write)

    @contextlib.contextmanager
    def comparing(self) -> Iterator[None]:
        """Compare what is not planned."""
        before = self.simulated.nor.sectors()
        self.planned = []
        try:
            yield
        finally:
            _assert_same(_changed(before, self.simulated.nor.sectors()), self.planned)

    @override
    def erase_region(
        self,
        offset: int,
        size: int,
        *,
        flash_size: str = KEEP,
        force: bool = False,
        on_progress: ProgressCallback = ignore_progress,
    ) -> EraseResult:
        with self.comparing():
            # Many a caller has no types.
            with contextlib.suppress(TypeError):
                self.planned = [(index(offset), index(offset) + index(size))]
            return super().erase_region(
                offset, size, flash_size=flash_size, force=force, on_progress=on_progress
            )


def _connecting(connect_: Callable[P, Device], *, fills: bool) -> Callable[P, Device]:
    @functools.wraps(connect_)
    def connected(*args: P.args, **kwargs: P.kwargs) -> Device:
        device = connect_(*args, **kwargs)
        simulated = simulated_behind(device.session.transport)
        config = simulated.config
        if fills and config.flash_file is None and config.flash_presence is FlashPresence.PRESENT:
            fill(simulated)
        context = device._context  # noqa: SLF001 - nobody else puts a part in the place of another
        device.flash = _WatchedFlash(context, device.security, simulated=simulated)
        return device

    return connected


connect = _connecting(esploader.connect, fills=True)
"""That of the library; what is blank in the flash is filled (:func:`fill`)."""

connect_as_it_is = _connecting(esploader.connect, fills=False)
"""That of the library; the flash holds what it holds."""
