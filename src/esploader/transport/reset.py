"""Reset sequences as data, and the functions that play them.

On the usual circuit RTS drives EN and DTR drives IO0, both inverted through two
cross-coupled transistors: an asserted RTS alone holds the chip in reset, an asserted DTR
alone pulls the boot strap, both asserted or both released is neutral.
Source: Espressif, "Boot Mode Selection", "Automatic Bootloader" (esptool documentation).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.errors import CapabilityError, TransportError, UnsupportedError
from esploader.numerals import real, shown
from esploader.transport.gated import as_gated
from esploader.transport.steps import ResetSequence, ResetStep, SetLines, Wait

if TYPE_CHECKING:
    from esploader.transport.base import Transport

STRAP_DELAY: Final = 0.05
"""How long the boot strap is held after EN is released, in seconds."""

LONG_STRAP_DELAY: Final = 0.55
"""The same for devices with a large capacitor on EN, in seconds."""

_HOLD: Final = 0.1  # Long enough for the capacitor on EN to discharge.

MAX_CUSTOM_STEPS: Final = 100
MAX_CUSTOM_WAIT: Final = 60.0
"""Bounds of a custom sequence, the other one in seconds for all of it: a typing error must not
hold a port for a day."""


def classic(strap_delay: float = STRAP_DELAY) -> ResetSequence:
    """Return the sequence that enters download mode, one line at a time."""
    return (
        SetLines(dtr=False),
        SetLines(rts=True),
        Wait(_HOLD),
        SetLines(dtr=True),
        SetLines(rts=False),
        Wait(strap_delay),
        SetLines(dtr=False),
    )


def tight(strap_delay: float = STRAP_DELAY) -> ResetSequence:
    """Return the sequence for ports that change both lines in one step.

    With no state between, EN cannot rise before the boot strap is low.
    """
    return (
        SetLines(dtr=False, rts=False),
        SetLines(dtr=True, rts=True),
        SetLines(dtr=False, rts=True),
        Wait(_HOLD),
        SetLines(dtr=True, rts=False),
        Wait(strap_delay),
        SetLines(dtr=False, rts=False),
    )


USB_SERIAL_JTAG: Final[ResetSequence] = (
    SetLines(dtr=False, rts=False),
    Wait(_HOLD),
    SetLines(dtr=True, rts=False),
    Wait(_HOLD),
    # Through both asserted and not through both released: the latter would end the
    # request for download mode.
    SetLines(rts=True),
    SetLines(dtr=False, rts=True),
    Wait(_HOLD),
    SetLines(dtr=False, rts=False),
)
"""Enters download mode on the chip's own USB-Serial/JTAG port.

Source: Technical Reference Manual of the ESP32-C3, "USB Serial/JTAG Controller", "CDC-ACM
Firmware Interface", table of SET_CONTROL_LINE_STATE.
"""

HARD_RESET: Final[ResetSequence] = (
    SetLines(dtr=False, rts=True),
    Wait(_HOLD),
    SetLines(dtr=False, rts=False),
)
"""Restarts the chip with the boot strap released: it runs its application."""

USB_SERIAL_JTAG_HARD_RESET: Final[ResetSequence] = (
    # Takes a request for download mode back that may have been made before.
    SetLines(dtr=False, rts=False),
    Wait(_HOLD),
    SetLines(rts=True),
    Wait(_HOLD),
    SetLines(rts=False),
)
"""The same on the chip's own USB-Serial/JTAG port, whatever its lines were. Source: as that of
:data:`USB_SERIAL_JTAG`."""


@frozen(kw_only=True)
class Resets:
    """The sequences for one device, which may need others than is usual."""

    download_mode: ResetSequence | None = None
    """Replaces the usual ways into download mode."""

    strap_delays: tuple[float, ...] = (STRAP_DELAY, LONG_STRAP_DELAY)
    """How long the usual ways hold the boot strap, in the order to try them, in seconds."""

    hard: ResetSequence = HARD_RESET
    """Restarts the chip so that it runs its application."""


def parse_custom(text: str) -> ResetSequence:
    """Return the sequence that ``text`` spells.

    Steps are separated by ``|``: ``D0``/``D1`` releases/asserts DTR, ``R0``/``R1`` RTS,
    ``U1,0`` sets DTR and RTS in one step, ``W0.1`` waits 0.1 seconds. Letters may be
    small, blanks and empty steps do not count. Source: esptool documentation, "Custom
    Reset Sequence".

    Raises:
        UnsupportedError: a step is none of these, or the sequence is unreasonably long.
    """
    steps = [step for step in (part.strip() for part in text.split("|")) if step]
    if not steps:
        raise UnsupportedError("a custom reset sequence", "it has no steps")
    if len(steps) > MAX_CUSTOM_STEPS:
        raise UnsupportedError(
            "a custom reset sequence", f"it has more than {MAX_CUSTOM_STEPS} steps"
        )
    sequence = tuple(_parse_step(step) for step in steps)
    if sum(step.seconds for step in sequence if isinstance(step, Wait)) > MAX_CUSTOM_WAIT:
        raise UnsupportedError(
            "a custom reset sequence", f"it waits for more than {MAX_CUSTOM_WAIT:g} seconds"
        )
    return sequence


_LEVELS: Final = {"0": False, "1": True}


def _parse_step(step: str) -> ResetStep:
    letter, argument = step[0].upper(), step[1:].strip()
    try:
        match letter:
            case "D":
                return SetLines(dtr=_LEVELS[argument])
            case "R":
                return SetLines(rts=_LEVELS[argument])
            case "U":
                dtr, rts = (part.strip() for part in argument.split(","))
                return SetLines(dtr=_LEVELS[dtr], rts=_LEVELS[rts])
            case "W":
                return Wait(real(argument, 0.0, MAX_CUSTOM_WAIT))
            case _:
                pass
    except (KeyError, ValueError):
        pass
    raise UnsupportedError(f"reset step {shown(step)}", "steps are D0 D1 R0 R1 U0,1 W0.1")


def play(sequence: ResetSequence, transport: Transport) -> None:
    """Carry out the steps on the lines of ``transport``.

    Raises:
        TransportError: the port failed.
        CapabilityError: it has no lines.
    """
    remaining = begin(sequence, transport)
    gated = as_gated(transport)
    if gated is not None:
        gated.await_settings(remaining)


def begin(sequence: ResetSequence, transport: Transport) -> float:
    """Do as :func:`play`, but do not wait for what the far end can do by itself.

    Returns how many seconds it has still to do; whatever is sent takes its turn. With
    gates the far end keeps the times: neither round trip nor jitter changes them.
    """
    gated = as_gated(transport)
    if gated is not None:
        if sequence:
            gated.send_ahead(sequence)
        return sum(step.seconds for step in sequence if isinstance(step, Wait))
    try:
        for step in sequence:
            match step:
                case SetLines(dtr, rts):
                    transport.set_lines(dtr=dtr, rts=rts)
                case Wait(seconds):
                    transport.clock.sleep(seconds)
    except BaseException:
        # Whoever is interrupted must not leave the chip held in reset.
        with suppress(TransportError, CapabilityError):
            transport.set_lines(dtr=False, rts=False)
        raise
    return 0.0
