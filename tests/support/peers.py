"""Other people's programs that the tests talk to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund")

INSTALL_TIME = 120.0
"""When to give up installing a package, in seconds."""

# Where Debian keeps ser2net; not on the PATH of everybody.
SYSTEM_PROGRAMS = "/usr/sbin"


def require_program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed.

    Continuous integration installs them all and sets ``ESPLOADER_REQUIRE_PEERS=1``:
    there, a missing one is a failure.
    """
    # The scripts of this interpreter first: a virtual environment need not be active.
    folders = (sysconfig.get_path("scripts"), os.environ["PATH"], SYSTEM_PROGRAMS)
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        do_without(f"{name} is not installed")
    return path


def do_without(reason: str) -> NoReturn:
    """Skip the test for lack of a peer; where there has to be one it fails."""
    if os.environ.get("ESPLOADER_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def require_npm_package(name: str, version: str) -> Path:
    """Return the folder of a package for Node, which is installed outside of the repository."""
    npm = require_program("npm")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "esploader-tests" / f"{name}-{version}"
    package = folder / "node_modules" / name
    if not package.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Other test processes see all of it or nothing.
        with tempfile.TemporaryDirectory(dir=folder.parent) as new:
            done = subprocess.run(
                [npm, "install", *NPM_OPTIONS, "--prefix", new, f"{name}@{version}"],
                check=False,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIME,
            )
            if done.returncode:
                do_without(f"{name} {version} cannot be installed: {done.stderr}")
            folder.mkdir(exist_ok=True)
            try:
                (Path(new) / "node_modules").rename(folder / "node_modules")
            except OSError:
                # Somebody else was quicker.
                if not package.exists():
                    raise
    return package
