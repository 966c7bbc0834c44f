"""Reading the flash id across a network: ``flash_id`` against ``esptool --no-stub flash-id``.

Whole processes, in turn, through one ser2net in front of one simulated ESP32-C3 that takes
no time of its own. A pseudo-terminal has no DTR and RTS, so the chip waits in download mode;
with ``--before default-reset`` both programs play their reset all the same. In a smoke run
esptool has the pseudo-terminal itself: through ser2net a run of it takes half a minute.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import attrs

from processes import LOOPBACK, GivenUpError, Served, run_module, running, served_chip
from side_by_side import Goal, measure, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@attrs.frozen
class Extent:
    """How much is measured."""

    rounds: int = 3
    resets: tuple[str, ...] = ("no-reset", "default-reset")
    both_through_ser2net: bool = True


RUN_TIME = 180.0
"""When a run that does not end is given up, in seconds."""

START_TIME = 10.0
"""When a ser2net that does not listen is given up, in seconds."""


@contextlib.contextmanager
def ser2net(device: str) -> Iterator[int]:
    """Run a ser2net in front of ``device``; yield its TCP port. Raises as below."""
    with served_by_ser2net(device) as served:
        yield served.tcp_ports[0]


@contextlib.contextmanager
def served_by_ser2net(device: str) -> Iterator[Served]:
    """Run a ser2net in front of ``device``; yield its process and its URL.

    Raises:
        GivenUpError: it is not installed, or does not listen.
    """
    # Where Debian keeps it is not on the PATH of everybody.
    folders = (os.environ["PATH"], "/usr/sbin", "/usr/local/sbin")
    program = shutil.which("ser2net", path=os.pathsep.join(folders))
    if program is None:
        raise GivenUpError("ser2net is not installed")
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
    silent = subprocess.DEVNULL
    command = (program, "-n", "-Y", configuration)
    with running(*command, output=silent, errors=silent) as process:
        wait_for(port)
        yield Served(process, {device: f"rfc2217://{LOOPBACK}:{port}"})


def wait_for(port: int) -> None:
    """Return when somebody listens on ``port``.

    Raises:
        GivenUpError: nobody does.
    """
    deadline = time.monotonic() + START_TIME
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=START_TIME).close()
        except ConnectionRefusedError as exc:
            if time.monotonic() > deadline:
                raise GivenUpError(f"nobody listens on port {port}") from exc
            time.sleep(0.01)
        else:
            return


def reader(module: str, *arguments: str) -> Callable[[], None]:
    """Return what runs this module and makes sure that it read the flash id."""

    def read() -> None:
        printed = run_module(module, *arguments, timeout=RUN_TIME)
        if "Detected flash size: 4MB" not in printed:
            raise GivenUpError(printed)

    return read


def benchmark(extent: Extent) -> list[Goal]:
    """Read it with both in turn, print what it takes, and return the ratios."""
    goals = []
    with served_chip("--pty") as served, ser2net(served.urls["pty"]) as port:
        url = f"rfc2217://{LOOPBACK}:{port}"
        # Its client waits for an answer that ser2net gives for no pseudo-terminal.
        theirs_at = f"{url}?ign_set_control" if extent.both_through_ser2net else served.urls["pty"]
        for before in extent.resets:
            options = ("--before", before, "--port")
            ours, theirs = measure(
                reader("esploader", *options, url, "flash_id"),
                reader("esptool", "--no-stub", *options, theirs_at, "flash-id"),
                rounds=extent.rounds,
            )
            print(f"--before {before}: esploader {ours:.2f} s, esptool {theirs:.2f} s")
            name = f"flash_id / esptool --no-stub flash-id, --before {before}"
            goals.append(Goal(name, ours / theirs, at_most=0.1))
    return goals


if __name__ == "__main__":
    smoke = Extent(rounds=1, resets=("no-reset",), both_through_ser2net=False)
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
