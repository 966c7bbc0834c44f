"""Of a matrix whose cells say much the same, the part that says as much as all of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

import pytest
from typing_extensions import TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

    from _pytest.mark.structures import ParameterSet

Cell = TypeVar("Cell")
Parts = TypeVarTuple("Parts")


def covering(cells: Sequence[Cell], aspects: Callable[[Cell], Iterable[Hashable]]) -> list[Cell]:
    """Return cells that together have every aspect that any of them has, in their order.

    An aspect is mostly a combination of a few of the things that a cell is made of. Which cells
    are chosen is chance, with a seed: of those in a row the first would be much alike.
    """
    shuffled = list(enumerate(cells))
    random.Random(len(cells)).shuffle(shuffled)  # noqa: S311 - a choice, not a secret
    seen: set[Hashable] = set()
    chosen: list[int] = []
    for index, cell in shuffled:
        new = set(aspects(cell)) - seen
        if new:
            seen |= new
            chosen.append(index)
    return [cells[index] for index in sorted(chosen)]


def covering_parameters(
    cells: Sequence[tuple[*Parts]],
    aspects: Callable[[*Parts], Iterable[Hashable]],
) -> list[ParameterSet]:
    """Return all cells as parameters of a test; those that add nothing are slow."""
    chosen = set(map(id, covering(cells, lambda cell: aspects(*cell))))
    return [
        pytest.param(*cell, marks=() if id(cell) in chosen else pytest.mark.slow) for cell in cells
    ]


def usual_parameters(values: Iterable[Cell], usual: Collection[Cell]) -> list[ParameterSet]:
    """Return all values as parameters of a test; those that are not usual are slow."""
    return [
        pytest.param(value, marks=() if value in usual else pytest.mark.slow) for value in values
    ]
