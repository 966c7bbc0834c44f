"""A stub says only with the next answer that a block failed; we say which it was."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from esploader.flash.progress import ProgressEvent, Restarted
from esploader.protocol import slip
from esploader.urls import open_transport
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

FLASH_DEFL_DATA = 0x11
SEQUENCE_IN_PACKET = 12
CHECKSUM_IN_PACKET = 4
IMAGE = random.Random(4).randbytes(0x20000)  # noqa: S311 - data, not a secret


def test_the_block_that_failed_is_named_and_the_write_goes_on(tmp_path: Path) -> None:
    spoilt = False

    def spoil(data: bytes) -> bytes:
        nonlocal spoilt
        frames = slip.SlipDecoder().feed(data)
        if spoilt or len(frames) != 1 or not isinstance(frames[0], slip.Frame):
            return data
        packet = bytearray(frames[0].payload)
        if packet[1] != FLASH_DEFL_DATA or packet[SEQUENCE_IN_PACKET] != 2:
            return data
        spoilt = True
        # The checksum is right again, so that only the inflater can notice: a stored block
        # of DEFLATE has its size twice.
        garbage = bytes(byte ^ 0x5A for byte in packet[24:])
        checksum = 0xEF
        for byte in garbage:
            checksum ^= byte
        packet[24:] = garbage
        packet[CHECKSUM_IN_PACKET] = checksum
        return slip.encode(bytes(packet))

    transport = UnreliableTransport(open_transport("sim://esp32c3"), garble_output=spoil)
    events: list[ProgressEvent] = []
    with connect(transport, stub=stub_directory(tmp_path)) as device:
        device.flash.write([(0, IMAGE)], compress=True, on_progress=events.append)
        assert device.flash.verify([(0, IMAGE)]) == ()
    restarts = [event.reason for event in events if isinstance(event, Restarted)]
    assert spoilt
    assert restarts[0].startswith("block 2 failed after it had been answered: ")
