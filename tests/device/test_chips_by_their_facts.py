"""Nothing outside chips/ asks which chip it is: it asks for a fact of it, or for a quirk."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import esploader
from esploader.chips.registry import CHIPS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(esploader.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent.name != "chips")
NAMES = {name.lower() for chip in CHIPS for name in (chip.name, chip.key)}
CHIP_MODULES = {f"esploader.chips.{chip.key}" for chip in CHIPS}
IDENTITIES = {"name", "key", "image_chip_id", "magic"}


def offences(source: str) -> Iterator[str]:
    """Yield what compares a chip with a certain one, or imports it to do so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in CHIP_MODULES:
            yield f"line {node.lineno} imports {node.module}"
        elif isinstance(node, ast.Compare):
            operands = (node.left, *node.comparators)
            if any(map(names_a_chip, operands)) or (
                any(map(is_identity_of_a_chip, operands)) and any(map(is_literal, operands))
            ):
                yield f"line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.MatchValue) and names_a_chip(node.value):
            yield f"line {node.lineno}: case {ast.unparse(node)}"


def names_a_chip(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and part.value.lower() in NAMES
        for part in ast.walk(node)
    )


def is_identity_of_a_chip(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in IDENTITIES
        and ast.unparse(node.value).split(".")[-1].endswith("chip")
    )


def is_literal(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Constant) and part.value is not None for part in ast.walk(node))


def test_no_module_compares_a_chip_with_a_certain_one() -> None:
    found = {path: list(offences(path.read_text(encoding="utf-8"))) for path in MODULES}
    assert len(found) > 300
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "source",
    [
        "if chip.name == 'ESP32-C3': pass",
        "if 'esp32' != self.chip.key: pass",
        "if device.chip.image_chip_id == 5: pass",
        "if chip.image_chip_id in (5, 9): pass",
        "if name in {'ESP32', 'ESP8266'}: pass",
        "match chip.key:\n    case 'esp32p4': pass",
        "from esploader.chips.esp32 import ESP32",
    ],
)
def test_an_offence_would_be_found(source: str) -> None:
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    [
        "if found is not expected: pass",
        "if header.chip_id == chip.image_chip_id: pass",
        "if chip.magic is None: pass",
        "if Quirk.STUB_RESTARTS_UART in chip.quirks: pass",
    ],
)
def test_what_is_no_offence_is_not_taken_for_one(source: str) -> None:
    assert not list(offences(source))
