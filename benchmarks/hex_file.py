"""Time and memory for reading an Intel HEX file of a full flash of 16 MiB, in records of 16 bytes.

Memory is what a process needs that reads it, over what one needs for a file of one byte, as the
system says (Linux only).
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from processes import run_python
from side_by_side import Goal, run

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB: Final = 1024 * 1024
SPAN: Final = 64 * 1024
RECORD: Final = 16

READ: Final = """
import pathlib, sys
from esploader.flash.inputs import read_pieces
pieces = read_pieces([(0, sys.argv[1])])
status = pathlib.Path("/proc/self/status").read_text().splitlines()
peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
print(sum(len(piece.data) for piece in pieces), peak)
"""


def record(kind: int, address: int, data: bytes) -> bytes:
    """Return a line of the file."""
    body = bytes((len(data), address >> 8, address & 0xFF, kind)) + data
    return b":%s%02X\n" % (body.hex().upper().encode(), -sum(body) & 0xFF)


def records(data: bytes) -> Iterator[bytes]:
    """Yield the lines of a file that holds ``data``."""
    for start in range(0, len(data), SPAN):
        yield record(4, 0, (start // SPAN).to_bytes(2, "big"))
        for at in range(start, min(start + SPAN, len(data)), RECORD):
            yield record(0, at % SPAN, data[at : at + RECORD])
    yield record(1, 0, b"")


def read(path: Path) -> tuple[int, int, float]:
    """Have a process read a file; return bytes of data, bytes of memory, and seconds."""
    start = time.perf_counter()
    printed = run_python("-c", READ, str(path))
    seconds = time.perf_counter() - start
    size, memory = map(int, printed.split())
    return size, memory * 1024, seconds


def benchmark(size: int) -> list[Goal]:
    """Read a file of so many bytes of data, print its size, and return what that took."""
    data = random.Random(0).randbytes(size)  # noqa: S311 - data, not a secret
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Path(folder) / "empty.hex", Path(folder) / "full.hex"
        empty.write_bytes(record(0, 0, b"x") + record(1, 0, b""))
        with full.open("wb") as file:
            file.writelines(records(data))
        print(f"{size / MIB:g} MiB as {full.stat().st_size / 1e6:.1f} MB of text")
        _, least, start_up = read(empty)
        found, memory, seconds = read(full)
    if found != size:
        raise ValueError(f"{found} bytes were read")
    return [
        Goal("seconds", seconds - start_up, at_most=10, unit="s"),
        Goal("memory / data", (memory - least) / size, at_most=4),
    ]


if __name__ == "__main__":
    sys.exit(run(benchmark, full=16 * MIB, smoke=2 * SPAN))
