"""Reading flash, piece by piece, each piece checked by the device's own MD5.

Where the device has none, each piece is read until it comes twice.
"""

from __future__ import annotations

import contextlib
import logging
import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import (
    CommandError,
    ConnectError,
    FlashError,
    FlashLostError,
    ProtocolError,
    TransportError,
    UnsupportedCommandError,
)
from esploader.flash.hashing import holds, md5_of
from esploader.flash.plan import Piece
from esploader.flash.progress import Phase, Progress, ProgressCallback, Restarted
from esploader.flash.read_back import is_blind, read_until_agreed
from esploader.flash.write import FAILURES_BEFORE_SLOWING, MAX_FAILURES_IN_PLACE
from esploader.protocol.flash_commands import (
    MD5_SIZE,
    READ_FLASH_SLOW_SIZE,
    READ_PACKET_SIZE,
    ReadFlash,
    ReadFlashSlow,
    SpiFlashMd5,
)
from esploader.protocol.opcodes import Opcode
from esploader.protocol.refusals import Refusals
from esploader.session.ahead import Packet
from esploader.session.streams import read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.loader.link import Link
    from esploader.protocol.commands import Command

_log: Final = logging.getLogger(__name__)

STREAM_PIECE_SIZE: Final = 0x4_0000
"""The most that a stub reads out in one stream, in bytes."""

SLOW_PIECE_SIZE: Final = 0x1000
"""How much is read through the ROM loader between two checks, in bytes."""

AHEAD_PIECE_SIZE: Final = 0x40_0000
AHEAD_SLOW_PIECE_SIZE: Final = 0x2_0000
"""The same where everything is sent ahead: each piece costs a round trip there."""

# total received so far u32
_ACKNOWLEDGEMENT: Final = struct.Struct("<I")


