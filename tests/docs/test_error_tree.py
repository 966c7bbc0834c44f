"""The tree of errors in docs/library.md is the one in the code, fields included."""

from __future__ import annotations

import re
from pathlib import Path

from esploader import errors

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
ITEM = re.compile(r"^( *)- `(\w+Error)`(?: \(([^)]*)\))?", re.MULTILINE)
INDENTATION = 2

Tree = dict[str, tuple[str, tuple[str, ...]]]
"""By name: the name of the base, and the fields that the class adds to it."""


def tree_in_the_page() -> Tree:
    tree: Tree = {}
    path: list[str] = []
    for blanks, name, fields in ITEM.findall(PAGE.read_text(encoding="utf-8")):
        del path[len(blanks) // INDENTATION :]
        tree[name] = (path[-1] if path else "TellingError", tuple(re.findall(r"\w+", fields)))
        path.append(name)
    return tree


def fields_of(error: type) -> list[str]:
    return list(getattr(error, "fields", ()))


def tree_in_the_code() -> Tree:
    tree: Tree = {}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.EsploaderError):
            (base,) = error.__bases__
            inherited = fields_of(base)
            own = tuple(field for field in fields_of(error) if field not in inherited)
            tree[error.__name__] = (base.__name__, own)
    return tree


def test_the_tree_is_that_of_the_code() -> None:
    assert tree_in_the_page() == tree_in_the_code()
