"""A trace has a line for all that a device takes up, answers and goes through."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader import connect
from esploader.simulator import SimulatedDevice
from esploader.simulator.description import describe_sent
from esploader.simulator.trace import Trace
from simulated import READ_MAGIC, SYNC, request, words

if TYPE_CHECKING:
    from pathlib import Path


def traced(trace: Trace, *sent: bytes, state: str = "download") -> None:
    """Send requests to a device, and trace what it does."""
    device = SimulatedDevice("esp32c3", state=state)
    device.clock.sleep(100.0)
    trace.follow(device, "a device", device.clock.now())
    port = device.open_transport()
    for data in sent:
        port.write(data)
        port.clock.sleep(1.0)
        port.read(port.clock.now())


def lines_of(*sent: bytes, state: str = "download") -> list[str]:
    file = io.StringIO()
    traced(Trace(file), *sent, state=state)
    return file.getvalue().splitlines()


def test_requests_and_responses_with_their_times() -> None:
    lines = lines_of(
        READ_MAGIC,
        request(0x0D, words(0, 0)),
        request(0x02, words(0x1000, 4, 0x400, 0x1_0000, 0)),
        request(0x77),
    )
    assert [line.partition(" a device ")[2] for line in lines] == [
        "> READ_REG address=0x40001000",
        "< READ_REG done",
        "> SPI_ATTACH pins=0x0",
        "< SPI_ATTACH done",
        "> FLASH_BEGIN size=0x1000 blocks=4 block_size=0x400 offset=0x10000",
        "< FLASH_BEGIN done",
        "> 0x77",
        "< FLASH_BEGIN refused: error 0x05",
    ]
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)
    assert [int(time) for time in times[::2]] == [0, 1, 2, 3]
    assert lines[0].index(" a device") == 11


def test_a_stub_answers_for_itself() -> None:
    lines = lines_of(request(0xD1, words(0x1001, 0x1000)), state="stub")
    assert [line.partition(" a device ")[2] for line in lines] == [
        "> ERASE_REGION offset=0x1001 size=0x1000",
        "< ERASE_REGION refused: error 0xc0",
    ]


def test_lines_and_boots() -> None:
    file = io.StringIO()
    device = SimulatedDevice("esp32")
    Trace(file).follow(device, "x", 0.0)
    with connect(device.open_transport(), stub=False) as client:
        client.reset()
        device.clock.sleep(0.5)
    words_of = [line.partition(" x ")[2] for line in file.getvalue().splitlines()]
    assert "= DTR released, RTS asserted" in words_of
    assert [each for each in words_of if each.startswith("*")] == [
        "* boots into download mode",
        "* boots into its application",
    ]


def test_each_line_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("of another run", encoding="utf-8")
    trace = Trace.open(path)
    traced(trace, READ_MAGIC)
    assert path.read_text(encoding="utf-8").count("\n") == 2
    trace.close()
    traced(trace, READ_MAGIC)
    assert path.read_text(encoding="utf-8").count("\n") == 2


def test_a_trace_ends_when_it_is_long_enough() -> None:
    file = io.StringIO()
    traced(Trace(file, room=100), READ_MAGIC, READ_MAGIC, READ_MAGIC)
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[-1] == "the trace ends here"


class FullDisk(io.StringIO):
    """A file on a disk that is full."""

    attempts = 0

    @override
    def write(self, text: str) -> int:
        self.attempts += 1
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_trace_and_not_the_device() -> None:
    file = FullDisk()
    traced(Trace(file), READ_MAGIC, READ_MAGIC)
    assert file.attempts == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (SYNC, "SYNC"),
        (SYNC + READ_MAGIC, "SYNC, READ_REG address=0x40001000"),
        (request(0x0A), "READ_REG"),
        (request(0xEE, b"1234"), "0xee"),
        (b"\xc0\x00\x10\x00\x00\xc0", "acknowledgement of 4096 bytes"),
        (b"\xc0\x01\x02\x03\xc0", "3 bytes that are no request"),
        (b"noise" + SYNC, "5 bytes that are no request, SYNC"),
        (b"\xc0open", "5 bytes that are no request"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_sent_in_words(data: bytes, text: str) -> None:
    assert describe_sent(data) == text
