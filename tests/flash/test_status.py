"""The status registers of the flash are set, whichever way it takes, or it is said that not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.errors import UnsupportedError
from esploader.flash.status import MAX_POLLS, POLL_INTERVAL, write_status
from esploader.transport.clock import VirtualClock
from untouched import connect

if TYPE_CHECKING:
    from esploader.device.device import Device
    from esploader.flash.spi import SpiTransaction

WRITE_ENABLE = 0x06
VOLATILE_WRITE_ENABLE = 0x50
WRITE_DISABLE = 0x04
BUSY = 0x01
WRITE_ENABLED = 0x02


def status_of(device: Device) -> bytes:
    """Return the registers of the simulated flash, past all protocols."""
    return bytes(device.session.transport.device.flash_chip.status)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("chip", "count", "value"),
    covering_parameters(
        [
            (chip.key, count, value)
            for chip in DESCRIBED
            for count, value in ((1, 0x9C), (2, 0x021C), (3, 0x60021C))
        ],
        lambda chip, count, _: (chip, count),
    ),
)
def test_registers_are_set(chip: str, count: int, value: int) -> None:
    with connect(f"sim://{chip}") as device:
        assert device.flash.write_status(value, count) == value
        assert int.from_bytes(status_of(device), "little") == value
        assert device.flash.status(count) == value


@attrs.define
class OddFlash:
    """A flash chip that writes its registers 1 and 2 in one way only, or not all of them."""

    clock: VirtualClock = attrs.field(factory=VirtualClock)
    takes_pairs: bool = False
    takes_singles: bool = False
    locked: int = 0
    """Bits that keep their value."""
    busy_for: float = 0.0
    """How long a write takes, in seconds."""
    value: int = 0
    misheard: int = 0
    """So many commands that disable writes arrive with one bit wrong, and enable them."""
    enabled_by: int = 0
    enablers: set[int] = attrs.field(factory=set)
    busy_until: float = 0.0

    def transact(self, transaction: SpiTransaction) -> bytes:
        is_busy = self.clock.now() < self.busy_until
        match transaction.opcode:
            case 0x05:
                enabled = WRITE_ENABLED if self.enabled_by == WRITE_ENABLE else 0
                return bytes(((self.value & 0xFF) | enabled | (BUSY if is_busy else 0),))
            case 0x35:
                return bytes((self.value >> 8,))
            case 0x06 | 0x50 | 0x04 as opcode:
                assert not is_busy
                is_misheard = opcode == WRITE_DISABLE and self.misheard > 0
                self.misheard -= is_misheard
                self.enabled_by = WRITE_ENABLE if is_misheard else opcode
            case 0x01 if len(transaction.output) == 2 and self.takes_pairs:
                self.write(int.from_bytes(transaction.output, "little"))
            case 0x01 if len(transaction.output) == 1:
                # As older chips do: register 2 is cleared.
                self.write(transaction.output[0] | (self.value & 0xFF00) * self.takes_singles)
            case 0x31 if self.takes_singles:
                self.write((self.value & 0xFF) | transaction.output[0] << 8)
        return b""

    def write(self, value: int) -> None:
        assert self.enabled_by in (WRITE_ENABLE, VOLATILE_WRITE_ENABLE)
        self.enablers.add(self.enabled_by)
        self.enabled_by = WRITE_DISABLE
        self.value = (self.value & self.locked) | (value & ~self.locked)
        self.busy_until = self.clock.now() + self.busy_for


@pytest.mark.parametrize("in_pairs", [False, True])
def test_either_way_of_writing_register_2_will_do(*, in_pairs: bool) -> None:
    flash = OddFlash(takes_pairs=in_pairs, takes_singles=not in_pairs)
    assert write_status(flash, flash.clock, 0x021C, 2, non_volatile=True) == 0x021C
    assert flash.enabled_by == WRITE_DISABLE


@pytest.mark.parametrize(
    ("non_volatile", "enabler"), [(True, WRITE_ENABLE), (False, VOLATILE_WRITE_ENABLE)]
)
def test_only_what_is_to_last_is_written_to_last(enabler: int, *, non_volatile: bool) -> None:
    flash = OddFlash(takes_pairs=True)
    write_status(flash, flash.clock, 0x1C, 2, non_volatile=non_volatile)
    assert flash.enablers == {enabler}


def test_the_write_is_over_before_the_next_transaction() -> None:
    flash = OddFlash(takes_singles=True, busy_for=0.2)
    write_status(flash, flash.clock, 0x021C, 2, non_volatile=True)
    assert flash.clock.now() >= flash.busy_until


def test_a_flash_that_took_it_for_a_command_to_take_writes_is_told_again() -> None:
    flash = OddFlash(takes_pairs=True, misheard=1)
    assert write_status(flash, flash.clock, 0x0200, 2, non_volatile=True) == 0x0200
    assert flash.enabled_by == WRITE_DISABLE


def test_bits_that_are_locked_are_an_error() -> None:
    flash = OddFlash(takes_pairs=True, locked=0x04)
    with pytest.raises(UnsupportedError, match="0x18"):
        write_status(flash, flash.clock, 0x1C, 2, non_volatile=True)


def test_the_bits_of_what_the_flash_is_doing_are_not_set() -> None:
    flash = OddFlash(takes_pairs=True, locked=0x03)
    assert write_status(flash, flash.clock, 0x1F, 2, non_volatile=False) == 0x1C


def test_a_flash_that_stays_busy_is_not_waited_for_without_end() -> None:
    flash = OddFlash(takes_pairs=True, busy_for=1e9)
    with pytest.raises(UnsupportedError, match="idle"):
        write_status(flash, flash.clock, 0x1C, 2, non_volatile=True)
    assert flash.clock.now() == pytest.approx(MAX_POLLS * POLL_INTERVAL)


@pytest.mark.parametrize(("value", "count"), [(0x100, 1), (-1, 2), (0, 0), (0, 4)])
def test_what_no_registers_can_hold_is_refused(value: int, count: int) -> None:
    flash = OddFlash(takes_pairs=True)
    with pytest.raises(UnsupportedError):
        write_status(flash, flash.clock, value, count, non_volatile=True)
    assert not flash.enablers
