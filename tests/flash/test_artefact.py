"""What is written to many devices is read once, and written as its inputs would be."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from elf_programs import app_descriptor
from elf_writer import Section, elf_for
from esploader import FlashParameters, open_transport
from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import ElfError, PlanError
from esploader.flash.artefact import Artefact
from images import small_image
from simulated import incompressible
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.flash.write_plan import RegionResult

PATIENCE = 60.0

APP = incompressible(0x8000) + b"text, that becomes smaller. " * 2000
TABLE = b"\xaa\x50" * 0x600
SERIAL = b"serial number 17"
PROGRAM = elf_for(
    ESP32_C3,
    [
        Section(".flash.appdesc", 0x3C00_0020, app_descriptor()),
        Section(".iram0.text", 0x4037_C000, b"code" * 100),
    ],
).build()
INPUTS = [(0x8000, TABLE), (0x1_0000, APP)]


class Spoiler:
    """Spoils one large block on its way."""

    is_over = False

    def pass_on(self, data: bytes) -> bytes:
        if self.is_over or len(data) < 0x1000:
            return data
        self.is_over = True
        return data[:100] + bytes(8) + data[108:]


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


def test_many_threads_write_one_artefact_and_trouble_of_one_is_its_own() -> None:
    artefact = Artefact.read(INPUTS)
    begun = threading.Barrier(6)

    def write(number: int) -> tuple[tuple[RegionResult, ...], bytes]:
        transport = UnreliableTransport(open_transport(f"sim://esp32c3?seed={number}"))
        with connect(transport, stub=bool(number % 2)) as device:
            device.flash.prepare()
            begun.wait(PATIENCE)
            if number == 1:
                transport.garble_output = Spoiler().pass_on
            results = device.flash.write(
                artefact.with_inputs([(0x9000, b"number %d" % number)]), compress=True
            )
            assert device.flash.verify(artefact) == ()
            return results, device.flash.read(0x9000, 8)

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(write, range(6)))
    for number, (results, serial_number) in enumerate(found):
        assert serial_number == b"number %d" % number
        assert all(result.verified for result in results)
        assert any(result.restarts for result in results) is (number == 1)


def test_the_image_of_a_program_is_made_for_each_chip(tmp_path: Path) -> None:
    path = tmp_path / "app.elf"
    path.write_bytes(PROGRAM)
    artefact = Artefact.read([(0x1_0000, path)])
    for _ in range(2):
        with connect("sim://esp32c3", stub=False) as device:
            assert device.flash.plan(artefact) == device.flash.plan([(0x1_0000, path)])
            assert device.flash.write(artefact)[0].verified
    with connect("sim://esp32") as device, pytest.raises(ElfError, match="a chip with xtensa"):
        device.flash.write(artefact)


def test_flash_parameters_are_put_in_for_each_chip_and_what_is_said_of_it_for_each_device(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged = bytearray(small_image(ESP32_C3))
    damaged[-1] ^= 1
    inputs = [(0, bytes(damaged)), (0x8000, TABLE)]
    artefact = Artefact.read(inputs)
    for size in ("2MB", "2MB", "4MB"):
        parameters = FlashParameters(size=size)
        with connect("sim://esp32c3") as device:
            caplog.clear()
            plan = device.flash.plan(artefact, parameters=parameters, force=True)
            said = caplog.messages
            caplog.clear()
            assert plan == device.flash.plan(inputs, parameters=parameters, force=True)
            assert said == caplog.messages
            assert any("the digest was not renewed" in message for message in said)
            device.flash.write(artefact, parameters=parameters, force=True)
            assert device.flash.verify(artefact, parameters=parameters) == ()


def test_inputs_that_overlap_are_refused_before_there_is_a_device() -> None:
    with pytest.raises(PlanError, match="overlaps"):
        Artefact.read([(0x1000, bytes(0x20)), (0x1010, b"x")])


def test_what_one_device_gets_besides_is_checked_with_the_rest() -> None:
    artefact = Artefact.read(INPUTS).with_inputs([(0x1_0010, SERIAL)])
    with connect("sim://esp32c3") as device, pytest.raises(PlanError, match="overlaps"):
        device.flash.write(artefact)
