"""Whatever is done to a device, in whatever order: the flash holds what a plain model says.

Client and simulator are taken through random operations, on good lines and bad ones, while
the power fails, the cable comes out and somebody presses the reset button. What succeeds has
done what it says, and nothing else; what fails has left the rest of the flash alone.
"""

from __future__ import annotations

import enum
import hashlib
import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import override

from esploader import connect
from esploader.errors import EsploaderError
from esploader.simulator import (
    Corrupt,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Fault,
    FaultyTransport,
    Jitter,
    Overflow,
    SeenCommand,
    SimulatedDevice,
    Split,
    Stall,
)
from esploader.simulator.line.faults import Direction
from stub_files import stub_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.simulator.history import HistoryEvent

PATIENCE = 10.0
"""How long a device may be busy with what it was given before, in seconds."""

SECTOR = 0x1000
FLASH_SIZE = 256 * 1024
SECTOR_COUNT = FLASH_SIZE // SECTOR

CHIPS = ("esp32", "esp32s3", "esp32c3")

LINES: dict[str, tuple[Fault, ...]] = {
    "good": (),
    "loses": (Drop(rate=2e-4),),
    "loses in rows": (Overflow(rate=5e-5, count=8),),
    "stutters": (Duplicate(rate=1e-4), Split(rate=1e-3)),
    "garbles responses": (Corrupt(rate=2e-4, direction=Direction.FROM_DEVICE),),
    "is slow at times": (Jitter(rate=1e-3, seconds=0.05), Delay(rate=1e-4, seconds=0.4)),
    "stalls and ends": (Stall(rate=2e-5, seconds=3.0), Cut(rate=5e-5, seconds=1.0)),
}
"""Lines on which nothing but the operation can change the flash: a request that is garbled in
a way that leaves it whole would do what nobody asked for, and nothing protects it."""

sectors = st.integers(0, SECTOR_COUNT - 1)
seeds = st.integers(0, 99)


class Kind(enum.Enum):
    """What data are like."""

    RANDOM = enum.auto()
    ZERO = enum.auto()
    BLANK = enum.auto()
    HOLLOW = enum.auto()


@attrs.frozen
class Content:
    """A few sectors' worth of data; a failing run prints what they are made of."""

    kind: Kind
    size: int
    seed: int

    @property
    def data(self) -> bytes:
        noise = random.Random(self.seed).randbytes(self.size)  # noqa: S311 - data, not a secret
        match self.kind:
            case Kind.RANDOM:
                return noise
            case Kind.ZERO:
                return bytes(self.size)
            case Kind.BLANK:
                return b"\xff" * self.size
            case Kind.HOLLOW:
                return (noise[:100] + b"\xff" * SECTOR + noise)[: self.size]


contents = st.builds(
    Content,
    kind=st.sampled_from(Kind),
    size=st.sampled_from((1, 255, 0x800, SECTOR, SECTOR + 4, 3 * SECTOR)),
    seed=seeds,
)


class Trouble(enum.Enum):
    """What may happen to a device, after some commands or operations of the flash."""

    RESET = enum.auto()
    LONG_RESET = enum.auto()
    BREAK = enum.auto()
    POWER_CUT = enum.auto()
    HALF_DONE = enum.auto()


