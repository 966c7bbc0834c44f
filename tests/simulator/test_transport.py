"""A simulated device at the end of a transport, in virtual and in real time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import FlashFileError, TransportClosedError, TransportError
from esploader.simulator.config import InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import UNPACED, Timings
from esploader.simulator.line.transport import RealTimeTransport, SimulatedTransport
from simulated import READ_MAGIC, Bench, make_bench, make_stub_bench, request, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANSWER = bytes.fromhex("c0010a04006f50311b00000000c0")
BYTE_TIME = 10 / 115200

LIMIT = 10.0
"""How long a test waits for another thread, in seconds, before it fails."""


def make_device(timings: Timings = UNPACED) -> SimulatedDevice:
    return SimulatedDevice(
        ESP32_C3, state=InitialState.DOWNLOAD, flash_attached=True, timings=timings
    )


# Virtual time.


def test_an_answer_takes_exactly_its_time_on_the_wire() -> None:
    bench = make_bench()
    bench.transport.write(READ_MAGIC)
    answer = bench.transport.read(10.0)

    assert answer == ANSWER
    assert bench.now == pytest.approx((len(READ_MAGIC) + len(ANSWER)) * BYTE_TIME + 50e-6)


def test_silence_lasts_until_the_deadline() -> None:
    bench = make_bench()

    assert bench.transport.read(3.5) == b""
    assert bench.now == 3.5


def test_a_deadline_in_the_past_polls() -> None:
    bench = make_bench()
    bench.transport.write(READ_MAGIC)
    bench.transport.clock.sleep(1.0)

    assert bench.transport.read(0.0) == ANSWER
    assert bench.now == 1.0


def test_a_deadline_cuts_through_an_answer() -> None:
    bench = make_bench()
    bench.transport.write(READ_MAGIC)
    first = bench.transport.read((len(READ_MAGIC) + 5.5) * BYTE_TIME + 50e-6)

    assert first == ANSWER[:5]
    assert bench.receive() == ANSWER[5:]


def test_bytes_queue_up_on_the_wire() -> None:
    bench = make_bench()
    bench.transport.write(bytes(11520))
    bench.transport.write(READ_MAGIC)
    bench.transport.read(10.0)

    assert bench.now == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("make", [make_bench, make_stub_bench], ids=["ROM", "stub"])
def test_the_inside_of_a_frame_is_no_reason_to_wake(make: Callable[[], Bench]) -> None:
    bench = make()
    bench.exchange(READ_MAGIC[:1])
    start = bench.now
    bench.transport.write(READ_MAGIC[1:-1])
    assert bench.transport.next_event() is None

    bench.transport.write(READ_MAGIC[-1:])
    end = start + (len(READ_MAGIC) - 1) * BYTE_TIME
    assert bench.transport.next_event() == pytest.approx(end)
    assert ANSWER[5:8] in bench.receive()


@pytest.mark.parametrize("last", [b"\xdb", b"\xdb\xdc"], ids=["split", "whole"])
def test_a_broken_escape_is_a_reason_to_wake(last: bytes) -> None:
    bench = make_bench()
    bench.exchange(READ_MAGIC[:5] + last)
    start = bench.now
    bench.transport.write(b"\xdb\x01 and more of the frame")
    event = bench.transport.next_event()

    assert event is not None
    assert start < event <= start + 2 * BYTE_TIME
    assert b"Guru Meditation" in bench.receive()


def test_nothing_wakes_for_bytes_that_nobody_hears() -> None:
    bench = make_bench(state=InitialState.APPLICATION)
    bench.transport.write(READ_MAGIC)

    assert bench.transport.next_event() is None


def test_the_first_answer_of_a_burst_does_not_wait_for_the_last_request() -> None:
    bench = make_bench()
    bench.transport.write(READ_MAGIC * 100)
    bench.transport.read(10.0)

    assert bench.now < 3 * len(READ_MAGIC) * BYTE_TIME


def test_waiting_for_ever_for_a_silent_device_is_an_error() -> None:
    with pytest.raises(TransportError):
        make_bench().transport.read(float("inf"))


def test_discarding_returns_what_had_arrived() -> None:
    bench = make_bench()
    bench.transport.write(READ_MAGIC)
    bench.transport.clock.sleep(1.0)

    assert bench.transport.discard_input() == ANSWER
    assert bench.receive() == b""


def test_a_closed_port_says_so() -> None:
    transport = make_bench().transport
    transport.close()
    transport.close()

    for use in (
        lambda: transport.read(0.0),
        lambda: transport.write(b""),
        lambda: transport.set_lines(dtr=True),
        lambda: transport.set_baudrate(9600),
        transport.discard_input,
    ):
        with pytest.raises(TransportClosedError):
            use()


def test_the_flash_is_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    device = SimulatedDevice(ESP32_C3, flash=path)
    with SimulatedTransport(device):
        device.nor.program(0, b"written")

    assert path.read_bytes()[:8] == b"written\xff"


def test_a_flash_that_cannot_be_written_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "flash.bin"
    path.parent.mkdir()
    device = SimulatedDevice(ESP32_C3, flash=path)
    path.parent.rename(tmp_path / "away")
    device.nor.program(0, b"lost")
    with pytest.raises(FlashFileError, match="cannot be written to its file"):
        SimulatedTransport(device).close()


def test_a_line_without_a_rate_of_its_own_follows_the_device() -> None:
    bench = make_bench(baudrate=None)
    bench.exchange(request(0x0F, words(921600, 0)))

    assert bench.transport.baudrate == 921600
    assert bench.exchange(READ_MAGIC) == ANSWER


def test_a_whole_flash_is_written_in_a_moment_and_takes_its_true_time() -> None:
    """4 MiB in blocks of 0x1800 bytes at 921600 baud: the wire alone takes 46 s."""
    bench = make_bench(baudrate=None)
    bench.status(0x0B, words(0, 4 << 20, 1 << 16, 1 << 12, 1 << 8, 0xFFFF))
    bench.exchange(request(0x0F, words(921600, 0)))
    size, block = 0x3F_F000, bytes(0x1800)
    bench.transport.write(request(0x02, words(size, size // 0x1800, 0x1800, 0, 0)))
    bench.receive(silence=60.0)
    started = bench.now
    for sequence in range(size // 0x1800):
        body = words(len(block), sequence, 0, 0) + block
        bench.transport.write(request(0x03, body, checksum=0xEF))
        assert bench.transport.read(bench.now + 5.0)[9:10] == b"\x00"

    assert 45.5 < bench.now - started < 60.0
    assert bench.device.nor.read(0, size) == bytes(size)


# Real time.


def test_what_comes_is_read_in_pieces_and_not_in_bytes() -> None:
    with RealTimeTransport(make_device(Timings())) as transport:
        transport.write(READ_MAGIC)
        start = transport.clock.now()
        data = b""
        while not data and transport.clock.now() < start + LIMIT:
            data = transport.read(transport.clock.now())
        assert data == ANSWER


def test_an_unpaced_device_answers_at_once() -> None:
    with RealTimeTransport(make_device()) as transport:
        transport.write(READ_MAGIC * 200)

        assert transport.read(transport.clock.now()) == ANSWER * 200


def test_an_unpaced_device_loses_nothing() -> None:
    with RealTimeTransport(make_device()) as transport:
        transport.write(request(0x02, words(0x10_0000, 1, 0x400, 0, 0)) + READ_MAGIC * 1000)

        assert transport.read(transport.clock.now()).count(ANSWER) == 1000


def test_a_reader_that_waits_gets_what_another_thread_asked_for() -> None:
    with RealTimeTransport(make_device(Timings())) as transport:
        received: list[bytes] = []
        done = threading.Event()

        def read() -> None:
            while sum(map(len, received)) < len(ANSWER):
                received.append(transport.read(float("inf")))
            done.set()

        reader = threading.Thread(target=read)
        reader.start()
        transport.write(READ_MAGIC)

        assert done.wait(LIMIT)
        reader.join()
        assert b"".join(received) == ANSWER


def test_closing_wakes_a_reader_that_waits() -> None:
    transport = RealTimeTransport(make_device())
    failures: list[TransportError] = []

    def read() -> None:
        try:
            transport.read(float("inf"))
        except TransportError as exc:
            failures.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    transport.close()
    reader.join(LIMIT)

    assert not reader.is_alive()
    assert isinstance(failures[0], TransportClosedError)


def test_many_threads_may_use_it_at_once() -> None:
    with RealTimeTransport(make_device()) as transport:
        count, per_thread = 4, 50
        received = bytearray()
        whole = threading.Event()

        def read() -> None:
            while len(received) < count * per_thread * len(ANSWER):
                received.extend(transport.read(transport.clock.now() + LIMIT))
            whole.set()

        def write() -> None:
            for _ in range(per_thread):
                transport.write(READ_MAGIC)

        threads = [threading.Thread(target=target) for target in (read, *[write] * count)]
        for thread in threads:
            thread.start()

        assert whole.wait(LIMIT)
        for thread in threads:
            thread.join()
        assert received == ANSWER * (count * per_thread)


def test_lines_reset_it_in_real_time_too() -> None:
    with RealTimeTransport(make_device()) as transport:
        transport.set_lines(dtr=False, rts=True)
        transport.set_lines(dtr=True, rts=False)

        assert b"waiting for download" in transport.read(transport.clock.now() + LIMIT)
