"""Run our program in processes of their own that have it loaded already (Linux).

Loading it takes several times as long as most of what it is asked to do. So one process loads it,
and forks for each run. What a shell or a test starts in its place is ``loaded_client.py``, which
hands on its arguments, environment, folder, streams and signals, and ends as the program ends.

The program is not in the process group and the session of who starts it, and it does not have to
find its modules: what is about terminals, about who dies of which signal, or about the start is no
matter for this.
"""

from __future__ import annotations

import ast
import atexit
import functools
import importlib
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

import programs

CLIENT = Path(__file__).with_name("loaded_client.py")

MODULES = (
    "commands.fleet_run",
    "commands.flash",
    "commands.monitoring",
    "commands.partitions",
    "commands.serving",
    "commands.simulating",
    "simulator.url",
)
"""Of ours: what most runs need, with what that needs."""

_LARGEST_REQUEST = 1 << 17
"""In bytes; most of it is the environment."""


@attrs.frozen
class Request:
    """What is to be run."""

    folder: str
    arguments: list[str]
    environment: list[tuple[bytes, bytes]]
    ignored: list[int]
    """Signals that whoever starts it has it ignore."""

    streams: list[int]

    def become(self) -> None:
        """Have this process be like one that was started so."""
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environb.update(self.environment)
        for ignored in self.ignored:
            signal.signal(ignored, signal.SIG_IGN)
        os.chdir(self.folder)
        sys.path[0] = self.folder
        sys.argv[1:] = self.arguments


def esploader(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs our command line; where it can be, with what is loaded."""
    if sys.platform != "linux":
        return programs.esploader(*arguments)
    return (str(stand_ins() / "esploader"), *arguments)


@functools.cache
def stand_ins() -> Path:
    """Return a folder with what stands in for ``python`` and ``esploader``."""
    folder = Path(tempfile.mkdtemp(prefix="esploader-"))
    atexit.register(shutil.rmtree, folder)
    for name in ("python", "esploader"):
        program = folder / name
        program.write_text(f"#!{sys.executable} -IS\n{CLIENT.read_text()}", encoding="utf-8")
        program.chmod(0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener:
        listener.bind(str(folder / "socket"))
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            # Its end is the end of whoever made it.
            stdin=subprocess.PIPE,
            # As when it runs: that is looked at when streams are made.
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    atexit.register(_end, process)
    return folder


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def _serve(listener: socket.socket) -> socket.socket | None:
    """Fork for each connection; return it in the child, and at the end nothing."""
    children: set[int] = set()
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        child = os.fork()
        if child == 0:
            listener.close()
            return connection
        connection.close()
        children.add(child)
        # Those that have ended are let go, and what they have used is counted as ours.
        children = {child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)}
    return None


def _requested(connection: socket.socket) -> Request:
    """Fork for what is asked for; return in the child, and end with it."""
    message, streams, _, _ = socket.recv_fds(connection, _LARGEST_REQUEST, 3)
    process_id = os.fork()
    if process_id == 0:
        connection.close()
        folder, arguments, environment, ignored = ast.literal_eval(message.decode())
        return Request(folder, arguments, environment, ignored, streams)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(process_id)
    awaited: list[int | socket.socket] = [connection, ended]
    while ended not in select.select(awaited, [], [])[0]:
        # When the client is gone so is its program.
        told = connection.recv(1) or bytes([signal.SIGKILL])
        os.kill(process_id, told[0])
        if told[0] == signal.SIGKILL:
            os._exit(0)
    exit_code = os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])
    connection.send(f"{exit_code}".encode())
    os._exit(0)


def _main(listening_at: str) -> None:
    for name in MODULES:
        importlib.import_module(f"esploader.{name}")
    with socket.socket(fileno=int(listening_at)) as listener:
        connection = _serve(listener)
    if connection is not None:
        _requested(connection).become()
        runpy.run_module("esploader", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
