"""The page on architecture is what the imports make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from architecture_page import (
    COMMAND,
    HOUSE,
    PAGE,
    RULES,
    SIMULATOR,
    House,
    arrows_of,
    contracts,
    floors_of,
    front_door,
    needed,
    page,
    reached,
)

if TYPE_CHECKING:
    from pathlib import Path

HOUSES = (HOUSE, SIMULATOR)

# Arrows from a greater number to a smaller one: there are no circles.
FLOORS = 7
arrows = st.frozensets(
    st.tuples(st.integers(0, FLOORS), st.integers(0, FLOORS))
    .filter(lambda ends: ends[0] > ends[1])
    .map(lambda ends: (str(ends[0]), str(ends[1])))
)


def test_the_page_is_current() -> None:
    is_current = PAGE.read_text(encoding="utf-8") == page()

    assert is_current, f"make it anew: {COMMAND}"


def test_every_rule_has_a_reason() -> None:
    assert set(RULES) == {contract["name"] for contract in contracts()}


def test_front_doors_are_of_rooms_and_exist() -> None:
    for house in HOUSES:
        rooms = {room for floor in floors_of(house.rule) for room in floor}
        assert set(house.front_doors) <= rooms
        assert [room for room in rooms if not front_door(house, room).is_file()] == []


def test_arrows_are_drawn_downwards() -> None:
    for house in HOUSES:
        heights = {
            room: number for number, floor in enumerate(floors_of(house.rule)) for room in floor
        }
        assert [each for each in arrows_of(house) if heights[each[0]] >= heights[each[1]]] == []


@given(arrows)
def test_what_is_drawn_leads_wherever_the_arrows_lead(
    all_arrows: frozenset[tuple[str, str]],
) -> None:
    drawn = needed(all_arrows)

    for room in map(str, range(FLOORS + 1)):
        assert reached(room, drawn) == reached(room, all_arrows)


@given(arrows)
def test_no_arrow_is_drawn_for_nothing(all_arrows: frozenset[tuple[str, str]]) -> None:
    drawn = needed(all_arrows)

    for start, end in drawn:
        assert end not in reached(start, drawn - {(start, end)})


def test_every_kind_of_import_is_an_arrow(tmp_path: Path) -> None:
    for name, text in {
        "__init__.py": "from shop.door import enter",
        "door.py": "def enter():\n    from shop.hall.desk import bell",
        "hall/__init__.py": "",
        "hall/desk.py": "import shop.cellar.wine\nimport cellar\nfrom shop.hall import chair",
        "hall/chair.py": "if TYPE_CHECKING:\n    from shop import attic",
        "cellar/wine.py": "from shopping.door import enter\nfrom shop import __version__",
        "attic.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    found = arrows_of(House(tmp_path, "shop", "", {}))

    assert found == {("door", "hall"), ("hall", "cellar"), ("hall", "attic")}
