"""Whenever a write is interrupted, the next run finds the device, or was told that it does not."""

from __future__ import annotations

import contextlib
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from esploader import connect
from esploader.chips.registry import chip_by_name
from esploader.commands.leaving import Leaving, work_and_leave
from esploader.errors import ConnectError, UnsupportedError
from esploader.loader.resetting import After
from esploader.simulator import SimulatedDevice
from interrupting_transport import InterruptingTransport
from silence import Silent
from simulated import incompressible
from stub_files import stub_directory

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.device.device import Device
    from esploader.simulator.line.transport import SimulatedTransport

CHIPS = ("esp32c3", "esp32", "esp32s3", "esp8266")
SIZE = 256 * 1024
OFFSET, DATA = 0x1_0000, incompressible(0x3000)
BEFORE = incompressible(SIZE)
NEVER = 1e9


class Screen(Silent):
    """Keeps what is printed."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    @override
    def line(self, text: str = "") -> None:
        self._said.append(text)

    @override
    def note(self, text: str) -> None:
        self._said.append(text)


class Listener(logging.Handler):
    """Keeps all that is said to somebody in front of a screen."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    @property
    def has_heard_of_a_reset_by_hand(self) -> bool:
        return any("reset by hand" in each for each in self.said)


@attrs.frozen(kw_only=True)
class Case:
    """One way to write, and to be interrupted."""

    chip: str
    has_stub: bool
    has_lines: bool
    baudrate: int
    after: After
    seed: int

    @classmethod
    def draw(cls, seed: int) -> Case:
        chance = random.Random(seed)  # noqa: S311 - no secret
        chip = chance.choice(CHIPS)
        has_lines = chance.random() < 0.5
        # Without lines, a device that runs its application is out of reach, as asked for.
        afters = [After.HARD_RESET, After.NO_RESET]
        has_stub = chance.random() < 0.5
        if has_lines:
            afters += [After.SOFT_RESET]
            afters += [After.WATCHDOG_RESET] if chip_by_name(chip).watchdog_resets else []
        return cls(
            chip=chip,
            has_stub=has_stub,
            has_lines=has_lines,
            baudrate=chance.choice([115200, 921600]),
            after=chance.choice(afters),
            seed=seed,
        )

    @property
    def chance(self) -> random.Random:
        return random.Random(f"{self.seed} moment")  # noqa: S311 - no secret


def make_device(case: Case) -> SimulatedDevice:
    state = "app" if case.has_lines else "download"
    return SimulatedDevice(case.chip, flash_size=SIZE, flash=BEFORE, state=state)


def port_of(device: SimulatedDevice) -> SimulatedTransport:
    port = device.open_transport()
    # As the drivers of ports leave them.
    port.set_lines(dtr=False, rts=False)
    return port


def write(device: Device) -> bool:
    device.flash.write([(OFFSET, DATA)], skip=False)
    return True


def run(case: Case, device: SimulatedDevice, moment: float, stubs: str) -> Listener:
    """Do as the command line does, and be interrupted at a moment."""
    listener = Listener()
    logger = logging.getLogger("esploader")
    logger.addHandler(listener)
    try:
        line = InterruptingTransport(
            port_of(device), moment=moment, chance=case.chance, has_lines=case.has_lines
        )
        stub = stubs if case.has_stub else False
        with connect(line, baudrate=case.baudrate, stub=stub) as connected:
            screen = Screen(listener.said)
            work_and_leave(connected, Leaving(case.after), screen, lambda: write(connected))
    except KeyboardInterrupt as exc:
        raise KeyboardInterrupt(listener) from exc
    finally:
        logger.removeHandler(listener)
    return listener


def duration(case: Case, stubs: str, known: dict[Case, float]) -> float:
    """Return how long it takes when nobody interrupts, in seconds."""
    key = attrs.evolve(case, seed=0)
    if key not in known:
        device = make_device(key)
        # A stub cannot be told to start the application.
        with contextlib.suppress(UnsupportedError):
            run(key, device, NEVER, stubs)
        known[key] = device.clock.now()
    return known[key]


def find(device: SimulatedDevice, case: Case, stubs: str) -> Device:
    """Do as the next run does, with no options but the port."""
    line = InterruptingTransport(
        port_of(device), moment=NEVER, chance=case.chance, has_lines=case.has_lines
    )
    return connect(line, stub=stubs)


def interrupt(case: Case, moment: float, stubs: str) -> str:
    """Interrupt a write at a moment; return what became of the device, in a word."""
    device = make_device(case)
    try:
        listener = run(case, device, moment, stubs)
    except KeyboardInterrupt as exc:
        listener = exc.args[0]
        how = "found"
    else:
        how = "not interrupted"
    end = OFFSET + len(DATA)
    assert (device.flash[:OFFSET], device.flash[end:]) == (BEFORE[:OFFSET], BEFORE[end:])

    try:
        found = find(device, case, stubs)
    except ConnectError:
        assert listener.has_heard_of_a_reset_by_hand, (case, moment, listener.said)
        how = "needed a reset by hand, and said so"
        device.press_boot()
        device.press_reset()
        device.clock.sleep(0.5)
        device.release_boot()
        found = find(device, case, stubs)
    with found:
        write(found)
    assert device.flash == BEFORE[:OFFSET] + DATA + BEFORE[end:]
    return how


def interrupt_all(seeds: range, folder: Path) -> Counter[str]:
    stubs = str(stub_directory(folder))
    durations: dict[Case, float] = {}
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        case = Case.draw(seed)
        moment = case.chance.uniform(0, duration(case, stubs, durations))
        outcomes[interrupt(case, moment, stubs)] += 1
    return outcomes


def require_sound(outcomes: Counter[str], count: int) -> None:
    print(f"{count} interruptions: {dict(outcomes)}")  # noqa: T201 - what the run is for
    assert outcomes.total() == count
    assert outcomes["found"] > 0.9 * count


def test_the_next_run_finds_a_device_whose_write_was_interrupted(tmp_path: Path) -> None:
    require_sound(interrupt_all(range(24), tmp_path), 24)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_so_it_does_a_thousand_times(part: int, tmp_path: Path) -> None:
    first = 24 + 98 * part
    require_sound(interrupt_all(range(first, first + 98), tmp_path), 98)
