"""A recording answers as a device, as far as it goes."""

from __future__ import annotations

import pytest

from esploader import connect
from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import TransportClosedError, TransportError
from esploader.server.serve import Server
from esploader.simulator import SimulatedDevice
from esploader.simulator.recordings.recorder import RecordingTransport
from esploader.simulator.recordings.recording import LineChange, Recording, Row
from esploader.simulator.recordings.replay import MAX_UNKNOWN_SIZE, ReplayTransport, find_resets
from esploader.transport.clock import RealClock
from simulated import READ_MAGIC, SYNC, request

OTHER = request(0x14)


def lines(*states: tuple[bool, bool]) -> tuple[LineChange, ...]:
    return tuple(LineChange(seconds=0.1, dtr=dtr, rts=rts) for dtr, rts in states)


def replay(*rows: Row) -> ReplayTransport:
    return ReplayTransport(Recording(chip=ESP32_C3, loader="rom", rows=rows))


def row(sent: bytes, received: bytes) -> Row:
    return Row(name="a row", sent=sent, received=received)


def answer(port: ReplayTransport, sent: bytes) -> bytes:
    port.write(sent)
    return port.read(port.clock.now())


def test_the_same_request_has_the_answers_in_turn_and_then_again() -> None:
    port = replay(row(SYNC, b"s"), row(READ_MAGIC, b"1"), row(READ_MAGIC, b"2"))
    assert [answer(port, sent) for sent in (SYNC, READ_MAGIC, READ_MAGIC)] == [b"s", b"1", b"2"]
    assert answer(port, READ_MAGIC) == b"1"
    # Whoever leaves something out goes on behind it.
    assert answer(port, SYNC) == b"s"
    assert answer(port, OTHER) == b""
    assert answer(port, READ_MAGIC) == b"1"


def test_how_bytes_arrive_does_not_matter() -> None:
    port = replay(row(SYNC, b"s"), row(READ_MAGIC, b"m"), row(OTHER + SYNC, b"o"))
    for value in (SYNC + READ_MAGIC)[:-1]:
        port.write(bytes((value,)))
    assert port.read(0.0) == b"s"
    assert answer(port, READ_MAGIC[-1:] + OTHER) == b"m"
    assert answer(port, SYNC) == b"o"
    assert port.unanswered == []


def test_what_was_never_sent_is_not_answered_and_does_no_harm() -> None:
    port = replay(row(SYNC, b"s"))
    assert answer(port, b"noise" + OTHER + SYNC) == b"s"
    assert port.unanswered == [b"noise", OTHER]
    port.write(bytes(MAX_UNKNOWN_SIZE))
    assert port.unanswered[2:] == [bytes(MAX_UNKNOWN_SIZE)]
    assert answer(port, SYNC) == b"s"


def test_a_reset_goes_on_behind_the_recorded_one_into_the_same_mode() -> None:
    into_download = Row(
        name="lines", lines=lines((False, True), (True, False)), received=b"waiting"
    )
    into_application = Row(name="lines", lines=lines((False, True)))
    released = Row(name="lines", lines=lines((False, False)), received=b"hello")
    port = replay(into_application, released, row(SYNC, b"0"), into_download, row(SYNC, b"1"))
    assert find_resets(port.recording) == (None, False, None, True, None)

    port.write(b"\xc0half a frame")
    port.set_lines(rts=True)
    # Another sequence than the recorded one, to the same end.
    port.set_lines(dtr=True)
    port.set_lines(dtr=True, rts=False)
    assert port.read(0.0) == b"waiting" or port.read(0.0) == b""
    port.set_lines(dtr=False)
    port.set_lines(rts=True)
    port.set_lines(dtr=False, rts=False)
    assert port.read(0.0) == b"hello"
    assert answer(port, SYNC) == b"0"
    assert answer(port, SYNC) == b"1"


def test_time_passes_as_for_any_other_port() -> None:
    port = replay(row(SYNC, b"s"))
    assert port.read(5.0) == b""
    assert port.clock.now() == 5.0
    with pytest.raises(TransportError):
        port.read(float("inf"))
    assert port.next_event() is None
    port.write(SYNC)
    assert port.next_event() == 5.0
    port.close()
    for use in (
        lambda: port.read(0.0),
        lambda: port.write(b""),
        lambda: port.set_lines(dtr=True),
        lambda: port.set_baudrate(9600),
        port.discard_input,
    ):
        with pytest.raises(TransportClosedError):
            use()


@pytest.mark.parametrize("chip", ["esp8266", "esp32", "esp32c3"])
def test_a_client_takes_a_recording_for_the_device(chip: str) -> None:
    device = SimulatedDevice(chip)
    port = RecordingTransport(device.open_transport())
    with connect(port, stub=False) as client:
        flash_id = client.flash.id()
        client.reset()
    recording = port.recording(device.chip)

    replayed = ReplayTransport(recording)
    with connect(replayed, stub=False) as client:
        assert client.flash.id() == flash_id
        client.reset()
    assert replayed.unanswered == []

    with ReplayTransport(recording, clock=RealClock()) as served, Server(served) as server:
        url = server.listen_rfc2217()
        server.start()
        with connect(url, stub=False) as client:
            assert client.flash.id() == flash_id
            client.reset()
