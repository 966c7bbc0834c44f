"""An application of the user's talks on the UART, at times that nothing but the bytes decides."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.simulator import (
    UNPACED,
    RealTimeTransport,
    ResetCause,
    Runtime,
    SimulatedDevice,
    SimulatedTransport,
    Task,
    Timings,
    minimal_image,
)
from esploader.transport.clock import VirtualClock
from simulated import READ_MAGIC, Bench

if TYPE_CHECKING:
    from esploader.simulator import Application

IMAGE = minimal_image(ESP32_C3)
BYTE_TIME = 10 / 115200


def running(application: Application | None, *, timings: Timings | None = None) -> Bench:
    """Return a device in which an application has been running since long ago."""
    device = SimulatedDevice("esp32c3", flash=IMAGE, application=application, timings=timings)
    return Bench(device.open_transport())


def echo(runtime: Runtime) -> Task:
    while True:
        runtime.send((yield None))


def test_an_application_answers() -> None:
    bench = running(echo)

    assert bench.exchange(b"hello") == b"hello"
    assert bench.exchange(b"again") == b"again"


def test_it_starts_when_the_rom_has_printed_its_log() -> None:
    def greet(runtime: Runtime) -> None:
        runtime.send(f"{runtime.reset_cause.name} {runtime.now:.3f}".encode("ascii"))

    bench = running(greet)
    bench.receive()
    log = bench.reset(strap_low=False)

    assert b"rst:0x1 (POWERON),boot:0xd" in log
    text = log[: log.index(b"EXTERNAL")]
    started = float(log[len(text) :].split()[1])
    # Of the reset: its end, the rise of EN, the start of the chip, its log.
    released = bench.device.history.lines[1].moment
    assert started == pytest.approx(released + 0.001 + 0.004 + len(text) * BYTE_TIME, abs=0.001)


@pytest.mark.parametrize("content", [b"", IMAGE[:-40]])
def test_without_an_intact_image_nothing_runs(content: bytes) -> None:
    device = SimulatedDevice("esp32c3", flash=content, application=echo)
    bench = Bench(device.open_transport())

    assert bench.exchange(b"hello") == b""
    bench.reset(strap_low=False)
    assert bench.exchange(b"hello") == b""


def test_without_an_application_there_is_silence() -> None:
    bench = running(None)
    log = bench.reset(strap_low=False)

    assert log.endswith(b"entry 0x4037c000\r\n")
    assert bench.exchange(b"hello") == b""


def test_it_wakes_when_its_time_is_up() -> None:
    def tick(runtime: Runtime) -> Task:
        while True:
            received = yield 0.5
            runtime.send(b"%.1f" % runtime.now if not received else b"<" + received + b">")

    bench = running(tick)
    bench.transport.clock.sleep(0.6)
    bench.transport.write(b"x")

    heard = bytearray()
    while bench.now < 2.0:
        heard += bench.transport.read(2.0)
    assert heard == b"0.5<x>1.11.6"


def test_what_is_woken_for_nothing_waits_anew() -> None:
    """The time of a wait counts from its beginning, not from the last byte."""

    def patient(runtime: Runtime) -> Task:
        while (yield 1.0):
            pass
        runtime.send(b"%.2f" % runtime.now)

    bench = running(patient)
    for _ in range(3):
        bench.transport.clock.sleep(0.9)
        bench.transport.write(b"x")
    bench.transport.read(10.0)

    assert bench.now == pytest.approx(2.7 + 3 * BYTE_TIME + 1.0, abs=5 * BYTE_TIME)


def test_bytes_come_in_pieces_as_from_a_fifo() -> None:
    pieces = []

    def listen(runtime: Runtime) -> Task:
        while True:
            pieces.append(((yield None), runtime.now))

    bench = running(listen)
    bench.transport.write(bytes(300))
    bench.transport.clock.sleep(1.0)
    bench.transport.write(b"end")
    bench.transport.clock.sleep(1.0)

    assert [len(data) for data, _ in pieces] == [120, 120, 60, 3]
    assert [moment for _, moment in pieces] == pytest.approx(
        [120 * BYTE_TIME, 240 * BYTE_TIME, 302 * BYTE_TIME, 1.0 + 5 * BYTE_TIME]
    )


def test_it_can_change_the_rate() -> None:
    def fast(runtime: Runtime) -> Task:
        runtime.set_baudrate(921600)
        runtime.send((yield None))

    bench = running(fast)
    bench.transport.clock.sleep(0.1)
    bench.transport.set_baudrate(921600)

    assert bench.exchange(b"quick") == b"quick"
    assert bench.device.baudrate == 921600


def test_a_reset_starts_it_anew_and_at_its_own_rate() -> None:
    def count(runtime: Runtime) -> Task:
        runtime.set_baudrate(9600)
        while True:
            yield None

    bench = running(count)
    bench.transport.clock.sleep(0.1)
    assert bench.device.baudrate == 9600
    bench.reset(strap_low=True)

    assert bench.device.baudrate == 115200
    assert bench.exchange(READ_MAGIC)


def test_it_can_reset_the_chip_when_all_is_said() -> None:
    def restless(runtime: Runtime) -> Task:
        yield None
        runtime.send(b"bye" * 100)
        runtime.restart()

    bench = running(restless)
    log = bench.exchange(b"go")

    assert log.startswith(b"bye" * 100 + b"ESP-ROM:")
    assert b"rst:0x3 (RTC_SW_SYS_RST)" in log
    assert bench.device.history.boots[-1].cause is ResetCause.SOFTWARE


def test_it_can_end_in_the_arms_of_the_watchdog() -> None:
    def stuck(runtime: Runtime) -> Task:
        yield 3.0
        if runtime.reset_cause is not ResetCause.WATCHDOG:
            runtime.restart(ResetCause.WATCHDOG)

    bench = running(stuck)

    assert b"rst:0x7 (TG0WDT_SYS_RST)" in bench.receive(silence=5.0)
    assert bench.device.boot_count == 1


def test_it_has_the_flash_to_itself() -> None:
    def store(runtime: Runtime) -> Task:
        while True:
            data = yield None
            runtime.flash.erase(0x9000, len(data))
            runtime.flash.program(0x9000, data)
            runtime.send(runtime.chip.key.encode("ascii"))

    bench = running(store)

    assert bench.exchange(b"settings") == b"esp32c3"
    assert bench.device.flash[0x9000:0x9008] == b"settings"


def test_it_ends_with_the_power() -> None:
    def write(runtime: Runtime) -> Task:
        yield None
        runtime.flash.program(0x9000, bytes(256))
        runtime.send(b"done")

    bench = running(write)
    bench.device.cut_power_at(1)

    assert bench.exchange(b"go") == b""
    assert not bench.device.is_powered
    assert bench.device.flash[0x9000:0x9100] == bytes(128) + b"\xff" * 128


def test_an_error_in_it_comes_out_where_time_passes() -> None:
    def faulty(_: Runtime) -> Task:
        yield None
        raise LookupError("a defect in the application")

    bench = running(faulty)
    bench.transport.write(b"x")
    with pytest.raises(LookupError, match="defect"):
        bench.transport.clock.sleep(1.0)


@pytest.mark.parametrize("wait", [0.0, -1.0, float("nan")])
def test_a_wait_that_takes_no_time_is_refused(wait: float) -> None:
    def spin(_: Runtime) -> Task:
        while True:
            yield wait

    bench = running(spin)
    with pytest.raises(ValueError, match="more than 0"):
        bench.transport.clock.sleep(1.0)


def test_another_application_runs_from_the_next_boot_on() -> None:
    bench = running(echo)
    bench.device.run(None)

    assert bench.exchange(b"still") == b"still"
    bench.reset(strap_low=False)
    assert bench.exchange(b"gone") == b""


def test_it_runs_where_a_loader_goes_on_to_it() -> None:
    flash = {ESP32.bootloader_offset: minimal_image(ESP32)}
    bench = Bench(SimulatedDevice("esp32", flash=flash, application=echo).open_transport())
    bench.reset(strap_low=True)
    bench.command(0x02, bytes(16))
    log = bench.exchange(bytes.fromhex("c000040400000000000100000 0c0".replace(" ", "")))

    assert b"user code done" not in log
    assert b"entry 0x40" in log
    assert bench.exchange(b"hello") == b"hello"


@attrs.frozen
class Trace:
    """What an application saw, and what came of it."""

    seen: tuple[tuple[bytes, float], ...]
    heard: bytes


def trace(writes: list[tuple[float, bytes]], looks: list[float]) -> Trace:
    """Write at certain times, and look at others."""
    seen: list[tuple[bytes, float]] = []

    def talk(runtime: Runtime) -> Task:
        while True:
            received = yield 0.02
            seen.append((received, round(runtime.now, 9)))
            runtime.send(b"%d," % len(received))

    clock = VirtualClock()
    device = SimulatedDevice("esp32c3", flash=IMAGE, application=talk, clock=clock)
    transport = device.open_transport()
    heard = bytearray()
    agenda: list[tuple[float, bytes | None]] = [*writes, *((look, None) for look in looks)]
    for moment, data in sorted(agenda, key=lambda entry: entry[0]):
        clock.advance_to(moment)
        if data is None:
            heard += transport.discard_input()
        else:
            transport.write(data)
    while clock.now() < 0.5:
        heard += transport.read(0.5)
    return Trace(tuple(seen), bytes(heard))


moments = st.floats(0, 0.1)


@given(
    writes=st.lists(st.tuples(moments, st.binary(min_size=1, max_size=400)), max_size=3).filter(
        lambda writes: all(a[0] != b[0] for a, b in pairwise(sorted(writes)))
    ),
    looks=st.lists(moments, max_size=8),
)
def test_it_does_not_matter_when_the_host_looks(
    writes: list[tuple[float, bytes]], looks: list[float]
) -> None:
    assert trace(writes, looks) == trace(writes, [])


def test_without_the_pace_of_a_uart_bytes_come_as_they_were_written() -> None:
    bench = running(echo, timings=UNPACED)

    assert bench.exchange(b"abc" * 100) == b"abc" * 100
    assert bench.now == pytest.approx(2.0)


def test_it_runs_in_real_time() -> None:
    device = SimulatedDevice("esp32c3", flash=IMAGE, application=echo, timings=UNPACED)
    with RealTimeTransport(device) as transport:
        transport.write(b"now")

        assert transport.read(transport.clock.now() + 10.0) == b"now"


def test_a_transport_in_virtual_time_needs_a_device_that_lives_in_it() -> None:
    device = SimulatedDevice("esp32c3")
    RealTimeTransport(device).close()
    with pytest.raises(ValueError, match="real time"):
        SimulatedTransport(device)
