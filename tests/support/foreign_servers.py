"""Other people's port servers, each for as long as a test needs it.

All listen to this machine only, on a free port. The first connection decides when they are
ready: :func:`eventually.eventually`.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from peers import require_program
from programs import LOOPBACK, free_port, read_line, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PORT_MANAGER_SERVER = Path(__file__).parents[1] / "peer" / "port_manager_server.py"

ESP_RFC2217_SERVER = (
    "import runpy, esploader; esploader.register_pyserial();"
    "runpy.run_module('esp_rfc2217_server', run_name='__main__', alter_sys=True)"
)

# Without it that server resets by ioctl, which a port without a descriptor has not.
RESET_BY_PROPERTIES = """
[esptool]
custom_reset_sequence = D0|R1|W0.1|D1|R0|W0.05|D0
custom_hard_reset_sequence = R1|W0.1|R0
"""


TELNET = "telnet(rfc2217,mode=server)"
"""RFC 2217, as ser2net calls it."""


@contextlib.contextmanager
def ser2net(filters: Sequence[str], connector: str) -> Iterator[int]:
    """Run ser2net between a TCP port, which it yields, and a gensio.

    ``filters`` are what is spoken on the TCP port, the outermost first.
    """
    port = free_port()
    configuration = (
        "connection: &chip\n"
        f"  accepter: {','.join([*filters, 'tcp', LOOPBACK, str(port)])}\n"
        f"  connector: {connector}\n"
        # Whoever has just left may still be in the door.
        "  options:\n"
        "    max-connections: 1\n"
    )
    with running(require_program("ser2net"), "-n", "-Y", configuration, stderr=subprocess.DEVNULL):
        yield port


def serial_device(path: str) -> str:
    """Return what ser2net calls a serial device."""
    return f"serialdev(nouucplock=true),{path},115200n81,local"


@contextlib.contextmanager
def socat(listener: str, other: str) -> Iterator[int]:
    """Run socat between a TCP port, which it yields, and another address.

    ``listener`` is ``TCP-LISTEN`` or ``OPENSSL-LISTEN``, with its options.
    """
    kind, _, options = listener.partition(",")
    command = (
        require_program("socat"),
        "-dd",  # or it does not tell which port it got
        ",".join([f"{kind}:0", f"bind={LOOPBACK}", *filter(None, [options])]),
        other,
    )
    with running(*command, stderr=subprocess.STDOUT) as process:
        listening = None
        while listening is None:
            line = read_line(process)
            assert line, "socat ended"
            listening = re.search(r"listening on .*:(\d+)$", line)
        yield int(listening[1])


@contextlib.contextmanager
def nc(device: str) -> Iterator[int]:
    """Serve a serial device by the bare bytes, with what every system has."""
    port = free_port()
    script = f'stty -F "$1" 115200 raw -echo && exec "$2" -l {LOOPBACK} {port} <"$1" >"$1"'
    with running("bash", "-c", script, "nc", device, require_program("nc")):
        yield port


@contextlib.contextmanager
def esp_rfc2217_server(serial_port: str, configuration: Path) -> Iterator[str]:
    """Serve a port of pyserial, ``sim://`` included, by Espressif's own server."""
    port = free_port()
    command = (
        "env",
        f"ESPTOOL_CFGFILE={configuration}",
        sys.executable,
        "-c",
        ESP_RFC2217_SERVER,
        "-p",
        str(port),
        serial_port,
    )
    with running(*command):
        yield f"rfc2217://{LOOPBACK}:{port}"


@contextlib.contextmanager
def port_manager_server(serial_port: str) -> Iterator[str]:
    """Serve a port of pyserial to one client by pyserial's ``PortManager``."""
    with running(sys.executable, str(PORT_MANAGER_SERVER), serial_port) as server:
        yield f"rfc2217://{LOOPBACK}:{int(read_line(server))}"
