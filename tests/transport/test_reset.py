"""Reset sequences do on the lines, in order and in time, what the circuit needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from esploader.errors import UnsupportedError
from esploader.transport import reset
from esploader.transport.base import Capabilities, Transport
from esploader.transport.clock import VirtualClock
from esploader.transport.steps import ResetSequence, SetLines, Wait

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.define
class LineRecorder(Transport):
    """A port without a device: it notes when which line was set."""

    clock_: VirtualClock = attrs.field(factory=VirtualClock)
    changes: list[tuple[float, bool, bool]] = attrs.field(factory=list)
    dtr: bool = False
    rts: bool = False

    name = "recorder"
    baudrate = 115200
    capabilities = Capabilities(set_lines=True, set_lines_at_once=True, set_baudrate=True)

    @property
    @override
    def clock(self) -> VirtualClock:
        return self.clock_

    @override
    def read(self, deadline: float) -> bytes:
        return b""

    @override
    def write(self, data: bytes) -> None:
        raise AssertionError("a reset writes nothing")

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.dtr = self.dtr if dtr is None else dtr
        self.rts = self.rts if rts is None else rts
        self.changes.append((round(self.clock_.now(), 6), self.dtr, self.rts))

    @override
    def set_baudrate(self, baudrate: int) -> None:
        raise AssertionError("a reset has no baud rate")

    @override
    def discard_input(self) -> bytes:
        return b""

    @override
    def close(self) -> None:
        pass


def played(sequence: ResetSequence) -> list[tuple[float, bool, bool]]:
    recorder = LineRecorder()
    reset.play(sequence, recorder)
    return recorder.changes


def in_reset(dtr: bool, rts: bool) -> bool:  # noqa: FBT001 - two lines, as they come
    return rts and not dtr


def boot_strap_is_low(dtr: bool, rts: bool) -> bool:  # noqa: FBT001 - two lines, as they come
    return dtr and not rts


@pytest.mark.parametrize("delay", [reset.STRAP_DELAY, reset.LONG_STRAP_DELAY])
@pytest.mark.parametrize("build", [reset.classic, reset.tight])
def test_download_mode_holds_reset_then_the_strap_then_lets_go(
    build: Callable[[float], ResetSequence], delay: float
) -> None:
    changes = played(build(delay))
    held = [moment for moment, dtr, rts in changes if in_reset(dtr, rts)]
    strapped = [moment for moment, dtr, rts in changes if boot_strap_is_low(dtr, rts)]
    assert strapped[-1] - held[-1] == pytest.approx(0.1)
    last_moment, *last_lines = changes[-1]
    assert last_moment - strapped[-1] == pytest.approx(delay)
    assert last_lines == [False, False]


def test_tight_changes_both_lines_in_one_step() -> None:
    steps = [step for step in reset.tight() if isinstance(step, SetLines)]
    assert all(step.dtr is not None and step.rts is not None for step in steps)


def test_classic_changes_one_line_at_a_time() -> None:
    steps = [step for step in reset.classic() if isinstance(step, SetLines)]
    assert all((step.dtr is None) != (step.rts is None) for step in steps)


def test_usb_serial_jtag_never_releases_both_lines_before_reset() -> None:
    changes = [(dtr, rts) for _, dtr, rts in played(reset.USB_SERIAL_JTAG)]
    request, *_, end = (index for index, lines in enumerate(changes) if lines != (False, False))
    assert (False, False) not in changes[request:end]
    assert changes[-1] == (False, False)


def test_hard_reset_leaves_the_strap_alone() -> None:
    changes = played(reset.HARD_RESET)
    assert changes == [(0, False, True), (0.1, False, False)]


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        (
            "D0|R1|W0.1|D1|R0|W0.05|D0",
            reset.classic(),
        ),
        ("U1,0", (SetLines(dtr=True, rts=False),)),
        (" d1 | w2 || r 0 ", (SetLines(dtr=True), Wait(2.0), SetLines(rts=False))),
    ],
)
def test_custom_sequences(text: str, sequence: ResetSequence) -> None:
    assert reset.parse_custom(text) == sequence


@pytest.mark.parametrize(
    "text",
    ["", "|", "D2", "D", "D01", "X1", "U1", "U1,2", "U1,0,1", "W", "W-1", "Wnan", "Winf", "W1e9"],
)
def test_custom_sequences_that_make_no_sense(text: str) -> None:
    with pytest.raises(UnsupportedError):
        reset.parse_custom(text)


def test_a_custom_sequence_has_a_bounded_number_of_steps() -> None:
    assert len(reset.parse_custom("|".join(["D0"] * 100))) == 100
    with pytest.raises(UnsupportedError):
        reset.parse_custom("|".join(["D0"] * 101))


def test_a_custom_sequence_takes_a_bounded_time() -> None:
    assert len(reset.parse_custom("W30|D0|W30")) == 3
    with pytest.raises(UnsupportedError, match="more than 60 seconds"):
        reset.parse_custom("W30|D0|W30|W0.1")


@given(st.text(alphabet="DRUWdruw01,.|- \t\u00b2e9", max_size=30))
def test_any_text_is_a_sequence_or_an_error(text: str) -> None:
    try:
        sequence = reset.parse_custom(text)
    except UnsupportedError:
        return
    assert sequence
