"""Partition tables come out as ESP-IDF's own tool makes them, and what it refuses is refused.

The package esp-idf-defs has that tool, ``gen_esp32part.py`` of version 1.5, as a module. It runs in
a process of its own.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import random
import subprocess
import sys
from typing import TypeAlias

import pytest

from boot_choice import entry, otadata
from esploader.errors import PartitionTableError
from esploader.image.otadata import booting, parse_otadata
from esploader.image.partition import SUBTYPES, TYPES
from esploader.image.partitions import parse_csv, parse_table
from peers import do_without

pytestmark = pytest.mark.peer

Answer: TypeAlias = "dict[str, str | None]"

SCRIPT = """
import base64, json, sys
from esp_idf_defs import PartitionTable
from esp_idf_defs.otadata import OtaDataSelectEntry

def made(text):
    try:
        table = PartitionTable.from_csv(text, 0x8000, 0x1000, 0x3F0000)
        table.verify(0x8000)
        content = table.to_binary()
        again = PartitionTable.from_binary(content)
        assert again == table
        return {"binary": base64.b64encode(content).decode(), "csv": again.to_csv()}
    except Exception as exc:
        return {"binary": None, "csv": repr(exc)}

def slot(content, count):
    data = base64.b64decode(content)
    entries = [OtaDataSelectEntry.from_bytes(data[start:start + 32]) for start in (0, 0x1000)]
    best, _ = OtaDataSelectEntry.select(*entries)
    return None if best is None else best.ota_slot(count)

asked = json.load(sys.stdin)
json.dump(
    {
        "tables": {text: made(text) for text in asked["tables"]},
        "slots": [slot(content, count) for content, count in asked["slots"]],
    },
    sys.stdout,
)
"""

USUAL = {
    "single app": "nvs,data,nvs,0x9000,0x6000\nphy,data,phy,0xf000,4K\nf,app,factory,0x10000,1M",
    "two ota": "nvs,data,nvs,,0x4000\notadata,data,ota,,8K\nphy,data,phy,,4K\n"
    "factory,app,factory,,1M\nota_0,app,ota_0,,1M\nota_1,app,ota_1,,1M\nkeys,data,nvs_keys,,4K",
    "comments": "# a\n\n  nvs , DATA , Nvs , , 24k , encrypted \n# b\n",
    "flags": "a,data,fat,,4K,encrypted:readonly\nb,data,nvs,,4K,readonly\n",
    "numbers": "a,0x40,0xfe,0x9000,4096\nb,254,0,40960,0x1000\n",
    "up to": "a,data,fat,0x9000,-0x100000\n",
    "odd size": "a,data,fat,,0x123\nb,data,fat,,1\n",
    "bootloaders": "b,bootloader,primary,N/A,N/A\nt,partition_table,primary,N/A,N/A\n"
    "nvs,data,nvs,,24K\nspare,bootloader,ota,,N/A\nspare_t,partition_table,ota,,N/A\n",
    "recovery": "r,bootloader,recovery,N/A,N/A\n",
    "no subtype": "a,data,,,4K\n",
    **{
        f"{kind} {name}": f"a,{kind},{name},,{'8K' if 'ota' in name else '64K'}\n"
        for kind in ("app", "data")
        for name in SUBTYPES[TYPES[kind]]
    },
}

REFUSED = {
    "no type": "a,,nvs,,4K",
    "no size": "a,data,nvs,,",
    "app without subtype": "a,app,,,4K",
    "unknown type": "a,apple,0,,4K",
    "unknown subtype": "a,data,nonsense,,4K",
    "unknown flag": "a,data,fat,,4K,secret",
    "overlap": "a,data,fat,0x9000,8K\nb,data,fat,0xa000,4K",
    "on the table": "a,data,fat,0x8000,4K",
    "app not aligned": "a,app,factory,0x11000,1M",
    "data not aligned": "a,data,fat,0x9100,4K",
    "app of odd size": "a,app,factory,,0x1800",
    "small nvs": "a,data,nvs,,8K",
    "small otadata": "a,data,ota,,4K",
    "two otadata": "a,data,ota,,8K\nb,data,ota,,8K",
    "readonly otadata": "a,data,ota,,8K,readonly",
    "readonly core dump": "a,data,coredump,,64K,readonly",
    "two of a name": "a,data,fat,,4K\na,data,fat,,4K",
    "too many": "\n".join(f"p{number},data,fat,,4K" for number in range(95)),
}

STRICTER = {
    "long name": "sixteen_letters_,data,fat,,4K",
    "no bytes": "a,data,fat,,0",
    "seven fields": "a,data,fat,,4K,,more",
    "type 255": "a,255,0,,4K",
    "no partitions": "# nothing",
    "a unit twice": "a,data,fat,,1kk",
}
"""What ESP-IDF's tool takes, and this one does not."""


