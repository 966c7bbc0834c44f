"""A command loads what it needs, and nothing of what others need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from programs import run

if TYPE_CHECKING:
    from pathlib import Path

LOADED = """
import sys
from esploader.cli import main
code = main(sys.argv[1:])
print(*(name for name in sys.modules if name.startswith("esploader.")), file=sys.stderr)
sys.exit(code)
"""


LOADED_AT_ALL = LOADED.replace(' if name.startswith("esploader.")', "")


def loaded_by(*words: str) -> set[str]:
    """Return the modules of ours that a command has loaded when it is done."""
    done = run(sys.executable, "-c", LOADED, *words)
    assert done.exit_code == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("port", ["sim://esp32c3", "sim://esp32"])
def test_who_asks_for_an_id_waits_for_one_chip_and_nothing_that_writes(port: str) -> None:
    loaded = loaded_by("--no-stub", "--port", port, "flash-id")
    chips = {name for name in loaded if name.startswith("esploader.chips.esp")}
    assert chips == {f"esploader.chips.{port.removeprefix('sim://')}"}
    for room in ("flash.write", "flash.plan", "flash.inputs", "image.hexfile", "loader.stub"):
        assert f"esploader.{room}" not in loaded
    for room in ("transport.telnet", "simulator.recordings", "simulator.line.faults"):
        assert f"esploader.{room}" not in loaded
    assert "esploader.flash.spi" in loaded


def test_a_stub_is_loaded_where_one_is_wanted() -> None:
    port = ("--port", "sim://esp32c3")
    assert "esploader.loader.stub" not in loaded_by(*port, "read-mac")
    assert "esploader.flash.write" not in loaded_by(*port, "read-mac")


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
    assert "esploader.errors" not in loaded_by("version")
