"""SLIP: our decoder against esptool's reader and against two ``bytes.replace``.

4 KiB frames of seeded random bytes, read 1 KiB at a time. esptool's reader runs in a
process of its own; the time taken there is that of reading alone.
"""

from __future__ import annotations

import random
import sys
import time

import attrs

from esploader.protocol import slip
from processes import run_python
from side_by_side import Goal, measure, run

READ_SIZE = 1024


@attrs.frozen
class Extent:
    """How much is measured."""

    frame_count: int = 2000
    esptool_frame_count: int = 40  # its reader takes this long for so many
    small_frame_count: int = 20_000
    rounds: int = 9


ESPTOOL_READER = """
import random, sys, time
from esptool.loader import slip_reader
count, size, read_size = (int(argument) for argument in sys.argv[1:])
source = random.Random(1)
frames = [source.randbytes(size) for _ in range(count)]
escaped = [f.replace(b"\\xdb", b"\\xdb\\xdd").replace(b"\\xc0", b"\\xdb\\xdc") for f in frames]
wire = b"".join(b"\\xc0" + f + b"\\xc0" for f in escaped)


class Port:
    timeout = 1.0

    def __init__(self):
        self.position = 0

    def inWaiting(self):
        return min(read_size, len(wire) - self.position)

    in_waiting = property(inWaiting)

    def read(self, size):
        data = wire[self.position : self.position + size]
        self.position += len(data)
        return data


reader = slip_reader(Port(), lambda *_: None)
start = time.perf_counter()
received = [next(reader) for _ in range(count)]
elapsed = time.perf_counter() - start
assert received == frames
print(elapsed)
"""


def frames(size: int, count: int) -> list[bytes]:
    """Return ``count`` payloads of ``size`` seeded random bytes."""
    source = random.Random(1)  # noqa: S311 - data, not a secret
    return [source.randbytes(size) for _ in range(count)]


def decode(wire: bytes) -> int:
    """Decode ``wire`` as it would arrive and return how many frames it held."""
    decoder = slip.SlipDecoder()
    return sum(
        len(decoder.feed(wire[start : start + READ_SIZE]))
        for start in range(0, len(wire), READ_SIZE)
    )


def esptool_seconds_per_byte(frame_count: int) -> float:
    """Return how long esptool's reader takes for one byte of payload."""
    printed = run_python("-c", ESPTOOL_READER, str(frame_count), "4096", str(READ_SIZE))
    return float(printed) / (frame_count * 4096)


def small_frames(count: int) -> None:
    """Print what the usual response costs."""
    payloads = frames(12, count)
    wire = b"".join(map(slip.encode, payloads))
    start = time.perf_counter()
    decode(wire)
    decoded = time.perf_counter()
    for payload in payloads:
        slip.encode(payload)
    encoded = time.perf_counter()
    print(
        f"12-byte frames: decoding {len(payloads) / (decoded - start) / 1e6:.2f} million/s, "
        f"encoding {len(payloads) / (encoded - decoded) / 1e6:.2f} million/s"
    )


def benchmark(extent: Extent) -> list[Goal]:
    """Decode and encode in turn, print the speeds, and return the ratios."""
    payloads = frames(4096, extent.frame_count)
    wire = b"".join(map(slip.encode, payloads))
    together = b"".join(payloads)
    decoding, unescaping, encoding, escaping = measure(
        lambda: decode(wire),
        lambda: wire.replace(slip.ESCAPED_END, slip.END).replace(slip.ESCAPED_ESC, slip.ESC),
        lambda: [slip.encode(payload) for payload in payloads],
        lambda: together.replace(slip.ESC, slip.ESCAPED_ESC).replace(slip.END, slip.ESCAPED_END),
        rounds=extent.rounds,
    )
    size = len(together)
    theirs = esptool_seconds_per_byte(extent.esptool_frame_count)
    for name, seconds in (("decoding", decoding), ("encoding", encoding)):
        print(f"{name}, 4 KiB frames: {size / seconds / 1e6:.0f} MB/s")
    print(f"esptool's reader: {1 / theirs / 1e6:.2f} MB/s")
    small_frames(extent.small_frame_count)
    return [
        Goal("decoding speed / esptool's reader", theirs * size / decoding, at_least=100),
        Goal("decoding speed / two bytes.replace", unescaping / decoding, at_least=0.25),
        Goal("encoding speed / two bytes.replace", escaping / encoding, at_least=0.5),
    ]


if __name__ == "__main__":
    smoke = Extent(frame_count=20, esptool_frame_count=1, small_frame_count=200, rounds=1)
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
