"""How close a write comes to the best schedule, in virtual time, which is exact.

The simulated flash takes 150 ms for 64 KiB, 45 ms for a sector and 0.4 ms for a page; a
round trip between host and device takes 2 ms. Two figures stand beside what was measured,
from the first block sent to the last block answered: the best schedule of a loader that
receives one block while it processes one (:func:`best_schedule`), and max(wire, flash),
which nothing can beat. Then the ROM loader, against stop-and-wait with its block size;
and what rewriting costs when little or nothing has changed.
"""

from __future__ import annotations

import random
import sys
import zlib
from typing import TYPE_CHECKING

import attrs

from esploader import connect
from esploader.flash.plan import ERASE_BLOCK_SIZE, PAGE_SIZE
from esploader.flash.progress import Phase, Progress, ProgressEvent
from esploader.protocol import slip
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.flash.timings import Timings
from side_by_side import Goal, run
from slow_link import SlowLink

if TYPE_CHECKING:
    from collections.abc import Callable

CHIP = "esp32c3"
OFFSET = 0x10000
ROUND_TRIP = 0.002
BLOCK_SIZE = 0x4000
ROM_BLOCK_SIZE = 0x1800
ROM_RESPONSE_SIZE = 14
WINDOW_SIZE = 0x8000
FRAME_OVERHEAD = 24
BITS_PER_BYTE = 10
TIMINGS = Timings()
MIB = 1 << 20


@attrs.frozen
class Extent:
    """How much is measured."""

    size: int = MIB
    baudrates: tuple[int, ...] = (115200, 460800, 921600, 2_000_000)
    hash_rates: tuple[int, ...] = (1, 4, 8)
    """In MiB/s."""


def firmware(size: int) -> bytes:
    """Return data that deflates to about 55 %."""
    source = random.Random(0)  # noqa: S311 - data, not a secret
    words = [source.randbytes(4) for _ in range(256)]
    data = bytearray()
    while len(data) < size:
        data += source.choice(words) if source.random() < 0.85 else source.randbytes(4)
    return bytes(data[:size])


