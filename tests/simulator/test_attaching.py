"""A flash is not there before the loader has been told where it is, except on few chips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32p4 import ESP32_P4
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp8266 import ESP8266
from esploader.protocol.opcodes import Opcode
from esploader.simulator import InitialState
from simulated import SYNC, Bench, make_bench, request, words

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

OK = b"\x00\x00"
HSPI = 1
BURNT = {"hd": 11, "cs": 16, "d": 8, "q": 17, "clk": 6}

NEEDS_ATTACHING = [chip for chip in DESCRIBED if chip not in (ESP32_S2, ESP32_P4)]

READ_ID = 0x9F
USER_COMMAND = 1 << 31
USER_MISO = 1 << 28
START = 1 << 18


def read_id(bench: Bench, chip: Chip) -> bytes:
    """Return the id of the flash, read by the registers of the SPI controller."""
    registers = chip.spi
    values = {
        registers.usr: USER_COMMAND | USER_MISO,
        registers.usr1: 23 << 8,
        registers.usr2: 7 << 28 | READ_ID,
        registers.w0: 0,
    }
    if registers.miso_dlen is not None:
        values[registers.miso_dlen] = 23
    values[registers.cmd] = START
    for offset, value in values.items():
        body = words(registers.base + offset, value, 0xFFFF_FFFF, 0)
        assert bench.status(Opcode.WRITE_REG, body) == OK
    answer = bench.command(Opcode.READ_REG, words(registers.base + registers.w0))
    return answer[4:7]


def attach(bench: Bench, pins: int = 0) -> None:
    assert bench.status(Opcode.SPI_ATTACH, words(pins, 0)) == OK


@pytest.mark.parametrize("chip", NEEDS_ATTACHING, ids=lambda chip: chip.key)
def test_the_id_is_not_there_before_the_flash_is_attached(chip: Chip) -> None:
    bench = make_bench(chip, flash_attached=False)
    assert read_id(bench, chip) == b"\xff\xff\xff"
    if chip is ESP8266:
        bench.status(Opcode.FLASH_BEGIN, words(0, 0, 0x400, 0))
    else:
        attach(bench)
    assert read_id(bench, chip) == bench.device.flash_chip.jedec_id


@pytest.mark.parametrize("chip", [ESP32_S2, ESP32_P4], ids=lambda chip: chip.key)
def test_few_chips_find_the_flash_by_themselves(chip: Chip) -> None:
    bench = make_bench(chip, flash_attached=False)

    assert read_id(bench, chip) == bench.device.flash_chip.jedec_id


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_a_stub_attaches_the_flash_itself(chip: Chip) -> None:
    bench = make_bench(chip, state=InitialState.STUB, flash_attached=False)

    assert read_id(bench, chip) == bench.device.flash_chip.jedec_id


def test_a_download_to_a_flash_that_was_not_attached_is_never_answered() -> None:
    bench = make_bench(ESP32, flash_attached=False)
    begin = bench.exchange(request(Opcode.FLASH_BEGIN, words(0x1000, 4, 0x400, 0)))

    assert begin == bench.exchange(SYNC) == b""
    assert bench.device.erase_counts == {}


def test_at_wrong_pins_nothing_is_found() -> None:
    bench = make_bench(ESP32_C3, flash_attached=False)
    bench.device.nor.program(0, bytes(64))
    attach(bench, HSPI)
    assert read_id(bench, ESP32_C3) == b"\xff\xff\xff"
    assert bench.command(Opcode.READ_FLASH_SLOW, words(0, 64))[8:72] == b"\xff" * 64
    attach(bench)
    assert bench.command(Opcode.READ_FLASH_SLOW, words(0, 64))[8:72] == bytes(64)


def test_a_reset_forgets_where_the_flash_is() -> None:
    bench = make_bench(ESP32_C3, flash_attached=False)
    attach(bench)
    bench.device.press_boot()
    bench.device.press_reset()
    bench.receive()
    assert read_id(bench, ESP32_C3) == b"\xff\xff\xff"


def test_pins_that_are_burnt_into_efuses_are_those_of_the_flash() -> None:
    pads = {f"flash_pad_{pad}": pin for pad, pin in BURNT.items()}
    bench = make_bench(ESP32, flash_attached=False, efuses=pads)
    attach(bench, 0x0B40_8446)

    assert read_id(bench, ESP32) == bench.device.flash_chip.jedec_id


def test_only_the_esp8266_is_likely_to_take_parameters_of_a_flash_that_nobody_attaches() -> None:
    """The command is not in the list of those that a client relies on."""
    bench = make_bench(ESP8266)
    assert Opcode.SPI_SET_PARAMS not in ESP8266.rom.opcodes
    parameters = words(0, 4 << 20, 1 << 16, 1 << 12, 1 << 8, 0xFFFF)

    assert bench.status(Opcode.SPI_SET_PARAMS, parameters) == OK
