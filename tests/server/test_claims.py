"""An entry that fits several boards: both are named, and it never moves to another board."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.errors import PortNotFoundError
from esploader.server.claims import Claims
from esploader.server.discovery import UsbIdentity
from esploader.transport.ports import PortInfo
from esploader.transport.vendors import ESPRESSIF_VID
from made_up_ports import MadeUpPorts

if TYPE_CHECKING:
    from esploader.server.discovery import PortSource

FIRST = PortInfo(
    device="/dev/ttyACM0",
    vid=ESPRESSIF_VID,
    pid=0x1001,
    serial_number="AA:01",
    location="1-2:1.0",
)
SECOND = attrs.evolve(FIRST, device="/dev/ttyACM1", serial_number="AA:02", location="1-3:1.0")
CLONE = attrs.evolve(FIRST, device="/dev/ttyACM2", location="1-4:1.0")
BARE = PortInfo(device="/dev/ttyUSB0", vid=0x1A86, pid=0x7523, location="1-5")
BARE_TWIN = attrs.evolve(BARE, device="/dev/ttyUSB1", location="1-6")
NAMELESS = PortInfo(device="COM7", vid=0x1A86, pid=0x7523)

EITHER = UsbIdentity(vid=0x303A)


class Bench:
    """Claims of some entries, what is plugged in, and what was remarked."""

    def __init__(self, *sources: PortSource) -> None:
        self.ports: list[PortInfo] = []
        self.remarks: list[tuple[str, dict[str, str]]] = []
        self.claims = Claims(lambda: list(self.ports))
        self.claims.remark = lambda event, fields: self.remarks.append((event, fields))
        for source in sources:
            self.claims.add(source, f"<{source}>")

    def open(self, source: PortSource, *ports: PortInfo) -> str:
        """Serve what ``source`` gets when these ports are plugged in."""
        self.ports = list(ports)
        device = self.claims.claim(source)
        self.claims.opened(source)
        return device

    def refusal(self, source: PortSource, *ports: PortInfo) -> str:
        """Return why it gets none."""
        self.ports = list(ports)
        with pytest.raises(PortNotFoundError) as caught:
            self.claims.claim(source)
        return caught.value.reason

    def look(self, *ports: PortInfo) -> None:
        self.ports = list(ports)
        self.claims.look()


def test_an_entry_that_fits_two_boards_names_both_and_what_tells_them_apart() -> None:
    bench = Bench(EITHER)
    assert bench.open(EITHER, FIRST, SECOND) == FIRST.device
    fields = {
        "port": "<usb:vid=303a>",
        "ports": "/dev/ttyACM0 (serial AA:01, location 1-2:1.0), "
        "/dev/ttyACM1 (serial AA:02, location 1-3:1.0)",
        "served": "/dev/ttyACM0",
        "advice": "add serial or location to the entry",
    }
    assert bench.remarks == [("fits-several", fields)]
    bench.look(FIRST, SECOND)
    bench.look(FIRST)
    bench.look(FIRST, SECOND)
    assert len(bench.remarks) == 1


def test_which_one_is_served_is_known_before_several_are_named() -> None:
    bench = Bench(EITHER)
    bench.look(FIRST, SECOND)
    assert bench.remarks == []
    bench.open(EITHER, FIRST, SECOND)
    assert [fields["served"] for _, fields in bench.remarks] == [FIRST.device]


def test_a_second_board_that_appears_later_is_named_then() -> None:
    bench = Bench(EITHER)
    bench.open(EITHER, FIRST)
    bench.look(FIRST)
    assert bench.remarks == []
    bench.look(SECOND, FIRST)
    ((event, fields),) = bench.remarks
    assert (event, fields["served"]) == ("fits-several", FIRST.device)
    assert SECOND.device in fields["ports"]


@pytest.mark.parametrize(
    ("source", "ports", "advice"),
    [
        (UsbIdentity(pid=0x1001), (FIRST, CLONE), "add location to the entry"),
        (UsbIdentity(vid=0x1A86), (BARE, BARE_TWIN), "add location to the entry"),
        (
            UsbIdentity(vid=0x1A86),
            (NAMELESS, attrs.evolve(NAMELESS, device="COM8")),
            "name the device: nothing else tells them apart",
        ),
    ],
    ids=["same serial number", "no serial number", "nothing"],
)
def test_the_advice_names_what_does_tell_them_apart(
    source: UsbIdentity, ports: tuple[PortInfo, ...], advice: str
) -> None:
    bench = Bench(source)
    bench.open(source, *ports)
    assert bench.remarks[0][1]["advice"] == advice


def test_another_board_does_not_take_the_place_of_one_that_is_gone() -> None:
    bench = Bench(EITHER)
    bench.open(EITHER, FIRST, SECOND)
    assert bench.refusal(EITHER, SECOND) == (
        "/dev/ttyACM0 (serial AA:01, location 1-2:1.0) was served and is gone; what fits, too, is "
        "another one, and is not served in its place before a restart: "
        "/dev/ttyACM1 (serial AA:02, location 1-3:1.0)"
    )
    # Not even under the name, and in the place, that the first one had.
    impostor = attrs.evolve(SECOND, device=FIRST.device, location=FIRST.location)
    assert FIRST.device in bench.refusal(EITHER, impostor)
    assert bench.refusal(EITHER) == "no such USB port is plugged in"
    assert bench.open(EITHER, SECOND, FIRST) == FIRST.device


def test_a_board_comes_back_wherever_it_is_plugged_in_and_whatever_it_is_called() -> None:
    bench = Bench(EITHER)
    bench.open(EITHER, FIRST)
    moved = attrs.evolve(FIRST, device="/dev/ttyACM7", location="2-1:1.0", serial_number="aa:01")
    assert bench.open(EITHER, SECOND, moved) == moved.device


def test_nothing_is_held_against_another_board_before_one_was_served() -> None:
    bench = Bench(EITHER)
    bench.ports = [FIRST]
    # It could not be opened.
    assert bench.claims.claim(EITHER) == FIRST.device
    assert bench.open(EITHER, SECOND) == SECOND.device


def test_a_board_without_a_serial_number_is_known_by_its_place() -> None:
    source = UsbIdentity(vid=0x1A86)
    bench = Bench(source)
    bench.open(source, BARE)
    assert BARE_TWIN.device in bench.refusal(source, BARE_TWIN)
    renamed = attrs.evolve(BARE, device="/dev/ttyUSB9")
    assert bench.open(source, BARE_TWIN, renamed) == renamed.device


def test_where_nothing_else_is_known_the_name_has_to_do() -> None:
    source = UsbIdentity(vid=0x1A86)
    bench = Bench(source)
    bench.open(source, NAMELESS)
    assert "COM8" in bench.refusal(source, attrs.evolve(NAMELESS, device="COM8"))
    assert bench.open(source, NAMELESS) == "COM7"


@pytest.mark.parametrize(
    "source", [EITHER, UsbIdentity(serial_number="AA:01"), UsbIdentity(vid=0x303A, pid=0x1001)]
)
def test_boards_with_the_same_serial_number_are_told_apart_by_their_places(
    source: UsbIdentity,
) -> None:
    bench = Bench(source)
    bench.open(source, FIRST)
    bench.look(FIRST, CLONE)
    assert [event for event, _ in bench.remarks] == ["fits-several"]
    assert CLONE.device in bench.refusal(source, CLONE)
    assert bench.open(source, CLONE, FIRST) == FIRST.device


@pytest.mark.parametrize(
    "source", [EITHER, UsbIdentity(serial_number="AA:01"), UsbIdentity(location="1-2")]
)
def test_of_a_board_with_two_ports_the_same_one_comes_back(source: UsbIdentity) -> None:
    sibling = attrs.evolve(FIRST, device="/dev/ttyACM1", location="1-2:1.2")
    bench = Bench(source)
    assert bench.open(source, FIRST, sibling) == FIRST.device
    assert bench.remarks[0][1]["advice"] == "add location to the entry"
    swapped = (
        attrs.evolve(sibling, device=FIRST.device),
        attrs.evolve(FIRST, device=sibling.device),
    )
    assert sibling.device in bench.refusal(source, sibling)
    assert bench.open(source, *swapped) == swapped[1].device


def test_a_chip_whose_own_port_has_other_ids_in_another_mode_is_the_same_board() -> None:
    bench = Bench(EITHER)
    bench.open(EITHER, FIRST)
    running = attrs.evolve(FIRST, pid=0x4001, serial_number="123456", location="1-2:1.1")
    assert bench.open(EITHER, running, SECOND) == running.device
    assert bench.remarks[0][0] == "fits-several"
    # And it is still that one, and no other in its place, when it is back in the loader.
    assert bench.refusal(EITHER, attrs.evolve(FIRST, serial_number="AA:03"))
    assert bench.open(EITHER, FIRST) == FIRST.device
    elsewhere = attrs.evolve(running, location="1-3:1.1")
    assert bench.refusal(EITHER, attrs.evolve(elsewhere, pid=0x4002))


def test_a_place_is_for_whatever_is_plugged_in_there_and_another_board_is_remarked_on() -> None:
    source = UsbIdentity(location="1-2")
    bench = Bench(source)
    bench.open(source, FIRST)
    other = attrs.evolve(SECOND, location="1-2:1.0")
    assert bench.open(source, other) == other.device
    assert bench.remarks == [
        (
            "another-board",
            {
                "port": "<usb:location=1-2>",
                "before": "/dev/ttyACM0 (serial AA:01, location 1-2:1.0)",
                "now": "/dev/ttyACM1 (serial AA:02, location 1-2:1.0)",
            },
        )
    ]


def test_another_board_under_the_name_of_a_device_is_remarked_on() -> None:
    bench = Bench("/dev/ttyACM0")
    bench.open("/dev/ttyACM0", FIRST)
    bench.open("/dev/ttyACM0", attrs.evolve(FIRST, location="1-9:1.0"))
    assert bench.remarks == []
    bench.open("/dev/ttyACM0", attrs.evolve(SECOND, device="/dev/ttyACM0"))
    assert [event for event, _ in bench.remarks] == ["another-board"]


def test_two_boards_alike_are_given_to_two_entries_that_fit_both() -> None:
    other = UsbIdentity(vid=0x303A, pid=0x1001)
    bench = Bench(EITHER, other)
    assert bench.open(EITHER, FIRST, SECOND) == FIRST.device
    assert bench.open(other, FIRST, SECOND) == SECOND.device
    third = UsbIdentity(pid=0x1001)
    bench.claims.add(third, "third")
    assert bench.refusal(third, FIRST, SECOND) == "no such USB port is plugged in"


@pytest.mark.parametrize(
    "pinned", [UsbIdentity(serial_number="AA:01"), UsbIdentity(location="1-2"), FIRST.device]
)
def test_a_board_that_another_entry_means_is_left_to_it(pinned: PortSource) -> None:
    bench = Bench(EITHER, pinned)
    assert bench.open(EITHER, FIRST, SECOND) == SECOND.device
    assert bench.remarks == []
    assert bench.open(pinned, FIRST, SECOND) == FIRST.device


def test_a_board_that_is_away_is_left_to_the_entry_that_had_it() -> None:
    other = UsbIdentity(pid=0x1001)
    bench = Bench(EITHER, other)
    bench.open(EITHER, FIRST)
    bench.refusal(EITHER)
    assert bench.refusal(other, FIRST) == "no such USB port is plugged in"
    assert bench.open(EITHER, FIRST) == FIRST.device


def test_a_search_among_descriptions_names_both_and_keeps_to_its_board(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = "hwgrep://303A:1001"
    bench = Bench(source)
    made_up = MadeUpPorts(monkeypatch, FIRST, SECOND)
    assert bench.open(source, FIRST, SECOND) == FIRST.device
    ((event, fields),) = bench.remarks
    assert event == "fits-several"
    assert fields["advice"] == "use an entry usb = {...} with serial or location"
    assert SECOND.device in fields["ports"]
    made_up.ports = [SECOND]
    assert SECOND.device in bench.refusal(source, SECOND)
    second = "hwgrep://303A:1001&n=2"
    bench.claims.add(second, "second")
    made_up.ports = [FIRST, SECOND]
    assert bench.open(second, FIRST, SECOND) == SECOND.device
    assert bench.claims.taken() == {os.path.realpath(SECOND.device)}
