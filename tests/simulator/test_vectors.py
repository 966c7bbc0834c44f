"""The simulated loaders answer as the recorded ones did, byte for byte.

No row is left out: none was found that shows the emulator rather than the chip.
"""

from __future__ import annotations

import functools
import json
from typing import TypedDict

import attrs
import pytest

from esploader.chips.registry import chip_by_name
from esploader.simulator.config import InitialState
from esploader.simulator.timings import UNPACED, Timings
from recordings import VECTORS
from simulated import READ_MAGIC, SYNC, Bench, make_bench, request, words

FILES = ("rom-esp32", "rom-esp32c3", "rom-esp32c3-more", "stub-esp32")

STATES = {"rom": InitialState.DOWNLOAD, "stub": InitialState.STUB}

WORD_OF_TWOS = 0x3FC9_0100

# Rows of which an earlier one is missing in the file, and what to send in its place.
PREPARATIONS: dict[tuple[str, int], tuple[bytes, ...]] = {
    # The value word is that of a SYNC, with which every connection begins.
    ("rom-esp32c3-more", 0): (SYNC,),
    # The value word is 0x22222222, and the last command was refused with error 5.
    ("rom-esp32c3-more", 10): (
        request(0x09, words(WORD_OF_TWOS, 0x2222_2222, 0xFFFF_FFFF, 0)),
        request(0x0A, words(WORD_OF_TWOS)),
        request(0x7F),
    ),
    # The reserved bytes are digits 3 and 4 of an MD5: "73". So are those of 880 blank bytes.
    ("rom-esp32c3-more", 16): (request(0x13, words(0x10_0000, 880, 0, 0)),),
    # The last error was 5.
    ("rom-esp32c3-more", 19): (request(0x7F),),
    # The last error was 9: that of reading beyond the end of the flash.
    ("rom-esp32c3-more", 21): (request(0x0E, words(0x40_0000, 64)),),
    # The download that failed was followed by one that needs no data.
    ("stub-esp32", 43): (request(0x02, words(0, 0, 0x4000, 0)),),
}


@attrs.frozen
class Replayed:
    """A recorded row, and what the simulator made of it."""

    name: str
    expected: str
    got: str


def check_alive(bench: Bench, recovery: str) -> str:
    """Return what it took to get an answer again, in the words of the recording."""
    if bench.exchange(READ_MAGIC):
        return "answers at once"
    bench.reset(strap_low=True)
    return "only after a hardware reset" if bench.exchange(READ_MAGIC) else f"not {recovery}"


class FlashNeed(TypedDict):
    """What the flash has to hold."""

    offset: int
    size: int
    content: str


class Needs(TypedDict, total=False):
    """What a row takes for granted."""

    memory: dict[str, str]
    flash: FlashNeed


def prepare(bench: Bench, needs: Needs) -> None:
    """Put into the device what a row needs."""
    for address, value in needs.get("memory", {}).items():
        bench.device.memory.fix({int(address, 16): int(value, 16)})
    if "flash" in needs:
        offset, size = needs["flash"]["offset"], needs["flash"]["size"]
        assert needs["flash"]["content"] == "bytes 0..255 repeated"
        bench.device.nor.erase(offset, size)
        bench.device.nor.program(offset, bytes(range(256)) * (size // 256))


@functools.cache
def replay(file: str, timings: Timings) -> tuple[Replayed, ...]:
    """Send all requests of a recording in order."""
    recording = json.loads((VECTORS / f"{file}.json").read_text(encoding="utf-8"))
    state = STATES[recording["loader"]]
    chip = chip_by_name(recording["chip"])
    bench = make_bench(chip, state=state, timings=timings, baudrate=None)
    replayed = []
    for index, row in enumerate(recording["rows"]):
        for sent in PREPARATIONS.get((file, index), ()):
            bench.exchange(sent)
        prepare(bench, row.get("needs", {}))
        if "recovery" in row:
            expected, got = row["recovery"], check_alive(bench, row["recovery"])
        else:
            expected, got = row["recv"], bench.exchange(bytes.fromhex(row["send"])).hex()
        replayed.append(Replayed(row["name"], expected, got))
    return tuple(replayed)


def row_count(file: str) -> int:
    return len(json.loads((VECTORS / f"{file}.json").read_text(encoding="utf-8"))["rows"])


@pytest.mark.parametrize(
    ("file", "index"), [(file, index) for file in FILES for index in range(row_count(file))]
)
@pytest.mark.parametrize("timings", [Timings(), UNPACED], ids=["paced", "unpaced"])
def test_recorded_answer(file: str, index: int, timings: Timings) -> None:
    row = replay(file, timings)[index]

    assert row.got == row.expected, row.name
