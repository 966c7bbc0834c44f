"""Setting the status registers of the flash chip: protection, quad mode, drive strength.

Sources: data sheets of the Winbond W25Q series, "Write Status Register", and JEDEC JESD216,
which lists the ways chips differ. Register 2 has a command of its own on newer chips, and
is the second byte of the command for register 1 on older ones; on some of those a single
byte for register 1 clears register 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from esploader.errors import UnsupportedError
from esploader.flash.spi import READ_STATUS, SpiTransaction

if TYPE_CHECKING:
    from esploader.transport.clock import Clock

_WRITE_DISABLE: Final = 0x04
_ENABLE: Final = {True: 0x06, False: 0x50}
"""Enables one write, by whether it is to outlast a loss of power."""

_WRITE_STATUS: Final = (0x01, 0x31, 0x11)
"""Write status register 1, 2, 3."""

_BUSY: Final = 0x01
_WRITE_ENABLED: Final = 0x02
_READ_ONLY: Final = _BUSY | _WRITE_ENABLED
"""These come and go, and cannot be set."""

POLL_INTERVAL: Final = 0.01
"""Between two looks at whether the flash is busy, in seconds."""

MAX_POLLS: Final = 100
"""Data sheets allow a write of status registers up to 0.2 s; a second is beyond all."""

MAX_DISABLES: Final = 3
"""How often a flash is told to take no more writes: one bit makes "write enable" of the command,
and nothing protects it on the way to the loader."""


class FlashBus(Protocol):
    """What leads to the flash chip."""

    def transact(self, transaction: SpiTransaction) -> bytes:
        """Run one transaction and return the bytes read."""


def read_status(bus: FlashBus, register_count: int) -> int:
    """Return the first ``register_count`` (1 to 3) registers, the first in the lowest byte.

    Raises:
        UnsupportedError: there are not that many.
    """
    if not 1 <= register_count <= len(READ_STATUS):
        raise UnsupportedError(
            f"{register_count} status registers", f"there are {len(READ_STATUS)}"
        )
    answers = [
        bus.transact(SpiTransaction(opcode=opcode, input_size=1))
        for opcode in READ_STATUS[:register_count]
    ]
    return int.from_bytes(b"".join(answers), "little")


def write_status(
    bus: FlashBus, clock: Clock, value: int, register_count: int, *, non_volatile: bool
) -> int:
    """Set the first ``register_count`` (1 to 3) registers and return what they hold then.

    A value that is not ``non_volatile`` lasts until the flash loses its power. The two
    lowest bits tell what the flash is doing, and are not set.

    Raises:
        UnsupportedError: there are not that many registers, ``value`` is too large for
            them, or the flash did not take it.
    """
    held = read_status(bus, register_count)
    if not 0 <= value < 1 << (8 * register_count):
        raise UnsupportedError(
            f"{value:#x} in {register_count} status registers", "they have 8 bits each"
        )
    content = value.to_bytes(register_count, "little")
    for is_pair in (True, False, True):
        for opcode, output in _writes(content, is_pair=is_pair):
            bus.transact(SpiTransaction(opcode=_ENABLE[non_volatile]))
            bus.transact(SpiTransaction(opcode=opcode, output=output))
            _wait_until_idle(bus, clock)
        # A flash that does not know the opcode has stayed enabled.
        for _ in range(MAX_DISABLES):
            bus.transact(SpiTransaction(opcode=_WRITE_DISABLE))
            held = read_status(bus, register_count)
            if not held & _WRITE_ENABLED:
                break
        if (held ^ value) & ~_READ_ONLY == 0:
            return held
    raise UnsupportedError(
        f"setting the status of the flash to {value:#x}", f"it holds {held:#x} all the same"
    )


def _writes(content: bytes, *, is_pair: bool) -> list[tuple[int, bytes]]:
    """Return opcodes and what follows them; ``is_pair`` writes registers 1 and 2 together."""
    singly = [
        (opcode, bytes((byte,))) for opcode, byte in zip(_WRITE_STATUS, content, strict=False)
    ]
    return [(_WRITE_STATUS[0], content[:2]), *singly[2:]] if is_pair else singly


def _wait_until_idle(bus: FlashBus, clock: Clock) -> None:
    for _ in range(MAX_POLLS):
        if not read_status(bus, 1) & _BUSY:
            return
        clock.sleep(POLL_INTERVAL)
    raise UnsupportedError("writing the status of the flash", "it does not become idle")
