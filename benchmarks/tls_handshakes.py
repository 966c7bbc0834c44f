"""The memory of a TLS port under clients that come and go in the middle of their handshakes.

Each says its first word and no other, on the loopback interface; 250 are there at once, and the
oldest leaves for the next. What the server's process holds is what the system says of it (Linux
only). Needs ``PYTHONPATH=tests/support``.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from certificates import Authority
from half_handshakes import come_and_go
from processes import memory_of, served_ports
from side_by_side import Goal, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Served

MIB: Final = 1024 * 1024
LIMITS: Final = "connections = 400\nconnections-per-address = 400\nhandshake-time = 10\n"


@attrs.frozen
class Load:
    """How many clients, and how long the server then has to itself."""

    clients: int
    at_once: int
    rest: float
    """In seconds."""
    settling: float = 1.0
    """How long it has to itself behind the first client, in seconds."""


FULL: Final = Load(3000, 250, 60.0)
SMOKE: Final = Load(30, 10, rest=0.1, settling=0.0)


@contextlib.contextmanager
def tls_server(folder: Path) -> Iterator[Served]:
    """Serve a simulated chip with TLS."""
    certificate = Authority(folder).issue("server")
    config = folder / "ports.toml"
    config.write_text(f'[tls]\ncert = "{certificate}"\n[limits]\n{LIMITS}', encoding="utf-8")
    with served_ports("--config", str(config), "sim://esp32c3") as served:
        yield served


def benchmark(load: Load) -> list[Goal]:
    """Have the clients come and go, print what memory that takes, and return how much more."""
    with tempfile.TemporaryDirectory() as folder, tls_server(Path(folder)) as served:
        process, (tcp_port,) = served.process, served.tcp_ports
        # The first one has the server load what it needs for any.
        come_and_go(tcp_port, 1, at_once=1)
        time.sleep(load.settling)
        before = memory_of(process.pid, "VmRSS")
        come_and_go(tcp_port, load.clients, at_once=load.at_once)
        peak = memory_of(process.pid, "VmHWM")
        time.sleep(load.rest)
        after = memory_of(process.pid, "VmRSS")
    print(
        f"memory: {before / MIB:.1f} MiB before, {peak / MIB:.1f} at most, {after / MIB:.1f} after"
    )
    return [
        Goal("more at most", (peak - before) / MIB, at_most=40, unit="MiB"),
        Goal("more afterwards", (after - before) / MIB, at_most=10, unit="MiB"),
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=FULL, smoke=SMOKE))
