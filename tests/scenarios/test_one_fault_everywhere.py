"""One byte of a conversation is hit, whichever: what comes of it is right, or an error.

Every public operation of a device is played from a snapshot after connecting, and connecting
itself, on one loader of each dialect, once for each byte and each thing that can happen to it:
each bit flipped, the byte lost, the byte doubled, in either direction. Where one request is sent
many times, all of that happens to the first one and its answer, and one of it, drawn by a seeded
chance, to each byte of some later ones; of the data of long transfers a sample is hit. Here runs
a seeded part of it; all of it, on one loader of each dialect, with ``ESPLOADER_FULL=1``. How often
what came of it is printed at the end.
"""

from __future__ import annotations

import functools
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING

import attrs
import pytest

from covering import covering
from device_operations import (
    CONNECTIONS,
    FLASH_SIZE,
    IN_PART,
    MADE_OF,
    NOTHING_IS_PROMISED,
    OPERATIONS,
    SILENT,
    UNSEEN,
    Connecting,
    Loader,
    Operation,
    Told,
    small_stub,
)
from esploader.device.device import Device
from esploader.device.efuses import DeviceEfuses
from esploader.device.flash import DeviceFlash
from esploader.device.memory import DeviceMemory
from esploader.device.partitions import DevicePartitions
from esploader.device.security import DeviceSecurity
from esploader.errors import EsploaderError, FlashLostError
from esploader.protocol.opcodes import Opcode
from esploader.simulator.line.faults import Direction
from one_fault import Counts, Kind, OneFault, OneFaultTransport, spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.simulator import SimulatedDevice

BYTES_IN_PART = 16_000
"""How much is said in the part that always runs, for each operation on each loader."""

FEWEST_PLAYS, MOST_PLAYS = 2, 8
"""How often it is played in that part, whatever is said."""

DATA_SHARE = 0.02
"""How many of the bytes of long transfers are hit."""

ALL_FRAMES = 1000

FRAME_SHARE = 0.005
"""How many frames are hit of those of which there are many."""

KINDS = tuple(Kind)

REACHING = frozenset(
    {
        Opcode.FLASH_BEGIN,
        Opcode.FLASH_DEFL_BEGIN,
        Opcode.ERASE_REGION,
        Opcode.ERASE_FLASH,
        Opcode.FLASH_DATA,
    }
)
"""Requests that erase, and blocks. Nothing protects their offset and size: one that is hit may
erase elsewhere, or more, or write more than it brings, which nobody can prevent. Where the region
itself was not as the loader had said, so that something had to be done again, the result has a
warning."""

OF_READING = Opcode.READ_FLASH
"""One bit makes it ERASE_FLASH, of which a stub does not look at the body. That is not
prevented either; it is said by :exc:`FlashLostError`."""


@attrs.frozen
class Stage:
    """A device, and what is to be done with it."""

    simulated: SimulatedDevice
    line: OneFaultTransport
    act: Callable[[], object]
    look: Callable[[SimulatedDevice], object]
    changes: tuple[tuple[int, int], ...] = ()
    erases_all: bool = False

    def play(self, fault: OneFault | None = None) -> Outcome:
        """Do it while ``fault`` happens."""
        self.line.begin(fault)
        try:
            value = self.act()
        except EsploaderError as exc:
            return Outcome(None, self.simulated.flash, exc)
        return Outcome((value, self.look(self.simulated)), self.simulated.flash)

    def changed_outside(self, before: bytes, after: bytes) -> bool:
        """Tell whether the flash differs where nothing is to be changed."""
        start = 0
        for first, end in (*self.changes, (FLASH_SIZE, FLASH_SIZE)):
            if before[start:first] != after[start:first]:
                return True
            start = end
        return False

    def changed_inside(self, expected: bytes, found: bytes) -> bool:
        """Tell whether the flash is not as it should be where something is to be changed."""
        return any(expected[first:end] != found[first:end] for first, end in self.changes)


@attrs.frozen
class Outcome:
    """What an operation left."""

    value: object
    flash: bytes = attrs.field(repr=False)
    error: EsploaderError | None = None

    @property
    def told(self) -> tuple[Told, ...]:
        """What the results say, if it has any."""
        value = self.value[0] if isinstance(self.value, tuple) else None
        return value if isinstance(value, tuple) and isinstance(value[0], Told) else ()


