"""Run a module as a program, in a process of its own that has it loaded already.

Importing esptool takes longer than most of what the tests ask of it. So one process imports it,
and forks for each run: what runs is the same program, from its command line to its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LARGEST_REQUEST = 1 << 17
"""In bytes; most of it is the environment."""

_NUMBER_SIZE = 16
"""Of a process id or an exit code, as it is sent."""


class Request(TypedDict):
    """What is to be run."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str


@attrs.frozen(eq=False)
class LoadedProgram:
    """A process that forks for each run; ends with whoever made it."""

    module: str
    _process: subprocess.Popen[bytes]
    _requests: socket.socket
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @classmethod
    def start(cls, module: str, environment: Mapping[str, str]) -> LoadedProgram:
        """Start the process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), module],
                stdin=subprocess.DEVNULL,
                # As when it runs: it may look at import whether it has a terminal.
                stdout=subprocess.PIPE,
                env=environment,
                pass_fds=[theirs.fileno()],
            )
        program = cls(module, process, ours)
        atexit.register(program.close)
        return program

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Run the program once; return its exit code, and what it wrote to stdout and stderr.

        Raises:
            subprocess.TimeoutExpired: it did not end in time, and was killed.
        """
        request: Request = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(Path.cwd()),
        }
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            answer, theirs = os.pipe()
            try:
                with self._lock:
                    socket.send_fds(
                        self._requests,
                        [json.dumps(request).encode()],
                        [stdout.fileno(), stderr.fileno(), theirs],
                    )
                os.close(theirs)
                process_id = int(os.read(answer, _NUMBER_SIZE))
                ended, _, _ = select.select([answer], [], [], timeout)
                if not ended:
                    os.kill(process_id, signal.SIGKILL)
                    raise subprocess.TimeoutExpired([self.module, *arguments], timeout)
                exit_code = int(os.read(answer, _NUMBER_SIZE))
            finally:
                os.close(answer)
            stdout.seek(0)
            stderr.seek(0)
            return exit_code, stdout.read().decode(), stderr.read().decode()

    def close(self) -> None:
        """End the process; what it has started goes on."""
        self._requests.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _serve(requests: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork for each request; return it in the child, and at the end nothing."""
    # Nobody waits for the children.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 3)
        if not message:
            return None
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return cast("Request", json.loads(message)), descriptors
        for descriptor in descriptors:
            os.close(descriptor)


def _main(requests_at: str, module: str) -> None:
    importlib.import_module(module)
    with socket.socket(fileno=int(requests_at)) as requests:
        request = _serve(requests)
    if request is None:
        return
    asked, (stdout, stderr, answer) = request
    process_id = os.fork()
    if process_id:
        os.write(answer, f"{process_id}".encode().ljust(_NUMBER_SIZE))
        exit_code = os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(answer, f"{exit_code}".encode().ljust(_NUMBER_SIZE))
        os._exit(0)
    os.close(answer)
    os.dup2(stdout, sys.stdout.fileno())
    os.dup2(stderr, sys.stderr.fileno())
    os.close(stdout)
    os.close(stderr)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv[1:] = asked["arguments"]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
