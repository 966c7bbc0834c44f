"""Virtual environments of their own for engines: what they bring stays out of ours.

labgrid brings a package ``serial`` of its own, which takes the place of pyserial's; so none of them
is ever installed beside what the other tests use. An environment is made by the first test that
needs it, stands in ``.venvs`` of the repository, and is kept between runs.

What an engine takes and we have already is not installed again: its environment finds ours behind
its own packages, which win.
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
    from collections.abc import Callable, Mapping, Sequence

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = REPOSITORY / ".venvs"

INSTALL_TIME = 900.0
"""When to give up installing what one engine takes, in seconds."""


def require_engine(name: str, packages: Sequence[str]) -> Path:
    """Return the folder of the programs of an environment with ``packages``, and esploader.

    It may use what our own environment has; the programs of that which it has are ``_PROGRAMS``.
    Skips the test where they cannot be had; where peers are demanded, it fails.
    """
    used = {each.name: each.version for each in distributions(path=[_OURS])}
    # Building it again takes longer than what most engines take beside it.
    ours = () if _NAME in used else ("--editable", str(REPOSITORY))

    def make(folder: Path) -> None:
        _make_empty(folder)
        path = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        (path / "of-ours.pth").write_text(f"{_SOURCES}\n{_OURS}\n", encoding="utf-8")
        _write_programs(folder / "bin")
        pip = _require("pip", json.dumps([sys.version, _PIP]), _make_pip) / "python"
        python = str(folder / "bin/python")
        _run([str(pip), "-m", "pip", "--python", python, *_INSTALL, *ours, *packages])

    return _require(name, _made_of(packages, used), make)


_NAME = "esploader"

_PROGRAMS = ("esploader", "pytest")

# Some of what is run there starts processes that load the program once more.
_PROGRAM = """\
#!{folder}/python
from importlib.metadata import entry_points

if __name__ == "__main__":
    program, *_ = entry_points(group="console_scripts", name="{name}")
    raise SystemExit(program.load()())
"""

_SOURCES = REPOSITORY / "src"

_OURS = sysconfig.get_path("purelib")
"""Where the packages of our own environment are."""

_PIP = "pip>=25"
"""One that asks for what it needs to know alone: an older one takes three times as long."""


_INSTALL = ("install", "--quiet", "--no-compile", "--no-warn-conflicts")
"""No compiling of what is never imported, and no warnings that nobody would read."""


def _make_pip(folder: Path) -> None:
    _make_empty(folder)
    python = str(folder / "bin/python")
    _run([sys.executable, "-m", "pip", "--python", python, *_INSTALL, _PIP])


def _write_programs(folder: Path) -> None:
    """Write the programs that would be there, if their packages were."""
    for name in _PROGRAMS:
        program = folder / name
        program.write_text(_PROGRAM.format(folder=folder, name=name), encoding="utf-8")
        program.chmod(0o755)


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


def _made_of(packages: Sequence[str], used: Mapping[str, str]) -> str:
    """Return what tells whether an environment is still the one that is asked for."""
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    of_ours = {name: project.get(name) for name in ("dependencies", "entry-points", "scripts")}
    return json.dumps([sys.version, _PIP, of_ours, used, *packages], indent=1, sort_keys=True)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_TIME
        )
    except subprocess.TimeoutExpired:
        do_without(f"{command[0]} took longer than {INSTALL_TIME:g} s")
    if done.returncode:
        do_without(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
