"""Virtual environments of their own for engines: what they bring stays out of ours.

labgrid brings a package ``serial`` of its own, which takes the place of pyserial's; so none of them
is ever installed beside what the other tests use. An environment is made by the first test that
needs it, stands in ``.venvs`` of the repository, and is kept between runs.

What an engine takes and we have already is not installed again where that does no harm: its
environment finds ours behind its own packages.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from peers import do_without

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = REPOSITORY / ".venvs"

INSTALL_TIME = 900.0
"""When to give up installing what one engine takes, in seconds."""


def require_engine(name: str, packages: Sequence[str], *, on_ours: bool) -> Path:
    """Return the folder of the programs of an environment with ``packages``, and esploader.

    ``on_ours`` is whether it may use what our own environment has: of that it has no programs.
    Skips the test where they cannot be had; where peers are demanded, it fails.
    """

    def make(folder: Path) -> None:
        _make_empty(folder)
        if on_ours:
            path = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
            (path / "of-ours.pth").write_text(f"{_OURS}\n", encoding="utf-8")
        pip = _require("pip", json.dumps([sys.version, _PIP]), _make_pip) / "python"
        # No compiling of what is never imported.
        install = ["install", "--quiet", "--no-compile", "--editable", str(REPOSITORY)]
        _run([str(pip), "-m", "pip", "--python", str(folder / "bin/python"), *install, *packages])

    return _require(name, _made_of(packages, on_ours=on_ours), make)


_OURS = sysconfig.get_path("purelib")
"""Where the packages of our own environment are."""

_PIP = "pip>=25"
"""One that asks for what it needs to know alone: an older one takes three times as long."""


def _make_pip(folder: Path) -> None:
    _make_empty(folder)
    python = str(folder / "bin/python")
    _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", _PIP])


def _make_empty(folder: Path) -> None:
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])


def _require(name: str, made_of: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of the programs of an environment, which is made if it is not there."""
    folder = ENVIRONMENTS / name
    programs = folder / "bin"
    stamp = folder / "made-of"
    ENVIRONMENTS.mkdir(exist_ok=True)
    # Other test processes wait until it is whole.
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text(encoding="utf-8") == made_of:
            return programs
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        stamp.write_text(made_of, encoding="utf-8")
    return programs


def _made_of(packages: Sequence[str], *, on_ours: bool) -> str:
    """Return what tells whether an environment is still the one that is asked for."""
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    of_ours = {name: project.get(name) for name in ("dependencies", "entry-points", "scripts")}
    used = {each.name: each.version for each in distributions(path=[_OURS])} if on_ours else None
    return json.dumps([sys.version, of_ours, used, *packages], indent=1, sort_keys=True)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_TIME
        )
    except subprocess.TimeoutExpired:
        do_without(f"{command[0]} took longer than {INSTALL_TIME:g} s")
    if done.returncode:
        do_without(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
