"""Writing, reading, verifying and erasing through every loader of every chip.

What the library does alike for all is tried with one of each sort, and with the others under
``--full``.
"""

from __future__ import annotations

import functools
import io
import random
from typing import TYPE_CHECKING

import pytest

from covering import usual_parameters
from described_chips import DESCRIBED
from esploader.errors import PlanError, UnsupportedError
from esploader.flash.progress import Phase, Progress, ProgressEvent
from esploader.protocol.dialect import STUB
from stub_files import shared_stubs
from untouched import connect, simulated_behind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.device.device import Device

WITH_STUB = [(chip.key, True) for chip in DESCRIBED]
WITH_ROM = [(chip.key, False) for chip in DESCRIBED if chip.key != "esp8266"]
ONE_OF_EACH_SORT = {("esp8266", True), ("esp32", False), ("esp32c3", True), ("esp32s3", False)}

UNSAFE_ROMS = ("ESP32", "ESP32-H4", "ESP32-H21", "ESP32-S31")
"""One writes behind compressed data, and nobody has looked into the others."""


def name_of(loader: tuple[str, bool]) -> str:
    chip, has_stub = loader
    return f"{chip}-{'stub' if has_stub else 'rom'}"


one_of_each_sort = pytest.mark.parametrize(
    "device",
    usual_parameters(WITH_STUB + WITH_ROM, ONE_OF_EACH_SORT),
    ids=name_of,
    indirect=True,
)


@pytest.fixture(name="device", params=WITH_STUB + WITH_ROM, ids=name_of)
def _device(request: pytest.FixtureRequest) -> Iterator[Device]:
    chip, has_stub = request.param
    with connect(f"sim://{chip}", stub=shared_stubs() if has_stub else False) as device:
        yield device


@functools.cache
def firmware(size: int, seed: int = 0) -> bytes:
    """Return data that compresses about as firmware does."""
    source = random.Random(seed)  # noqa: S311 - data, not a secret
    words = [source.randbytes(4) for _ in range(256)]
    data = bytearray()
    while len(data) < size:
        data += source.choice(words) if source.random() < 0.7 else source.randbytes(4)
    return bytes(data[:size])


def may_compress(device: Device) -> bool:
    """Return whether the loader that writes may get compressed data."""
    return device.session.dialect is STUB or device.chip.name not in UNSAFE_ROMS


def flash_of(device: Device, offset: int, size: int) -> bytes:
    """Return what is in the simulated flash, past all protocols."""
    return bytes(device.session.transport.device.nor.read(offset, size))  # type: ignore[attr-defined]


def test_what_was_written_is_there(device: Device) -> None:
    image = firmware(150_000)
    (result,) = device.flash.write([(0x10000, image)])
    assert flash_of(device, 0x10000, len(image)) == image
    assert result.written == result.size == 151_552
    assert result.restarts == 0
    assert (result.sent < len(image)) is may_compress(device)


@one_of_each_sort
def test_data_that_does_not_compress_is_sent_as_it_is(device: Device) -> None:
    image = random.Random(1).randbytes(0xC000)  # noqa: S311 - data, not a secret
    (result,) = device.flash.write([(0, image)])
    assert flash_of(device, 0, len(image)) == image
    assert result.sent == result.size


