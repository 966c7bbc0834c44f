"""Seeing what the flash holds, where the loader can neither hash nor read it.

In Secure Download Mode nothing can be seen at all: what is written there stays unverified.

The ROM loader of the ESP8266 writes flash blindly. What can be had of it are registers, and
so, 64 bytes at a time, the answers of the flash chip itself (:mod:`esploader.flash.spi`).
That is several times slower than writing, and the only way to know.

Nothing protects registers on the wire. Bytes that should be there are believed when they
come; others when two readings, each with its own settings, agree.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from esploader.errors import ProtocolError
from esploader.flash.plan import SECTOR_SIZE, divided
from esploader.flash.spi import MAX_READ_SIZE, FlashPort
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from esploader.flash.plan import Piece
    from esploader.loader.link import Link

_log: Final = logging.getLogger(__name__)

_READINGS: Final = 4

# Of one transaction: 2 WRITE_REG of 26 bytes and 16 READ_REG of 14, each answered by 12.
_COMMAND_COUNT: Final = 18
_WIRE_SIZE: Final = 2 * (26 + 12) + 16 * (14 + 12)
_BITS_PER_BYTE: Final = 10


def is_blind(link: Link) -> bool:
    """Tell whether the loader can neither hash nor read flash."""
    return not {Opcode.SPI_FLASH_MD5, Opcode.READ_FLASH, Opcode.READ_FLASH_SLOW} & (
        link.session.dialect.opcodes
    )


def is_hidden(link: Link) -> bool:
    """Tell whether nothing can be seen of the flash, not even through registers."""
    return is_blind(link) and Opcode.READ_REG not in link.session.dialect.opcodes


def reading_seconds(link: Link, size: int) -> float:
    """Return how long it takes to read ``size`` bytes once, in seconds."""
    transport = link.session.transport
    wire = _WIRE_SIZE * _BITS_PER_BYTE / transport.baudrate
    return size / MAX_READ_SIZE * (wire + _COMMAND_COUNT * transport.turnaround)


def warn_if_blind(link: Link, size: int, what: str = "written") -> None:
    """Say how long it will take to see ``size`` bytes of flash, if it takes long or for ever.

    ``what`` is done to them.
    """
    if is_hidden(link):
        _log.warning(
            "the %s loader does not tell what the flash holds: what is %s is not verified",
            link.session.dialect.name,
            what,
        )
    elif is_blind(link):
        _log.warning(
            "the %s loader cannot tell what the flash holds: that is read through registers, "
            "%d KiB in about %.0f s",
            link.session.dialect.name,
            -(-size // 1024),
            reading_seconds(link, size),
        )


def port_of_its_own(link: Link) -> FlashPort:
    """Return a port to the flash for a loader that has to be read, or helped to erase.

    It knows nothing of pins and modes that a device may have: such a loader is that of a chip
    whose flash is always at the usual pins, and has addresses of three bytes.
    """
    return FlashPort(link.session, link.chip, pads=0)


def is_read_back(link: Link, piece: Piece) -> bool:
    """Tell whether the flash holds ``piece``, by reading it.

    Raises:
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    port = port_of_its_own(link)
    return all(
        any(port.read(part.offset, len(part.data)) == part.data for _ in range(2))
        for part in divided(piece, SECTOR_SIZE)
    )


def read_until_agreed(link: Link, offset: int, size: int) -> bytes:
    """Return ``size`` bytes of flash from ``offset`` on, which came twice in a row.

    Raises:
        ProtocolError: they came differently every time.
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    port = port_of_its_own(link)
    last = port.read(offset, size)
    for _ in range(_READINGS - 1):
        data = port.read(offset, size)
        if data == last:
            return data
        last = data
    raise ProtocolError(f"the flash at {offset:#x} reads differently every time")
