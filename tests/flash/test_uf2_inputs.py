"""UF2 files as inputs of write_flash and verify_flash."""

from __future__ import annotations

import concurrent.futures
import os
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.registry import chip_by_name
from esploader.errors import PlanError
from esploader.flash.inputs import settle_inputs
from esploader.image.merge import merge
from esploader.image.runs import Run
from esploader.image.suitability import family_problem
from uf2_blocks import block
from untouched import connect, connect_as_it_is

if TYPE_CHECKING:
    from pathlib import Path

RUNS = (Run(0x0, b"the first piece"), Run(0x2_0000, b"the second one"))


def uf2_for(family: int) -> bytes:
    return b"".join(merge(RUNS).uf2(family))


@pytest.fixture(name="path", params=["firmware.uf2", "FIRMWARE.UF2", "firmware.bin", "firmware"])
def _path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path: Path = tmp_path / request.param
    path.write_bytes(uf2_for(ESP32_C3.uf2_family))
    return path


def test_pieces_go_to_their_addresses_counted_from_the_offset(path: Path) -> None:
    with connect_as_it_is("sim://esp32c3", stub=False) as device:
        results = device.flash.write([(0x1_0000, path), (0x9000, b"other")])
        assert [result.offset for result in results] == [0x9000, 0x1_0000, 0x3_0000]
        assert device.flash.read(0x1_0000, 16) == b"the first piece\xff"
        assert device.flash.read(0x3_0000, 15) == b"the second one\xff"
        assert device.flash.verify([(0x1_0000, str(path))]) == ()
        assert len(device.flash.verify([(0x1_1000, path)])) == 2


def test_the_rest_of_the_flash_stays(path: Path) -> None:
    with connect("sim://esp32c3", stub=False) as device:
        device.flash.write([(0x1_0000, path)])


def test_bytes_and_open_files_are_taken_as_they_are(path: Path) -> None:
    with connect("sim://esp32c3", stub=False) as device, path.open("rb") as file:
        device.flash.write([(0, path.read_bytes()), (0x1_0000, file)])
        assert device.flash.read(0, 8) == device.flash.read(0x1_0000, 8) == path.read_bytes()[:8]


def test_a_file_that_is_known_by_its_content_alone_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with connect("sim://esp32c3", stub=False) as device:
        device.flash.write([(0x1_0000, path)])
    told = [message for message in caplog.messages if "UF2" in message]
    remark = f"{path} is read as a UF2 file: that is what it holds"
    assert told == ([] if path.suffix.lower() == ".uf2" else [remark])


def test_every_family_is_known_by_the_name_of_its_chip() -> None:
    for chip in DESCRIBED:
        problem = family_problem(chip.uf2_family, ESP32_C3)
        expected = None if chip is ESP32_C3 else f"it is for {chip.name}, not for ESP32-C3"
        assert problem == expected


def test_what_is_for_another_chip_is_neither_written_nor_compared(tmp_path: Path) -> None:
    path = tmp_path / "firmware.uf2"
    path.write_bytes(uf2_for(chip_by_name("esp32s3").uf2_family))
    reason = f"{path} is a UF2 file, and it is for ESP32-S3, not for ESP32-C3"
    with connect_as_it_is("sim://esp32c3", stub=False) as device:
        for refuse in (device.flash.plan, device.flash.write, device.flash.verify):
            with pytest.raises(PlanError, match=reason):
                refuse([(0, path)])
        assert device.flash.read(0, 16) == b"\xff" * 16
        # Who forces it may know better.
        device.flash.write([(0, path)], force=True)
        assert device.flash.read(0, 15) == b"the first piece"


def test_a_family_that_nobody_knows_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "firmware.uf2"
    path.write_bytes(uf2_for(0xE48B_FF56))
    with (
        connect("sim://esp32c3", stub=False) as device,
        pytest.raises(PlanError, match="it is for chips of the UF2 family 0xe48bff56, not for"),
    ):
        device.flash.plan([(0, path)])


def test_a_file_that_does_not_say_its_family_is_written(tmp_path: Path) -> None:
    path = tmp_path / "firmware.uf2"
    path.write_bytes(block(0x1000, b"data", flags=0, family=4))
    with connect("sim://esp32c3", stub=False) as device:
        device.flash.write([(0, path)])
        assert device.flash.read(0x1000, 4) == b"data"


@pytest.mark.parametrize("cut", [0, 3, 7, 511, 512, 513], ids=str)
def test_of_a_file_that_is_cut_off_nothing_is_written(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "firmware.uf2"
    path.write_bytes(b"".join(merge([Run(0, bytes(1000))]).uf2(ESP32_C3.uf2_family))[:cut])
    with connect("sim://esp32c3", stub=False) as device, pytest.raises(PlanError, match="UF2 file"):
        device.flash.write([(0, path)])


def test_a_pipe_is_known_by_its_content_and_its_chip_is_looked_at(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        writing = pool.submit(pipe.write_bytes, uf2_for(chip_by_name("esp32s3").uf2_family))
        settled = settle_inputs([(0x1000, pipe)])
        writing.result()
    with (
        connect("sim://esp32c3", stub=False) as device,
        pytest.raises(PlanError, match="is a UF2 file, and it is for ESP32-S3, not for ESP32-C3"),
    ):
        device.flash.write(settled)
    with connect("sim://esp32s3", stub=False) as device:
        device.flash.write(settled)
        assert device.flash.read(0x2_1000, 14) == b"the second one"
