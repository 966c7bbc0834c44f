"""Power, reset and straps decide what a simulated device does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.simulator.config import InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import Timings
from simulated import READ_MAGIC, SILENCE, make_bench, request, words

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)

RESET_TOKENS = {
    "esp8266": (b"boot mode:(1,", b"boot mode:(3,"),
    "esp32": (b"boot:0x3 (DOWNLOAD", b"boot:0x13 (SPI_FAST_FLASH_BOOT)"),
    "esp32s2": (b"boot:0x0 (DOWNLOAD", b"boot:0x8 (SPI_FAST_FLASH_BOOT)"),
    "esp32s3": (b"boot:0x0 (DOWNLOAD", b"boot:0x8 (SPI_FAST_FLASH_BOOT)"),
    "esp32c5": (b"boot:0x8 (DOWNLOAD", b"boot:0x18 (SPI_FAST_FLASH_BOOT)"),
    "esp32c6": (b"boot:0x4 (DOWNLOAD", b"boot:0xc (SPI_FAST_FLASH_BOOT)"),
    "esp32c61": (b"boot:0x4 (DOWNLOAD", b"boot:0xc (SPI_FAST_FLASH_BOOT)"),
    "esp32h2": (b"boot:0x4 (DOWNLOAD", b"boot:0xc (SPI_FAST_FLASH_BOOT)"),
    "esp32p4": (b"boot:0x307 (DOWNLOAD", b"boot:0x30f (SPI_FAST_FLASH_BOOT)"),
    "esp32s31": (b"boot:0x69 (DOWNLOAD", b"boot:0x58 (SPI_FAST_FLASH_BOOT)"),
}
USUAL_RESET_TOKENS = (b"boot:0x5 (DOWNLOAD", b"boot:0xd (SPI_FAST_FLASH_BOOT)")


@every_chip
def test_a_low_strap_at_reset_means_download_mode(chip: Chip) -> None:
    bench = make_bench(chip, state=InitialState.APPLICATION, baudrate=None)
    log = bench.reset(strap_low=True)

    assert RESET_TOKENS.get(chip.key, USUAL_RESET_TOKENS)[0] in log
    assert bench.exchange(READ_MAGIC)


@every_chip
def test_a_high_strap_at_reset_means_the_application(chip: Chip) -> None:
    bench = make_bench(chip, baudrate=None)
    log = bench.reset(strap_low=False)

    assert RESET_TOKENS.get(chip.key, USUAL_RESET_TOKENS)[1] in log
    assert b"waiting for download" not in log
    assert bench.exchange(READ_MAGIC) == b""


@pytest.mark.parametrize(
    "chip", [chip for chip in DESCRIBED if chip.knows("boot_strap")], ids=lambda chip: chip.key
)
def test_the_strap_can_be_read_back(chip: Chip) -> None:
    bench = make_bench(chip, state=InitialState.APPLICATION, baudrate=None)
    bench.reset(strap_low=True)
    packet = bench.command(0x0A, words(chip.strapping.address))
    registers = {chip.strapping.address: int.from_bytes(packet[4:8], "little")}

    assert chip.boot_strap.extract(registers) == 0


@pytest.mark.parametrize("chip", [chip for chip in DESCRIBED if chip is not ESP8266])
def test_the_loader_says_that_it_waits(chip: Chip) -> None:
    bench = make_bench(chip)

    assert b"rst:0x1 (POWERON" in (log := bench.reset(strap_low=True))
    assert log.endswith(b"waiting for download\r\n")


def test_the_boot_log_of_the_esp8266_comes_at_its_own_rate() -> None:
    wrong = make_bench(ESP8266, baudrate=115200).reset(strap_low=True)
    right = make_bench(ESP8266, baudrate=74880).reset(strap_low=True)

    assert b"boot mode" not in wrong
    assert b"rst cause:2, boot mode:(1,6)" in right


def test_a_device_starts_where_it_is_told_to() -> None:
    assert make_bench(state=InitialState.APPLICATION).exchange(READ_MAGIC) == b""
    assert make_bench(state=InitialState.DOWNLOAD).exchange(READ_MAGIC)


def test_lines_that_are_equal_do_nothing() -> None:
    bench = make_bench()
    for state in (True, False, True, False):
        bench.transport.set_lines(dtr=state, rts=state)

    assert bench.receive() == b""
    assert bench.exchange(READ_MAGIC)


def test_the_strap_alone_does_nothing() -> None:
    bench = make_bench()
    bench.transport.set_lines(dtr=True, rts=False)

    assert bench.exchange(READ_MAGIC)


def test_a_chip_in_reset_is_silent_and_deaf() -> None:
    bench = make_bench()
    bench.transport.set_lines(dtr=False, rts=True)

    assert bench.exchange(READ_MAGIC) == b""


def test_the_capacitor_on_en_bridges_the_gap_between_two_lines() -> None:
    """DTR, then RTS: for a moment both are asserted, which releases EN with the strap high."""
    bench = make_bench(state=InitialState.APPLICATION)
    bench.transport.set_lines(dtr=False, rts=True)
    bench.transport.clock.sleep(0.1)
    bench.transport.set_lines(dtr=True)
    bench.transport.clock.sleep(0.0005)
    bench.transport.set_lines(rts=False)

    assert b"waiting for download" in bench.receive()


def test_a_gap_that_is_too_long_boots_the_application() -> None:
    bench = make_bench(state=InitialState.APPLICATION)
    bench.transport.set_lines(dtr=False, rts=True)
    bench.transport.clock.sleep(0.1)
    bench.transport.set_lines(dtr=True)
    bench.transport.clock.sleep(0.05)
    bench.transport.set_lines(rts=False)

    assert b"SPI_FAST_FLASH_BOOT" in bench.receive()


def test_blank_flash_has_an_invalid_header() -> None:
    assert b"invalid header: 0xffffffff\r\n" * 2 in make_bench().reset(strap_low=False)


def test_reset_restores_rate_and_ears() -> None:
    bench = make_bench()
    bench.exchange(request(0x0F, words(921600, 0)))

    assert bench.device.baudrate == 921600
    assert b"waiting for download" in bench.reset(strap_low=True)
    assert bench.device.baudrate == 115200
    assert bench.exchange(READ_MAGIC)


def test_reset_interrupts_an_answer() -> None:
    bench = make_bench()
    bench.transport.write(request(0x13, words(0, 0x1000, 0, 0)))
    bench.transport.clock.sleep(0.0055)
    bench.transport.set_lines(dtr=False, rts=True)
    cut = bench.receive()

    assert 0 < len(cut) < 46
    assert cut.count(b"\xc0") == 1


def test_what_is_still_on_the_wire_reaches_the_chip_after_the_reset() -> None:
    bench = make_bench()
    bench.transport.write(bytes(2000) + READ_MAGIC)
    bench.transport.set_lines(dtr=False, rts=True)
    bench.transport.clock.sleep(0.01)
    bench.transport.set_lines(dtr=True, rts=False)

    assert b"\x01\x0a\x04\x00" in bench.receive()


def test_power_loss_forgets_ram_and_keeps_flash() -> None:
    bench = make_bench()
    device = bench.device
    device.memory.write_word(0x3FC9_0000, 7)
    device.nor.program(0, b"kept")
    device.power_off()
    assert bench.exchange(READ_MAGIC) == b""
    device.power_on()

    assert b"rst:0x1 (POWERON)" in bench.receive()
    assert device.memory.read_word(0x3FC9_0000) == 0
    assert device.nor.read(0, 4) == b"kept"


def test_a_chip_without_power_does_not_boot() -> None:
    bench = make_bench()
    bench.device.power_off()

    assert bench.reset(strap_low=True) == b""
    bench.transport.set_lines(rts=True)
    bench.device.power_on()
    assert bench.receive() == b""


def test_boots_are_counted() -> None:
    bench = make_bench()
    bench.reset(strap_low=True)
    bench.reset(strap_low=False)

    assert bench.device.boot_count == 2


def test_nothing_is_due_while_nothing_happens() -> None:
    bench = make_bench()
    bench.exchange(READ_MAGIC)

    assert bench.device.next_event_time() == float("inf")


lines = st.tuples(st.booleans(), st.booleans(), st.floats(0, 0.2))


@given(st.lists(lines, max_size=12), st.binary(max_size=50))
def test_any_play_on_the_lines_ends_in_one_of_three_states(
    play: list[tuple[bool, bool, float]], noise: bytes
) -> None:
    bench = make_bench()
    for dtr, rts, seconds in play:
        bench.transport.set_lines(dtr=dtr, rts=rts)
        bench.transport.write(noise.replace(b"\xdb", b"").replace(b"\xc0", b""))
        bench.transport.clock.sleep(seconds)
    bench.receive()
    answer = bench.exchange(READ_MAGIC)

    assert answer in {b"", bytes.fromhex("c0010a04006f50311b00000000c0")}
    assert bench.reset(strap_low=True).endswith(b"waiting for download\r\n")
    assert bench.exchange(READ_MAGIC)


def test_the_flash_survives_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    device = SimulatedDevice(ESP32_C3, flash=path)
    device.nor.program(0x1000, b"kept")
    device.close()

    assert SimulatedDevice(ESP32_C3, flash=path).nor.read(0x1000, 4) == b"kept"


def test_timings_can_be_changed() -> None:
    slow = make_bench(timings=Timings(command=1.5))
    started = slow.now
    slow.transport.write(READ_MAGIC)
    slow.transport.read(started + SILENCE)

    assert slow.now - started == pytest.approx(1.5, abs=0.01)
