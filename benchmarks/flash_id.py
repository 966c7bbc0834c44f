"""Reading the flash id across a network: ``flash_id`` against ``esptool --no-stub flash-id``.

Whole processes, in turn, through one ser2net in front of one simulated ESP32-C3 that takes
no time of its own. A pseudo-terminal has no DTR and RTS, so the chip waits in download mode;
with ``--before default-reset`` both programs play their reset all the same.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from esploader.server.serve import Server
from esploader.simulator.url import open_served, parse
from side_by_side import Goal, conclude, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# One run of esptool takes half a minute.
ROUNDS = 3

PATIENCE = 10.0
LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def ser2net(device: str) -> Iterator[int]:
    """Run a ser2net in front of ``device``; yield its TCP port."""
    program = shutil.which("ser2net", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        sys.exit("ser2net is not installed")
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    configuration = (
        "connection: &chip\n"
        f"  accepter: telnet(rfc2217,mode=server),tcp,{LOOPBACK},{port}\n"
        f"  connector: serialdev(nouucplock=true),{device},115200n81,local\n"
        # Whoever has just left may still be in the door.
        "  options:\n"
        "    max-connections: 10\n"
    )
    process = subprocess.Popen(
        [program, "-n", "-Y", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    """Return when somebody listens on ``port``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def reader(*command: str) -> Callable[[], None]:
    """Return what runs this module and makes sure that it read the flash id."""

    def read() -> None:
        done = subprocess.run(
            [sys.executable, "-m", *command], check=True, capture_output=True, text=True
        )
        if "Detected flash size: 4MB" not in done.stdout:
            sys.exit(done.stdout + done.stderr)

    return read


def main() -> int:
    """Measure, print, and return the exit code."""
    device = open_served(parse("sim://esp32c3?state=download"))
    goals = []
    with device, Server(device) as server, ser2net(server.open_pty()) as port:
        server.start()
        url = f"rfc2217://{LOOPBACK}:{port}"
        for before in ("no-reset", "default-reset"):
            options = ("--before", before, "--port")
            ours, theirs = measure(
                reader("esploader", *options, url, "flash_id"),
                # Its client waits for an answer that ser2net gives for no pseudo-terminal.
                reader("esptool", "--no-stub", *options, f"{url}?ign_set_control", "flash-id"),
                rounds=ROUNDS,
            )
            print(f"--before {before}: esploader {ours:.2f} s, esptool {theirs:.2f} s")
            name = f"flash_id / esptool --no-stub flash-id, --before {before}"
            goals.append(Goal(name, ours / theirs, at_most=0.1))
    return conclude(*goals)


if __name__ == "__main__":
    sys.exit(main())
