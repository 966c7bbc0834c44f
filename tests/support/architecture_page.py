"""Makes docs/architecture.md of the imports in src/esploader; run it after a change to them.

``python tests/support/architecture_page.py``
"""

# ruff: noqa: E501 - a row of a table in Markdown is one line

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "architecture.md"
PACKAGE: Final = ROOT / "src" / "esploader"
COMMAND: Final = "python tests/support/architecture_page.py"

ROLE: Final = re.compile(r":\w+:(?=`)")
"""What the docstrings say in front of a name, and Markdown does not."""

Floors: TypeAlias = "Sequence[Sequence[str]]"
"""Names of rooms, the highest floor first."""

Arrows: TypeAlias = "frozenset[tuple[str, str]]"
"""Who imports from whom."""

INTRODUCTION: Final = f"""\
# Architecture

<!-- Made by tests/support/architecture_page.py of the imports in src/esploader. After a change to
those: {COMMAND} -->

Where things live, and what may know what. `src/esploader` has rooms: packages, or modules of one
file. Rooms stand on floors, and imports point down only: whoever reads a room needs to know what is
below it, and nothing of what is above. Most programs come in by `esploader.connect`
([`connector.py`](../src/esploader/connector.py)); the command line and the plugin for pytest do,
too. The tests of a room are under its name in `tests`.

"""

TOP_RULE: Final = "imports point down only"
SIMULATOR_RULE: Final = "inside the simulator imports point down, too"

RULES: Final[Mapping[str, str]] = {
    TOP_RULE: "A room imports from floors below it, never from its own floor or from above. Imports inside of functions and those for types alone count like all others.",
    "facts of chips do not know who reads them": "`chips/model` says what the facts of a chip are made of, a module a chip has them, `chips/reading` makes something of them. So a chip can be added or looked up without what reads it.",
    SIMULATOR_RULE: "Below are the parts of a chip, then the loaders that run on it, the board with all of it, and above the line to it and what is made of that.",
    "no circles among modules": "Anywhere: what cannot be read by itself cannot be changed by itself.",
    "the protocol does no I/O": "Neither bytes nor time: what `protocol` does depends on what it is given, so tests need no clock.",
    "the simulator shares no command layout with the client": "It unpacks requests by itself. Both sides would otherwise agree on the same mistake.",
    "only the plugin for pytest needs pytest": "Whoever uses the library need not have it.",
    "only what is for labgrid needs labgrid": "It is never beside ours: [decision 0018](decisions/0018-beside-labgrid.md).",
    "only the driver for jumpstarter needs jumpstarter": "It is installed beside jumpstarter, and never brings it.",
    "only the status page needs aiohttp and prometheus-client": "They are an extra: who has no such page has neither.",
    "only what is for pytest-embedded needs pytest-embedded": "In one module, which loads when a suite of its flashes.",
    "only what announces, and what looks for that, needs zeroconf": "It is an extra, and loads when a server is announced or looked for: [decision 0026](decisions/0026-told-to-the-network.md).",
    "only what makes lines of addresses needs pyelftools": "It is an extra, which loads when somebody names an ELF file.",
}
"""Why there is each of the contracts in ``pyproject.toml``, by its name."""

NEW_THINGS: Final = """\
## Where new things go

| What | Where |
|---|---|
| a chip | a module in `chips`, and a line in its registry ([Adding a chip](adding-a-chip.md)) |
| a fact about chips; what its words mean | `chips/model`; `chips/reading` |
| what a device says by itself, and what it means | `device/console`; how people see it: `commands` |
| something done to the flash | `flash`; to the rest of a device: `device` |
| another kind of port | `transport`, and its scheme in `urls.py` |
| a command of the protocol | `protocol`; what answers it: `simulator/rom` or `simulator/stub` |
| something that goes wrong on a line | `simulator/line` |
| a command of the command line | a module in `commands`, or a place in one, and a line in `commands/table.py` |
| what another program finds the library by | `integrations` |
| the folder of another build tool | a module in `flash/builds`, and a line in its `reading.py` |
| an exception | `errors/__init__.py`, which has them all on one page |
| what stands in for another program | a module in `compat` |
| something done to many devices at once | `fleet` |
| something that the status page of a port server shows | `server/status`, where what it shows is kept: `server/station_view.py` |
| partition tables | what is bytes in `image`, what talks in `device` |
| the stubs of a new esptool | `loader/known_stubs.py`, by `tests/support/stub_hash_table.py` |

Nothing new stands loose at the top: `tests/test_architecture.py` counts what does. It also keeps
modules and functions short, and asks for a reason where one is not.
"""


@attrs.frozen
class House:
    """A package, and what it says of itself."""

    folder: Path
    name: str
    """As it is imported."""
    rule: str
    """The contract in ``pyproject.toml`` that has its floors."""
    front_doors: Mapping[str, str]
    """By room: the module to read first."""


HOUSE: Final = House(
    PACKAGE,
    "esploader",
    TOP_RULE,
    {
        "chips": "chips/registry.py",
        "commands": "commands/table.py",
        "compat": "compat/esptool.py",
        "device": "device/device.py",
        "errors": "errors/__init__.py",
        "flash": "flash/write_plan.py",
        "image": "image/firmware.py",
        "integrations": "integrations/pytest_plugin.py",
        "loader": "loader/link.py",
        "protocol": "protocol/commands.py",
        "fleet": "fleet/many.py",
        "server": "server/serve.py",
        "session": "session/session.py",
        "simulator": "simulator/device.py",
        "transport": "transport/base.py",
        "urlhandler": "urlhandler/protocol_sim.py",
    },
)

