"""This interpreter with nothing installed but what esploader needs: without esptool."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import esploader
from programs import PATIENCE, Completed

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = ("attr", "attrs", "serial", "typing_extensions")


def run_bare(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Completed:
    """Run Python with these arguments, and the data of a user in ``folder``, to its end."""
    site = folder / "site"
    if not site.exists():
        site.mkdir()
        source = Path(esploader.__file__).parent
        (site / source.name).symlink_to(source)
        for name in NEEDED:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            origin = Path(spec.origin)
            found = origin.parent if origin.name == "__init__.py" else origin
            (site / found.name).symlink_to(found)
    done = subprocess.run(
        [sys.executable, "-S", *arguments],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(site),
            "XDG_DATA_HOME": str(folder / "data"),
            **(environment or {}),
        },
    )
    return Completed(done.returncode, done.stdout, done.stderr)
