"""A port that is watched comes back after every loss, and everybody is told the truth."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from esploader.chips.esp32s3 import ESP32_S3
from esploader.device.console.console import (
    LONGEST_DELAY,
    LONGEST_REMOTE_DELAY,
    PERMISSION_TIME,
    Console,
)
from esploader.device.console.opening import ConsoleOpener
from esploader.errors import (
    CapabilityError,
    PortBusyError,
    PortNotFoundError,
    PortPermissionError,
    PortTakenOverError,
    TransportClosedError,
    TransportError,
)
from esploader.server.config import PortConfig, ServerConfig
from esploader.simulator.config import DeviceConfig, PortKind
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.line.transport import SimulatedTransport
from esploader.transport import reset
from esploader.transport.clock import VirtualClock
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.steps import SetLines
from served import PATIENCE, serving
from talking_transport import TalkingTransport

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.transport.base import Transport

GONE = TransportClosedError("talking", "unplugged")
AWAY = PortNotFoundError("talking", "there is no such device")


class Listener:
    """Keeps what it hears of a port."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def lost(self, reason: str) -> None:
        self.heard.append(f"lost: {reason}")

    def regained(self) -> None:
        self.heard.append("regained")

    def lent(self, to: str) -> None:
        self.heard.append(f"lent to {to}")

    def returned(self) -> None:
        self.heard.append("returned")


class Openings:
    """Opens ports in turn: what is no port is an error, raised again and again if it is the last.

    It notes when it was asked.
    """

    def __init__(self, clock: VirtualClock, *results: Transport | TransportError) -> None:
        self._clock = clock
        self._results = list(results)
        self.moments: list[float] = []

    def __call__(self) -> Transport:
        self.moments.append(self._clock.now())
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if isinstance(result, TransportError):
            raise result
        return result


def console_at(opening: Openings, first: Transport) -> tuple[Console, Listener]:
    listener = Listener()
    return Console("talking", opening, listener, transport=first), listener


def listen(console: Console, seconds: float, step: float = 0.03) -> bytes:
    """Read for some time, as somebody does who looks for keys in between."""
    said = b""
    end = console.clock.now() + seconds
    while (now := console.clock.now()) < end:
        said += console.read(min(now + step, end))
    return said


def test_a_port_that_is_lost_is_opened_again_and_read_on() -> None:
    clock = VirtualClock()
    first = TalkingTransport(clock, [(1.0, b"before"), (2.0, GONE)])
    second = TalkingTransport(clock, [(0.0, b"again")])
    opening = Openings(clock, AWAY, AWAY, AWAY, second)
    console, listener = console_at(opening, first)

    assert listen(console, 10) == b"beforeagain"
    assert listener.heard == ["lost: unplugged", "lost: there is no such device", "regained"]
    assert not first.is_open
    assert console.is_connected
    assert opening.moments == sorted(opening.moments)
    assert clock.now() == pytest.approx(10)


@pytest.mark.parametrize(
    ("remote", "longest"), [(False, LONGEST_DELAY), (True, LONGEST_REMOTE_DELAY)]
)
def test_attempts_become_rarer_and_not_too_rare(remote: bool, longest: float) -> None:  # noqa: FBT001
    clock = VirtualClock()
    opening = Openings(clock, AWAY)
    console, listener = console_at(opening, TalkingTransport(clock, [(0.0, GONE)], remote=remote))
    listen(console, 60)
    gaps = [after - before for before, after in pairwise(opening.moments)]
    assert gaps[0] < 0.3
    assert max(gaps) == pytest.approx(longest, abs=0.05)
    assert len(opening.moments) < 60 / longest + 10
    assert listener.heard == ["lost: unplugged", "lost: there is no such device"]


def test_what_never_comes_back_is_an_error() -> None:
    clock = VirtualClock()
    taken = PortTakenOverError("talking", "10.0.0.7:1 took the port over")
    console, _ = console_at(Openings(clock, AWAY), TalkingTransport(clock, [(1.0, taken)]))
    with pytest.raises(PortTakenOverError):
        listen(console, 2)


def test_a_port_that_may_not_be_opened_yet_is_waited_for() -> None:
    clock = VirtualClock()
    refused = PortPermissionError("talking", "permission denied")
    second = TalkingTransport(clock)
    opening = Openings(clock, *[refused] * 4, second)
    console, listener = console_at(opening, TalkingTransport(clock, [(0.0, GONE)]))
    listen(console, PERMISSION_TIME)
    assert listener.heard[-1] == "regained"


def test_and_not_for_ever() -> None:
    clock = VirtualClock()
    refused = PortPermissionError("talking", "permission denied")
    console, _ = console_at(Openings(clock, refused), TalkingTransport(clock, [(0.0, GONE)]))
    with pytest.raises(PortPermissionError):
        listen(console, PERMISSION_TIME + 2)
    assert clock.now() > PERMISSION_TIME


def test_resets_are_those_of_the_port() -> None:
    clock = VirtualClock()
    transport = TalkingTransport(clock)
    console, _ = console_at(Openings(clock, AWAY), transport)

    console.reset()
    assert transport.lines == [(False, True), (False, False)]
    played: list[int] = []
    for _ in range(2):
        transport.lines.clear()
        start = clock.now()
        console.enter_download_mode()
        assert transport.lines == [
            (step.dtr, step.rts) for step in reset.classic() if isinstance(step, SetLines)
        ]
        played.append(round(1000 * (clock.now() - start)))
    # The second time the strap is held for longer.
    assert played == [150, 650]