@attrs.frozen
class Judge:
    """Says what came of a fault."""

    loader: Loader
    before: bytes
    expected: Outcome
    stage: Stage

    def is_untold(self, outcome: Outcome) -> bool:
        """Tell whether something had to be done again, and there is no warning."""
        told = [each for each in outcome.told if each.restarts]
        return bool(told) and not any(each.warnings for each in told)

    def is_unseen(self, outcome: Outcome) -> bool:
        """Tell whether nobody could see what came of it, as the results say.

        A block has a checksum of one byte, which is right for one in 256 of those that have lost
        a byte or have one twice.
        """
        return self.loader.is_secure or any(not each.verified for each in outcome.told)

    def is_elsewhere(self, outcome: Outcome) -> bool:
        """Tell whether the flash differs where nothing was to be changed, or all to be erased."""
        if not self.stage.erases_all:
            return self.stage.changed_outside(self.before, outcome.flash)
        is_done = outcome.error is None
        return is_done and self.stage.changed_outside(self.expected.flash, outcome.flash)

    def wrong(self, outcome: Outcome, opcode: int | None) -> str:
        """Return what is wrong; nothing when all is right, or an error.

        ``opcode`` is that of the request that was hit, if it was one.
        """
        is_elsewhere = self.is_elsewhere(outcome)
        if is_elsewhere:
            is_said = opcode == OF_READING and isinstance(outcome.error, FlashLostError)
            if (opcode not in REACHING and not is_said) or self.is_untold(outcome):
                return f"the flash changed outside the plan, and {outcome.error!r}"
        if outcome.error is not None or (is_elsewhere and not self.stage.changes):
            # An ESP8266 is attached to its flash by a request to erase nothing. What is read
            # of another flash than before is another value.
            return ""
        return self._wrong_result(outcome, opcode)

    def _wrong_result(self, outcome: Outcome, opcode: int | None) -> str:
        if outcome.value != self.expected.value:
            return f"the value is {outcome.value}"
        if self.is_damaged(outcome) and not (opcode in REACHING and self.is_unseen(outcome)):
            return "the flash does not hold what it should"
        return ""

    def is_damaged(self, outcome: Outcome) -> bool:
        """Tell whether the flash is not as it should be where it is called done."""
        is_done = outcome.error is None
        return is_done and self.stage.changed_inside(self.expected.flash, outcome.flash)


def faults_of(
    line: OneFaultTransport, chance: random.Random, *, frames: int, whole: int
) -> Iterator[OneFault]:
    """Yield what may happen to what was said on ``line``.

    ``frames`` is how many with one opcode are hit in any case, and ``whole`` to how many of them
    everything happens, at each byte. Each byte of the others is hit in one way, as chance has it.
    """
    for direction, said in line.said.items():
        seen: Counter[int | None] = Counter()
        for span in spans(bytes(said)):
            seen[span.opcode] += 1
            if seen[span.opcode] > frames and chance.random() >= FRAME_SHARE:
                continue
            words, data = span.split(direction)
            sample = [position for position in data if chance.random() < DATA_SHARE]
            for position in (*words, *sample):
                kinds = KINDS if seen[span.opcode] <= whole else (chance.choice(KINDS),)
                yield from (OneFault(direction, position, kind) for kind in kinds)


def request_that_is_hit(line: OneFaultTransport, fault: OneFault) -> int | None:
    if fault.direction is not Direction.TO_DEVICE:
        return None
    return next(
        span.opcode
        for span in spans(bytes(line.said[fault.direction]))
        if span.start <= fault.position < span.start + len(span.data)
    )


def part_of(faults: list[OneFault], said: int, chance: random.Random) -> list[OneFault]:
    """Return as many faults as there is always time for."""
    count = min(max(BYTES_IN_PART // said, FEWEST_PLAYS), MOST_PLAYS, len(faults))
    return chance.sample(faults, count)


def play_all(
    set_up: Callable[[], Stage],
    name: str,
    loader: Loader,
    *,
    frames: int,
    whole: int,
    is_full: bool,
) -> tuple[Counts, list[str]]:
    """Play an operation once for each fault; return the counts, and what was wrong."""
    chance = random.Random(f"{name} {loader.key}")  # noqa: S311 - repeats itself
    stage = set_up()
    before = stage.simulated.flash
    expected = stage.play()
    assert expected.error is None
    assert stage.erases_all or not stage.changed_outside(before, expected.flash)
    said = sum(map(len, stage.line.said.values()))
    faults = list(faults_of(stage.line, chance, frames=frames, whole=whole))
    judge = Judge(loader, before, expected, stage)
    counts = Counts()
    wrong: list[str] = []
    for fault in faults if is_full else part_of(faults, said, chance):
        outcome = set_up().play(fault)
        reason = judge.wrong(outcome, request_that_is_hit(stage.line, fault))
        counts.plays += 1
        if reason:
            wrong.append(f"{fault}: {reason}")
        elif outcome.error is not None:
            counts.errors += 1
        elif judge.is_damaged(outcome):
            counts.unseen += 1
        else:
            counts.right += 1
        counts.elsewhere += judge.is_elsewhere(outcome)
    counts.wrong = len(wrong)
    return counts, wrong


@pytest.fixture(name="stub_of", scope="session")
def _stub_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Loader], Path]:
    """Return the file of a stub for a chip."""
    folder = tmp_path_factory.mktemp("stubs")

    def stub_of(loader: Loader) -> Path:
        path = folder / f"{loader.chip.key}.json"
        path.write_bytes(small_stub(loader.chip))
        return path

    return stub_of