@one_of_each_sort
def test_data_that_do_not_compress_change_nothing_for_the_next(device: Device) -> None:
    noise = random.Random(1).randbytes(0x4000)  # noqa: S311 - data, not a secret
    first, second = device.flash.write([(0, noise), (0x10000, bytes(0x8000))])
    assert first.sent == first.size
    assert (second.sent < second.size // 10) is may_compress(device)
    assert flash_of(device, 0x10000, 0x8000) == bytes(0x8000)


@one_of_each_sort
@pytest.mark.parametrize("compress", [False, True])
def test_compression_can_be_forced_and_forbidden(device: Device, *, compress: bool) -> None:
    image = firmware(20_000)
    (result,) = device.flash.write([(0, image)], compress=compress)
    assert flash_of(device, 0, len(image)) == image
    assert (result.sent < len(image)) is (compress and may_compress(device))


def test_what_must_not_be_compressed_is_sent_as_it_is_with_the_reason(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    plan = device.flash.plan([(0, firmware(0x8000))], compress=True)
    assert device.flash.write([(0, firmware(0x8000))], compress=True)
    expected = [] if may_compress(device) else ["all is sent as it is, not compressed"] * 2
    warnings = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in warnings] == expected
    assert all("what lies behind the data" in text for text in warnings)
    assert plan.compress is may_compress(device)


@one_of_each_sort
def test_what_is_there_already_is_not_written(device: Device) -> None:
    image = firmware(300_000)
    device.flash.write([(0, image)])
    (again,) = device.flash.write([(0, image)])
    assert (again.written, again.sent) == (0, 0)
    changed = bytearray(image)
    changed[200_000] ^= 1
    (third,) = device.flash.write([(0, bytes(changed))])
    assert 0 < third.written <= 0x10000
    assert flash_of(device, 0, len(image)) == changed


@one_of_each_sort
def test_skipping_can_be_forbidden(device: Device) -> None:
    image = firmware(20_000)
    device.flash.write([(0, image)])
    (again,) = device.flash.write([(0, image)], skip=False)
    assert again.written == again.size


@one_of_each_sort
def test_sources_may_be_bytes_paths_and_files(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(b"from a path")
    device.flash.write(
        [
            (0, b"bytes"),
            (0x1000, path),
            (0x2000, str(path)),
            (0x3000, io.BytesIO(b"a file")),
            (0x4000, bytearray(b"changeable")),
            (0x5000, memoryview(b"a view")),
        ]
    )
    assert flash_of(device, 0x4000, 10) == b"changeable"
    assert flash_of(device, 0x5000, 6) == b"a view"
    assert flash_of(device, 0, 5) == b"bytes"
    assert flash_of(device, 0x1000, 11) == flash_of(device, 0x2000, 11) == b"from a path"
    assert flash_of(device, 0x3000, 6) == b"a file"


@one_of_each_sort
def test_inputs_that_share_a_sector_are_written_together(device: Device) -> None:
    device.flash.write([(0x1000, b"first"), (0x1800, b"second")])
    assert flash_of(device, 0x1000, 5) == b"first"
    assert flash_of(device, 0x1800, 6) == b"second"


@one_of_each_sort
@pytest.mark.parametrize(("offset", "size"), [(0, 1), (5, 100), (0xFFF, 2), (0x3FF000, 0x1000)])
def test_reading(device: Device, offset: int, size: int) -> None:
    image = firmware(0x3000)
    device.flash.write([(0, image), (0x3FF000, image[:0x1000])])
    assert device.flash.read(offset, size) == flash_of(device, offset, size)


@one_of_each_sort
def test_reading_across_pieces(device: Device) -> None:
    image = firmware(0x6000, seed=3)
    device.flash.write([(0x8000, image)])
    assert device.flash.read(0x8100, 0x5000) == image[0x100:0x5100]


@one_of_each_sort
def test_verifying_says_where_it_differs(device: Device) -> None:
    image = firmware(40_000)
    device.flash.write([(0x1000, image)])
    assert device.flash.verify([(0x1000, image)]) == ()
    other = bytearray(image)
    other[100:104] = bytes(byte ^ 0xFF for byte in image[100:104])
    other[30_000] ^= 1
    differences = device.flash.verify([(0x1000, bytes(other))])
    assert [(found.start, found.end) for found in differences] == [
        (0x1000 + 100, 0x1000 + 104),
        (0x1000 + 30_000, 0x1000 + 30_001),
    ]


@pytest.mark.parametrize("is_right", [True, False])
@one_of_each_sort
def test_progress_of_verifying_ends_at_the_total(device: Device, *, is_right: bool) -> None:
    image = firmware(0x10_8000)
    other = bytearray(image)
    for position in () if is_right else (0, 0x8_0000, 0x10_7FFF):
        other[position] ^= 1
    nor = simulated_behind(device.session.transport).nor
    nor.erase(0x1000, len(image))
    nor.program(0x1000, image)
    events: list[ProgressEvent] = []
    device.flash.verify([(0x1000, bytes(other))], on_progress=events.append)
    steps = [event for event in events if isinstance(event, Progress)]
    assert len(steps) == len(events) == (3 if is_right else 5)
    assert all(event.phase is Phase.VERIFY and event.total == len(image) for event in steps)
    done = [event.done for event in steps]
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, len(image))


@one_of_each_sort
def test_erasing_is_reported_at_its_beginning_and_end(device: Device) -> None:
    events: list[ProgressEvent] = []
    device.flash.erase_region(0x1000, 0x3000, on_progress=events.append)
    assert [
        (event.phase, event.offset, event.done, event.total)
        for event in events
        if isinstance(event, Progress)
    ] == [
        (Phase.ERASE, 0x1000, 0, 0x3000),
        (Phase.ERASE, 0x1000, 0x3000, 0x3000),
        (Phase.VERIFY, 0x1000, 0, 0x3000),
        (Phase.VERIFY, 0x1000, 0x3000, 0x3000),
    ]


def test_erasing_a_region(device: Device) -> None:
    image = firmware(0x4000)
    device.flash.write([(0, image)])
    device.flash.erase_region(0x1000, 0x2000)
    assert flash_of(device, 0, 0x1000) == image[:0x1000]
    assert flash_of(device, 0x1000, 0x2000) == b"\xff" * 0x2000
    assert flash_of(device, 0x3000, 0x1000) == image[0x3000:]


def test_erasing_everything(device: Device) -> None:
    device.flash.write([(0x5000, b"something")])
    if device.link.stub_source is False:
        with pytest.raises(UnsupportedError):
            device.flash.erase()
        return
    device.flash.erase()
    assert flash_of(device, 0x5000, 9) == b"\xff" * 9


@pytest.mark.parametrize(
    ("offset", "size"), [(0x800, 0x1000), (0x1000, 0x800), (0x3FF000, 0x2000), (0, 0)]
)
@one_of_each_sort
def test_erasing_what_is_no_region(device: Device, offset: int, size: int) -> None:
    with pytest.raises(PlanError):
        device.flash.erase_region(offset, size)


@one_of_each_sort
def test_writing_beyond_the_flash_is_refused_before_anything_is_erased(device: Device) -> None:
    device.flash.write([(0, b"keep me")])
    with pytest.raises(PlanError):
        device.flash.write([(0, bytes(0x1000)), (0x3FF000, bytes(0x1001))])
    assert flash_of(device, 0, 7) == b"keep me"


@one_of_each_sort
def test_progress_never_goes_back_and_ends_at_the_total(device: Device) -> None:
    image = firmware(100_000)
    events: list[ProgressEvent] = []
    device.flash.write([(0x10000, image)], on_progress=events.append)
    writes = [event for event in events if isinstance(event, Progress)]
    assert len(events) == len(writes)
    assert all(event.total == 102_400 and event.offset == 0x10000 for event in writes)
    done = [event.done for event in writes if event.phase is Phase.WRITE]
    assert done == sorted(done)
    assert done[-1] == 102_400
    assert writes[-1].phase is Phase.VERIFY


@one_of_each_sort
def test_a_callback_that_raises_ends_the_write_and_leaves_the_device_usable(
    device: Device,
) -> None:
    class EnoughError(Exception):
        pass

    def stop(_: ProgressEvent) -> None:
        raise EnoughError

    image = firmware(100_000)
    with pytest.raises(EnoughError):
        device.flash.write([(0, image)], on_progress=stop)
    device.link.revive(slower=False)
    device.flash.write([(0, image)])
    assert flash_of(device, 0, len(image)) == image


@one_of_each_sort
def test_a_plan_does_nothing(device: Device) -> None:
    device.flash.write([(0, b"keep me")])
    plan = device.flash.plan([(0, b"something else")])
    assert [(region.offset, region.end) for region in plan.regions] == [(0, 0x1000)]
    assert flash_of(device, 0, 7) == b"keep me"


def warnings_of_loss(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "is lost" in record.message]


@one_of_each_sort
def test_what_shares_a_sector_and_is_lost_is_named(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.flash.write([(0x10000, b"A" * 0x1000)])
    assert not warnings_of_loss(caplog)
    device.flash.write([(0x10800, b"B" * 16)])
    places = [message.partition(" is lost")[0] for message in warnings_of_loss(caplog)]
    assert places == ["what is at 0x10000 to 0x10800", "what is at 0x10810 to 0x11000"]


@one_of_each_sort
def test_nothing_is_said_of_a_rest_that_is_blank_or_not_erased(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    simulated_behind(device.session.transport).nor.erase(0x10000, 0x1000)
    device.flash.write([(0x10800, b"B" * 16)])
    device.flash.write([(0x10800, b"C" * 16)])
    device.flash.write([(0x10800, b"C" * 16)])
    assert not warnings_of_loss(caplog)
