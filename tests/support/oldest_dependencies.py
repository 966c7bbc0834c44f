"""The oldest dependencies that ``pyproject.toml`` allows, as constraints for pip."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
REQUIREMENT = re.compile(r"([\w-]+)>=([\d.]+)")


def oldest_dependencies() -> list[str]:
    """Return a constraint for each."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    found = [REQUIREMENT.fullmatch(each) for each in project["dependencies"]]
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    sys.stdout.writelines(f"{each}\n" for each in oldest_dependencies())
