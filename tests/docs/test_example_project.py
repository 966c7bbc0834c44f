"""The example project passes its own tests, which know nothing of ours but the plugin."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from esploader.integrations import pytest_plugin
from programs import run

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PROJECTS = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))
SOURCE = Path(pytest_plugin.__file__).parents[2]


@pytest.fixture
def run_pytest(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Return what runs the tests in a folder, as if this library and only it were installed."""
    path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_it(folder: Path) -> str:
        plugin = ("-p", pytest_plugin.__name__)
        done = run(sys.executable, "-m", "pytest", *plugin, "--rootdir", str(folder), str(folder))
        assert done.exit_code == 0, done.stdout + done.stderr
        return done.stdout

    return run_it


def test_there_is_an_example() -> None:
    assert PROJECTS


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_the_example_passes_its_tests(
    project: Path, tmp_path: Path, run_pytest: Callable[[Path], str]
) -> None:
    copy = tmp_path / project.name
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    assert " passed" in run_pytest(copy)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_the_example_depends_on_this_library_only(project: Path) -> None:
    document = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert document["project"]["dependencies"] == ["esploader"]
