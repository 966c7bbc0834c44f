"""Our RFC 2217 server and the client that everybody has: pyserial's."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest
from typing_extensions import override

from esploader.server.serve import Server
from fake_transport import WatchedTransport
from programs import run

pytestmark = pytest.mark.peer

# In a process of its own: opening rfc2217:// calls a deprecated function of threading.
CLIENT = """
    import json, sys
    import serial

    port = serial.serial_for_url(sys.argv[1], baudrate=230400, timeout=10)
    sent = bytes(range(256)) * 8
    port.write(sent)
    same = port.read(len(sent)) == sent
    port.dtr = False
    port.rts = False
    port.baudrate = 921600
    port.reset_input_buffer()
    port.reset_output_buffer()
    port.write(b"end")
    same = same and port.read(3) == b"end"
    print(json.dumps({"same": same, "cts": port.cts, "baudrate": port.baudrate}))
    port.close()
"""


class EchoingTransport(WatchedTransport):
    """A port whose TX is wired to its RX."""

    @override
    def write(self, data: bytes) -> None:
        self.device.sendall(data)


@pytest.mark.parametrize("options", ["", "?ign_set_control", "?poll_modem"])
def test_pyserials_client(options: str) -> None:
    with EchoingTransport() as port, Server(port) as server:
        url = server.listen_rfc2217()
        server.start()
        done = run(sys.executable, "-W", "ignore", "-c", textwrap.dedent(CLIENT), url + options)

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"same": True, "cts": True, "baudrate": 921600}
    happened = []
    while not port.happenings.empty():
        happened.append(port.happenings.get())
    assert [what for what in happened if what[0] == "lines"] == [
        ("lines", (True, None)),
        ("lines", (None, True)),
        # DTR was released first, which would have reset a chip.
        ("lines", (None, False)),
        ("lines", (False, None)),
    ]
    rates = [rate for what, rate in happened if what == "baudrate"]
    assert rates[0] == 230400
    assert rates[-2:] == [921600, 115200]
