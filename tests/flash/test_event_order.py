"""Sending starts before the compressing is over, where the loader allows it."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from esploader.urls import open_transport
from stub_files import shared_stubs
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

FLASH_DEFL_DATA = b"\x11"
IMAGE = random.Random(0).randbytes(0x8000) * 2 + bytes(0x40000)  # noqa: S311 - data, not a secret


def order_of_events(stub: Path | None) -> list[str]:
    """Write an image; return when a part was compressed and when a block left."""
    events: list[str] = []

    def note_call(_: FrameType, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__name__", "") in {"compress", "flush"}:
            owner = type(getattr(function, "__self__", None)).__name__
            if owner == "Compress":
                events.append("compressing")

    def note_block(data: bytes) -> bytes:
        if data[2:3] == FLASH_DEFL_DATA:
            events.append("sending")
        return data

    transport = UnreliableTransport(open_transport("sim://esp32c3"), garble_output=note_block)
    with connect(transport, stub=stub or False) as device:
        device.flash.prepare()
        sys.setprofile(note_call)
        try:
            device.flash.write([(0, IMAGE)], compress=True, skip=False)
        finally:
            sys.setprofile(None)
    return events


def test_to_a_stub_the_first_block_leaves_before_the_last_part_is_compressed() -> None:
    events = order_of_events(shared_stubs())
    last_compressed = len(events) - 1 - events[::-1].index("compressing")
    assert events.index("sending") < last_compressed


def test_a_rom_loader_is_told_the_exact_number_of_blocks_first() -> None:
    events = order_of_events(None)
    first_sent = events.index("sending")
    assert "compressing" not in events[first_sent:]
