"""SLIP: our decoder against esptool's reader and against two ``bytes.replace``.

4 KiB frames of seeded random bytes, read 1 KiB at a time. esptool's reader runs in a
process of its own; the time taken there is that of reading alone.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

from esploader.protocol import slip
from side_by_side import Goal, conclude, measure

FRAME_COUNT = 2000
ESPTOOL_FRAME_COUNT = 40  # Its reader takes this long for so many.
READ_SIZE = 1024
ROUNDS = 9

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


def esptool_seconds_per_byte() -> float:
    """Return how long esptool's reader takes for one byte of payload."""
    arguments = [str(ESPTOOL_FRAME_COUNT), "4096", str(READ_SIZE)]
    done = subprocess.run(
        [sys.executable, "-c", ESPTOOL_READER, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout) / (ESPTOOL_FRAME_COUNT * 4096)


def small_frames() -> None:
    """Print what the usual response costs."""
    payloads = frames(12, 20_000)
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


def main() -> int:
    """Measure, print, and return the exit code."""
    payloads = frames(4096, FRAME_COUNT)
    wire = b"".join(map(slip.encode, payloads))
    together = b"".join(payloads)
    decoding, unescaping, encoding, escaping = measure(
        lambda: decode(wire),
        lambda: wire.replace(slip.ESCAPED_END, slip.END).replace(slip.ESCAPED_ESC, slip.ESC),
        lambda: [slip.encode(payload) for payload in payloads],
        lambda: together.replace(slip.ESC, slip.ESCAPED_ESC).replace(slip.END, slip.ESCAPED_END),
        rounds=ROUNDS,
    )
    size = len(together)
    theirs = esptool_seconds_per_byte()
    for name, seconds in (("decoding", decoding), ("encoding", encoding)):
        print(f"{name}, 4 KiB frames: {size / seconds / 1e6:.0f} MB/s")
    print(f"esptool's reader: {1 / theirs / 1e6:.2f} MB/s")
    small_frames()
    return conclude(
        Goal("decoding speed / esptool's reader", theirs * size / decoding, at_least=100),
        Goal("decoding speed / two bytes.replace", unescaping / decoding, at_least=0.25),
        Goal("encoding speed / two bytes.replace", escaping / encoding, at_least=0.5),
    )


if __name__ == "__main__":
    sys.exit(main())
