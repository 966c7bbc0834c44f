"""Exporters of jumpstarter and their clients, on this machine, without a controller."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from engines import require_engine
from eventually import eventually
from programs import LOOPBACK, Completed, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGES = (
    "jumpstarter==0.9.*",
    "jumpstarter-cli==0.9.*",
    "jumpstarter-driver-composite==0.9.*",
    "jumpstarter-driver-opendal==0.9.*",
    "jumpstarter-driver-pyserial==0.9.*",
    "esptool>=5.2,<6",
    "hypothesis>=6.100",
    "pytest>=8.2",
)
"""jumpstarter, stubs, and what runs tests in there."""

PATIENCE = 120.0
"""When to give up, in seconds."""

DRIVER = "esploader.integrations.jumpstarter.driver.EspLoader"
CONSOLE = "esploader.integrations.jumpstarter.console.EspConsole"


def require_jumpstarter() -> Path:
    """Return the folder of jumpstarter's programs; skip the test where it cannot be had."""
    return require_engine("jumpstarter", PACKAGES)


def instance(driver: str, **config: object) -> dict[str, object]:
    """Return a driver as the configuration of an exporter has it."""
    return {"type": driver, "config": config}


def configuration(export: Mapping[str, object]) -> str:
    """Return the configuration of an exporter, in YAML, of which JSON is a part."""
    return json.dumps(
        {
            "apiVersion": "jumpstarter.dev/v1alpha1",
            "kind": "ExporterConfig",
            "metadata": {"namespace": "default", "name": "bench"},
            "export": export,
        }
    )


@attrs.frozen
class Exporter:
    """An exporter that runs, and what its clients need."""

    programs: Path
    address: str
    folder: Path
    """Where its clients are, too."""
    process: subprocess.Popen[bytes]

    def run(self, *command: str) -> Completed:
        """Run a command of a client to its end."""
        done = subprocess.run(
            self._found(command),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment(),
            timeout=PATIENCE,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Run a command of a client meanwhile; its stderr is a pipe."""
        return subprocess.Popen(
            self._found(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self._environment(),
        )

    def kill(self) -> None:
        """End the exporter without a word: the process that watches, and the one that serves."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        # Else the first one would start another.
        self.process.kill()
        self.process.wait(PATIENCE)
        for child in children:
            os.kill(int(child), signal.SIGKILL)

    def _found(self, command: tuple[str, ...]) -> list[str]:
        own = self.programs / command[0]
        return [str(own) if own.exists() else command[0], *command[1:]]

    def _environment(self) -> dict[str, str]:
        """Return what ``j`` finds its exporter by, as it does within ``jmp shell``."""
        folders = os.pathsep.join((str(self.programs), os.environ["PATH"]))
        return {
            **environment(),
            "PATH": folders,
            "JUMPSTARTER_HOST": self.address,
            "JMP_GRPC_INSECURE": "1",
            "JMP_DRIVERS_ALLOW": "esploader.*,jumpstarter_driver_*",
        }


@contextlib.contextmanager
def exporting(folder: Path, export: Mapping[str, object]) -> Iterator[Exporter]:
    """Run an exporter meanwhile, over TCP; its files are in ``folder``."""
    (folder / "exporter.yaml").write_text(configuration(export), encoding="utf-8")
    number = free_port()
    listen = ("--tls-grpc-listener", f"{LOOPBACK}:{number}", "--tls-grpc-insecure")
    with running_exporter(
        folder, number, "jmp", "run", "--exporter-config", "exporter.yaml", *listen
    ) as exporter:
        yield exporter


@contextlib.contextmanager
def running_exporter(folder: Path, number: int, *command: str) -> Iterator[Exporter]:
    """Run the command of an exporter in ``folder``, which is to listen on a TCP port."""
    programs = require_jumpstarter()
    with (folder / "exporter.log").open("wb") as log:
        process = subprocess.Popen(
            [str(programs / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment(),
        )
    try:
        eventually(lambda: _connect(number), OSError, patience=PATIENCE)
        yield Exporter(programs, f"{LOOPBACK}:{number}", folder, process)
    finally:
        # It hands that on, and waits.
        process.terminate()
        process.wait(PATIENCE)


def _connect(number: int) -> None:
    with socket.create_connection((LOOPBACK, number)):
        pass
