"""A lab of labgrid on this machine: coordinator, exporters and clients, each a real one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

import attrs

from engines import require_engine
from eventually import eventually
from peers import SYSTEM_PROGRAMS
from programs import LOOPBACK, Completed, free_port, read_line, run, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PACKAGES = ("labgrid==26.0.1",)

STOCK = ("labgrid-exporter",)
"""The exporter that labgrid brings."""

OURS = ("python", "-m", "esploader.integrations.labgrid.exporter")
"""The one that knows ports of ours, too."""

TIME = 180.0
"""When to give up waiting for a client, in seconds."""


def require_labgrid() -> Path:
    """Return the folder of the programs of labgrid; skip the test where it cannot be had."""
    # Its own package called serial stands in front of ours.
    return require_engine("labgrid", PACKAGES)


@attrs.frozen
class Lab:
    """Where programs of labgrid run, and what they are told."""

    programs: Path
    folder: Path
    coordinator: str
    """Its address and TCP port."""

    @contextlib.contextmanager
    def coordinating(self) -> Iterator[subprocess.Popen[str]]:
        """Run the coordinator; what it knows of places it keeps in the folder."""
        program = self._command("labgrid-coordinator", "-l", self.coordinator)
        with running(*program) as process:
            host, _, port = self.coordinator.rpartition(":")
            address = (host, int(port))
            eventually(lambda: socket.create_connection(address).close(), OSError)
            yield process

    @contextlib.contextmanager
    def exporting(
        self,
        name: str,
        boards: Mapping[str, Mapping[str, object]],
        exporter: tuple[str, ...] = OURS,
    ) -> Iterator[subprocess.Popen[str]]:
        """Run an exporter of ``boards``: by group, what each has, in the words of labgrid."""
        configuration = self.folder / f"{name}.yaml"
        # JSON is YAML, and without indentation it has the braces of labgrid's templates.
        configuration.write_text(json.dumps(boards, indent=1), encoding="utf-8")
        words = ("--name", name, "--hostname", LOOPBACK, str(configuration))
        with running(*self._command(*exporter, *words)) as process:
            while not (line := read_line(process)).startswith("Exporter ready"):
                assert line, "the exporter ended"
            for board in boards:
                eventually(partial(self._look_for, f"{name}/{board}/"), LookupError)
            yield process

    def client(self, *words: str, **variables: str) -> str:
        """Run a client to its end, which has to be a good one; return what it printed."""
        done = self.try_client(*words, **variables)
        assert done.exit_code == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def try_client(self, *words: str, **variables: str) -> Completed:
        """Run a client to its end."""
        return run(*self._command("labgrid-client", *words, **variables), timeout=TIME)

    @contextlib.contextmanager
    def client_running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a client meanwhile."""
        with running(*self._command("labgrid-client", *words)) as process:
            yield process

    def pytest(self, *words: str, **variables: str) -> str:
        """Run tests of a lab, which have to pass; return what they printed."""
        command = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *words)
        done = run(*self._command(*command, **variables), timeout=TIME)
        assert done.exit_code == 0, done.stdout + done.stderr
        return done.stdout

    def make_place(self, name: str, match: str) -> None:
        """Make a place of the resources that ``match`` names."""
        self.client("-p", name, "create")
        self.client("-p", name, "add-match", match)

    @contextlib.contextmanager
    def acquired(self, place: str) -> Iterator[None]:
        """Have a place meanwhile."""
        self.client("-p", place, "acquire")
        try:
            yield
        finally:
            self.client("-p", place, "release")

    def await_saved(self, *words: str) -> None:
        """Wait until what the coordinator keeps of places, which it writes later, has ``words``."""
        saved = self.folder / "places.yaml"

        def look() -> None:
            text = saved.read_text(encoding="utf-8")
            if not all(word in text for word in words):
                raise LookupError(words)

        eventually(look, (LookupError, FileNotFoundError))

    def environment_file(self, place: str, **options: object) -> str:
        """Write what a client is told of ``place``; return the path of it."""
        path = self.folder / f"{place}-env.yaml"
        drivers = {"SerialDriver": {}, "EspLoaderDriver": {"chip": "esp32c3", **options}}
        target = {"resources": {"RemotePlace": {"name": place}}, "drivers": drivers}
        document = {
            "targets": {"main": target},
            "imports": ["esploader.integrations.labgrid"],
        }
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
        return str(path)

    def _command(self, program: str, *words: str, **variables: str) -> tuple[str, ...]:
        folders = (str(self.programs), os.environ["PATH"], SYSTEM_PROGRAMS)
        told = {
            "LG_COORDINATOR": self.coordinator,
            "PATH": os.pathsep.join(folders),
            **variables,
        }
        settings = (f"{name}={value}" for name, value in told.items())
        return ("env", "-C", str(self.folder), *settings, program, *words)

    def _look_for(self, resource: str) -> None:
        if resource not in self.client("resources"):
            raise LookupError(resource)


def make_lab(folder: Path) -> Lab:
    """Return a lab in which nothing runs yet."""
    folder.mkdir(exist_ok=True)
    return Lab(require_labgrid(), folder, f"{LOOPBACK}:{free_port()}")
