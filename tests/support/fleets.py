"""Boards for tests with many of them: simulated ones that stay, each in a time of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import TransportClosedError
from esploader.fleet import Artefact, Job
from esploader.simulator import SimulatedDevice
from esploader.transport.reset import classic, play
from esploader.transport.wrapping import WrappingTransport
from simulated import incompressible
from untouched import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.fleet import BoardResult
    from esploader.transport.base import Transport

FLASH_SIZE = 0x10_0000
OFFSET = 0x1_0000
DATA = incompressible(0x8000)
END = OFFSET + len(DATA)


def mac_of(number: int) -> str:
    return f"24:0a:c4:00:01:{number:02x}"


def as_it_is(transport: Transport) -> Transport:
    return transport


@attrs.define(eq=False)
class Place:
    """A place on a bench, and the board in it, which stays from one attempt to the next."""

    number: int
    behind: Callable[[Transport], Transport] = as_it_is
    """What is in front of the board's line."""
    flash_size: int = FLASH_SIZE
    device: SimulatedDevice = attrs.field(init=False)
    before: bytes = attrs.field(init=False)
    opened: list[Transport] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.device = SimulatedDevice(ESP32_C3, mac=mac_of(self.number), flash_size=self.flash_size)
        fill(self.device)
        self.before = self.device.flash

    def open(self) -> Transport:
        transport = self.behind(self.device.open_transport())
        self.opened.append(transport)
        return transport

    def job(self, **options: object) -> Job:
        usual = {"port": self.open, "label": f"bench-{self.number}", "artefact": artefact()}
        return Job(**{"stub": False, **usual, **options})  # type: ignore[arg-type]

    def assert_written(self, data: bytes = DATA, offset: int = OFFSET) -> None:
        """Assert that ``data`` are there, and that all around them is as it was."""
        end = offset + len(data)
        assert self.device.flash == self.before[:offset] + data + self.before[end:]

    def assert_intact(self) -> None:
        """Assert that nothing has changed but in the sectors that were to be written."""
        flash = self.device.flash
        assert (flash[:OFFSET], flash[END:]) == (self.before[:OFFSET], self.before[END:])

    def assert_as_before(self) -> None:
        assert self.device.flash == self.before

    def assert_released(self) -> None:
        """Assert that nobody has its port open."""
        for transport in self.opened:
            try:
                transport.write(b"")
            except TransportClosedError:
                continue
            raise AssertionError(f"{transport} is open")


def artefact(data: bytes = DATA) -> Artefact:
    return Artefact.read([(OFFSET, data)])


def by_label(results: tuple[BoardResult, ...]) -> dict[str, BoardResult]:
    return {result.label: result for result in results}


@attrs.define
class Hang:
    """In front of a board: takes so many bytes, and no more until it is closed, or for good."""

    left: int
    heeds_closing: bool = attrs.field(default=True, kw_only=True)
    hangs: threading.Event = attrs.field(factory=threading.Event, init=False)
    """Set when it does."""
    released: threading.Event = attrs.field(factory=threading.Event, init=False)
    """What ends it, whatever it heeds."""

    def __call__(self, transport: Transport) -> Transport:
        return _HangingTransport(transport, self)


@attrs.define
class Swap:
    """In front of a board: after so many bytes another one is there, and in download mode at once.

    That is so where a bed holds its straps.
    """

    left: int
    other: Place

    def __call__(self, transport: Transport) -> Transport:
        return _SwappedTransport(transport, self)


@attrs.define(eq=False)
class _SwappedTransport(WrappingTransport):
    swap: Swap

    @override
    def write(self, data: bytes) -> None:
        was_there, self.swap.left = self.swap.left >= 0, self.swap.left - len(data)
        if was_there and self.swap.left < 0:
            self.inner = self.swap.other.open()
            play(classic(0.05), self.inner)
            self.inner.clock.sleep(1.0)
            self.inner.discard_input()
        else:
            self.inner.write(data)


@attrs.define(eq=False)
class _HangingTransport(WrappingTransport):
    hang: Hang

    @override
    def write(self, data: bytes) -> None:
        self.hang.left -= len(data)
        if self.hang.left < 0:
            self.hang.hangs.set()
            self.hang.released.wait()
            raise TransportClosedError(self.name, "the port is closed")
        self.inner.write(data)

    @override
    def close(self) -> None:
        if self.hang.heeds_closing and self.hang.hangs.is_set():
            self.hang.released.set()
        self.inner.close()
