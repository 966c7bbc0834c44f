"""Scripts that have nothing but pyserial, and a served simulator."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from programs import run, served_chip

pytestmark = pytest.mark.peer

# In a process of its own: opening rfc2217:// calls a deprecated function of threading.
SCRIPT = """
    import json, sys, time
    import serial

    SYNC = bytes.fromhex("c00008240000000000070712205555555555") + b"\\x55" * 27 + b"\\xc0"
    READ_MAGIC = bytes.fromhex("c0000a04000000000000100040c0")
    TO_230400 = bytes.fromhex("c0000f0800000000000084030000000000c0")

    SIZE = 14  # of a response; one more than is expected would be taken for the next

    def receive_all(silence=0.3):
        patience, port.timeout = port.timeout, silence
        data = b""
        while piece := port.read(4096):
            data += piece
        port.timeout = patience
        return data

    def ask(request, size=SIZE):
        port.write(request)
        return port.read(size)

    def reset(strap_low, last):
        port.dtr = False
        port.rts = True
        time.sleep(0.1)
        port.dtr = strap_low
        port.rts = False
        time.sleep(0.05)
        port.dtr = False
        return port.read_until(last).decode("latin-1")

    rtscts = "--rtscts" in sys.argv
    with serial.serial_for_url(sys.argv[1], baudrate=115200, timeout=20, rtscts=rtscts) as port:
        result = {}
        if "--reset" in sys.argv:
            port.write(READ_MAGIC)
            result["silent"] = receive_all() == b""
            result["download log"] = reset(True, b"waiting for download\\r\\n")
        result["syncs"] = ask(SYNC, 8 * SIZE).count(bytes.fromhex("c0010804"))
        result["magic"] = ask(READ_MAGIC).hex()
        if "--rate" in sys.argv:
            port.write(TO_230400)
            result["rate"] = port.read(SIZE).hex()
            port.baudrate = 230400
            receive_all()
            result["magic at 230400"] = ask(READ_MAGIC).hex()
        if "--reset" in sys.argv:
            port.baudrate = 115200
            result["application log"] = reset(False, b"SPI_FAST_FLASH_BOOT")
        print(json.dumps(result))
"""

MAGIC = "c0010a04006f50311b00000000c0"
RATE_CHANGED = "c0010f04006f50311b00000000c0"


def run_script(url: str, *options: str) -> dict[str, object]:
    command = (sys.executable, "-W", "ignore", "-c", textwrap.dedent(SCRIPT), url)
    done = run(*command, *options)
    assert done.exit_code == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_the_resets_of_a_script_work_over_rfc_2217() -> None:
    with served_chip("esp32c3") as urls:
        result = run_script(urls["rfc2217"], "--reset", "--rate")
    assert result.pop("silent") is True
    assert str(result.pop("download log")).endswith("waiting for download\r\n")
    assert "SPI_FAST_FLASH_BOOT" in str(result.pop("application log"))
    assert result == {
        "syncs": 8,
        "magic": MAGIC,
        "rate": RATE_CHANGED,
        "magic at 230400": MAGIC,
    }


def test_a_script_that_wants_flow_control_can_open_the_port() -> None:
    with served_chip("esp32c3", "--state", "download") as urls:
        result = run_script(urls["rfc2217"], "--rtscts")
    assert result == {"syncs": 8, "magic": MAGIC}


def test_a_pseudo_terminal_follows_the_rate_of_a_script() -> None:
    with served_chip("esp32c3", "--pty") as urls:
        result = run_script(urls["pty"], "--rate")
    expected = {"magic": MAGIC, "rate": RATE_CHANGED, "magic at 230400": MAGIC}
    assert result == {"syncs": 8, **expected}


def test_bare_bytes_are_enough_for_a_script() -> None:
    with served_chip("esp32c3", "--tcp", "0") as urls:
        result = run_script(urls["tcp"])
    assert result == {"syncs": 8, "magic": MAGIC}
