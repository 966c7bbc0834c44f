"""Programs are run from RAM, where they belong there; memory is read as it is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import attrs
import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.registry import chip_by_name
from esploader.device.memory import STEP_SIZE
from esploader.device.program import plan_program
from esploader.errors import NoResponseError, PlanError, StubError, UnsupportedError
from esploader.flash.progress import Progress, ProgressEvent
from esploader.loader.stub import MemorySegment
from esploader.protocol.commands import SYNC_VALUE_OF_STUB
from esploader.simulator import (
    Corrupt,
    Drop,
    FaultyTransport,
    SimulatedDevice,
    SimulatedTransport,
)
from esploader.urls import open_transport
from images import build_image, header_for, small_image, small_parts
from simulated import incompressible
from stub_files import shared_stubs
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from images import Parts

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)

RAM = 0x3FC9_0000
"""An address in the RAM of an ESP32-C3."""


def simulated(device: Device) -> SimulatedDevice:
    """Return the simulated device, past all protocols."""
    transport = device.session.transport
    while isinstance(transport, UnreliableTransport | FaultyTransport):
        transport = transport.inner
    return transport.device  # type: ignore[attr-defined, no-any-return]


def image_of(parts: Parts, chip: Chip = ESP32_C3) -> bytes:
    return build_image(header_for(chip, parts), parts)


def plan(image: bytes, *occupied: MemorySegment) -> None:
    plan_program(image, ESP32_C3, None, occupied)


# Programs ------------------------------------------------------------------------------


@every_chip
def test_a_program_is_put_where_it_belongs_and_started(chip: Chip) -> None:
    with connect(f"sim://{chip.key}") as device:
        device.memory.load(small_image(chip))
        for address, data in small_parts(chip):
            assert simulated(device).memory.read(address, len(data)) == data
        assert program_runs(device)


def program_runs(device: Device) -> bool:
    """Tell whether what was put into RAM runs: in a simulated device that acts as a stub."""
    return device.session.resynchronise() == SYNC_VALUE_OF_STUB


def answers(device: Device) -> bool:
    try:
        device.session.resynchronise()
    except NoResponseError:
        return False
    return True


def test_a_program_may_be_bytes_a_path_or_a_file(tmp_path: Path) -> None:
    image = small_image(ESP32_C3)
    path = tmp_path / "program.bin"
    path.write_bytes(image)
    address, data = small_parts(ESP32_C3)[0]
    for source in (image, path, io.BytesIO(image)):
        with connect("sim://esp32c3") as device:
            device.memory.load(source)
            assert simulated(device).memory.read(address, len(data)) == data


def test_a_program_may_be_larger_than_a_block() -> None:
    code = bytes(range(256)) * 100
    with connect("sim://esp32c3") as device:
        device.memory.load(image_of(((RAM, code), (0x4038_0000, b"code"))))
        assert simulated(device).memory.read(RAM, len(code)) == code


def test_padding_goes_nowhere() -> None:
    parts = ((0, bytes(40)), *small_parts(ESP32_C3))
    program = plan_program(image_of(parts), ESP32_C3, None, ())
    assert [(segment.address, segment.data) for segment in program.segments] == [*parts[1:]]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (0x3C00_0020, "drom"),
        (0x4200_0020, "irom"),
        (0x41FF_FFF8, "irom"),
        (0x4000_0000, "irom_mask"),
        (0x6000_0000, "no RAM"),
        (0x3FCD_FFF8, "no RAM"),
        (0xFFFF_FFF8, "no RAM"),
    ],
)
def test_what_does_not_belong_into_ram_is_refused(address: int, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        plan(image_of(((address, bytes(16)), *small_parts(ESP32_C3))))


def test_a_program_that_starts_nowhere_is_refused() -> None:
    parts = small_parts(ESP32_C3)
    header = header_for(ESP32_C3, parts)
    with pytest.raises(PlanError, match="starts at 0x0"):
        plan(build_image(attrs.evolve(header, entry=0), parts))


def test_an_image_that_is_damaged_or_for_another_chip_is_refused() -> None:
    image = bytearray(small_image(ESP32_C3))
    image[40] ^= 1
    for wrong in (bytes(image), small_image(chip_by_name("esp32")), b"", b"\xe9", bytes(100)):
        with pytest.raises(PlanError, match="cannot run here"):
            plan(wrong)


@pytest.mark.parametrize(
    ("start", "overlaps"), [(-16, False), (-15, True), (19, True), (20, False)]
)
def test_what_overlaps_the_stub_is_refused(start: int, *, overlaps: bool) -> None:
    address, data = small_parts(ESP32_C3)[0]
    assert len(data) == 20
    stub = MemorySegment(address + start, bytes(16))
    if overlaps:
        with pytest.raises(PlanError, match="stub"):
            plan(small_image(ESP32_C3), stub)
    else:
        plan(small_image(ESP32_C3), stub)


def test_a_stub_that_runs_is_not_overwritten() -> None:
    code = 0x4037_C000
    with connect("sim://esp32c3", stub=shared_stubs()) as device:
        device.flash.prepare()
        with pytest.raises(PlanError, match="stub"):
            device.memory.load(image_of(((code, b"code"),)))
        assert answers(device)
        device.memory.load(small_image(ESP32_C3))


def test_a_stub_that_runs_and_is_not_known_is_an_error(tmp_path: Path) -> None:
    with connect("sim://esp32c3?state=stub", before="no-reset", stub=tmp_path) as device:
        with pytest.raises(StubError):
            device.memory.load(small_image(ESP32_C3))
        assert answers(device)


def test_nothing_is_sent_for_a_program_that_is_refused() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport) as device:
        transport.writes.clear()
        with pytest.raises(PlanError):
            device.memory.load(b"no image")
        assert not transport.writes


# The request MEM_END, and its response.
MEM_END_REQUEST = b"\xc0\x00\x06"
MEM_END_RESPONSE = b"\xc0\x01\x06"


def drop(beginning: bytes, count: int) -> Callable[[bytes], bytes]:
    """Lose the first ``count`` pieces that begin like that."""
    left = count

    def garble(data: bytes) -> bytes:
        nonlocal left
        if left and data.startswith(beginning):
            left -= 1
            return b""
        return data

    return garble


def test_a_program_is_started_although_the_loader_did_not_say_so() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport) as device:
        transport.garble_input = drop(MEM_END_RESPONSE, 1)
        device.memory.load(small_image(ESP32_C3))
        transport.garble_input = bytes
        assert program_runs(device)


def test_a_start_that_got_lost_is_repeated() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport) as device:
        transport.garble_output = drop(MEM_END_REQUEST, 2)
        device.memory.load(small_image(ESP32_C3))
        assert program_runs(device)


def test_a_program_that_never_started_is_an_error() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32c3"))
    with connect(transport) as device:
        transport.garble_output = drop(MEM_END_REQUEST, 100)
        with pytest.raises(NoResponseError):
            device.memory.load(small_image(ESP32_C3))
        assert not program_runs(device)


# Memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("has_stub", [False, True])
@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, 1), (0, 4), (1, 3), (3, 2), (5, 4), (0, STEP_SIZE + 4), (2, 2 * STEP_SIZE)],
)
def test_memory_is_read_at_any_address(offset: int, size: int, *, has_stub: bool) -> None:
    content = bytes(range(251)) * 20
    stub = shared_stubs() if has_stub else False
    with connect("sim://esp32c3", stub=stub) as device:
        device.flash.prepare()
        simulated(device).memory.write(RAM, content)
        assert device.memory.read(RAM + offset, size) == content[offset : offset + size]


def test_progress_of_reading_memory_ends_with_all_of_it() -> None:
    events: list[ProgressEvent] = []
    with connect("sim://esp32c3") as device:
        device.memory.read(RAM + 2, 2 * STEP_SIZE, on_progress=events.append)
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(set(done))
    assert done[-1] == 2 * STEP_SIZE


REGISTER = 0x6000_4000
"""In no memory of an ESP32-C3."""


def count_reads(device: Device, address: int, *values: int) -> list[int]:
    """Have ``address`` read as ``values``, then as the last of them; return what was read."""
    reads: list[int] = []

    def read() -> int:
        reads.append(values[min(len(reads), len(values) - 1)])
        return reads[-1]

    simulated(device).memory.hook(address, read=read)
    return reads


def test_a_register_is_read_once() -> None:
    with connect("sim://esp32c3") as device:
        reads = count_reads(device, REGISTER, 1, 2)
        assert device.memory.read(REGISTER, 4) == b"\1\0\0\0"
        assert reads == [1]


def test_ram_is_read_until_two_readings_agree() -> None:
    with connect("sim://esp32c3") as device:
        reads = count_reads(device, RAM, 1, 2)
        assert device.memory.read(RAM, 4) == b"\2\0\0\0"
        assert reads[:2] == [1, 2]
        assert set(reads[2:]) == {2}


def test_a_word_that_never_stays_the_same_is_given_as_last_read() -> None:
    with connect("sim://esp32c3") as device:
        reads = count_reads(device, RAM, *range(1, 100))
        assert device.memory.read(RAM, 4)[0] == reads[-1] == len(reads)
        assert len(reads) < 10


@pytest.mark.parametrize("fault", [Drop(rate=1e-4), Corrupt(rate=1e-4)], ids=["drops", "corrupts"])
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_memory_is_read_right_over_a_bad_line(fault: Drop | Corrupt, seed: int) -> None:
    content = incompressible(3 * STEP_SIZE)
    line = FaultyTransport(SimulatedTransport(SimulatedDevice(ESP32_C3)), (fault,), seed=seed)
    with connect(line, stub=False) as device:
        simulated(device).memory.write(RAM, content)
        assert device.memory.read(RAM, len(content)) == content


@pytest.mark.parametrize(("address", "size"), [(-1, 4), (0, 0), (0, -1), (0xFFFF_FFFF, 2)])
def test_what_is_no_region_of_the_address_space_is_refused(address: int, size: int) -> None:
    with connect("sim://esp32c3") as device, pytest.raises(PlanError):
        device.memory.read(address, size)


def test_memory_is_out_of_reach_in_secure_download_mode() -> None:
    transport = SimulatedTransport(SimulatedDevice(ESP32_C3, efuses={"secure_download": 1}))
    with connect(transport) as device:
        for call in (
            lambda: device.memory.read(RAM, 4),
            lambda: device.memory.load(small_image(ESP32_C3)),
        ):
            with pytest.raises(UnsupportedError, match="Secure Download Mode"):
                call()
