"""Commands that are followed by frames of their own, as READ_FLASH of a stub is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.protocol import slip
from esploader.session.ahead import Packet, check_size, packet_timeout, read_packets
from esploader.session.exchange import begin_stream

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from esploader.protocol.commands import Command
    from esploader.session.session import Session


def start_stream(session: Session, command: Command[object]) -> None:
    """Carry out a command that is followed by frames of its own.

    Returns at its response, or at the first of those frames when that was lost.

    Raises:
        CommandFailedError: the loader refused it.
        NoResponseError: neither came.
        TransportError: the port failed.
    """
    if session.wire.gated is not None:
        for _ in session.execute_ahead([command]):
            pass
        return
    session.mend()
    begin_stream(session.wire, command)


def read_stream(
    session: Session, command: Command[None], packets: Sequence[Packet]
) -> Generator[bytes]:
    """Carry out ``command`` and yield the frames that follow, replying to each.

    With gates the replies are sent ahead.

    Raises:
        CommandFailedError: the loader refused it.
        NoResponseError: a frame did not come in time.
        ProtocolError: a frame has not the size it should have.
        TransportError: the port failed.
    """
    gated = session.wire.gated
    if gated is None:
        start_stream(session, command)
        for packet in packets:
            frame = read_frame(session, packet_timeout(command, packet, session.transport.baudrate))
            check_size(frame, packet)
            if packet.reply:
                session.wire.write(slip.encode(packet.reply))
            yield frame
        end_stream(session)
    else:
        session.prepare_ahead(gated)
        yield from read_packets(session.wire, gated, command, packets)


def read_frame(session: Session, timeout: float) -> bytes:
    """Return the next frame of a stream.

    Raises:
        NoResponseError: none came within ``timeout`` seconds and what the link takes.
        TransportError: the port failed.
    """
    timeout += session.wire.allowance
    deadline = session.transport.clock.now() + timeout
    while not session.wire.frames:
        if session.transport.clock.now() >= deadline:
            session.wire.fail()
            raise session.wire.no_response("stream", timeout)
        session.wire.receive(deadline)
    return session.wire.frames.popleft()


def end_stream(
    session: Session,
) -> None:
    """Go back to commands: the last frame of the stream has been read."""
    session.wire.connection.end_stream()
