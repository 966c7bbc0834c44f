"""The simulated ROM loaders agree with real ones in whole sequences: answers, end, and flash.

``tests/vectors/README.md`` says where the sequences come from.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import pytest

from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.flash.nor import SECTOR_SIZE
from esploader.simulator.flash.timings import UNPACED, Timings
from recordings import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

Json: TypeAlias = "dict[str, Json] | list[Json] | str"

FILES: Final = sorted((VECTORS / "sequences").glob("*.json"))

SILENCE: Final = 1.0
BLANK: Final = b"\xff" * SECTOR_SIZE
SYNC: Final = bytes.fromhex("c000082400000000000707122055c0").replace(b"\x55", b"\x55" * 32)

LEAVES: Final = "leaves the loader"
RESETS: Final = "resets"


@attrs.frozen
class Exchange:
    """A request, its answer, and what becomes of the loader."""

    sent: bytes
    received: bytes
    then: str | None


@attrs.frozen
class Sequence:
    """What one fresh loader was asked."""

    chip: str
    revision: tuple[int, int]
    name: str
    exchanges: tuple[Exchange, ...]
    flash: dict[int, str]
    """The MD5 of each sector that is not blank, by its offset."""

    @property
    def label(self) -> str:
        return f"{self.chip} {self.revision[0]}.{self.revision[1]}: {self.name}"


def sequences_in(path: Path) -> list[Sequence]:
    document = json.loads(path.read_text(encoding="utf-8"))
    major, minor = document["revision"].split(".")
    return [
        Sequence(
            chip=document["chip"],
            revision=(int(major), int(minor)),
            name=each["name"],
            exchanges=tuple(
                Exchange(
                    bytes.fromhex(exchange["send"]),
                    bytes.fromhex(exchange["recv"]),
                    exchange.get("then"),
                )
                for exchange in each["exchanges"]
            ),
            flash={int(offset, 16): digest for offset, digest in each["flash"].items()},
        )
        for each in document["sequences"]
    ]


def exchange(port: SimulatedTransport, sent: bytes) -> bytes:
    if sent:
        port.write(sent)
    received = bytearray()
    while data := port.read(port.clock.now() + SILENCE):
        received += data
    return bytes(received)


def contents(device: SimulatedDevice) -> dict[int, str]:
    """Return the MD5 of each sector that is not blank, by its offset."""
    return {
        index * SECTOR_SIZE: hashlib.md5(sector, usedforsecurity=False).hexdigest()
        for index, sector in device.nor.sectors().items()
        if sector != BLANK
    }


@pytest.mark.parametrize("timings", [Timings(), UNPACED], ids=["paced", "unpaced"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sequences_go_as_they_were_recorded(path: Path, timings: Timings) -> None:
    for sequence in sequences_in(path):
        play(sequence, timings)


def play(sequence: Sequence, timings: Timings) -> None:
    """Ask a fresh loader the same, and assert that it answers the same and leaves the same."""
    device = SimulatedDevice(
        sequence.chip,
        revision=sequence.revision,
        state="download",
        flash_attached=True,
        timings=timings,
    )
    port = device.open_transport(baudrate=None)
    for index, each in enumerate(sequence.exchanges):
        answer = exchange(port, each.sent)
        if each.then is None:
            assert answer.hex() == each.received.hex(), (sequence.label, index)
            continue
        # What follows is no longer the loader's.
        assert answer[: len(each.received)].hex() == each.received.hex(), (sequence.label, index)
        assert device.boot_count == (1 if each.then == RESETS else 0), sequence.label
        taken = len(device.history.commands)
        exchange(port, SYNC)
        assert len(device.history.commands) == taken, sequence.label
    assert contents(device) == sequence.flash, sequence.label