@define
class RegionReader:
    """Reads regions through one loader."""

    _link: Link
    _on_progress: ProgressCallback
    _limit: int = attrs.field(default=AHEAD_PIECE_SIZE, init=False)
    """Bytes of the next piece: on a bad line less is lost when less is risked."""
    _unasked_erasures: int = attrs.field(default=0, init=False)
    """How often the loader had erased everything unasked before the reading began."""

    def read(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield the bytes of a region in pieces, each of them checked.

        Raises:
            FlashError: a piece could not be read after every effort.
            FlashLostError: a request to read was garbled, and the loader has erased everything.
            UnsupportedError: this loader cannot read.
            EsploaderError: the loader could not be reached again.
        """
        region = _Region(offset, size)
        self._unasked_erasures = self._link.session.unasked_erasures
        failures = 0
        refusals = Refusals()
        while region.done < size:
            try:
                piece = self._read_piece(region)
            except (CommandError, ProtocolError, TransportError, ConnectError) as exc:
                # No loader lacks the commands that reading through registers takes.
                if (
                    isinstance(exc, UnsupportedCommandError)
                    and not is_blind(self._link)
                    and refusals.is_final(exc)
                ):
                    raise
                # The region is known to be there: every other refusal comes of a request
                # or a response that was garbled.
                failures += 1
                piece = self._recover(region, exc, failures)
            if piece:
                failures = 0
                refusals.clear()
                region.done += len(piece)
                self._limit = min(2 * self._limit, AHEAD_PIECE_SIZE)
                yield piece

    def _read_piece(self, region: _Region) -> bytes:
        """Read the next piece and check it; what came is in ``region`` if that fails."""
        region.received.clear()
        can_stream = Opcode.READ_FLASH in self._link.session.dialect.opcodes
        self._limit = min(self._limit, self._most)
        size = min(self._limit, region.size - region.done)
        if can_stream:
            self._stream(region, size)
        elif is_blind(self._link):
            region.received += read_until_agreed(self._link, region.next_offset, size)
            self._report(region)
        else:
            self._read_slowly(region, size)
        return bytes(region.received)

    @property
    def _most(self) -> int:
        """Bytes of the largest piece."""
        session = self._link.session
        is_gated = session.transport.capabilities.gated
        if Opcode.READ_FLASH in session.dialect.opcodes:
            return AHEAD_PIECE_SIZE if is_gated else STREAM_PIECE_SIZE
        return AHEAD_SLOW_PIECE_SIZE if is_gated else SLOW_PIECE_SIZE

    def _recover(self, region: _Region, error: Exception, failures: int) -> bytes:
        """Have the loader listen again; return what had come already, if it is right.

        Raises:
            FlashError: there were too many failures.
        """
        if failures > MAX_FAILURES_IN_PLACE:
            raise region.given_up(error) from error
        _log.warning("%s; reading again from %#x", error, region.next_offset)
        self._limit = max(self._limit // 4, READ_PACKET_SIZE)
        slower = failures % (FAILURES_BEFORE_SLOWING + 1) == FAILURES_BEFORE_SLOWING
        prefix = b""
        try:
            self._link.revive(slower=slower)
            if self._link.session.unasked_erasures > self._unasked_erasures:
                raise FlashLostError
            received = bytes(region.received)
            if received and holds(self._link, Piece(region.next_offset, received)):
                prefix = received
        except (CommandError, ProtocolError, TransportError, ConnectError) as exc:
            if isinstance(exc, TransportError) or self._link.is_lost:
                raise region.given_up(exc) from exc
            # The next attempt to read fails, and is counted.
            _log.warning("%s", exc)
        self._on_progress(Restarted(offset=region.next_offset + len(prefix), reason=str(error)))
        return prefix

    def _read_slowly(self, region: _Region, size: int) -> None:
        """Read through a ROM loader, 64 bytes at a time, many at once."""
        session = self._link.session
        offset = region.next_offset
        commands: list[Command[bytes]] = [
            ReadFlashSlow(offset=offset + part, size=min(READ_FLASH_SLOW_SIZE, size - part))
            for part in range(0, size, READ_FLASH_SLOW_SIZE)
        ]
        commands.append(SpiFlashMd5(offset=offset, size=size))
        *parts, digest = session.execute_all(commands)
        region.received += b"".join(parts)
        if digest != md5_of(region.received):
            raise ProtocolError("what was read is not what the flash holds")
        self._report(region)

    def _stream(self, region: _Region, size: int) -> None:
        """Have a stub send ``size`` bytes, and see that their digest is right."""
        session = self._link.session
        packets = [
            Packet(
                min(READ_PACKET_SIZE, size - start),
                _ACKNOWLEDGEMENT.pack(min(start + READ_PACKET_SIZE, size)),
            )
            for start in range(0, size, READ_PACKET_SIZE)
        ]
        command = ReadFlash(offset=region.next_offset, size=size)
        digest = b""
        with contextlib.closing(
            read_stream(session, command, [*packets, Packet(MD5_SIZE)])
        ) as frames:
            for frame in frames:
                if len(region.received) == size:
                    digest = frame
                else:
                    region.received += frame
                    self._report(region)
        if digest != md5_of(region.received):
            raise ProtocolError("what was read is not what the flash holds")
        # The digest covers what was sent. Nothing protects the offset in the request: that it
        # is this region takes a second question.
        if not holds(self._link, Piece(region.next_offset, bytes(region.received))):
            raise ProtocolError("what was read comes from elsewhere in the flash")

    def _report(self, region: _Region) -> None:
        region.reported = max(region.reported, region.done + len(region.received))
        self._on_progress(
            Progress(
                phase=Phase.READ,
                offset=region.offset,
                done=region.reported,
                total=region.size,
                wire_bytes=region.reported,
            )
        )


@define
class _Region:
    """How far the reading of one region has come."""

    offset: int
    size: int
    done: int = 0
    """Bytes that were read and checked."""
    reported: int = 0
    """Bytes that were reported as done: this never goes back."""
    received: bytearray = attrs.field(factory=bytearray)
    """Bytes behind those, not checked yet."""

    @property
    def next_offset(self) -> int:
        """Where the next piece begins."""
        return self.offset + self.done

    def given_up(self, error: Exception) -> FlashError:
        """Return the error that says how far it has come."""
        return FlashError(
            offset=self.next_offset,
            confirmed=self.done,
            total=self.size,
            acknowledged=self.offset + self.reported,
            reason=str(error),
        )
