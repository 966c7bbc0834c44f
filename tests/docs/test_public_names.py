"""What callers name has a plain name, and a docstring for every part of it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import esploader
from front_doors import PACKAGES, is_public, public_classes

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "docs" / "examples").rglob("*.py"),
]
IMPORT = re.compile(r"^(?:>>> |\.\.\. )?\s*from (esploader[\w.]*) import ([\w, ]+)", re.MULTILINE)


def imports() -> list[tuple[str, str, str]]:
    """Return page, package and name of every import in an example."""
    return [
        (page.name, package, name.split(" as ")[0].strip())
        for page in PAGES
        for package, names in IMPORT.findall(page.read_text(encoding="utf-8"))
        for name in names.split(",")
    ]


def test_examples_import_from_the_front_doors_only() -> None:
    found = imports()
    assert len(found) > 20
    elsewhere = {item for item in found if item[1] not in PACKAGES}
    assert not elsewhere


def test_what_examples_import_is_public() -> None:
    unknown = {item for item in imports() if not is_public(*item[1:])}
    assert not unknown


def test_examples_show_every_public_name_of_the_package() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = {name for _, package, name in imports() if package == "esploader"}
    shown |= set(re.findall(r"\besploader\.(\w+)", text))
    assert set(esploader.__all__) - shown == {"__version__"}


def test_the_package_shows_its_public_names_and_nothing_else() -> None:
    assert dir(esploader) == sorted(esploader.__all__)
    assert all(getattr(esploader, name) is not None for name in esploader.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = esploader.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", ["chips", "simulator"])
def test_a_package_has_no_other_names(package: str) -> None:
    module = importlib.import_module(f"esploader.{package}")
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match=f"'esploader.{package}' has no attribute 'nonsense'"):
        _ = module.nonsense


def undocumented(cls: type) -> set[str]:
    """Return the public attributes and methods that ``cls`` itself defines without a word."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    missing: set[str] = set()
    for node, following in zip(body.body, [*body.body[1:], None], strict=True):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                is_said = isinstance(following, ast.Expr)
            case ast.Assign(targets=[ast.Name(id=name)]):
                is_said = isinstance(following, ast.Expr)
            case ast.FunctionDef(name=name):
                # From the class that it overrides, too.
                is_said = bool(inspect.getdoc(getattr(cls, name)))
            case _:
                continue
        if not name.startswith("_") and not is_said:
            missing.add(name)
    return missing


def test_every_part_of_a_public_class_says_what_it_is() -> None:
    bases = {base for cls in public_classes() for base in cls.__mro__}
    ours = [base for base in bases if base.__module__.startswith("esploader.")]
    assert len(ours) > 100
    assert [cls for cls in ours if not cls.__doc__] == []
    missing = {cls: undocumented(cls) for cls in ours}
    assert {cls: names for cls, names in missing.items() if names} == {}
