"""Start other programs for as long as a test needs them; none is left behind."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, cast

import attrs

from loaded import LoadedProgram

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 180.0
"""When a test gives up waiting for a program, in seconds."""

_RETRY_INTERVAL = 0.02

LOOPBACK = "127.0.0.1"

LOADED = ("esptool", "espefuse") if sys.platform == "linux" else ()
"""Modules that are loaded once for all their runs."""


@attrs.frozen
class Completed:
    """A program that has ended."""

    exit_code: int
    stdout: str
    stderr: str


def run(*command: str, timeout: float = PATIENCE) -> Completed:
    """Run a program to its end, without the settings that the user keeps for esptool."""
    for module in LOADED:
        if command[:3] == (sys.executable, "-m", module):
            return Completed(*_loaded(module).run(command[3:], environment(), timeout))
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment(),
        timeout=timeout,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


@functools.cache
def _loaded(module: str) -> LoadedProgram:
    return LoadedProgram.start(module, environment())


def esploader(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs our command line."""
    return (sys.executable, "-m", "esploader", *arguments)


def esptool(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs Espressif's own tool, on the ROM loader only."""
    return (sys.executable, "-m", "esptool", "--no-stub", *arguments)


def environment() -> dict[str, str]:
    """Return the environment without what would change how our programs behave."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ESPTOOL_")}


@contextlib.contextmanager
def running(
    *command: str, stderr: int | None = None, process_group: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a program meanwhile. Its stdout is a pipe; stderr and group are ours by default."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment(),
        process_group=process_group,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that the program prints; ``""`` when it has ended."""
    # A program that hangs is ended, which ends the wait for its line.
    giving_up = threading.Timer(PATIENCE, process.kill)
    giving_up.start()
    try:
        return process.stdout.readline() if process.stdout is not None else ""
    finally:
        giving_up.cancel()


@contextlib.contextmanager
def served_chip(chip: str, *options: str) -> Iterator[dict[str, str]]:
    """Serve a simulated chip from a process of its own; yield its URLs by front end.

    ``options`` are those of ``sim serve``; a TCP port 0 stands for any free one.
    """
    command = esploader("sim", "serve", "--json", "--chip", chip, *options)
    with running(*command) as process:
        text = ""
        while not text.endswith("\n}\n"):
            line = read_line(process)
            assert line, f"sim serve ended with exit code {process.wait()}"
            text += line
        (device,) = json.loads(text)["devices"]
        yield cast("dict[str, str]", device["urls"])


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 100
_FIRST_PORT = 10_000 + 200 * _WORKER
_PORTS = itertools.cycle(_FIRST_PORT + (os.getpid() + n) % 200 for n in range(200))
"""Those of this test process: below those that a system gives to whom any will do."""


def free_port() -> int:
    """Return a TCP port that nobody listens on, and that no other test is given meanwhile."""
    for number in itertools.islice(_PORTS, 200):
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK, number)):
            return number
    raise OSError("no TCP port is free")
