"""``sim://`` behaves as a port of pyserial should."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pytest
import serial
from typing_extensions import override

import esploader
from esploader.errors import SilentDeviceError
from esploader.protocol import slip
from esploader.urlhandler import protocol_sim

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Direction, opcode, size, no checksum; then what every loader answers eight times.
SYNC = slip.encode(b"\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"\x55" * 32)
SYNC_RESPONSE_COUNT = 8
SYNC_RESPONSES_SIZE = SYNC_RESPONSE_COUNT * len(slip.encode(bytes(12)))

PATIENCE = 10.0

ATTEMPTS = 10

IN_DOWNLOAD_MODE = "sim://esp32c3?state=download"


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """Register, and leave pyserial as it was."""
    packages = list(serial.protocol_handler_packages)
    esploader.register_pyserial()
    yield
    serial.protocol_handler_packages[:] = packages


def open_port(
    url: str, *, baudrate: int = 115200, timeout: float | None = PATIENCE
) -> serial.Serial:
    return serial.serial_for_url(url, baudrate=baudrate, timeout=timeout)


def reset(port: serial.Serial, *, download: bool) -> bytes:
    """Restart the device by its lines and return what it says at first."""
    port.dtr = False
    port.rts = True
    port.reset_input_buffer()
    port.dtr = download
    port.rts = False
    said = port.read(1)
    port.dtr = False
    return said + port.read(port.in_waiting)


def enter_download_mode(port: serial.Serial) -> bool:
    """Reset into download mode; tell whether the device is in it."""
    # Between the two lines the device may start if this thread is held up just there; who
    # flashes real ones tries again too.
    return any(b"waiting for download" in reset(port, download=True) for _ in range(ATTEMPTS))


def test_registering_twice_is_registering_once() -> None:
    esploader.register_pyserial()
    assert serial.protocol_handler_packages.count("esploader.urlhandler") == 1


def test_the_loader_answers() -> None:
    with open_port(IN_DOWNLOAD_MODE) as port:
        assert port.is_open
        assert port.name == IN_DOWNLOAD_MODE
        assert port.write(SYNC) == len(SYNC)
        port.flush()
        responses = port.read(SYNC_RESPONSES_SIZE)
        assert len(responses) == SYNC_RESPONSES_SIZE
        assert responses.startswith(b"\xc0\x01\x08")
        assert port.in_waiting == 0


def test_reading_less_leaves_the_rest() -> None:
    with open_port(IN_DOWNLOAD_MODE) as port:
        port.write(bytearray(SYNC))
        whole = port.read(1) + port.read(2)
        assert whole == b"\xc0\x01\x08"
        assert port.in_waiting == SYNC_RESPONSES_SIZE - 3
        assert len(port.read(port.in_waiting)) == SYNC_RESPONSES_SIZE - 3


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_reading_more_returns_what_there_is(timeout: float) -> None:
    with open_port(IN_DOWNLOAD_MODE, timeout=timeout) as port:
        assert port.read(1) == b""
        port.write(SYNC)
        assert len(port.read(SYNC_RESPONSES_SIZE + 1)) == SYNC_RESPONSES_SIZE


def test_without_timeout_reading_waits_for_all_of_it() -> None:
    read: list[bytes] = []
    with open_port(IN_DOWNLOAD_MODE, timeout=None) as port:
        reader = threading.Thread(target=lambda: read.append(port.read(2 * SYNC_RESPONSES_SIZE)))
        reader.start()
        port.write(SYNC)
        port.write(SYNC)
        reader.join()
    assert [len(data) for data in read] == [2 * SYNC_RESPONSES_SIZE]


def test_other_threads_are_not_kept_waiting_by_a_reader() -> None:
    failures: list[BaseException] = []
    port = open_port("sim://esp32c3")

    def read() -> None:
        try:
            port.read(1)
        except serial.SerialException as exc:
            failures.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    assert port.in_waiting == 0
    port.reset_input_buffer()
    port.write(b"nobody answers that")
    port.close()
    reader.join()
    assert len(failures) == 1


def test_purging_drops_what_has_arrived() -> None:
    with open_port(IN_DOWNLOAD_MODE, timeout=0) as port:
        port.write(SYNC)
        assert port.in_waiting
        port.write(SYNC)
        port.reset_output_buffer()
        port.reset_input_buffer()
        assert port.in_waiting == 0
        assert port.read(1) == b""


def test_dtr_and_rts_decide_what_runs() -> None:
    with open_port("sim://esp32c3") as port:
        assert enter_download_mode(port)
        assert b"SPI_FAST_FLASH_BOOT" in reset(port, download=False)


def test_lines_that_were_set_before_opening_are_set_by_opening() -> None:
    port = serial.serial_for_url("sim://esp32c3", do_not_open=True, baudrate=115200, timeout=0)
    port.dtr = False
    port.rts = True
    with port:
        assert port.read(1) == b""
        port.timeout = PATIENCE
        port.rts = False
        assert port.read(7) == b"ESP-ROM"


def test_a_rate_that_does_not_match_garbles() -> None:
    with open_port("sim://esp32c3", baudrate=9600) as port:
        assert b"ESP-ROM" not in reset(port, download=False)
        port.baudrate = 115200
        assert b"ESP-ROM" in reset(port, download=False)


def test_the_inputs_of_a_bridge_that_never_stops_the_host() -> None:
    with open_port("sim://esp32c3") as port:
        port.break_condition = True
        assert (port.cts, port.dsr, port.ri, port.cd) == (True, True, False, False)


def test_there_is_no_descriptor() -> None:
    with open_port("sim://esp32c3") as port, pytest.raises(io.UnsupportedOperation):
        port.fileno()


@pytest.mark.parametrize(
    "url", ["sim://", "sim://esp33", "sim://esp32c3?flash=3MB", "sim://esp32c3?colour=red"]
)
def test_a_url_that_makes_no_sense(url: str) -> None:
    with pytest.raises(serial.SerialException, match="sim://"):
        serial.serial_for_url(url)


def test_a_port_is_opened_once_and_needs_a_url() -> None:
    with open_port("sim://esp32c3") as port, pytest.raises(serial.SerialException, match="open"):
        port.open()
    with pytest.raises(serial.SerialException, match="no URL"):
        protocol_sim.Serial().open()


def test_a_closed_port_says_so() -> None:
    port = open_port("sim://esp32c3")
    port.close()
    port.close()
    assert not port.is_open
    for use in (
        port.read,
        lambda: port.write(b"x"),
        lambda: port.in_waiting,
        port.flush,
        port.reset_input_buffer,
        port.reset_output_buffer,
    ):
        with pytest.raises(serial.PortNotOpenError):
            use()


def test_opening_again_makes_another_device_with_the_same_file(tmp_path: Path) -> None:
    url = f"sim://esp32c3?flash=1MB&file={tmp_path / 'flash.bin'}"
    port = open_port(url)
    assert enter_download_mode(port)
    port.close()
    port.open()
    with port, pytest.raises(SilentDeviceError):
        # It runs its application again.
        esploader.connect(port, before="no-reset", attempts=1)
    assert (tmp_path / "flash.bin").stat().st_size == 1024 * 1024


class RecordingPort(protocol_sim.Serial):
    """A simulated port that remembers every timeout it was given."""

    timeouts: tuple[object, ...] = ()

    @override
    def __setattr__(self, name: str, value: object) -> None:
        if name == "timeout":
            self.timeouts = (*self.timeouts, value)
        super().__setattr__(name, value)


def test_our_own_client_on_a_port_that_was_handed_over() -> None:
    with RecordingPort("sim://esp32c3", baudrate=115200, timeout=7, write_timeout=8) as port:
        before = len(port.timeouts)
        with esploader.connect(port) as device:
            assert device.flash.id().size == 4 * 1024 * 1024
        short, restored = port.timeouts[before:]
        assert isinstance(short, float)
        assert 0 < short < 1
        assert restored == 7
        assert (port.is_open, port.timeout, port.write_timeout) == (True, 7, 8)