@pytest.fixture(name="_quiet")
def _without_log() -> Iterator[None]:
    """Keep nobody busy with what the library says of a hundred thousand faults."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


EXTENTS = [
    pytest.param(False, id="part"),
    pytest.param(True, id="all", marks=pytest.mark.slow),
]

every_extent = pytest.mark.parametrize("is_full", EXTENTS)

CASES = [(operation, loader) for operation in OPERATIONS for loader in operation.loaders]


def aspects(operation: Operation, loader: Loader) -> tuple[object, ...]:
    """Return what is played each time: every operation, and on each loader each part of it."""
    part, _, _ = operation.method.partition(".")
    return operation.name, (part, loader.key)


USUAL = covering(CASES, lambda case: aspects(*case))


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize(
    ("operation", "loader", "is_full"),
    [
        pytest.param(
            operation,
            loader,
            is_full,
            id=f"{operation.name}-{loader.key}-{'all' if is_full else 'part'}",
            marks=[] if not is_full and (operation, loader) in USUAL else [pytest.mark.slow],
        )
        for operation, loader in CASES
        for is_full in (False, True)
        if not (is_full and loader in IN_PART)
    ],
)
def test_whatever_byte_is_hit_an_operation_is_right_or_an_error(
    operation: Operation,
    loader: Loader,
    stub_of: Callable[[Loader], Path],
    record_property: Callable[[str, object], None],
    *,
    is_full: bool,
) -> None:
    snapshot = loader.connected(stub_of(loader))

    def set_up() -> Stage:
        simulated, client = snapshot.restore()
        line = client.session.transport
        assert isinstance(line, OneFaultTransport)
        act = functools.partial(operation.act, client)
        return Stage(simulated, line, act, operation.look, operation.changes, operation.erases_all)

    counts, wrong = play_all(
        set_up,
        operation.name,
        loader,
        frames=operation.frames,
        whole=operation.whole,
        is_full=is_full,
    )
    record_property("one fault", (operation.name, loader.key, *attrs.astuple(counts)))
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.usefixtures("_quiet")
@every_extent
@pytest.mark.parametrize(
    ("connecting", "loader"),
    [
        pytest.param(connecting, loader, id=f"{connecting.name}-{loader.key}")
        for connecting in CONNECTIONS
        for loader in connecting.loaders
    ],
)
def test_whatever_byte_is_hit_the_right_device_is_connected_or_none(
    connecting: Connecting,
    loader: Loader,
    record_property: Callable[[str, object], None],
    *,
    is_full: bool,
) -> None:
    snapshot = loader.unconnected()

    def set_up() -> Stage:
        simulated, line = snapshot.restore()
        return Stage(simulated, line, functools.partial(connecting.act, line), lambda _: None)

    counts, wrong = play_all(
        set_up, connecting.name, loader, frames=ALL_FRAMES, whole=ALL_FRAMES, is_full=is_full
    )
    record_property("one fault", (connecting.name, loader.key, *attrs.astuple(counts)))
    assert not wrong, "\n".join(wrong[:20])


PARTS = {
    "flash": DeviceFlash,
    "memory": DeviceMemory,
    "efuses": DeviceEfuses,
    "security": DeviceSecurity,
    "partitions": DevicePartitions,
}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_no_operation_is_left_out() -> None:
    of_parts = {f"{part}.{name}" for part, cls in PARTS.items() for name in public(cls)}
    played = {operation.method for operation in OPERATIONS}
    not_played = {*SILENT, *NOTHING_IS_PROMISED, *MADE_OF}
    assert played | not_played == of_parts | public(Device) - set(PARTS)
    assert not played & not_played
    assert set(MADE_OF.values()) <= played
    assert set(UNSEEN) <= played
