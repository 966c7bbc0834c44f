"""Real esptool corrects the same rates as we do, by the same registers."""

from __future__ import annotations

import sys

import pytest

from esploader import connect
from programs import run

pytestmark = pytest.mark.peer

# pyserial finds our simulated devices once it knows where to look.
ESPTOOL = """
import sys, serial, esptool
serial.protocol_handler_packages.append("esploader.urlhandler")
esptool.main(sys.argv[1:])
"""

URL = "sim://esp32?crystal={mhz}&assumed={hertz}"


@pytest.mark.parametrize(
    ("mhz", "hertz"),
    [
        (40, 42_800_000),
        pytest.param(40, 37_300_000, marks=pytest.mark.slow),
        pytest.param(26, 27_900_000, marks=pytest.mark.slow),
        (26, 24_300_000),
    ],
)
def test_esptool_and_we_reach_a_rate_that_the_rom_gets_wrong(mhz: int, hertz: int) -> None:
    url = URL.format(mhz=mhz, hertz=hertz)
    theirs = run(
        *(sys.executable, "-c", ESPTOOL, "--no-stub", "--port", url, "--baud", "460800"),
        "flash-id",
    )
    assert theirs.exit_code == 0, theirs.stdout + theirs.stderr
    assert "Changing baud rate to 460800" in theirs.stdout
    assert f"Crystal frequency:  {mhz}MHz" in theirs.stdout
    assert "Detected flash size: 4MB" in theirs.stdout
    with connect(url, baudrate=460800, stub=False) as device:
        assert device.session.transport.baudrate == 460800
        assert device.flash.id().size == 4 << 20
