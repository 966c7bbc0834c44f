"""The house stays one that a stranger finds the way in: few things loose, short modules.

The rules of the arrows are import-linter's; see docs/architecture.md.
"""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "esploader"

MOST_ENTRIES = 26
MOST_LOOSE_IN_SIMULATOR = 12

LONGEST_MODULE = 450
LONGEST_MEDIAN = 130
LONGEST_FUNCTION = 60
"""In lines, all of them counted."""

LONG_MODULES: dict[str, str] = {}

LONG_FUNCTIONS: dict[str, str] = {}


def line_counts() -> dict[str, int]:
    """Return how long every module is."""
    return {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }


def long_functions() -> set[str]:
    """Return the functions and methods that are longer than they should be."""
    return {
        f"{path.relative_to(PACKAGE).as_posix()}:{node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    }


def test_little_stands_at_the_top() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}

    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_little_is_loose_in_the_simulator() -> None:
    modules = [path.name for path in (PACKAGE / "simulator").glob("*.py")]

    assert len(modules) <= MOST_LOOSE_IN_SIMULATOR, sorted(modules)


def test_no_module_is_long_without_a_reason() -> None:
    # A reason that is no longer needed has to go, too.
    found = {name for name, count in line_counts().items() if count > LONGEST_MODULE}

    assert found == set(LONG_MODULES)


def test_most_modules_are_short() -> None:
    assert statistics.median(line_counts().values()) <= LONGEST_MEDIAN


def test_no_function_is_long_without_a_reason() -> None:
    assert long_functions() == set(LONG_FUNCTIONS)