def flash_seconds(start: int, end: int, *, blank: bool) -> float:
    """Return what erasing and programming that range of flash takes."""
    pages = (end - start) // PAGE_SIZE * TIMINGS.page_program
    first_block, last_block = -(-start // ERASE_BLOCK_SIZE), -(-end // ERASE_BLOCK_SIZE)
    return pages + (0 if blank else (last_block - first_block) * TIMINGS.block_erase)


def best_schedule(image: bytes, baudrate: int, *, blank: bool) -> tuple[float, float, float]:
    """Return the best time, the time on the wire and the time of the flash.

    A block is received while the one before is processed, and not before the one before
    that is done: the loader has two buffers. It writes when its inflater has 32 KiB.
    """
    stream = zlib.compress(image, 9)
    inflater = zlib.decompressobj()
    received = done = done_before = 0.0
    inflated = written = 0
    wire = flash = 0.0
    for start in range(0, len(stream), BLOCK_SIZE):
        block = stream[start : start + BLOCK_SIZE]
        size = len(slip.encode(bytes(FRAME_OVERHEAD) + block))
        on_wire = size * BITS_PER_BYTE / baudrate
        wire += on_wire
        # The loader has a block when it has seen that the checksum is right.
        checked = len(block) * TIMINGS.checked_byte
        received = max(received, done_before) + on_wire + checked
        inflated += len(inflater.decompress(block))
        is_last = start + BLOCK_SIZE >= len(stream)
        target = inflated if is_last else inflated - inflated % WINDOW_SIZE
        work = flash_seconds(OFFSET + written, OFFSET + target, blank=blank)
        written = target
        flash += work
        answered = max(received, done)
        done_before, done = done, max(received, done) + work
        if is_last:
            return answered, wire, flash
    raise AssertionError("the image is empty")


def stop_and_wait(image: bytes, baudrate: int) -> float:
    """Return the least that a ROM loader takes, which answers a block when it is done.

    The flash was erased when the download began.
    """
    stream = zlib.compress(image, 9)
    inflater = zlib.decompressobj()
    inflated = written = 0
    total = 0.0
    for start in range(0, len(stream), ROM_BLOCK_SIZE):
        block = stream[start : start + ROM_BLOCK_SIZE]
        size = len(slip.encode(bytes(FRAME_OVERHEAD) + block)) + ROM_RESPONSE_SIZE
        output = len(inflater.decompress(block))
        inflated += output
        is_last = start + ROM_BLOCK_SIZE >= len(stream)
        target = inflated if is_last else inflated - inflated % WINDOW_SIZE
        work = TIMINGS.command + len(block) * TIMINGS.copied_byte + output * TIMINGS.inflated_byte
        work += flash_seconds(OFFSET + written, OFFSET + target, blank=True)
        written = target
        total += size * BITS_PER_BYTE / baudrate + ROUND_TRIP + work
    return total


def measure(image: bytes, baudrate: int, *, blank: bool, stub: bool = True) -> tuple[float, float]:
    """Write ``image``; return the time from block to block and that of the whole."""
    device = SimulatedDevice(CHIP, timings=TIMINGS)
    if not blank:
        device.nor.program(OFFSET, bytes(len(image)))
    link = SlowLink(SimulatedTransport(device), ROUND_TRIP)
    last_answer = 0.0

    def note(event: ProgressEvent) -> None:
        nonlocal last_answer
        if isinstance(event, Progress) and event.phase is Phase.WRITE:
            last_answer = link.clock.now()

    with connect(link, baudrate=baudrate, stub=stub) as target:
        target.flash.prepare()
        start = link.clock.now()
        target.flash.write([(OFFSET, image)], skip=False, on_progress=note)
        whole = link.clock.now() - start
        if bytes(device.nor.read(OFFSET, len(image))) != image:
            raise AssertionError("the flash does not hold the image")
    return last_answer - link.data_sent_at[0], whole


def rewriting(image: bytes, change: Callable[[bytearray], None], hash_rate: float) -> float:
    """Return what share of a full write it takes to write a changed image over ``image``."""
    timings = Timings(hashed_byte=1 / hash_rate)
    device = SimulatedDevice(CHIP, timings=timings)
    link = SlowLink(SimulatedTransport(device), ROUND_TRIP)
    device.nor.program(OFFSET, bytes(len(image)))
    changed = bytearray(image)
    change(changed)
    with connect(link, baudrate=460800) as target:
        target.flash.prepare()
        times = []
        for content in (image, bytes(changed)):
            start = link.clock.now()
            target.flash.write([(OFFSET, content)], skip=content is not image)
            times.append(link.clock.now() - start)
    return times[1] / times[0]


def change_three_sectors(image: bytearray) -> None:
    """Change a byte in 3 of 256 sectors."""
    for share in (17, 99, 230):
        image[share * len(image) // 256 + 5] ^= 1


def benchmark(extent: Extent) -> list[Goal]:
    """Write and rewrite, print what it takes, and return how close that comes."""
    image = firmware(extent.size)
    deflated = len(zlib.compress(image, 9)) / len(image)
    print(f"{len(image) // 1024} KiB, deflated to {100 * deflated:.0f} %")
    goals = []
    for blank in (False, True):
        for baudrate in extent.baudrates:
            best, wire, flash = best_schedule(image, baudrate, blank=blank)
            seconds, whole = measure(image, baudrate, blank=blank)
            state = "blank" if blank else "dirty"
            print(
                f"{baudrate:8d} baud, {state}: {seconds:6.2f} s (whole {whole:6.2f} s), best "
                f"{best:6.2f} s, max(wire, flash) {max(wire, flash):6.2f} s"
            )
            goals.append(
                Goal(f"best / measured, {baudrate} {state}", best / seconds, at_least=0.97)
            )
    for baudrate in extent.baudrates:
        best = stop_and_wait(image, baudrate)
        seconds, whole = measure(image, baudrate, blank=False, stub=False)
        print(
            f"{baudrate:8d} baud, ROM: {seconds:6.2f} s (whole {whole:6.2f} s), best {best:6.2f} s"
        )
        goals.append(Goal(f"best / measured, {baudrate} ROM", best / seconds, at_least=0.97))
    for megabytes in extent.hash_rates:
        rate = megabytes * MIB
        unchanged = rewriting(image, lambda _: None, rate)
        little = rewriting(image, change_three_sectors, rate)
        print(f"hashing at {megabytes} MiB/s: unchanged {unchanged:.3f}, 3 sectors {little:.3f}")
        if megabytes == 4:
            goals.append(Goal("rewriting an unchanged image", unchanged, at_most=0.06))
            goals.append(Goal("rewriting with 3 of 256 sectors changed", little, at_most=0.12))
    return goals


if __name__ == "__main__":
    smoke = Extent(size=0x8000, baudrates=(460800,), hash_rates=(4,))
    sys.exit(run(benchmark, full=Extent(), smoke=smoke))
