"""What is said of addresses is what ``addr2line`` of the GNU binutils says of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from esploader.device.console.debug_info import DebugInfo
from peers import require_program
from programs import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer

START = 0x4200_0000

HEADER = """\
static inline int twice(int value)
{
    return 2 * value;
}

static inline int scaled(int value)
{
    if (value > 3)
        value = twice(value) ^ 0x55;
    return value;
}
"""

SOURCE = """\
#include "scale.h"

volatile int sink;

__attribute__((noinline)) static void store(int value)
{
    for (int i = 0; i < value; i++)
        sink += scaled(i);
}

void app_main(void)
{
    store(scaled(sink));
    sink = twice(sink);
}
"""

DWARF = ("-gdwarf-4", "-gdwarf-5")

OFF_BY_ONE = ("2.40",)
"""Of the binutils: count the files of DWARF 5 from 1, where the format does from 0."""


def build(folder: Path, *options: str) -> Path:
    """Compile a small program for this machine, linked to where the code of a chip is."""
    gcc = require_program("gcc")
    (folder / "include").mkdir()
    (folder / "include" / "scale.h").write_text(HEADER, encoding="utf-8")
    (folder / "main.c").write_text(SOURCE, encoding="utf-8")
    elf = folder / "app.elf"
    done = run(
        *(gcc, *options, "-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pic"),
        *("-fcf-protection=none", f"-I{folder / 'include'}", f"-Wl,-Ttext={START:#x}"),
        *("-Wl,--build-id=none", "-e", "app_main", "-o", str(elf), str(folder / "main.c")),
    )
    assert done.exit_code == 0, done.stderr
    return elf


def said_by_addr2line(elf: Path, addresses: list[int]) -> list[str]:
    """Return what it says of each, in one line."""
    words = [require_program("addr2line"), "-f", "-i", "-a", "-e", str(elf)]
    done = run(*words, *map(hex, addresses))
    assert done.exit_code == 0, done.stderr
    found: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            found.append("")
        else:
            # Which of several parts of a line it is says nothing here.
            found[-1] += f"{line.partition(' (disc')[0]} "
    return found


def is_off_by_one() -> bool:
    version = run(require_program("addr2line"), "--version").stdout.splitlines()[0]
    return any(f" {each}" in version for each in OFF_BY_ONE)


@pytest.mark.parametrize("dwarf", DWARF)
@pytest.mark.parametrize("optimisation", ["-O0", "-O2"])
def test_both_say_the_same_of_every_address(dwarf: str, optimisation: str, tmp_path: Path) -> None:
    elf = build(tmp_path, dwarf, optimisation)
    info = DebugInfo.read(elf)
    found = {address: info.places(address) for address in range(START, START + 0x200)}
    # Between functions there is nothing that runs, and still it belongs to a line.
    addresses = [address for address, places in found.items() if places and places[0].function]
    assert len(addresses) > 40
    ours = [
        "".join(f"{place.function} {place.file}:{place.line} " for place in found[address])
        for address in addresses
    ]
    theirs = said_by_addr2line(elf, addresses)
    if dwarf == "-gdwarf-5" and is_off_by_one():
        ours, theirs = (
            [re.sub("[^ /]*/[^ ]*/", "", each) for each in both] for both in (ours, theirs)
        )
        ours, theirs = (
            [re.sub("(main.c|scale.h)", "FILE", each) for each in both] for both in (ours, theirs)
        )
    assert ours == theirs
    if optimisation == "-O2":
        assert any("twice" in each and "app_main" in each for each in ours)