def test_a_port_without_lines_says_so() -> None:
    clock = VirtualClock()
    console, _ = console_at(Openings(clock, AWAY), TalkingTransport(clock, set_lines=False))
    assert not console.can_reset
    for action in (console.reset, console.enter_download_mode):
        with pytest.raises(CapabilityError):
            action()


def test_nothing_can_be_sent_to_a_port_that_is_away() -> None:
    clock = VirtualClock()
    console, listener = console_at(Openings(clock, AWAY), TalkingTransport(clock, [(0.0, GONE)]))
    listen(console, 0.05)
    for action in (console.reset, lambda: console.write(b"x")):
        with pytest.raises(TransportClosedError):
            action()
    assert listener.heard == ["lost: unplugged"]


def test_a_chip_whose_reset_takes_its_own_usb_port_away_is_found_again() -> None:
    device = SimulatedDevice.from_config(DeviceConfig(chip=ESP32_S3, port=PortKind.USB_OTG))
    listener = Listener()

    def open_again() -> Transport:
        if device.is_line_broken or device.clock.now() < device.port.absent_until:
            raise AWAY
        return SimulatedTransport(device, "sim")

    console = Console("sim", open_again, listener, transport=SimulatedTransport(device, "sim"))
    console.reset()
    listen(console, 3)
    assert [heard.partition(":")[0] for heard in listener.heard if "no such" not in heard] == [
        "lost",
        "regained",
    ]
    assert console.is_connected


def test_a_port_that_is_lent_is_listened_to_and_comes_back() -> None:
    config = ServerConfig(ports=(PortConfig(source="sim://esp32c3", name="bench 1"),), tcp_port=0)
    with serving(config) as places:
        url = places.wait(1)[0].url
        listener = Listener()
        console = Console(url, ConsoleOpener(url, 115200), listener)
        console.connect()
        console.reset()
        said = b""
        with Rfc2217Transport.open(url) as flasher:
            until(console, lambda: bool(listener.heard))
            with pytest.raises(PortBusyError):
                console.reset()
            with pytest.raises(PortBusyError):
                console.write(b"x")
            listen(console, 0.2)
            reset.play(reset.HARD_RESET, flasher)
            said = until(console, lambda: False, b"SPI_FAST_FLASH_BOOT")
        until(console, lambda: "returned" in listener.heard)
        console.reset()
        again = until(console, lambda: False, b"SPI_FAST_FLASH_BOOT")
        console.close()
    assert b"rst:" in said
    assert b"rst:" in again
    # Twice where the other one has said who it is after it had the port.
    *lent, returned = listener.heard
    assert 1 <= len(lent) <= 2
    assert returned == "returned"
    assert all(heard.startswith("lent to 127.0.0.1:") for heard in lent)


def test_a_port_of_this_machine_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("termios", reason="pseudo-terminals are POSIX")
    from pseudo_terminal import PseudoTerminal  # noqa: PLC0415 - POSIX

    name, listener = tmp_path / "ttyUSB0", Listener()
    console = Console(str(name), ConsoleOpener(str(name), 115200), listener)
    for count in range(2):
        with contextlib.closing(PseudoTerminal()) as device:
            name.symlink_to(device.path)
            if count:
                until(console, lambda: listener.heard[-1] == "regained")
            else:
                console.connect()
            device.write(b"here I am")
            until(console, lambda: False, b"here I am")
        name.unlink()
        until(console, lambda: bool(listener.heard) and listener.heard[-1] != "regained")
    console.close()
    assert all("lost: " in heard or heard == "regained" for heard in listener.heard)


def test_what_is_said_while_the_port_changes_hands_is_not_lost() -> None:
    config = ServerConfig(ports=(PortConfig(source="sim://esp32c3", name="bench 1"),), tcp_port=0)
    with serving(config) as places:
        url = places.wait(1)[0].url
        listener = Listener()
        console = Console(url, ConsoleOpener(url, 115200), listener)
        with contextlib.closing(console):
            console.connect()
            for _ in range(5):
                with Rfc2217Transport.open(url) as flasher:
                    until(console, lambda: listener.heard[-1:] not in ([], ["returned"]))
                    # It leaves as soon as the lines are set, as whoever has flashed does.
                    reset.play(reset.HARD_RESET, flasher)
                said = until(console, lambda: listener.heard[-1] == "returned")
                # Some of it may have been said before, and the rest after.
                until(console, lambda: False, b"invalid header", said)


def until(
    console: Console, condition: object, text: bytes | None = None, said: bytes = b""
) -> bytes:
    """Read until something holds, or has been said; ``said`` was before."""
    assert callable(condition)
    deadline = console.clock.now() + PATIENCE
    while not (condition() or (text is not None and text in said)):
        assert console.clock.now() < deadline
        said += console.read(console.clock.now() + 0.02)
    return said


@pytest.mark.parametrize(
    ("port", "opened"),
    [
        ("rfc2217://lab:2217", "rfc2217://lab:2217?yield"),
        ("rfc2217://lab:2217?wait=5", "rfc2217://lab:2217?wait=5&yield"),
        ("rfc2217://lab:2217?yield", "rfc2217://lab:2217?yield"),
        ("RFC2217+TLS://lab/bench?ca=x", "RFC2217+TLS://lab/bench?ca=x&yield"),
        ("socket://lab:2217", "socket://lab:2217"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
    ],
)
def test_a_server_may_lend_the_port_on(port: str, opened: str) -> None:
    assert ConsoleOpener(port, 115200)._url == opened  # noqa: SLF001 - no server is there to see it
    assert ConsoleOpener(port, 115200, gives_way=False)._url == port  # noqa: SLF001
