"""The unit in the documentation, as systemd reads it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from peers import require_program

pytestmark = pytest.mark.peer

PAGE = Path(__file__).parents[2] / "docs" / "server-as-a-service.md"
PROGRAM = "/opt/esploader/bin/esploader"
MAX_EXPOSURE = 20
"""In tenths: systemd calls a unit OK below 5.0."""


def unit(tmp_path: Path) -> Path:
    """Return the unit of the page, with a program that is there."""
    (text,) = re.findall(r"^```ini\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert text.count(PROGRAM) == 2
    path = tmp_path / "esploader.service"
    path.write_text(text.replace(PROGRAM, f"{sys.executable} -m esploader"), encoding="utf-8")
    return path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = require_program("systemd-analyze")
    return subprocess.run(
        [program, *words], check=False, capture_output=True, text=True, timeout=60
    )


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    path = unit(tmp_path)
    done = analyze("verify", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # It would say so.
    path.write_text(path.read_text("utf-8").replace("ProtectHome=", "ProtectHouse="), "utf-8")
    assert "ProtectHouse" in analyze("verify", str(path)).stderr


def test_the_unit_leaves_little_open(tmp_path: Path) -> None:
    threshold = f"--threshold={MAX_EXPOSURE}"
    done = analyze("security", "--offline=true", "--no-pager", threshold, str(unit(tmp_path)))
    assert done.returncode == 0, done.stdout
