"""What a ROM loader takes, and what it has to be told before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.loader.register_recipes import (
    flash_power_on,
    forced_download_off,
    one_by_one,
    watchdogs_off,
)
from esploader.loader.usb_port import may_be_serial_jtag, may_be_usb, rom_dialect
from esploader.protocol import dialect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.flash_power import Setting
    from esploader.protocol.commands import RegisterWrite
    from esploader.protocol.dialect import Dialect
    from esploader.session.session import Session


def rom_dialect_of(session: Session, chip: Chip, *, is_restricted: bool) -> Dialect:
    """Return what the ROM loader of ``chip`` takes through the port of ``session``.

    ``is_restricted`` says that it is in Secure Download Mode.
    """
    rom = rom_dialect(session.transport.capabilities, chip)
    return dialect.in_secure_download_mode(rom) if is_restricted else rom


def set_up_registers(session: Session, chip: Chip, flash_power: Iterable[Setting]) -> None:
    """Have a ROM loader do, with its next command, what it needs to stay and to see flash.

    And what a reset at the end needs, by the lines of a port that may be USB.

    On the way to a stub that runs already this was done before.
    """
    if session.dialect is dialect.STUB:
        return
    port = session.transport.capabilities
    writes: list[RegisterWrite] = []
    if may_be_serial_jtag(port, chip):
        # Behind a UART they are off already, and it does no harm to say so.
        writes += watchdogs_off(chip)
    if may_be_usb(port):
        writes += forced_download_off(chip)
    writes += flash_power_on(chip, tuple(flash_power))
    for command in one_by_one(writes):
        session.defer(command)
