"""What is released has what it needs and nothing else, and what checks it notices if not."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from pathlib import Path

from oldest_dependencies import oldest_dependencies
from package_contents import MAX_SIZE, NEEDED_IN_SDIST, NEEDED_IN_WHEEL, faults_in

ROOT = Path(__file__).parents[2]


def make_dist(folder: Path, wheel: dict[str, bytes], sdist: dict[str, bytes]) -> None:
    """Put a wheel and an sdist with these members into a folder."""
    with zipfile.ZipFile(folder / "esploader-1-py3-none-any.whl", "w") as archive:
        for name, content in wheel.items():
            archive.writestr(name, content)
    with tarfile.open(folder / "esploader-1.tar.gz", "w") as archive:
        for name, content in sdist.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


GOOD_WHEEL = {
    name if name.startswith("esploader/") else f"esploader-1.{name}": b""
    for name in NEEDED_IN_WHEEL
}
GOOD_SDIST = {f"esploader-1/{name}": b"" for name in NEEDED_IN_SDIST}


def test_a_good_package_has_no_faults(tmp_path: Path) -> None:
    make_dist(tmp_path, GOOD_WHEEL, GOOD_SDIST)
    assert faults_in(tmp_path) == []


def test_what_is_missing_and_what_is_too_much_is_named(tmp_path: Path) -> None:
    wheel = {"esploader/cli.py": b"", "tests/test_it.py": b"", "esploader/a.pyc": b""}
    sdist = {**GOOD_SDIST, "esploader-1/data": bytes(MAX_SIZE)}
    make_dist(tmp_path, wheel, sdist)
    text = "\n".join(faults_in(tmp_path))
    for fault in (
        "lacks esploader/py.typed",
        "lacks dist-info/licenses/LICENSE-MIT",
        "holds tests/test_it.py",
        "holds esploader/a.pyc",
        "esploader-1.tar.gz has ",
    ):
        assert fault in text


def test_an_empty_folder_is_no_package(tmp_path: Path) -> None:
    assert faults_in(tmp_path) == [f"{tmp_path} has not one of each"]


def test_every_dependency_has_an_oldest_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^dependencies = (.*)$", project, re.MULTILINE)
    assert len(oldest_dependencies()) == line.count(">=")
    assert "attrs==23.2" in oldest_dependencies()


def test_the_hooks_run_what_ci_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"entry: (.+)}$", hooks, re.MULTILINE)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lint = script.partition('step "lint"')[2].partition("step ")[0].splitlines()
    checks = [line for line in lint if line.startswith(".venv/bin/") and " install " not in line]
    assert entries == checks
    assert re.findall(r"repo: (.+)", hooks) == ["local"]


def test_the_readme_weighs_every_extra() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = re.findall(r"^(\w+) = \[", section, re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert extras
    assert [extra for extra in extras if f"| `{extra}` |" not in readme] == []
