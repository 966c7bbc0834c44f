"""How long a simulated device takes for what it does.

Sources: typical values of the datasheets of 3 V NOR flash parts (Winbond W25Q32JV,
GigaDevice GD25Q32E): 45 ms a sector, 150 ms a 64 KiB block, 0.4 ms a page. The waits of the
stub are those in its source (esp-flasher-stub, ``src/transport.c``; esp-stub-lib,
``src/target/common/src/uart.c``). What the loaders need for themselves is an estimate; only
the order of magnitude matters.
"""

from __future__ import annotations

import textwrap
from typing import Final

import attrs

from esploader.classes import frozen, override

_SHOWN: Final = 100


@frozen(kw_only=True)
class Timings:
    """Durations in seconds."""

    uart_paced: bool = True
    """Bytes take their time on the wire; otherwise they arrive as they are sent."""

    enable_rise: float = 0.001
    """From the release of EN until the chip starts and reads its straps: the RC circuit."""

    boot: float = 0.004
    """From the start of the chip until its ROM prints the first character."""

    enumeration: float = 0.5
    """From a reset that takes a chip's own USB port off the bus until the host has it again.

    0: no reset does.
    """

    watchdog: float | None = None
    """From the moment at which a boot has failed until the watchdog boots the chip again.

    Real chips do that again and again. ``None``: it never happens, so that a device to which
    nobody does anything is still.
    """

    command: float = 50e-6
    """What every command costs, whatever it does."""

    requested_delay: float = 1.0
    """Seconds for each second of delay that WRITE_REG asks for."""

    copied_byte: float = 0.3e-6
    """Checksum and copy of a byte that was received, in the ROM."""

    stub_start: float = 0.010
    """From the jump to the stub until it greets."""

    rate_settling: float = 0.005
    """What the stub waits before it changes the baud rate, and again after it."""

    checked_byte: float = 0.03e-6
    """Checksum of a byte that was received, in the stub, whose clock is faster."""

    hashed_byte: float = 1 / (4 * 1024 * 1024)
    """Reading a byte from flash and hashing it."""

    read_byte: float = 0.1e-6
    """Reading a byte from flash."""

    inflated_byte: float = 0.2e-6
    """Producing a byte from compressed data."""

    sector_erase: float = 0.045
    """Erasing a sector of 4 KiB, in seconds."""
    block_erase: float = 0.150
    """Erasing 64 KiB that are aligned."""
    page_program: float = 0.0004
    """Programming a page of 256 bytes, in seconds."""
    status_write: float = 0.005
    """Writing a status register of the flash to its non-volatile cells."""

    @override
    def __repr__(self) -> str:
        values = ((field, getattr(self, field.name)) for field in attrs.fields(Timings))
        changed = (f"{field.name}={value!r}" for field, value in values if value != field.default)
        return f"Timings({textwrap.shorten(', '.join(changed), _SHOWN, placeholder=' ...')})"


UNPACED: Final = Timings(
    uart_paced=False,
    enable_rise=0.001,  # or two lines set one after the other would not reset it
    boot=0.0,
    enumeration=0.0,
    command=0.0,
    requested_delay=0.0,
    copied_byte=0.0,
    stub_start=0.0,
    rate_settling=0.0,
    checked_byte=0.0,
    hashed_byte=0.0,
    read_byte=0.0,
    inflated_byte=0.0,
    sector_erase=0.0,
    block_erase=0.0,
    page_program=0.0,
    status_write=0.0,
)
"""Everything happens at once: for a device that is served to programs in real time."""
