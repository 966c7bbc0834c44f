"""A server that only shows that it is there is not waited for without end."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from covering import covering_parameters
from esploader.connector import connect
from esploader.errors import EsploaderError, TransportTimeoutError
from esploader.protocol.commands import ReadReg
from esploader.server.peers import ComPortPeer
from esploader.transport.rfc2217 import Rfc2217Transport
from stub_files import stub_directory
from virtual_link import Direction, Link, TalkativePipe, VirtualServer, make_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esploader.device.device import Device

NOP = b"\xff\xf1"
NOISE = b"\x55"

# What the patience of all gates of an operation that is tried six times adds up to, in
# seconds, is less.
BOUND = 600.0

OPERATIONS: dict[str, Callable[[Device], object]] = {
    "read": lambda device: device.flash.read(0, 0x4_0000),
    "write": lambda device: device.flash.write([(0x1000, bytes(range(256)) * 512)], skip=False),
    "verify": lambda device: device.flash.verify([(0x1000, bytes(0x1000))]),
    "erase a region": lambda device: device.flash.erase_region(0, 0x1_0000),
    "read a register": lambda device: device.memory.read_register(0x4000_1000),
    "flash id": lambda device: device.flash.id(),
}


def talkative(server: VirtualServer) -> TalkativePipe:
    """Return a connection that can be made to bring nothing else any more."""
    link = Link(round_trip=0.02)
    peer = ComPortPeer("virtual", server.port.name)
    server.relay.attach(peer)
    pipe = TalkativePipe(server, link, peer, Direction(link), Direction(link))
    server.pipe = pipe
    return pipe


@pytest.mark.parametrize(
    ("talk", "operation", "has_stub"),
    covering_parameters(
        list(itertools.product([NOP, NOISE], OPERATIONS, [False, True])),
        lambda talk, operation, has_stub: ((talk, has_stub), (operation, has_stub)),
    ),
    ids=lambda value: {NOP: "NOP", NOISE: "noise", False: "rom", True: "stub"}.get(value, value),
)
def test_nothing_but_signs_of_life_is_an_error_in_time(
    operation: str,
    talk: bytes,
    has_stub: bool,  # noqa: FBT001 - of the table
    tmp_path: Path,
) -> None:
    server = make_server()
    pipe = talkative(server)
    stub = stub_directory(tmp_path) if has_stub else False
    device = connect(Rfc2217Transport.over(pipe), stub=stub)
    device.flash.prepare()
    pipe.talk, pipe.from_moment = talk, server.clock.now() + 0.3
    start = server.clock.now()

    def repeat() -> None:
        # What was fast enough to be over before is done once more.
        while server.clock.now() < start + BOUND:
            OPERATIONS[operation](device)

    with pytest.raises(EsploaderError):
        repeat()
    assert server.clock.now() - start < BOUND


def test_what_a_gate_may_take_is_waited_for_and_no_more() -> None:
    server = make_server()
    pipe = talkative(server)
    device = connect(Rfc2217Transport.over(pipe), stub=False)
    pipe.talk, pipe.from_moment = NOP, server.clock.now()
    start = server.clock.now()
    command = ReadReg(0x4000_1000)
    with pytest.raises(TransportTimeoutError, match="keeps a gate shut for longer"):
        next(device.session.execute_ahead([command]))
    # Its own time, a second for the far end, ten for the network.
    assert start + command.timeout + 11.0 <= server.clock.now() < start + command.timeout + 12.0
