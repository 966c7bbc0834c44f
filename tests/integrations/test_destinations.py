"""What a lab loads says itself where it goes, or is refused."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from esploader.errors import PartitionTableError, PlanError
from esploader.integrations.destinations import (
    destination_of,
    is_build,
    is_destination,
    place_on,
)
from esploader.simulator import SimulatedDevice
from lab_files import APP_OFFSET, TABLE_OFFSET, LabFiles, make_lab_files
from made_builds import put, table
from untouched import assert_untouched, comparing, connect_as_it_is, fill

if TYPE_CHECKING:
    from pathlib import Path

APP = "part:app"


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> LabFiles:
    return make_lab_files(tmp_path)


def test_an_application_goes_where_the_one_is_that_boots(files: LabFiles) -> None:
    assert destination_of(str(files.app)) == APP
    assert destination_of(str(files.elf)) == APP


def test_what_has_a_partition_table_at_its_place_is_a_whole_flash(files: LabFiles) -> None:
    assert destination_of(str(files.merged)) == 0


def test_a_file_with_offsets_of_its_own_is_not_moved(files: LabFiles) -> None:
    assert destination_of(str(files.hex)) == 0


@pytest.mark.parametrize("size", [0, 1, 24, TABLE_OFFSET, TABLE_OFFSET + 31, 0x1_0000])
def test_other_bytes_say_nothing(tmp_path: Path, size: int) -> None:
    path = put(tmp_path, "data.bin", b"\xe9" * size)
    with pytest.raises(PlanError, match=r"data\.bin goes: it is neither .*; say at what offset$"):
        destination_of(str(path))


def test_a_file_is_called_what_its_owner_calls_it(tmp_path: Path) -> None:
    path = put(tmp_path, "0-upload", b"data")
    with pytest.raises(PlanError, match=r"^nothing says where data\.bin goes: "):
        destination_of(str(path), name="data.bin")


def test_a_damaged_table_makes_no_whole_flash(files: LabFiles) -> None:
    whole = bytearray(files.whole)
    whole[TABLE_OFFSET] ^= 1
    files.merged.write_bytes(whole)
    with pytest.raises(PlanError, match="nothing says where"):
        destination_of(str(files.merged))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("no.bin", "no.elf"):
        with pytest.raises(PlanError, match=name):
            destination_of(str(tmp_path / name))


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
def test_what_comes_out_of_a_pipe_is_not_looked_into(tmp_path: Path, files: LabFiles) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Held open, so that neither end waits for the other; all of it fits into the pipe.
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        os.write(descriptor, files.image[:1000])
        with pytest.raises(PlanError, match="which is no file: say at what offset"):
            destination_of(str(pipe))
        assert os.read(descriptor, 2000) == files.image[:1000]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", ["flasher_args.json", "flash_args", "runners.yaml", "x.json"])
def test_what_describes_a_build_is_one_whether_it_is_there_or_not(
    tmp_path: Path, name: str
) -> None:
    assert is_build(str(tmp_path / name))


def test_a_folder_is_a_build_and_a_file_is_none(files: LabFiles) -> None:
    assert is_build(str(files.build))
    assert not is_build(str(files.app))


@pytest.mark.parametrize(
    ("value", "is_one"),
    [(0, True), (0x1_0000, True), ("part:app", True)]
    + [
        (value, False)
        for value in (-1, True, 1.0, None, "", "app", "part:", "0x10000", b"part:app")
    ],
)
def test_a_destination_is_an_offset_or_the_name_of_a_partition(
    value: object,
    is_one: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_destination(value) is is_one


def test_a_name_is_looked_up_in_the_table_of_the_device(files: LabFiles) -> None:
    simulated = SimulatedDevice("esp32c3", flash={TABLE_OFFSET: table()})
    fill(simulated)
    before = simulated.flash
    end = APP_OFFSET + len(files.image)
    with (
        connect_as_it_is(simulated.open_transport(), stub=False) as device,
        comparing(simulated, (APP_OFFSET, end)),
    ):
        assert place_on(device, 0x3000) == 0x3000
        place = place_on(device, destination_of(str(files.elf)))
        device.flash.write([(place, files.elf)])
        with pytest.raises(PartitionTableError, match="no partition nothing"):
            place_on(device, "part:nothing")
    assert simulated.flash[APP_OFFSET:end] == files.image
    assert_untouched(before, simulated.flash, [(APP_OFFSET, end)])
