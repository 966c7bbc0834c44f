"""The drivers for labgrid and its exporter, by tests that run where labgrid is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lab_files import make_lab_files
from labgrid_lab import require_labgrid
from programs import run

CHECKS = Path(__file__).with_name("in_labgrid")
SUPPORT = CHECKS.parents[1] / "support"
INI = """
[pytest]
addopts = -ra --strict-markers --strict-config --import-mode=importlib
filterwarnings =
    error
    # labgrid, of its own accord
    ignore::DeprecationWarning:labgrid.*
pythonpath = {support}
"""
TIME = 200.0
"""When to give up, in seconds."""


@pytest.mark.peer
@pytest.mark.parametrize(
    "name", ["driver_checks.py", pytest.param("export_checks.py", marks=pytest.mark.slow)]
)
def test_in_labgrid(name: str, tmp_path: Path) -> None:
    programs = require_labgrid()
    files = tmp_path / "files"
    made = make_lab_files(files)
    (files / "parts.json").write_text(
        json.dumps([(offset, data.hex()) for offset, data in made.parts]), encoding="utf-8"
    )
    (files / "garbage.bin").write_bytes(b"\xe9 and no image")
    ini = tmp_path / "pytest.ini"
    ini.write_text(INI.format(support=SUPPORT), encoding="utf-8")
    done = run(
        "env",
        f"LAB_FILES={files}",
        str(programs / "python"),
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest"),
        *("-c", str(ini), f"--basetemp={tmp_path / 'inside'}", str(CHECKS / name)),
        timeout=TIME,
    )
    assert done.exit_code == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE), done.stdout