def some_tables() -> dict[str, str]:
    """Return tables with whatever may be in them: the same in every run."""
    source = random.Random(7)  # noqa: S311 - data, not a secret
    found = {}
    for number in range(40):
        lines = []
        for index in range(source.randrange(1, 20)):
            kind = source.choice(["app", "data", "data", "65"])
            subtype = {
                "app": lambda: f"ota_{source.randrange(16)}",
                "data": lambda: source.choice(["fat", "spiffs", "nvs", "0x50", ""]),
                "65": lambda: str(source.randrange(255)),
            }[kind]()
            size = source.choice(["64K", "0x10000", "1m", "131072", "0x1000", "17"])
            flags = source.choice(["", "encrypted", "readonly", "encrypted:readonly"])
            lines.append(f"p{index},{kind},{subtype},,{size},{flags}")
        found[f"some-{number}"] = "\n".join(lines)
    return found


SOME = some_tables()
CHOICES = [
    (otadata(), 2),
    *(
        (otadata(entry(first), entry(second)), count)
        for first, second, count in (
            (1, 2, 2),
            (2, 1, 2),
            (5, 4, 3),
            (7, 8, 5),
            (0xFFFF_FFFE, 3, 4),
            (3, 0xFFFF_FFFF, 2),
        )
    ),
]
"""Valid entries only: of the package's own code, which is not ESP-IDF's, none is invalid for its
CRC32 or its state."""


@pytest.fixture(name="answers", scope="module")
def _answers() -> dict[str, dict[str, Answer] | list[int | None]]:
    """Ask ESP-IDF's tool everything at once."""
    if importlib.util.find_spec("esp_idf_defs") is None:
        do_without("esp-idf-defs is not installed")
    tables = [*USUAL.values(), *REFUSED.values(), *STRICTER.values(), *SOME.values()]
    slots = [(base64.b64encode(content).decode(), count) for content, count in CHOICES]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps({"tables": tables, "slots": slots}),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: dict[str, dict[str, Answer] | list[int | None]] = json.loads(done.stdout)
    return found


@pytest.fixture(name="made")
def _made(answers: dict[str, dict[str, Answer]]) -> dict[str, Answer]:
    return answers["tables"]


def ours(text: str) -> bytes:
    """Return what we make of a table."""
    return parse_csv(text, bootloader_offset=0x1000, recovery_offset=0x3F_0000).to_bytes()


@pytest.mark.parametrize("name", [*USUAL, *SOME])
def test_the_same_table(name: str, made: dict[str, Answer]) -> None:
    text = {**USUAL, **SOME}[name]
    theirs = made[text]
    if theirs["binary"] is None:
        with pytest.raises(PartitionTableError):
            ours(text)
        return
    content = base64.b64decode(theirs["binary"])
    assert ours(text) == content
    assert parse_table(content).to_bytes() == content
    assert theirs["csv"] is not None
    assert parse_table(content).to_csv().splitlines()[2:] == theirs["csv"].splitlines()[2:]


def test_most_of_what_was_compared_are_tables(made: dict[str, Answer]) -> None:
    count = sum(made[text]["binary"] is not None for text in {**USUAL, **SOME}.values())
    assert count > len(USUAL) + len(SOME) // 4


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_is_refused(name: str, made: dict[str, Answer]) -> None:
    assert made[REFUSED[name]]["binary"] is None
    with pytest.raises(PartitionTableError):
        ours(REFUSED[name])


@pytest.mark.parametrize("name", STRICTER)
def test_what_is_refused_here_alone(name: str, made: dict[str, Answer]) -> None:
    assert made[STRICTER[name]]["binary"] is not None, made[STRICTER[name]]["csv"]
    with pytest.raises(PartitionTableError):
        ours(STRICTER[name])


@pytest.mark.parametrize("number", range(len(CHOICES)))
def test_the_same_slot(number: int, answers: dict[str, list[int | None]]) -> None:
    content, count = CHOICES[number]
    rows = [f"ota_{slot},app,ota_{slot},,64K" for slot in range(count)]
    table = parse_csv("\n".join(["otadata,data,ota,,8K", "factory,app,factory,,64K", *rows]))
    found = booting(table, parse_otadata(content))
    theirs = answers["slots"][number]
    assert found is not None
    assert found.name == ("factory" if theirs is None else f"ota_{theirs}")
