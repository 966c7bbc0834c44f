"""A simulated device on a bench: requests in, responses out, in virtual time."""

from __future__ import annotations

import hashlib
import operator
import struct
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from esploader.chips.esp32c3 import ESP32_C3
from esploader.simulator.config import InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.line.transport import SimulatedTransport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.chip import Chip
    from esploader.simulator.bench import HardwareOnBench
    from esploader.simulator.flash.timings import Timings

SYNC = bytes.fromhex("c000082400000000000707122055555555") + b"\x55" * 28 + b"\xc0"
STUB_SYNC_ANSWER = bytes.fromhex("c001080200000000000000c0")
"""What a stub answers eight times."""

READ_MAGIC = bytes.fromhex("c0000a04000000000000100040c0")

SILENCE = 2.0
"""After how many seconds without a byte a response is taken to be complete."""


def request(opcode: int, body: bytes = b"", *, checksum: int = 0) -> bytes:
    """Return a request, framed. Written down here once more, as the document has it."""
    packet = struct.pack("<BBHI", 0, opcode, len(body) & 0xFFFF, checksum) + body
    return b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def words(*values: int) -> bytes:
    """Return 32-bit words."""
    return struct.pack(f"<{len(values)}I", *values)


def data_body(data: bytes, sequence: int) -> bytes:
    """Return the body of FLASH_DATA, FLASH_DEFL_DATA or MEM_DATA."""
    return words(len(data), sequence, 0, 0) + data


def block(opcode: int, data: bytes, sequence: int) -> bytes:
    """Return FLASH_DATA, FLASH_DEFL_DATA or MEM_DATA with the right checksum, framed."""
    return request(opcode, data_body(data, sequence), checksum=checksum_of(data))


def incompressible(size: int) -> bytes:
    """Return bytes that look like chance, always the same: fewer are the first of more."""
    return hashlib.shake_128().digest(size)


def checksum_of(data: bytes) -> int:
    """Return the checksum of a block."""
    return reduce(operator.xor, data, 0xEF)


@attrs.define
class Bench:
    """A device and the line to it."""

    transport: SimulatedTransport

    @property
    def device(self) -> HardwareOnBench:
        """The device at the other end."""
        return self.transport.device

    @property
    def now(self) -> float:
        """The time."""
        return self.transport.clock.now()

    def receive(self, silence: float = SILENCE) -> bytes:
        """Return everything that comes until nothing has come for some time."""
        received = bytearray()
        while data := self.transport.read(self.now + silence):
            received += data
        return bytes(received)

    def exchange(self, sent: bytes) -> bytes:
        """Send bytes, and return what comes back."""
        self.transport.write(sent)
        return self.receive()

    def command(self, opcode: int, body: bytes = b"", *, checksum: int = 0) -> bytes:
        """Send a request, and return the response, which must be one frame, as a packet."""
        frame = self.exchange(request(opcode, body, checksum=checksum))
        assert frame[:1] == frame[-1:] == b"\xc0"
        assert frame.count(b"\xc0") == 2
        return frame[1:-1].replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")

    def status(self, opcode: int, body: bytes = b"", *, checksum: int = 0) -> bytes:
        """Send a request whose response has no data; return its two status bytes."""
        return self.command(opcode, body, checksum=checksum)[8:10]

    def send_block(self, opcode: int, data: bytes, sequence: int) -> bytes:
        """Send a block with the right checksum; return the two status bytes."""
        return self.status(opcode, data_body(data, sequence), checksum=checksum_of(data))

    def reset(self, *, strap_low: bool) -> bytes:
        """Reset by the lines; return the boot log."""
        self.transport.set_lines(dtr=False, rts=True)
        self.transport.clock.sleep(0.1)
        self.transport.set_lines(dtr=strap_low, rts=False)
        self.transport.clock.sleep(0.05)
        log = self.receive()
        self.transport.set_lines(dtr=False)
        return log


def make_bench(
    chip: Chip = ESP32_C3,
    *,
    state: InitialState = InitialState.DOWNLOAD,
    timings: Timings | None = None,
    baudrate: int | None = 115200,
    flash_size: int = 4 * 1024 * 1024,
    flash_attached: bool = True,
    efuses: Mapping[str, int] = MappingProxyType({}),
) -> Bench:
    """Return a device, by default an ESP32-C3 whose loader waits and has found the flash."""
    device = SimulatedDevice(
        chip,
        state=state,
        flash_size=flash_size,
        flash_attached=flash_attached,
        efuses=efuses,
        timings=timings,
    )
    return Bench(SimulatedTransport(device, baudrate=baudrate))


def make_stub_bench(
    chip: Chip = ESP32_C3, *, baudrate: int | None = 115200, timings: Timings | None = None
) -> Bench:
    """Return a device, by default an ESP32-C3 in which a stub waits."""
    return make_bench(chip, state=InitialState.STUB, baudrate=baudrate, timings=timings)


def is_alive(bench: Bench) -> bool:
    """Tell whether a stub answers to SYNC."""
    return STUB_SYNC_ANSWER in bench.exchange(SYNC)
