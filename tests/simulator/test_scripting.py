"""A simulated device is made in a line, looked into, and played with like one on the bench."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import (
    EsploaderError,
    SilentDeviceError,
    TransportClosedError,
    UnsupportedError,
)
from esploader.simulator import (
    UNPACED,
    DeviceConfig,
    InitialState,
    RealTimeTransport,
    ResetCause,
    SimulatedDevice,
    Timings,
)
from esploader.simulator.history import (
    BODY_KEPT,
    Boot,
    History,
    HistoryEvent,
    Loader,
    SeenCommand,
)
from esploader.transport.clock import VirtualClock
from simulated import READ_MAGIC, Bench, incompressible, make_stub_bench, request, words
from stub_files import stub_directory
from untouched import connect, connect_as_it_is

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT = 10.0
"""How long a test waits for another thread, in seconds, before it fails."""

# How it is made.


def test_a_chip_has_a_name_or_is_one() -> None:
    assert SimulatedDevice("ESP32-C3").chip is SimulatedDevice(ESP32_C3).chip


def test_options_are_those_of_the_configuration() -> None:
    device = SimulatedDevice(
        "esp32c3",
        flash_size=8 << 20,
        flash=b"content",
        state="download",
        mac="24:0a:c4:00:00:07",
        revision=(1, 1),
        efuses={"key_purpose_0": 4},
        seed=5,
        timings=UNPACED,
    )

    assert device.config == DeviceConfig(
        chip=ESP32_C3,
        flash_size=8 << 20,
        flash_content=b"content",
        state=InitialState.DOWNLOAD,
        mac=bytes.fromhex("240ac4000007"),
        revision=(1, 1),
        efuses={"key_purpose_0": 4},
        seed=5,
    )
    assert device.timings is UNPACED


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"from the start", b"from the start"),
        ({0: b"ab", 4: b"ef", 1: b"B"}, b"aB\xff\xffef"),
        ({}, b""),
    ],
)
def test_a_flash_is_filled_from_bytes(content: bytes | dict[int, bytes], expected: bytes) -> None:
    device = SimulatedDevice("esp32c3", flash=content)

    assert device.flash == expected.ljust(4 << 20, b"\xff")
    assert device.erase_counts == {}


@pytest.mark.parametrize("as_text", [False, True])
def test_a_flash_may_be_a_file(tmp_path: Path, *, as_text: bool) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"before")
    device = SimulatedDevice("esp32c3", flash=str(path) if as_text else path)
    assert device.flash[:7] == b"before\xff"
    with device.open_transport():
        device.nor.program(6, b" and after")

    assert path.read_bytes()[:16] == b"before and after"


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        SimulatedDevice("esp9000")
    with pytest.raises(ValueError, match="holds"):
        SimulatedDevice("esp32c3", flash=bytes((4 << 20) + 1))
    with pytest.raises(ValueError, match="begins at 0"):
        SimulatedDevice("esp32c3", flash={-1: b"x"})
    with pytest.raises(ValueError, match="power of two"):
        SimulatedDevice("esp32c3", flash_size=3 << 20)
    with pytest.raises(ValueError, match="asleep"):
        SimulatedDevice("esp32c3", state="asleep")


def test_two_devices_may_live_in_one_time() -> None:
    clock = VirtualClock()
    first, second = (SimulatedDevice("esp32c3", seed=n, clock=clock) for n in (1, 2))
    second.press_reset()
    with first.open_transport() as transport:
        assert transport.read(1.0) == b""

    assert second.boot_count == 1


# A look into it.


def test_a_whole_session_can_be_looked_at(tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32c3", flash={0x1_0000: bytes(0x2000)})
    image = bytes(range(256)) * 32
    with connect(
        simulated.open_transport(), baudrate=460800, stub=stub_directory(tmp_path)
    ) as device:
        device.flash.write([(0x1_0000, image)])
        assert simulated.baudrate == 460800
    history = simulated.history
    names = [command.name for command in history.commands]

    assert simulated.flash[0x1_0000:0x1_2000] == image
    assert simulated.erase_counts == {0x10: 1, 0x11: 1}
    assert simulated.boot_count == len(history.boots) == 1
    assert history.boots[0].download
    lines = [(seen.dtr, seen.rts) for seen in history.lines]
    assert lines.index((False, True)) < lines.index((True, False))
    assert names.index("SYNC") < names.index("MEM_BEGIN") < names.index("FLASH_DEFL_BEGIN")
    assert {command.loader for command in history.commands} == {Loader.ROM, Loader.STUB}
    assert not any(response.error for response in history.responses)
    moments = [command.moment for command in history.commands]
    assert moments == sorted(moments)
    assert moments[0] > history.boots[0].moment > history.lines[lines.index((True, False))].moment


def test_a_command_is_kept_with_its_time_and_the_head_of_its_body() -> None:
    device = SimulatedDevice("esp32c3", state="download")
    bench = Bench(device.open_transport())
    bench.transport.clock.sleep(1.0)
    body = words(100, 0, 0, 0) + bytes(range(100))
    bench.exchange(request(0x07, body))
    (command,) = device.history.commands
    (response,) = device.history.responses

    arrived = 1.0 + len(request(0x07, body)) * 10 / 115200
    assert command.moment == pytest.approx(arrived)
    assert (command.name, command.size, command.body) == ("MEM_DATA", 116, body[:BODY_KEPT])
    assert response.moment == pytest.approx(arrived + 50e-6)
    assert (response.name, response.error) == ("MEM_DATA", 0x05)


def test_a_stub_that_refuses_is_heard_of() -> None:
    bench = make_stub_bench()
    bench.exchange(request(0x99))
    (response,) = bench.device.history.responses

    assert (response.loader, response.name, response.error) == (Loader.STUB, "0x99", 0xC3)


def test_listeners_hear_of_everything_and_the_latest_is_kept() -> None:
    history = History(limit=2)
    device = SimulatedDevice("esp32c3")
    device.history = history
    heard: list[object] = []
    history.listeners.append(heard.append)
    device.press_reset()
    transport = device.open_transport()
    transport.set_lines(dtr=True)
    transport.set_lines(dtr=False)
    transport.clock.sleep(1.0)

    assert len(heard) == 3
    assert history.events == heard[1:]
    history.clear()
    assert history.events == []


def test_registers_can_be_read() -> None:
    device = SimulatedDevice("esp32c3", state="download")

    assert device.read_register(0x4000_1000) == 0x1B31_506F
    assert device.read_register(ESP32_C3.strapping.address) != 0


def test_what_is_due_has_been_done_when_time_has_passed() -> None:
    device = SimulatedDevice("esp32c3")
    device.press_reset()
    device.clock.sleep(1.0)

    assert device.boot_count == 1
    assert device.history.boots[0].moment == pytest.approx(0.1 + 0.001 + 0.004)


# Buttons.


def test_the_reset_button_boots_the_application() -> None:
    device = SimulatedDevice("esp32c3", state="download")
    bench = Bench(device.open_transport())
    device.press_reset()

    assert b"boot:0xd (SPI_FAST_FLASH_BOOT)" in bench.receive()
    assert bench.exchange(READ_MAGIC) == b""


def test_both_buttons_end_in_download_mode() -> None:
    device = SimulatedDevice("esp32c3")
    bench = Bench(device.open_transport())
    device.press_boot()
    device.press_reset()
    device.clock.sleep(0.2)
    device.release_boot()

    assert bench.receive().endswith(b"waiting for download\r\n")
    assert bench.exchange(READ_MAGIC)


def test_a_boot_button_that_is_released_too_early_does_nothing() -> None:
    device = SimulatedDevice("esp32c3")
    bench = Bench(device.open_transport())
    device.press_boot()
    device.press_reset()
    device.release_boot()

    assert b"SPI_FAST_FLASH_BOOT" in bench.receive()


def test_a_button_that_is_held_makes_up_for_missing_lines() -> None:
    device = SimulatedDevice("esp32c3")
    device.press_boot()
    device.press_reset()
    device.clock.sleep(0.5)
    with connect(device.open_transport(), before="no-reset") as connected:
        assert connected.chip is ESP32_C3


def test_lines_hold_the_chip_in_reset_longer_than_the_button() -> None:
    device = SimulatedDevice("esp32c3")
    transport = device.open_transport()
    transport.set_lines(rts=True)
    device.press_reset()
    device.clock.sleep(1.0)
    assert device.boot_count == 0
    transport.set_lines(rts=False)
    device.clock.sleep(1.0)

    assert device.boot_count == 1


def test_the_button_does_nothing_without_power() -> None:
    device = SimulatedDevice("esp32c3")
    device.power_off()
    device.press_reset()
    device.clock.sleep(1.0)
    assert (device.boot_count, device.is_powered) == (0, False)
    device.power_on()
    device.clock.sleep(1.0)

    assert device.history.boots[0].cause is ResetCause.POWER_ON


# Plug, cable, and a word from the application.


def test_a_broken_line_is_an_error_until_it_is_mended() -> None:
    device = SimulatedDevice("esp32c3", state="download")
    bench = Bench(device.open_transport())
    bench.transport.set_lines(dtr=True)
    device.break_line()
    for use in (
        lambda: bench.transport.read(0.0),
        lambda: bench.transport.write(b"x"),
        lambda: bench.transport.set_lines(rts=True),
        lambda: bench.transport.set_baudrate(9600),
        bench.transport.discard_input,
    ):
        with pytest.raises(TransportClosedError, match="line is broken"):
            use()
    assert not device.dtr
    device.mend_line()

    assert bench.exchange(READ_MAGIC)
    assert Bench(device.open_transport()).exchange(READ_MAGIC)


def test_what_is_under_way_is_lost_with_the_line() -> None:
    device = SimulatedDevice("esp32c3", state="download")
    bench = Bench(device.open_transport())
    bench.transport.write(READ_MAGIC * 2)
    bench.transport.clock.sleep(1.5 * len(READ_MAGIC) * 10 / 115200)
    device.break_line()
    device.say(b"nobody hears this")
    device.clock.sleep(1.0)
    device.mend_line()
    assert len(device.history.commands) == 1
    assert bench.receive() == b""
    # Half a request is left in the loader, and ends with the next.
    bench.exchange(READ_MAGIC)

    assert bench.exchange(READ_MAGIC)


def test_a_line_that_breaks_in_a_write_is_survived(tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32c3", flash={0x1_0000: bytes(0x8000)})
    image = bytes(range(256)) * 128

    when(simulated, "FLASH_DEFL_DATA", lambda: simulated.break_line(seconds=2.0))
    with connect(simulated.open_transport(), stub=stub_directory(tmp_path)) as device:
        device.flash.write([(0x1_0000, image)])

    assert simulated.flash[0x1_0000:0x1_8000] == image


def test_what_an_application_says_is_heard() -> None:
    device = SimulatedDevice("esp32c3")
    bench = Bench(device.open_transport())
    device.say(b"I (42) main: hello\r\n")

    assert bench.receive() == b"I (42) main: hello\r\n"


def test_a_device_without_power_is_reported_as_silent() -> None:
    device = SimulatedDevice("esp32c3")
    device.power_off()
    with pytest.raises(SilentDeviceError):
        connect(device.open_transport(), attempts=1)


# By a listener, in the middle of things.


def when(device: SimulatedDevice, name: str, action: Callable[[], None], *, count: int = 1) -> None:
    """Do something when a command comes for the n-th time."""
    left = count

    def listen(event: HistoryEvent) -> None:
        nonlocal left
        if isinstance(event, SeenCommand) and event.name == name:
            left -= 1
            if left == 0:
                action()

    device.history.listeners.append(listen)


@pytest.mark.parametrize("loader", ["rom", "stub"])
def test_the_power_may_go_at_a_certain_command(loader: str, tmp_path: Path) -> None:
    simulated = SimulatedDevice("esp32c3")
    stub = stub_directory(tmp_path) if loader == "stub" else False
    when(simulated, "FLASH_DATA", simulated.power_off, count=2)
    image = incompressible(0xC000)
    with connect_as_it_is(simulated.open_transport(), stub=stub) as device:
        with pytest.raises(EsploaderError):
            device.flash.write([(0, image)])
        assert not simulated.is_powered
        held = simulated.flash[: len(image)]
        blank = held.index(b"\xff" * 0x1000)
        assert 0 < blank < len(image)
        assert held == image[:blank].ljust(len(image), b"\xff")
        simulated.power_on()
    with connect(simulated.open_transport(), stub=stub) as device:
        device.flash.write([(0, image)])

    assert simulated.flash[: len(image)] == image


def test_a_reset_may_come_at_a_certain_command() -> None:
    simulated = SimulatedDevice("esp32c3")
    when(simulated, "FLASH_DATA", simulated.press_reset, count=2)
    image = incompressible(0x8000)
    with connect(simulated.open_transport(), stub=False) as device:
        device.flash.write([(0, image)])

    assert simulated.flash[: len(image)] == image
    assert [boot.download for boot in simulated.history.boots] == [True, False, True]


def test_what_a_listener_does_happens_at_the_time_of_the_event() -> None:
    device = SimulatedDevice("esp32c3", state="download")
    bench = Bench(device.open_transport())
    when(device, "READ_REG", device.press_reset)
    bench.transport.write(READ_MAGIC)
    device.clock.sleep(10.0)
    (boot,) = device.history.boots

    arrived = len(READ_MAGIC) * 10 / 115200
    assert boot.moment == pytest.approx(arrived + 0.1 + 0.001 + 0.004)


@pytest.mark.parametrize("state", ["download", "stub"])
def test_the_line_may_break_at_a_certain_command(state: str) -> None:
    device = SimulatedDevice("esp32c3", state=state)
    bench = Bench(device.open_transport())
    when(device, "READ_REG", lambda: device.break_line(1.0))
    bench.transport.write(READ_MAGIC * 2)
    with pytest.raises(TransportClosedError):
        bench.receive()
    device.clock.sleep(1.1)
    assert bench.receive() == b""

    assert len(device.history.commands) == 1
    assert bench.exchange(READ_MAGIC)


def test_a_listener_may_press_the_reset_button_at_a_boot() -> None:
    device = SimulatedDevice("esp32c3")

    def listen(event: HistoryEvent) -> None:
        if isinstance(event, Boot) and device.boot_count < 3:
            device.press_reset()

    device.history.listeners.append(listen)
    device.press_reset()
    device.clock.sleep(1.0)

    assert device.boot_count == 3


# In real time.


def test_a_reader_that_waits_hears_what_another_thread_does_with_the_device() -> None:
    device = SimulatedDevice("esp32c3", timings=Timings(enable_rise=0.0, boot=0.0))
    with RealTimeTransport(device) as transport:
        received = bytearray()
        done = threading.Event()

        def read() -> None:
            while b"SPI_FAST_FLASH_BOOT" not in received:
                received.extend(transport.read(float("inf")))
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        device.press_reset(seconds=0.001)

        assert done.wait(LIMIT)
        reader.join()


def test_a_reader_that_waits_hears_of_a_broken_line() -> None:
    device = SimulatedDevice("esp32c3")
    with RealTimeTransport(device) as transport:
        failures: list[TransportClosedError] = []

        def read() -> None:
            try:
                transport.read(float("inf"))
            except TransportClosedError as exc:
                failures.append(exc)

        reader = threading.Thread(target=read)
        reader.start()
        device.break_line()
        reader.join(LIMIT)

        assert not reader.is_alive()
        assert failures