SIMULATOR: Final = House(
    PACKAGE / "simulator",
    "esploader.simulator",
    SIMULATOR_RULE,
    {
        "flash": "flash/chip.py",
        "line": "line/transport.py",
        "recordings": "recordings/recording.py",
        "rom": "rom/loader.py",
        "soc": "soc/program.py",
        "stub": "stub/loader.py",
    },
)


def page() -> str:
    """Return the page."""
    return (
        INTRODUCTION
        + section("The rooms", HOUSE)
        + rules()
        + section("Inside the simulator", SIMULATOR)
        + NEW_THINGS
    )


def section(title: str, house: House) -> str:
    """Return the drawing of a house, and a table of its rooms."""
    floors, arrows = floors_of(house.rule), arrows_of(house)
    rooms = [room for floor in floors for room in floor]
    return (
        f"## {title}\n\n"
        f"{len(rooms)} rooms on {len(floors)} floors, {len(arrows)} arrows. An arrow is left out of\n"
        "the drawing where others lead the same way; the table has all.\n\n"
        f"```mermaid\n{drawing(floors, arrows)}```\n\n"
        "| Room | What it is | Read first | Imports from |\n|---|---|---|---|\n"
        + "".join(row(house, room, arrows) for room in rooms)
        + "\n"
    )


def rules() -> str:
    """Return the contracts, with the reason of each."""
    lines = (
        f"- **{contract['name']}.** {RULES[str(contract['name'])]}\n" for contract in contracts()
    )
    return (
        "## The rules of the arrows\n\n"
        "They stand in `pyproject.toml`, and `lint-imports` keeps them. Why there are rooms\n"
        "and floors: [decision 0001](decisions/0001-modules-and-layers.md).\n\n"
        + "".join(lines)
        + "\n"
    )


def row(house: House, room: str, arrows: Arrows) -> str:
    """Return the line of a room in the table."""
    path = front_door(house, room)
    link = f"[`{path.relative_to(house.folder)}`](../{path.relative_to(ROOT)})"
    below = ", ".join(f"`{end}`" for start, end in sorted(arrows) if start == room)
    return f"| `{room}` | {sentence(house, room)} | {link} | {below} |\n"


def front_door(house: House, room: str) -> Path:
    """Return the module that a stranger should read first."""
    return house.folder / house.front_doors.get(room, f"{room}.py")


def sentence(house: House, room: str) -> str:
    """Return what a room says of itself."""
    package = house.folder / room / "__init__.py"
    path = package if package.exists() else house.folder / f"{room}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return ROLE.sub("", first).replace("``", "`")


def drawing(floors: Floors, arrows: Arrows) -> str:
    """Return the floors, and the arrows that others do not make up, for Mermaid."""
    lines = ["flowchart TD"]
    for number, floor in enumerate(floors):
        lines += [f'    subgraph floor{number}[" "]']
        lines += [f'        {identifier(room)}["{room}"]' for room in floor]
        lines += ["    end"]
    ordered = sorted(needed(arrows))
    lines += [f"    {identifier(start)} --> {identifier(end)}" for start, end in ordered]
    return "\n".join(lines) + "\n"


def identifier(room: str) -> str:
    """Return a name that means nothing to Mermaid."""
    return f"room_{room.strip('_')}"


def needed(arrows: Arrows) -> Arrows:
    """Return the arrows of which no others lead from the start to the end."""
    return frozenset(
        arrow for arrow in arrows if arrow[1] not in reached(arrow[0], arrows - {arrow})
    )


def reached(start: str, arrows: Arrows) -> frozenset[str]:
    """Return the rooms to which arrows lead from one, by whatever way."""
    found: set[str] = set()
    new = {start}
    while new:
        new = {end for begin, end in arrows if begin in new} - found
        found |= new
    return frozenset(found)


def contracts() -> list[Mapping[str, object]]:
    """Return what import-linter keeps."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return cast("list[Mapping[str, object]]", settings["tool"]["importlinter"]["contracts"])


def floors_of(rule: str) -> Floors:
    """Return the floors that a contract names."""
    (contract,) = (each for each in contracts() if each["name"] == rule)
    return [floor.split(" | ") for floor in cast("list[str]", contract["layers"])]


def arrows_of(house: House) -> Arrows:
    """Return which room imports from which, by whatever kind of import."""
    rooms = {path.stem for path in house.folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    found: set[tuple[str, str]] = set()
    for path in house.folder.rglob("*.py"):
        start = path.relative_to(house.folder).parts[0].removesuffix(".py")
        ends = {room_of(name, house.name) for name in imported(path)} & rooms
        found |= {(start, end) for end in ends if start not in {end, "__init__"}}
    return frozenset(found)


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """Return the full name of everything that a module imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            names += (f"{node.module}.{name.name}" for name in node.names)
    return tuple(names)


def room_of(name: str, package: str) -> str:
    """Return the room that something imported is in; empty when that is elsewhere."""
    parts, above = name.split("."), package.split(".")
    if parts[: len(above)] != above or len(parts) == len(above):
        return ""
    return parts[len(above)]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
