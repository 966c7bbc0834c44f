"""What wheel and sdist hold: all that is needed, and nothing that is not.

``python tests/support/package_contents.py DIST`` looks at those in the folder ``DIST``, and ends
with what is wrong, if anything is.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

MAX_SIZE = 2 * 1024 * 1024
"""Of a wheel and of an sdist, in bytes."""

NEEDED_IN_WHEEL = (
    "esploader/py.typed",
    "esploader/cli.py",
    "esploader/server/status/files/icon.svg",
    "esploader/server/status/files/page.css",
    "esploader/server/status/files/page.html",
    "esploader/server/status/files/page.js",
    "dist-info/licenses/LICENSE-MIT",
    "dist-info/licenses/LICENSE-APACHE",
    "dist-info/entry_points.txt",
)
NEEDED_IN_SDIST = (
    "src/esploader/py.typed",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
)
UNWANTED = ("tests/", "benchmarks/", "__pycache__", ".pyc", ".venv", ".git/", ".ci/")


def faults_of(name: str, size: int, members: list[str], needed: tuple[str, ...]) -> list[str]:
    """Return what is wrong with an archive of these members and of so many bytes."""
    missing = [each for each in needed if not any(member.endswith(each) for member in members)]
    unwanted = [member for member in members if any(each in member for each in UNWANTED)]
    return [
        *([f"{name} has {size} bytes"] if size > MAX_SIZE else []),
        *(f"{name} lacks {each}" for each in missing),
        *(f"{name} holds {each}" for each in unwanted),
    ]


def faults_in(dist: Path) -> list[str]:
    """Return what is wrong with the wheel and the sdist in a folder."""
    wheels, sdists = sorted(dist.glob("*.whl")), sorted(dist.glob("*.tar.gz"))
    faults = [] if len(wheels) == len(sdists) == 1 else [f"{dist} has not one of each"]
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            members = wheel.namelist()
        outside = [member for member in members if not member.startswith("esploader")]
        faults += [f"{path.name} holds {member}" for member in outside]
        faults += faults_of(path.name, path.stat().st_size, members, NEEDED_IN_WHEEL)
    for path in sdists:
        with tarfile.open(path) as sdist:
            members = sdist.getnames()
        faults += faults_of(path.name, path.stat().st_size, members, NEEDED_IN_SDIST)
    return faults


if __name__ == "__main__":
    sys.exit("\n".join(faults_in(Path(sys.argv[1]))) or None)
