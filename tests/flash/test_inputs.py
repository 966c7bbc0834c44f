"""What a caller hands over: refused in one sentence, or ready for the flash."""

from __future__ import annotations

import io
import os
import re
import threading
from typing import TYPE_CHECKING, cast

import pytest
from typing_extensions import override

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import PlanError
from esploader.flash.parameters import FlashParameters
from esploader.image.patch import patch_header
from images import small_image
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.flash.source import Source

APP_OFFSET = 0x1_0000
PARAMETERS = FlashParameters(mode="dio", frequency="40m", size="2MB")


@pytest.fixture(name="device")
def _device() -> Iterator[Device]:
    with connect("sim://esp32c3", stub=False) as device:
        yield device


def closed_file() -> io.BytesIO:
    file = io.BytesIO(b"data")
    file.close()
    return file


def shown(value: object) -> str:
    """Return it as a person would, without addresses: all processes call a test the same."""
    return re.sub(" object at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize(
    "inputs",
    [
        [(0, None)],
        [(0, 5)],
        [(0, io.StringIO("text"))],
        [(0, closed_file())],
        [(0, "a name\0with a zero byte")],
        [("0x1000", b"data")],
        [(1.5, b"data")],
        [(None, b"data")],
        [b"data"],
        [0x1000],
        [(0x1000, b"data", "more")],
        0x1000,
        None,
    ],
    ids=shown,
)
@pytest.mark.parametrize(
    "use",
    [
        lambda device, inputs: device.flash.write(inputs),
        lambda device, inputs: device.flash.write(encrypted_inputs=inputs),
        lambda device, inputs: device.flash.plan(inputs),
        lambda device, inputs: device.flash.verify(inputs),
    ],
    ids=["write", "encrypt", "plan", "verify"],
)
def test_inputs_of_other_types_are_refused_as_a_plan_that_cannot_be(
    device: Device, use: Callable[[Device, object], object], inputs: object
) -> None:
    with pytest.raises(PlanError, match=r"^(an input is bytes|an input cannot be read|inputs are)"):
        use(device, inputs)


class Dribble(io.RawIOBase):
    """A file without a buffer, as a pipe is one: each read gives what is there at once."""

    def __init__(self, *parts: bytes | None) -> None:
        super().__init__()
        self._parts = list(parts)

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1, /) -> bytes | None:
        return self._parts.pop(0) if self._parts else b""


def test_an_open_file_is_read_to_its_end(device: Device) -> None:
    whole = bytes(range(256)) * 16
    # What is around it is compared where it is written.
    device.flash.write([(APP_OFFSET, cast("Source", Dribble(whole[:1000], whole[1000:])))])
    assert device.flash.read(APP_OFFSET, len(whole)) == whole


def test_of_an_open_file_that_does_not_wait_nothing_is_used(device: Device) -> None:
    before = device.flash.read(APP_OFFSET, 4)
    with pytest.raises(PlanError, match="no binary file that waits"):
        device.flash.write([(APP_OFFSET, cast("Source", Dribble(b"half", None, b"more")))])
    assert device.flash.read(APP_OFFSET, 4) == before


@pytest.mark.parametrize("use", ["write", "verify"])
@pytest.mark.parametrize("name", ["", "folder.hex"])
def test_a_directory_is_no_input(device: Device, tmp_path: Path, name: str, use: str) -> None:
    path = tmp_path / name
    path.mkdir(exist_ok=True)
    with pytest.raises(PlanError, match="an input cannot be read"):
        getattr(device.flash, use)([(0, path)])


def test_a_pipe_with_a_name_is_read_to_its_end(device: Device, tmp_path: Path) -> None:
    path = tmp_path / "pipe.hex"
    os.mkfifo(path)
    text = b":03000000616263D7\n"

    def feed() -> None:
        with path.open("wb", buffering=0) as file:
            file.write(text)
            file.write(b":00000001FF\n")

    thread = threading.Thread(target=feed)
    thread.start()
    (region,) = device.flash.plan([(APP_OFFSET, path)]).regions
    thread.join()
    assert region.data[:4] == b"abc\xff"


@pytest.mark.parametrize("source", [None, 5, io.StringIO("text")], ids=shown)
def test_a_program_of_another_type_is_refused_too(device: Device, source: object) -> None:
    with pytest.raises(PlanError, match=r"^an input "):
        device.memory.load(cast("Source", source))


@pytest.mark.parametrize("region", [("0", 16), (0, "16"), (0, None), (0.5, 16)], ids=repr)
@pytest.mark.parametrize("method", ["read", "md5", "erase_region"])
def test_a_region_that_is_no_pair_of_numbers_is_refused(
    device: Device, method: str, region: tuple[object, object]
) -> None:
    with pytest.raises(PlanError, match="are no region of flash"):
        getattr(device.flash, method)(*region)


def pieces_of(chip: Chip, before: int) -> bytes:
    """Return a merged image: ``before`` bytes, a bootloader, a gap, an application."""
    merged = b"\xff" * before + small_image(chip)
    return merged.ljust(before + 0x8000, b"\xff") + small_image(chip)


@pytest.mark.parametrize("before", [0, 1, 0x800, 0x1000], ids=hex)
@pytest.mark.parametrize(
    "chip",
    [
        chip
        for chip in DESCRIBED
        if chip.bootloader_offset >= 0x1000 and "40m" in dict(chip.flash_frequencies)
    ],
    ids=lambda chip: chip.key,
)
def test_parameters_go_into_the_bootloader_within_a_merged_image(chip: Chip, before: int) -> None:
    bootloader = small_image(chip)
    merged = pieces_of(chip, before)
    expected = patch_header(bootloader, chip, mode="dio", frequency="40m", size="2MB")
    assert expected.digest_updated
    with connect(f"sim://{chip.key}", stub=False) as device:
        offset = chip.bootloader_offset - before
        (region,) = device.flash.plan([(offset, merged)], parameters=PARAMETERS).regions
    start = chip.bootloader_offset - region.offset
    found = region.data[start - before : start - before + len(merged)]
    assert found == merged[:before] + expected.data + merged[before + len(bootloader) :]


@pytest.mark.parametrize(
    "inputs",
    [
        [(0, b"\xff" * 0x2000)],
        [(0x1000, b"no image")],
        [(0, b"\xff" * 0x1000 + small_image(ESP32)[:-50])],
    ],
    ids=["blank", "something else", "cut off"],
)
def test_parameters_that_find_no_bootloader_at_its_offset_are_warned_of(
    inputs: Iterable[tuple[int, Source]], caplog: pytest.LogCaptureFixture
) -> None:
    with connect("sim://esp32", stub=False) as device:
        plain = device.flash.plan(inputs, force=True)
        assert not caplog.records
        plan = device.flash.plan(inputs, parameters=PARAMETERS, force=True)
    assert plan.regions == plain.regions
    assert "the flash parameters at 0x1000: they were not changed" in caplog.text


def test_parameters_leave_an_application_alone(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    image = small_image(ESP32_C3)
    (region,) = device.flash.plan([(APP_OFFSET, image)], parameters=PARAMETERS).regions
    assert region.data[: len(image)] == image
    assert not caplog.records


def test_a_bootloader_in_a_file_is_changed_and_the_file_is_not(
    device: Device, tmp_path: Path
) -> None:
    path = tmp_path / "bootloader.bin"
    image = small_image(ESP32_C3)
    path.write_bytes(image)
    (region,) = device.flash.plan([(0, path)], parameters=PARAMETERS).regions
    assert region.data[2:4] == b"\x02\x10"
    assert path.read_bytes() == image
