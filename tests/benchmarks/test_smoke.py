"""Every benchmark runs, at sizes so small that its figures mean nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from peers import require_program
from programs import run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"

PATIENCE = 120.0
"""When a benchmark is given up, in seconds. What it waits for it gives up before."""

NEEDED_PROGRAMS = {"flash_id": ("ser2net",), "remote": ("ser2net",)}
"""Beside esptool and pyserial's server, which come with the extra of the tests."""

WITHOUT_PEERS = (
    "fleet",
    "hex_file",
    "simulated_chips",
    "status_flood",
    "tls_handshakes",
    "write_efficiency",
)

LINUX_ONLY = (
    "client_cost",
    "first_answer",
    "fleet_model",
    "fleet",
    "image_info",
    "merging",
    "server_load",
    "simulated_chips",
    "status_flood",
    "tls_handshakes",
)
"""They ask ``/proc`` what a process has used."""

SCRIPTS = sorted(
    path.stem
    for path in FOLDER.glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in WITHOUT_PEERS else pytest.mark.peer)
        for name in SCRIPTS
    ],
)
def test_a_smoke_run_prints_figures_and_judges_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One makes certificates as the tests do; the README of the benchmarks says so.
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "support"))
    if name in LINUX_ONLY and sys.platform != "linux":
        pytest.skip("it reads /proc")
    for program in NEEDED_PROGRAMS.get(name, ()):
        require_program(program)

    done = run(sys.executable, str(FOLDER / f"{name}.py"), "--smoke", timeout=PATIENCE)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout
    assert "goal" not in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_readme_has_every_benchmark(name: str) -> None:
    assert f"| `{name}.py` |" in (FOLDER / "README.md").read_text(encoding="utf-8")
