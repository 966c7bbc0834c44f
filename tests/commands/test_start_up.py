"""A command loads what it needs, and nothing of what others need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from processes import served_chip
from programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOADED = """
import sys
from esploader.cli import main
code = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""

SEARCHES = """
import gc, sys
from esploader.cli import entry_point
before = gc.get_stats()[0]["collections"]
try:
    entry_point()
finally:
    searches = gc.get_stats()[0]["collections"] - before
    print(searches, gc.get_freeze_count(), len(gc.get_objects()), file=sys.stderr)
"""

NOT_FOR_AN_ID = frozenset(
    {
        "chips.names",
        "chips.reading.security_state",
        "device.efuses",
        "device.eraser",
        "device.memory",
        "device.planner",
        "device.preparation",
        "flash.inputs",
        "flash.limits",
        "flash.plan",
        "flash.read",
        "flash.verify",
        "flash.write",
        "image",
        "loader.stub",
        "loader.stub_folders",
        "names",
        "protocol.download_commands",
        "protocol.flash_commands",
        "session.ahead",
        "session.rate",
        "session.streams",
        "simulator.flash.dead",
        "simulator.line.faults",
        "simulator.names",
        "simulator.recordings",
        "simulator.stub",
        "transport.gates",
        "transport.names",
        "transport.ports",
        "transport.rfc2217",
        "transport.telnet",
        "transport.telnet_framing",
    }
)
"""What of ours somebody who asks for the id of a flash does not wait for."""

SLOW = frozenset(
    {
        "asyncio",
        "bz2",
        "configparser",
        "difflib",
        "hashlib",
        "json",
        "lzma",
        "rich",
        "serial",
        "shutil",
        "ssl",
        "subprocess",
        "tempfile",
        "tomllib",
        "typing_extensions",
    }
)
"""Nor for these."""

MOST_MODULES = 102
"""Of ours, on the way to an id, those of the simulator not counted."""

MOST_OF_SIMULATOR = 50


LOADED_AT_ALL = LOADED.replace(' if name.startswith("esploader.")', "")


def loaded_by(*words: str) -> set[str]:
    """Return the modules that a command has loaded when it is done."""
    done = run(sys.executable, "-c", LOADED, *words)
    assert done.exit_code == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def ours(loaded: set[str]) -> set[str]:
    """Return those of our modules, without the name of the package."""
    return {name.removeprefix("esploader.") for name in loaded if name.startswith("esploader.")}


@pytest.fixture(scope="module")
def tcp_port() -> Iterator[str]:
    with served_chip("--tcp", "0") as served:
        yield served.urls["tcp"]


def check_id(port: str, chip: str) -> None:
    """Ask for the id of a flash, and refuse what takes longer than it has to."""
    loaded = loaded_by("--no-stub", "--port", port, "flash-id")
    assert sorted(loaded & SLOW) == []
    rooms = ours(loaded)
    assert sorted(rooms & NOT_FOR_AN_ID) == []
    assert {name for name in rooms if name.startswith("chips.esp")} == {f"chips.{chip}"}
    of_simulator = {name for name in rooms if name.startswith("simulator.")}
    assert len(rooms - of_simulator) <= MOST_MODULES
    assert len(of_simulator) <= (MOST_OF_SIMULATOR if port.startswith("sim:") else 0)
    assert "flash.spi" in rooms


@pytest.mark.parametrize("chip", ["esp32c3", pytest.param("esp32", marks=pytest.mark.slow)])
def test_who_asks_for_an_id_waits_for_one_chip_and_nothing_that_writes(chip: str) -> None:
    check_id(f"sim://{chip}", chip)


def test_nor_does_a_network_take_what_it_does_not_need(tcp_port: str) -> None:
    check_id(tcp_port, "esp32c3")


def test_what_is_loaded_is_not_searched_for_garbage() -> None:
    # Nearly all that a short command makes stays. Without a word to Python there are thirty.
    words = ("--no-stub", "--port", "sim://esp32c3", "flash-id")
    done = run(sys.executable, "-c", SEARCHES, *words)
    assert done.exit_code == 0, done.stderr
    searches, left_alone, searched_at_the_end = map(int, done.stderr.splitlines()[-1].split())
    assert searches <= 10
    assert left_alone > 10 * searched_at_the_end


def test_a_stub_is_loaded_where_one_is_wanted() -> None:
    loaded = ours(loaded_by("--port", "sim://esp32c3", "read-mac"))
    assert sorted(loaded & {"loader.stub", "flash.write"}) == []


@pytest.mark.parametrize("kind", ["raw", "hex", "uf2"])
def test_who_merges_files_waits_for_no_chip_and_no_device(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "app.bin"
    source.write_bytes(b"app")
    words = ("--chip", "esp32c3", "merge-bin", "-f", kind, "-o", str(tmp_path / "all"))
    done = run(sys.executable, "-c", LOADED_AT_ALL, *words, "0", str(source))
    assert done.exit_code == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].split())
    assert not loaded & {"attr", "typing_extensions", "serial", "esploader.device"}
    assert not {name for name in loaded if name.startswith("esploader.chips.esp")}
    assert ("hashlib" in loaded) is (kind == "uf2")


def test_the_version_loads_next_to_nothing() -> None:
    assert "errors" not in ours(loaded_by("version"))
