"""The port that suites of pytest-embedded use, by several threads in turns."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import pytest
import serial

from esploader.connector import connect
from esploader.integrations.embedded_port import SharedPort
from esploader.protocol import slip
from served import lent_chip

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0
"""When a test gives up, in seconds."""

SIMULATED = "sim://esp32c3?state=download"

# Direction, opcode, size, no checksum; then what every loader answers eight times.
SYNC = slip.encode(b"\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + b"\x55" * 32)
RESPONSES_SIZE = 8 * len(slip.encode(bytes(12)))


@pytest.fixture(name="port", params=["simulated", "rfc2217", "tcp"])
def _port(request: pytest.FixtureRequest) -> Iterator[SharedPort]:
    if request.param == "simulated":
        with SharedPort(SIMULATED, 115200) as port:
            yield port
        return
    with lent_chip(SIMULATED, request.param) as url, SharedPort(url, 115200) as port:
        yield port


def test_who_writes_gets_a_turn_while_somebody_waits_for_bytes(port: SharedPort) -> None:
    port.timeout = None
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(port.read(RESPONSES_SIZE)), daemon=True)
    reader.start()
    port.write(SYNC)
    reader.join(PATIENCE)
    assert [len(data) for data in heard] == [RESPONSES_SIZE]


def test_reading_nothing_waits_for_nothing(port: SharedPort) -> None:
    assert port.shared.read(-math.inf) == b""
    assert port.read_all() == b""


def test_who_is_alone_keeps_others_out(port: SharedPort) -> None:
    happened: list[str] = []
    is_there = threading.Event()

    def write() -> None:
        is_there.set()
        port.write(SYNC)
        happened.append("written")

    other = threading.Thread(target=write)
    with port.alone() as transport:
        other.start()
        assert is_there.wait(PATIENCE)
        assert connect(transport, before="no-reset").chip.key == "esp32c3"
        happened.append("connected")
    other.join(PATIENCE)
    assert happened == ["connected", "written"]


def test_who_has_connected_leaves_the_port_open(port: SharedPort) -> None:
    with port.alone() as transport:
        assert connect(transport, before="no-reset").chip.key == "esp32c3"
    port.write(SYNC)
    port.timeout = PATIENCE
    assert len(port.read(RESPONSES_SIZE)) == RESPONSES_SIZE


def test_a_setting_that_a_port_lacks_matters_to_who_asks_for_it() -> None:
    with lent_chip(SIMULATED, "tcp") as url, SharedPort(url, 115200) as port:
        port.timeout = 1.0
        with pytest.raises(serial.SerialException, match="set the baud rate"):
            port.baudrate = 921600
        with pytest.raises(serial.SerialException, match="set DTR and RTS"):
            port.dtr = True


def test_what_is_no_port_is_refused() -> None:
    with pytest.raises(serial.SerialException, match="no chip is called 'esp99'"):
        SharedPort("sim://esp99")
