"""Getting a device out of its loader where the lines of the port do not.

Sources: esptool documentation, "Boot Mode Selection"; what esptool 5.6.0 does on each port.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from esploader.chips.model.quirks import Quirk
from esploader.errors import CommandError, ProtocolError, UnsupportedError
from esploader.loader.register_recipes import RESET_TIME, watchdog_reset
from esploader.loader.usb_port import is_otg, is_serial_jtag
from esploader.protocol.commands import WriteReg
from esploader.protocol.dialect import STUB
from esploader.session.confirming import read_words

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.protocol.dialect import Dialect
    from esploader.session.session import Session


@enum.unique
class After(enum.Enum):
    """What becomes of the device when it is left."""

    HARD_RESET = "hard-reset"
    """Reset by the lines of the port: the device runs its application.

    By the watchdog where they cannot, as on some of the chips' own USB ports."""

    WATCHDOG_RESET = "watchdog-reset"
    """The device's own watchdog resets it; no line needed. Not all chips have one that does."""

    SOFT_RESET = "soft-reset"
    """The ROM loader itself starts the application; no line needed.

    By the watchdog where the loader does not: a stub, and the ROM of most chips."""

    NO_RESET = "no-reset"
    """The loader stays."""


def lines_do_not_do(session: Session, chip: Chip) -> bool:
    """Tell whether it takes the watchdog to get a device out of its loader.

    On the chip's own USB-OTG port the lines may do nothing. On both kinds of USB port, or only
    on one, they bring the device back to the mode in which its strap has put it.
    """
    if not chip.watchdog_resets:
        return False
    port = session.transport.capabilities
    on_otg = is_otg(port, chip)
    if on_otg and Quirk.OTG_LINES_DO_NOT_RESET in chip.quirks:
        return True
    on_otg = on_otg and Quirk.OTG_RESET_KEEPS_STRAPS in chip.quirks
    return (on_otg or is_serial_jtag(port, chip)) and _is_held_by_strap(session, chip)


def _is_held_by_strap(session: Session, chip: Chip) -> bool:
    """Tell whether its strap has put the device into download mode."""
    strap = chip.boot_strap
    try:
        return not strap.extract(read_words(session, [strap.address]))
    except (CommandError, ProtocolError):
        # Who cannot be asked cannot be told to reset itself either.
        return False


def reason_against_soft_reset(loader: Dialect, chip: Chip) -> str | None:
    """Return why a loader on ``chip`` would not start the application, or ``None``."""
    if loader is STUB:
        # Espressif's stub takes RUN_USER_CODE and the flag of FLASH_END, and does
        # nothing about them (esp-flasher-stub, src/command_handler.c).
        return "a stub runs, which cannot start the application"
    if not chip.knows("rom_boots_on"):
        return f"the ROM of the {chip.name} is not known to start the application"
    if not chip.rom_boots_on:
        return f"the ROM of the {chip.name} hangs instead of starting the application"
    return None


def check_watchdog_reset(chip: Chip, *, has_registers: bool) -> None:
    """Refuse what :func:`reset_by_watchdog` could not do.

    Raises:
        UnsupportedError: nobody has seen that work, it does harm, or registers are out of reach.
    """
    if not has_registers:
        raise UnsupportedError(
            "a watchdog reset", "Secure Download Mode keeps registers out of reach"
        )
    watchdog_reset(chip)


def reset_by_watchdog(session: Session, chip: Chip) -> None:
    """Have the device reset itself, straps and all; no line is needed.

    Raises:
        UnsupportedError: nobody has seen that work, or it does harm.
        CommandError: the loader failed.
        TransportError: the port failed.
    """
    writes = watchdog_reset(chip)
    session.forget_deferred()
    is_doubtful = session.abilities.are_batches_doubtful(session.dialect)
    size = 1 if is_doubtful else session.max_write_reg_entries
    session.execute_all(
        [WriteReg(writes[start : start + size]) for start in range(0, len(writes), size)]
    )
    session.transport.clock.sleep(RESET_TIME)
