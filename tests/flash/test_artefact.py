"""What is written to many devices is read once, and written as its inputs would be."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from esploader.errors import PlanError
from esploader.flash.artefact import Artefact
from simulated import incompressible
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

APP = incompressible(0x8000) + b"text, that becomes smaller. " * 2000
TABLE = b"\xaa\x50" * 0x600
SERIAL = b"serial number 17"
INPUTS = [(0x8000, TABLE), (0x1_0000, APP)]


def test_an_artefact_is_written_as_its_inputs_would_be() -> None:
    artefact = Artefact.read(INPUTS)
    for _ in range(2):
        with connect("sim://esp32c3") as device, connect("sim://esp32c3") as other:
            assert device.flash.plan(artefact) == other.flash.plan(INPUTS)
            results, expected = device.flash.write(artefact), other.flash.write(INPUTS)
            assert results == expected
            assert [each.inputs for each in results] == [each.inputs for each in expected]
            assert device.flash.verify(artefact) == device.flash.verify(INPUTS) == ()


def test_the_files_of_an_artefact_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "app.bin"
    path.write_bytes(APP)
    artefact = Artefact.read([(0x1_0000, path)])
    path.unlink()
    with connect("sim://esp32c3") as device:
        (result,) = device.flash.write(artefact)
        assert result.verified
        assert device.flash.read(0x1_0000, len(APP)) == APP


def test_what_one_device_gets_besides_is_written_to_it_alone() -> None:
    artefact = Artefact.read(INPUTS)
    with connect("sim://esp32c3") as device, connect("sim://esp32c3") as other:
        device.flash.write(artefact.with_inputs([(0x9000, SERIAL)]))
        before = other.flash.read(0x9000, 0x1000)
        other.flash.write(artefact)
        assert device.flash.read(0x9000, len(SERIAL)) == SERIAL
        assert other.flash.read(0x9000, 0x1000) == before
        assert not device.flash.verify(artefact)
        assert not other.flash.verify(artefact)


def test_an_artefact_says_what_it_is_made_of(tmp_path: Path) -> None:
    path = tmp_path / "app.bin"
    path.write_bytes(APP)
    artefact = Artefact.read([(0x1_0000, path)], encrypted_inputs=[(0x8000, TABLE)])
    found = artefact.with_inputs([(0x9000, SERIAL)]).inputs
    assert [(each.name, each.offset, each.size, each.encrypted) for each in found] == [
        (str(path), 0x1_0000, len(APP), False),
        (None, 0x8000, len(TABLE), True),
        (None, 0x9000, len(SERIAL), False),
    ]
    assert [each.sha256 for each in found] == [
        hashlib.sha256(data).hexdigest() for data in (APP, TABLE, SERIAL)
    ]
    assert artefact.size == len(APP) + len(TABLE)
    assert artefact.inputs == found[:2]


def test_what_was_encrypted_is_not_compared() -> None:
    artefact = Artefact.read([(0x8000, TABLE)], encrypted_inputs=[(0x1_0000, APP)])
    with (
        connect("sim://esp32c3") as device,
        pytest.raises(PlanError, match="what the device has encrypted cannot be compared"),
    ):
        device.flash.verify(artefact)
