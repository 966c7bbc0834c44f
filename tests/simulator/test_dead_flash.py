"""A device without a flash, and one whose flash does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from esploader.errors import UrlError
from esploader.protocol.opcodes import Opcode
from esploader.simulator import FlashPresence, SimulatedDevice, SimulatedTransport
from esploader.simulator.config import InitialState
from esploader.simulator.url import open_simulated, parse
from simulated import Bench, block, incompressible, request, words

OK = b"\x00\x00"
WRITE_FAILED = b"\x01\x08"
BEGIN = words(0x1000, 1, 0x400, 0, 0)


def bench(presence: str, state: InitialState = InitialState.DOWNLOAD) -> Bench:
    device = SimulatedDevice("esp32c3", flash_presence=presence, state=state, flash_attached=True)
    return Bench(SimulatedTransport(device))


@pytest.mark.parametrize("presence", ["none", "silent"])
def test_it_is_described_in_place_of_a_size(presence: str) -> None:
    assert parse(f"sim://esp32c3?flash={presence}").flash_presence is FlashPresence(presence)
    with pytest.raises(UrlError, match="it is none or silent"):
        parse("sim://esp32c3?flash=present")


def test_what_is_not_there_has_no_content() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        SimulatedDevice("esp32c3", flash_presence="none", flash=b"x")
    with pytest.raises(UrlError, match="holds nothing"):
        open_simulated("sim://esp32c3?flash=silent&file=flash.bin")
    assert not Path("flash.bin").exists()


@pytest.mark.parametrize(("presence", "level"), [("none", b"\xff"), ("silent", b"\x00")])
def test_all_that_is_read_is_the_level_of_the_line(presence: str, level: bytes) -> None:
    device = SimulatedDevice("esp32c3", flash_presence=presence)
    assert device.nor.read(0x1003, 0x2001) == level * 0x2001
    assert device.nor.is_blank(0, 0x1000) is (presence == "none")
    assert device.flash == level * device.nor.size
    answer = bench(presence).command(Opcode.READ_FLASH_SLOW, words(0, 64))
    assert answer[8:72] == level * 64


def test_without_a_flash_the_rom_waits_for_ever_until_it_is_reset() -> None:
    lost = bench("none")
    assert lost.status(Opcode.SPI_ATTACH, words(0, 0)) == OK
    assert lost.exchange(request(Opcode.FLASH_BEGIN, BEGIN)) == b""
    assert lost.exchange(request(Opcode.SPI_ATTACH, words(0, 0))) == b""
    assert b"waiting for download" in lost.reset(strap_low=True)
    assert lost.status(Opcode.SPI_ATTACH, words(0, 0)) == OK


def test_without_a_flash_a_stub_that_erases_is_silent() -> None:
    lost = bench("none", InitialState.STUB)
    assert lost.exchange(request(Opcode.ERASE_REGION, words(0, 0x1000))) == b""
    assert lost.exchange(request(Opcode.SPI_ATTACH, words(0))) == b""


def test_with_a_silent_flash_the_rom_reads_back_something_else() -> None:
    silent = bench("silent")
    assert silent.status(Opcode.FLASH_BEGIN, BEGIN) == OK
    data = b"1" + incompressible(0x400)[1:]
    frame = silent.exchange(block(Opcode.FLASH_DATA, data, 0))
    assert frame[9:11] == WRITE_FAILED
    assert not silent.device.erase_counts


@pytest.mark.parametrize("presence", ["none", "silent"])
def test_it_boots_nothing(presence: str) -> None:
    log = bench(presence).reset(strap_low=False)
    assert b"invalid header" in log