class Bench(RuleBasedStateMachine):
    """One device, and what its flash should hold."""

    folder: ClassVar[Path]
    """Where the stubs are."""

    tally: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.client: Device | None = None
        self.trouble = False
        """Something has happened to the device that a client may fail of."""

    @initialize(chip=st.sampled_from(CHIPS), content=contents, first=sectors)
    def begin(self, chip: str, content: Content, first: int) -> None:
        offset = min(first * SECTOR, FLASH_SIZE - content.size)
        self.device = SimulatedDevice(chip, flash_size=FLASH_SIZE, flash={offset: content.data})
        self.model = bytearray(self.device.flash)

    @override
    def teardown(self) -> None:
        self.leave()

    # Connections.

    @precondition(lambda self: self.client is None and self.device.is_powered)
    @rule(
        has_stub=st.booleans(),
        baudrate=st.sampled_from((115200, 921600)),
        line=st.sampled_from(("good", "good", *LINES)),
        seed=seeds,
    )
    def connect(self, *, has_stub: bool, baudrate: int, line: str, seed: int) -> None:
        faults = LINES[line]
        transport = FaultyTransport(self.device.open_transport(), faults, seed)
        device = self.device
        self.trouble = bool(faults) or device.is_line_broken or device.nor.fails_after is not None
        stub = self.folder if has_stub else False
        with self.attempt(0, 0):
            client = connect(transport, baudrate=baudrate, stub=stub, attempts=2)
            client.link.reopen = transport.reopen
            self.client = client

    def leave(self) -> None:
        self.device.history.listeners.clear()
        if self.client is not None:
            self.client.close()
            self.client = None

    @precondition(lambda self: self.client is not None)
    @rule(resets=st.booleans())
    def disconnect(self, *, resets: bool) -> None:
        if resets:
            with self.attempt(0, 0):
                self.connected.reset()
        self.leave()

    # Operations.

    @precondition(lambda self: self.client is not None)
    @rule(sector=sectors, content=contents, skip=st.booleans(), compress=st.none() | st.booleans())
    def write(self, sector: int, content: Content, *, skip: bool, compress: bool | None) -> None:
        data = content.data
        offset = min(sector, SECTOR_COUNT - 3) * SECTOR
        with self.attempt(offset, len(data)):
            self.connected.flash.write([(offset, data)], skip=skip, compress=compress)
            end = offset + len(data)
            shared = -end % SECTOR
            # What shares the last sector with the data may have been erased with it.
            rest = self.device.nor.read(end, shared)
            assert rest in {bytes(self.model[end : end + shared]), b"\xff" * shared}
            self.model[offset : end + shared] = data + rest

    @precondition(lambda self: self.client is not None)
    @rule(sector=sectors, count=st.integers(1, 20))
    def erase_region(self, sector: int, count: int) -> None:
        count = min(count, SECTOR_COUNT - sector)
        offset, size = sector * SECTOR, count * SECTOR
        with self.attempt(offset, size):
            self.connected.flash.erase_region(offset, size)
            self.model[offset : offset + size] = b"\xff" * size

    @precondition(lambda self: self.client is not None and self.client.link.stub_source)
    @rule()
    def erase_flash(self) -> None:
        with self.attempt(0, FLASH_SIZE):
            self.connected.flash.erase()
            self.model[:] = b"\xff" * FLASH_SIZE

    @precondition(lambda self: self.client is not None)
    @rule(offset=st.integers(0, FLASH_SIZE - 300), size=st.integers(1, 300))
    def read(self, offset: int, size: int) -> None:
        with self.attempt(0, 0):
            assert self.connected.flash.read(offset, size) == self.model[offset : offset + size]

    @precondition(lambda self: self.client is not None)
    @rule(offset=sectors.map(lambda sector: sector * SECTOR), size=st.integers(1, SECTOR))
    def hash(self, offset: int, size: int) -> None:
        expected = hashlib.md5(self.model[offset : offset + size], usedforsecurity=False)
        with self.attempt(0, 0):
            assert self.connected.flash.md5(offset, size) == expected.digest()

    @precondition(lambda self: self.client is not None)
    @rule(sector=sectors, changes=st.frozensets(st.integers(0, 400), max_size=3))
    def verify(self, sector: int, changes: frozenset[int]) -> None:
        offset = sector * SECTOR
        data = bytearray(self.model[offset : offset + 401])
        for position in changes:
            data[position] ^= 1
        with self.attempt(0, 0):
            found = self.connected.flash.verify([(offset, bytes(data))])
            different = {place - offset for part in found for place in range(part.start, part.end)}
            assert different == changes

    # Trouble.

    @precondition(lambda self: self.client is not None)
    @rule(trouble=st.sampled_from(Trouble), command_count=st.integers(1, 15))
    def let_happen(self, trouble: Trouble, command_count: int) -> None:
        device = self.device
        match trouble:
            case Trouble.RESET:
                self.after(command_count, device.press_reset)
            case Trouble.LONG_RESET:
                self.after(command_count, lambda: device.press_reset(2.0))
            case Trouble.BREAK:
                self.after(command_count, lambda: device.break_line(0.5))
            case Trouble.POWER_CUT:
                self.after(command_count, device.power_off)
            case Trouble.HALF_DONE:
                device.cut_power_at(command_count)
        self.trouble = True

    @rule(seconds=st.sampled_from((0.0, 0.1)))
    def switch_off_and_on(self, seconds: float) -> None:
        self.device.power_off()
        self.device.clock.sleep(seconds)
        self.device.power_on()
        self.trouble = True

    def after(self, command_count: int, action: Callable[[], None]) -> None:
        """Let something happen when so many commands have come."""
        left = command_count

        def listen(event: HistoryEvent) -> None:
            nonlocal left
            if isinstance(event, SeenCommand):
                left -= 1
                if left == 0:
                    action()

        self.device.history.listeners.append(listen)

    # The model.

    @property
    def connected(self) -> Device:
        assert self.client is not None
        return self.client

    @contextmanager
    def attempt(self, offset: int, size: int) -> Iterator[None]:
        """Let an operation be tried that may fail, and then may change certain sectors."""
        try:
            yield
            self.tally["succeeded"] += 1
        except EsploaderError:
            self.tally["failed"] += 1
            assert self.trouble, "nothing was in its way"
            self.leave()
            # The device goes on for a while with what it was given.
            self.device.clock.sleep(PATIENCE)
            if size:
                whole = slice(offset - offset % SECTOR, offset + size + -(offset + size) % SECTOR)
                self.model[whole] = self.device.flash[whole]
        finally:
            self.device.history.listeners.clear()

    @invariant()
    def agrees(self) -> None:
        self.tally["steps"] += 1
        assert self.device.flash == self.model


def played(stubs: Path, runs: int) -> Counter[str]:
    """Take so many devices through random steps; return how many there were, and how they went."""

    class Placed(Bench):
        folder: ClassVar = stubs
        tally: ClassVar = Counter()

    run_state_machine_as_test(
        Placed,
        settings=settings(
            max_examples=runs,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Placed.tally


def test_the_flash_holds_what_a_plain_model_says(tmp_path: Path) -> None:
    tally = played(stub_directory(tmp_path), runs=7)

    assert tally["succeeded"] > tally["failed"] > 0


@pytest.mark.slow
def test_it_does_so_in_ten_thousand_steps(tmp_path: Path) -> None:
    assert played(stub_directory(tmp_path), runs=250)["steps"] >= 10_000
