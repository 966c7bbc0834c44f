"""Virtual environments of their own for engines: what they bring stays out of ours.

labgrid brings a package ``serial`` of its own, which takes the place of pyserial's; so none of them
is ever installed beside what the other tests use. An environment is made by the first test that
needs it, stands in ``.venvs`` of the repository, and is kept between runs.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from peers import do_without

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = REPOSITORY / ".venvs"

INSTALL_TIME = 900.0
"""When to give up installing what one engine takes, in seconds."""


def require_engine(name: str, packages: Sequence[str]) -> Path:
    """Return the folder of the programs of an environment with ``packages``, and esploader.

    Skips the test where they cannot be had; where peers are demanded, it fails.
    """
    folder = ENVIRONMENTS / name
    programs = folder / "bin"
    made_of = _made_of(packages)
    stamp = folder / "made-of"
    ENVIRONMENTS.mkdir(exist_ok=True)
    # Other test processes wait until it is whole.
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text(encoding="utf-8") == made_of:
            return programs
        shutil.rmtree(folder, ignore_errors=True)
        # A pip that asks for what it needs to know alone, and no compiling of what is never
        # imported: that takes a third of the time.
        python = str(programs / "python")
        install = ["install", "--quiet", "--no-compile"]
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        _run([sys.executable, "-m", "pip", "--python", python, *install, "pip>=25"])
        _run([python, "-m", "pip", *install, "--editable", str(REPOSITORY), *packages])
        stamp.write_text(made_of, encoding="utf-8")
    return programs


def _made_of(packages: Sequence[str]) -> str:
    """Return what tells whether an environment is still the one that is asked for."""
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    of_ours = {name: project.get(name) for name in ("dependencies", "entry-points", "scripts")}
    return json.dumps([sys.version, of_ours, *packages], indent=1)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_TIME
        )
    except subprocess.TimeoutExpired:
        do_without(f"{command[0]} took longer than {INSTALL_TIME:g} s")
    if done.returncode:
        do_without(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
