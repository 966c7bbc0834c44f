"""Suites of pytest-embedded in folders of their own, run by pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs

from engines import require_engine
from programs import Completed

PACKAGES = ("pytest-embedded", "pytest-embedded-serial-esp", "pytest-embedded-idf")

PATIENCE = 120.0
"""When to give up waiting for a suite, in seconds; with esptool one takes half a minute."""

WITH_ESPLOADER = """
pytest_plugins = ["esploader.integrations.pytest_embedded"]
"""

_SUPPORT = Path(__file__).parent

_SETTINGS = ("ESP", "PYTEST_")
"""How variables begin that would change what a suite does."""


@attrs.frozen
class Suite:
    """The tests of a firmware, with its build in ``build``."""

    folder: Path
    programs: Path = attrs.field(factory=lambda: require_engine("pytest-embedded", PACKAGES))

    @property
    def environment(self) -> dict[str, str]:
        """What commands run with: the suite may use what helps our own tests."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_SETTINGS)}
        path = f"{self.programs}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, "PYTHONPATH": str(_SUPPORT)}

    def write(self, **files: str) -> None:
        """Write modules of Python, by their names."""
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text, encoding="utf-8")

    def run(self, *options: str, services: str = "esp,idf") -> Completed:
        """Run the tests, to their end."""
        command = ("pytest", "-p", "no:cacheprovider", "--embedded-services", services, *options)
        return self.run_command(str(self.programs / command[0]), *command[1:])

    def run_command(self, *command: str) -> Completed:
        """Run a command in the folder, to its end."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self.environment,
            timeout=PATIENCE,
        )
        return Completed(done.returncode, done.stdout, done.stderr)
