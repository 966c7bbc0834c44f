"""The ROM loader of the ESP8266 neither hashes nor reads flash, and erases too much."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.quirks import Quirk
from esploader.errors import EsploaderError, FlashError, PlanError, UnsupportedError
from esploader.flash.erase import erase_sectors
from esploader.flash.plan import SECTOR_SIZE
from esploader.flash.progress import Phase, Progress, ProgressEvent, Restarted
from esploader.flash.read_back import reading_seconds
from esploader.protocol.opcodes import Opcode
from esploader.simulator import (
    Corrupt,
    Drop,
    FaultyTransport,
    SimulatedDevice,
    SimulatedTransport,
)
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.simulator.flash.nor import NorFlash

USED = 0x4_0000
"""How much of the flash holds something else beforehand."""

BLOCK = 0x1_0000


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - data, not a secret


def flash_of(device: Device) -> NorFlash:
    """Return the simulated flash, past all protocols."""
    transport = device.session.transport
    assert isinstance(transport, SimulatedTransport)
    return transport.device.nor


@pytest.fixture(name="device")
def _device() -> Iterator[Device]:
    with connect("sim://esp8266", stub=False) as device:
        flash_of(device).program(0, bytes(USED))
        yield device


@pytest.mark.parametrize(
    ("offset", "sectors"),
    [
        # Up to the end of a block, around and across it; more numbers of sectors are slow.
        *((0x5000, 1), (0x5000, 2), (0xF000, 2), (0xE000, 3)),
        *(
            pytest.param(offset, sectors, marks=pytest.mark.slow)
            for offset, sectors in (
                *((0x5000, sectors) for sectors in (3, 4, 5, 7)),
                *((0xF000, sectors) for sectors in (1, 3, 4, 5, 7)),
                *((0xE000, sectors) for sectors in (1, 2, 4, 5, 7)),
            )
        ),
    ],
)
def test_what_was_written_is_there_and_so_are_its_neighbours(
    device: Device, offset: int, sectors: int
) -> None:
    image = noise(sectors * SECTOR_SIZE - 100)
    (result,) = device.flash.write([(offset, image)])
    assert result.restarts == 0
    flash = flash_of(device)
    assert flash.read(offset, len(image)) == image
    assert flash.read(offset + len(image), 100) == b"\xff" * 100
    assert flash.read(0, offset) == bytes(offset)
    end = offset + sectors * SECTOR_SIZE
    assert flash.read(end, USED - end) == bytes(USED - end)


def test_nothing_is_compressed_or_skipped(device: Device) -> None:
    image = bytes(SECTOR_SIZE)
    phases: list[Phase] = []

    def note(event: ProgressEvent) -> None:
        if isinstance(event, Progress):
            phases.append(event.phase)

    for _ in range(2):
        (result,) = device.flash.write([(0x1_0000, image)], on_progress=note)
        assert result.sent == result.written == len(image)
    assert Phase.COMPARE not in phases


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (5, 100), (0xFFF, 2), (0x3F_FF00, 0x100)])
def test_reading(device: Device, offset: int, size: int) -> None:
    flash = flash_of(device)
    flash.erase(0, 0x2000)
    flash.program(0, noise(0x2000))
    flash.program(0x3F_F000, noise(0x1000, seed=1))
    assert device.flash.read(offset, size) == flash.read(offset, size)


def test_hashing(device: Device) -> None:
    content = flash_of(device).read(0x3_FE00, 0x400)
    assert device.flash.md5(0x3_FE00, 0x300) == hashlib.md5(content[:0x300]).digest()  # noqa: S324


def test_verifying_says_where_it_differs(device: Device) -> None:
    start, expected = 0x2000 - 200, bytearray(300)
    assert device.flash.verify([(start, expected)]) == ()
    expected[100:103] = b"abc"
    expected[207] = 1
    differences = device.flash.verify([(start, expected)])
    assert [(found.start, found.end) for found in differences] == [
        (start + 100, start + 103),
        (0x2000 + 7, 0x2000 + 8),
    ]


def erased_sectors(flash: NorFlash) -> list[int]:
    return [n for n in range(USED // SECTOR_SIZE) if flash.is_blank(n * SECTOR_SIZE, 1)]


@given(first=st.integers(0, 40), count=st.integers(1, 23))
@settings(max_examples=settings().max_examples // 2)
def test_exactly_the_wanted_sectors_are_erased(first: int, count: int) -> None:
    # Without a look at what came of it, by registers, which takes the simulator long.
    with connect("sim://esp8266", stub=False) as device:
        flash = flash_of(device)
        flash.program(0, bytes(USED))
        device.flash.prepare()
        erase_sectors(device.link, first * SECTOR_SIZE, count * SECTOR_SIZE)
        erased = erased_sectors(flash)
    assert erased == list(range(first, first + count))


@pytest.mark.parametrize(
    ("first", "count"), [(15, 2), (16, 1), pytest.param(14, 5, marks=pytest.mark.slow)]
)
def test_what_was_erased_is_looked_at_and_nothing_else_is_erased(
    device: Device, first: int, count: int
) -> None:
    assert device.flash.erase_region(first * SECTOR_SIZE, count * SECTOR_SIZE).verified
    assert erased_sectors(flash_of(device)) == list(range(first, first + count))


def test_the_last_sector_of_the_flash_is_erased_alone(device: Device) -> None:
    device.flash.erase_region(0x3F_F000, SECTOR_SIZE)
    assert flash_of(device).erase_counts == {0x3FF: 1}


def test_what_is_no_region_of_sectors_is_refused(device: Device) -> None:
    with pytest.raises(PlanError):
        device.flash.erase_region(0x800, SECTOR_SIZE)


def test_it_cannot_erase_everything_at_once(device: Device) -> None:
    with pytest.raises(UnsupportedError):
        device.flash.erase()
    with pytest.raises(UnsupportedError):
        device.flash.write([(0, b"image")], erase_all=True)


def test_a_flash_that_does_not_hold_what_was_sent_is_written_again(device: Device) -> None:
    image = noise(SECTOR_SIZE)
    flash = flash_of(device)
    events: list[ProgressEvent] = []

    def damage_once(event: ProgressEvent) -> None:
        if not events:
            flash.program(0x1_0000 + 17, bytes(4))
        events.append(event)

    (result,) = device.flash.write([(0x1_0000, image)], on_progress=damage_once)
    assert flash.read(0x1_0000, len(image)) == image
    assert result.restarts == 1
    assert any(isinstance(event, Restarted) for event in events)


def test_a_flash_that_never_holds_it_is_no_success(device: Device) -> None:
    flash = flash_of(device)

    def damage(_: ProgressEvent) -> None:
        flash.program(0x1_0000 + 17, bytes(4))

    with pytest.raises(FlashError):
        device.flash.write([(0x1_0000, noise(SECTOR_SIZE))], on_progress=damage)


def test_it_says_how_long_it_will_take(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    clock = device.session.transport.clock
    start = clock.now()
    device.flash.read(0, 0x1000)
    seconds = clock.now() - start
    assert reading_seconds(device.link, 2 * 0x1000) == pytest.approx(seconds, rel=0.1)
    (warning,) = caplog.messages
    assert warning.endswith(f"8 KiB in about {reading_seconds(device.link, 2 * 0x1000):.0f} s")


def test_nobody_is_warned_where_the_loader_can_hash(caplog: pytest.LogCaptureFixture) -> None:
    with connect("sim://esp32", stub=False) as device:
        device.flash.md5(0, 0x1000)
    assert not caplog.messages


def on_line(fault: Drop | Corrupt, seed: int) -> tuple[SimulatedDevice, FaultyTransport]:
    device = SimulatedDevice(ESP8266)
    return device, FaultyTransport(SimulatedTransport(device), (fault,), seed=seed)


FAULTS = [
    pytest.param(Drop(rate=2e-5), id="drops"),
    pytest.param(Corrupt(rate=2e-5), id="corrupts"),
    pytest.param(Corrupt(rate=1e-4), id="corrupts a lot", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_bad_line_cannot_lie(fault: Drop | Corrupt, seed: int) -> None:
    image = noise(2 * SECTOR_SIZE)
    simulated, line = on_line(fault, seed)
    simulated.nor.program(0, bytes(USED))
    outcomes: list[bool] = []
    try:
        with connect(line, stub=False) as device:
            device.link.reopen = line.reopen
            device.flash.write([(BLOCK - SECTOR_SIZE, image)])
            outcomes.append(simulated.nor.read(BLOCK - SECTOR_SIZE, len(image)) == image)
            outcomes.append(device.flash.read(BLOCK, 64) == image[SECTOR_SIZE:][:64])
    except EsploaderError:
        # It may give up on such a line, and must not say that it succeeded.
        assert fault.rate > 5e-5
    assert all(outcomes)


SLOW_CUTS = [pytest.param(operation, marks=pytest.mark.slow) for operation in (2, 3, 20)]


@pytest.mark.parametrize("operation", [1, 4, 33, *SLOW_CUTS])
def test_a_second_run_repairs_what_a_power_cut_left(operation: int) -> None:
    image = noise(2 * SECTOR_SIZE)
    simulated = SimulatedDevice(ESP8266)
    simulated.nor.program(0, bytes(USED))
    line = SimulatedTransport(simulated)
    simulated.cut_power_at(operation)
    with connect(line, stub=False) as device, pytest.raises(EsploaderError):
        device.flash.write([(BLOCK, image)])
    simulated.power_on()
    again = SimulatedTransport(simulated)
    with connect(again, stub=False) as device:
        device.flash.write([(BLOCK, image)])
    assert simulated.nor.read(BLOCK, len(image)) == image
    assert simulated.nor.read(0, BLOCK) == bytes(BLOCK)
    end = BLOCK + len(image)
    assert simulated.nor.read(end, USED - end) == bytes(USED - end)


def test_what_may_be_lost_with_a_sector_is_named_without_a_look(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with connect("sim://esp8266", stub=False) as device:
        device.flash.write([(0x10800, b"B" * 0x800)])
    messages = [record.message for record in caplog.records if "is lost" in record.message]
    assert len(messages) == 1
    assert "0x10000 to 0x10800" in messages[0]


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_what_is_read_through_registers_is_where_it_always_is(chip: Chip) -> None:
    is_read = Opcode.SPI_FLASH_MD5 not in chip.rom.opcodes
    is_helped = Quirk.BEGIN_ERASES_HEAD_TWICE in chip.quirks
    if is_read or is_helped:
        assert chip.flash_pin_choices is None
        assert not chip.supports_4_byte_addresses
