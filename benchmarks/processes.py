"""Other programs, for as long as a benchmark needs them. Nothing here waits for ever."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE = 60.0
"""When a program is given up that says nothing or does not end, in seconds."""

LOOPBACK = "127.0.0.1"


class GivenUpError(Exception):
    """A program did not do what a benchmark needs of it."""


@attrs.frozen
class Served:
    """A server process, and where it is reached."""

    process: subprocess.Popen[str]
    urls: Mapping[str, str]
    """By front end, or by port."""

    @property
    def tcp_ports(self) -> list[int]:
        """The TCP ports of all URLs."""
        return [int(url.rpartition(":")[2]) for url in self.urls.values()]


def run_module(module: str, *arguments: str, timeout: float = PATIENCE) -> str:
    """Run a module to its end; return what it printed.

    Raises:
        GivenUpError: it failed or did not end; says what it printed.
    """
    return run_python("-m", module, *arguments, timeout=timeout)


def run_python(*arguments: str, timeout: float = PATIENCE) -> str:
    """Run this interpreter to its end; return what it printed.

    Raises:
        GivenUpError: it failed or did not end; says what it printed.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as exc:
        raise GivenUpError(f"no end after {timeout:.0f} s: {' '.join(arguments)}") from exc
    if done.returncode:
        raise GivenUpError(f"{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def killed_after(process: subprocess.Popen[str], seconds: float = PATIENCE) -> Iterator[None]:
    """Kill a program that is still waited for by then, which ends the wait."""
    giving_up = threading.Timer(seconds, process.kill)
    giving_up.start()
    try:
        yield
    finally:
        giving_up.cancel()


@contextlib.contextmanager
def running(
    *command: str, output: int = subprocess.PIPE, errors: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a program meanwhile. Its stdout is a pipe; its stderr is ours by default."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints.

    Raises:
        GivenUpError: it ended, or printed none in time.
    """
    with killed_after(process):
        return _line(process)


def read_document(process: subprocess.Popen[str]) -> Mapping[str, object]:
    """Return the JSON object that a program prints first, however it is laid out.

    Raises:
        GivenUpError: it ended, or was not done in time.
    """
    text = ""
    with killed_after(process):
        while True:
            text += _line(process)
            with contextlib.suppress(ValueError):  # there is more to come
                return cast("Mapping[str, object]", json.loads(text))


def _line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise GivenUpError(f"no line came: {process.args!r}")
    return line


def memory_of(pid: int, which: str) -> int:
    """Return what Linux calls ``which`` (``VmRSS``, ``VmHWM``) of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith(which))
    return int(line.split()[1]) * 1024


@contextlib.contextmanager
def served_chip(*options: str) -> Iterator[Served]:
    """Serve a simulated ESP32-C3 from a process of its own, as ``sim serve`` does."""
    with served_chips(*options) as (process, (urls,)):
        yield Served(process, urls)


@contextlib.contextmanager
def served_chips(
    *options: str,
) -> Iterator[tuple[subprocess.Popen[str], list[Mapping[str, str]]]]:
    """Serve simulated chips from one process, and yield it and where each is reached."""
    command = (sys.executable, "-m", "esploader", "sim", "serve", "--json", *options)
    with running(*command) as process:
        devices = cast("list[Mapping[str, Mapping[str, str]]]", read_document(process)["devices"])
        yield process, [device["urls"] for device in devices]


@contextlib.contextmanager
def served_ports(*ports: str) -> Iterator[Served]:
    """Serve ports over RFC 2217 from a process of its own, as ``serve`` does."""
    command = (sys.executable, "-m", "esploader", "serve", "--json", "-p", "0", *ports)
    with running(*command, errors=subprocess.DEVNULL) as process:
        yield Served(process, cast("Mapping[str, str]", read_document(process)["urls"]))
