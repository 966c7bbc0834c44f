"""What passes through a recording transport is in its recording, and goes on unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.esp32c3 import ESP32_C3
from esploader.server.serve import Server
from esploader.simulator import SimulatedDevice
from esploader.simulator.line.faults import Delay, Direction
from esploader.simulator.line.faulty_transport import FaultyTransport
from esploader.simulator.line.transport import RealTimeTransport
from esploader.simulator.recordings.check import check_recording
from esploader.simulator.recordings.recorder import MAX_RECORDED_SIZE, RecordingTransport, split
from esploader.simulator.recordings.recording import LineChange, Row
from esploader.transport.gated import as_gated
from esploader.urls import open_transport
from simulated import READ_MAGIC, STUB_SYNC_ANSWER, SYNC, request, words
from untouched import connect_as_it_is

if TYPE_CHECKING:
    from esploader.transport.base import Transport

ANSWER = bytes.fromhex("c0010a04006f50311b00000000c0")

IMAGE = bytes(range(256)) * 32


def recorded_device(state: str = "download") -> tuple[RecordingTransport, SimulatedDevice]:
    device = SimulatedDevice("esp32c3", state=state)
    return RecordingTransport(device.open_transport()), device


def exchange(port: Transport, sent: bytes) -> bytes:
    """Send bytes, and return what has come a second later."""
    port.write(sent)
    port.clock.sleep(1)
    return port.read(port.clock.now())


def test_a_row_is_what_was_sent_and_what_came() -> None:
    port, _ = recorded_device()
    assert exchange(port, READ_MAGIC) == ANSWER
    port.write(READ_MAGIC)
    assert port.recording(ESP32_C3).rows == (
        Row(name="READ_REG address=0x40001000", sent=READ_MAGIC, received=ANSWER),
        Row(name="READ_REG address=0x40001000", sent=READ_MAGIC),
    )


def test_what_nobody_has_read_counts_and_is_not_lost() -> None:
    port, _ = recorded_device()
    port.write(READ_MAGIC)
    port.clock.sleep(1)
    port.write(READ_MAGIC)
    assert port.recording(ESP32_C3).rows[0].received == ANSWER
    assert port.read(port.clock.now()) == ANSWER
    assert port.read(port.clock.now() + 1).startswith(b"\xc0")


def test_what_is_discarded_counts() -> None:
    port, _ = recorded_device()
    port.write(READ_MAGIC)
    port.clock.sleep(1)
    assert port.discard_input() == ANSWER
    assert port.recording(ESP32_C3).rows[0].received == ANSWER


def test_a_request_that_got_no_answer_has_a_row_of_its_own() -> None:
    port, _ = recorded_device("app")
    for _ in range(2):
        port.write(READ_MAGIC)
        assert port.read(port.clock.now() + 0.5) == b""
    first, second = port.recording(ESP32_C3).rows
    assert (first.sent, first.received) == (second.sent, second.received) == (READ_MAGIC, b"")


def test_lines_and_rates_have_rows_of_their_own_with_their_times() -> None:
    port, _ = recorded_device("app")
    port.set_baudrate(57600)
    port.set_lines(dtr=False, rts=True)
    port.clock.sleep(0.5)
    port.set_lines(dtr=True, rts=False)
    port.clock.sleep(1)
    port.write(SYNC)
    rate, lines, sync = port.recording(ESP32_C3).rows
    assert rate == Row(name="baud rate", baudrate=57600)
    assert lines.lines == (
        LineChange(seconds=0.0, dtr=False, rts=True),
        LineChange(seconds=0.5, dtr=True, rts=False),
    )
    assert lines.received
    assert sync == attrs.evolve(sync, name="SYNC", lines=(), received=b"")


def test_several_requests_at_once_have_a_row_each() -> None:
    port, _ = recorded_device()
    security_info = request(0x14)
    assert len(exchange(port, READ_MAGIC + READ_MAGIC + security_info)) > 2 * len(ANSWER)
    rows = port.recording(ESP32_C3).rows
    assert [row.name for row in rows[:2]] == ["READ_REG address=0x40001000"] * 2
    assert [row.sent for row in rows] == [READ_MAGIC, READ_MAGIC, security_info]
    assert [row.received for row in rows[:2]] == [ANSWER, ANSWER]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (SYNC, STUB_SYNC_ANSWER * 8),
        (READ_MAGIC * 2, ANSWER),
        (READ_MAGIC * 2, ANSWER + request(0x09)),
        (READ_MAGIC * 2, ANSWER * 2 + b"\xc0"),
        (b"\x00" + READ_MAGIC * 2, ANSWER * 2),
    ],
    ids=["one request", "one response", "another opcode", "rest", "noise"],
)
def test_what_cannot_be_told_apart_stays_in_one_row(sent: bytes, received: bytes) -> None:
    row = Row(name="a row", sent=sent, received=received)
    assert split(row) == [row]


@pytest.mark.parametrize(("state", "loader"), [("download", "rom"), ("stub", "stub")])
def test_the_first_sync_shows_the_loader(state: str, loader: str) -> None:
    port, _ = recorded_device(state)
    exchange(port, READ_MAGIC)
    exchange(port, SYNC)
    assert port.recording(ESP32_C3).loader == loader


def test_a_recording_ends_when_it_is_long_enough(caplog: pytest.LogCaptureFixture) -> None:
    port, _ = recorded_device("app")
    noise = bytes(MAX_RECORDED_SIZE // 4)
    for _ in range(6):
        port.write(noise)
        port.read(port.clock.now())
    sizes = [len(row.sent) for row in port.recording(ESP32_C3).rows]
    assert sum(sizes[:-1]) < MAX_RECORDED_SIZE
    assert len(sizes) == 4
    assert caplog.text.count("the recording ends here") == 1


def test_names_are_no_longer_than_a_person_reads() -> None:
    port, _ = recorded_device()
    exchange(port, request(0x0A, words(0x6000_0000)) * 100)
    assert max(len(row.name) for row in port.recording(ESP32_C3).rows) <= 300


def test_nothing_is_sent_ahead_while_it_is_recorded() -> None:
    with RealTimeTransport(SimulatedDevice("esp32")) as line, Server(line) as server:
        url = server.listen_rfc2217()
        server.start()
        with RecordingTransport(open_transport(url)) as port:
            assert port.inner.capabilities.gated
            assert not port.capabilities.gated
            assert as_gated(port) is None


@pytest.mark.parametrize(
    ("chip_key", "stub"),
    covering_parameters(
        [(chip.key, stub) for chip in DESCRIBED for stub in (True, False)],
        # Each chip, the first two of them, which have dialects of their own, by both loaders.
        lambda chip_key, stub: (chip_key, (chip_key in {"esp8266", "esp32"} and chip_key, stub)),
    ),
)
def test_a_recording_of_a_simulated_device_agrees_with_one(chip_key: str, stub: bool) -> None:  # noqa: FBT001 - a parameter of the table
    device = SimulatedDevice(chip_key)
    port = RecordingTransport(device.open_transport())
    # By registers, 64 bytes at a time, one piece takes as much talk as all the rest.
    size = 500 if chip_key == "esp8266" and not stub else 5000
    with connect_as_it_is(
        port, stub=stub, baudrate=115200 if chip_key == "esp8266" else 921600
    ) as client:
        client.flash.write([(0x1_0000, IMAGE)])
        assert client.flash.read(0x1_0000, size) == IMAGE[:size]
        client.reset()
    rows = check_recording(port.recording(device.chip))
    assert len(rows) > 20
    assert [row for row in rows if not row.agrees] == []


def test_a_recording_of_a_slow_line_agrees_as_well() -> None:
    device = SimulatedDevice("esp32")
    late = Delay(rate=0.01, seconds=0.02, direction=Direction.FROM_DEVICE)
    port = RecordingTransport(FaultyTransport(device.open_transport(), (late,), seed=3))
    with connect(port, stub=False) as client:
        client.flash.id()
    rows = check_recording(port.recording(device.chip))
    assert [row for row in rows if not row.agrees] == []
