"""Guides in docs, run as one session of one shell."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import SYSTEM_PROGRAMS
from programs import environment

THE_END = "== the end"

PATIENCE = 300.0
"""When to give up, in seconds; most of what it takes is spent by esptool."""

WAIT_FOR = """
wait_for() {
    for _ in $(seq 400); do
        # Connecting would be a client, the only one that some servers take.
        if grep -qi ":$(printf %04X "$1") [0:]* 0A" /proc/net/tcp /proc/net/tcp6; then return; fi
        sleep 0.05
    done
    echo "nobody listens on $1"
    exit 1
}
"""


def run_session(script: str, folder: Path, programs: Path = Path(sys.executable).parent) -> str:
    """Run a script to its end, and return what it printed. Nothing that it started is left.

    ``programs`` is the folder with those of a virtual environment.
    """
    folders = (str(programs), os.environ["PATH"], SYSTEM_PROGRAMS)
    # A file and no pipe: a job in the background would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment() | {"PATH": os.pathsep.join(folders)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.seek(0)
        return output.read().decode(errors="replace")


def is_free(port: int) -> bool:
    try:
        # As a server does it, which is not kept from a port by connections that have ended.
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
