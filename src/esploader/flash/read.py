"""Reading flash, piece by piece, each piece checked by the device's own MD5."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Final

import attrs

from esploader.errors import (
    CommandFailedError,
    ConnectError,
    FlashError,
    NoResponseError,
    ProtocolError,
    TransportError,
)
from esploader.flash.hashing import md5_of
from esploader.flash.write import FAILURES_BEFORE_SLOWING, MAX_FAILURES_IN_PLACE
from esploader.progress import Phase, Progress, ProgressCallback, Restarted
from esploader.protocol.commands import (
    DEFAULT_TIMEOUT,
    MD5_SIZE,
    READ_FLASH_SLOW_SIZE,
    READ_PACKET_SIZE,
    ReadFlash,
    ReadFlashSlow,
    SpiFlashMd5,
)
from esploader.protocol.opcodes import Opcode
from esploader.protocol.status import RECOVERABLE_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.flash.loader import Loader

_log: Final = logging.getLogger(__name__)

STREAM_PIECE_SIZE: Final = 0x4_0000
"""How much a stub reads out in one stream, in bytes: what trouble can cost at the most."""

SLOW_PIECE_SIZE: Final = 0x1000
"""How much is read through the ROM loader between two checks, in bytes."""

# total received so far u32
_ACKNOWLEDGEMENT: Final = struct.Struct("<I")


@attrs.define
class RegionReader:
    """Reads regions through one loader."""

    _loader: Loader
    _on_progress: ProgressCallback

    def read(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield the bytes of a region in pieces, each of them checked.

        Raises:
            FlashError: a piece could not be read after every effort.
            UnsupportedError: this loader cannot read.
            EsploaderError: the loader could not be reached again.
        """
        done = 0
        while done < size:
            can_stream = Opcode.READ_FLASH in self._loader.session.dialect.opcodes
            limit = STREAM_PIECE_SIZE if can_stream else SLOW_PIECE_SIZE
            piece = self._read_stubbornly(offset + done, min(limit, size - done), offset, size)
            done += len(piece)
            yield piece

    def _read_stubbornly(self, offset: int, size: int, start: int, total: int) -> bytes:
        failures = 0
        while True:
            try:
                return self._read_checked(offset, size, start, total)
            except (NoResponseError, ProtocolError, TransportError, ConnectError) as exc:
                error: Exception = exc
            except CommandFailedError as exc:
                if exc.code not in RECOVERABLE_CODES:
                    raise
                error = exc
            failures += 1
            if failures > MAX_FAILURES_IN_PLACE:
                raise FlashError(offset, offset - start, total, str(error)) from error
            _log.warning("%s; reading again from %#x", error, offset)
            slower = failures % (FAILURES_BEFORE_SLOWING + 1) == FAILURES_BEFORE_SLOWING
            self._revive(offset, str(error), slower=slower)

    def _revive(self, offset: int, reason: str, *, slower: bool) -> None:
        try:
            self._loader.revive(slower=slower)
        except (NoResponseError, ProtocolError, TransportError, ConnectError) as exc:
            # The next attempt to read fails, and is counted.
            _log.warning("%s", exc)
        self._on_progress(Restarted(offset=offset, reason=reason))

    def _read_checked(self, offset: int, size: int, start: int, total: int) -> bytes:
        session = self._loader.session
        if Opcode.READ_FLASH in session.dialect.opcodes:
            return b"".join(self._stream(offset, size, start, total))
        commands = [
            ReadFlashSlow(offset=offset + part, size=min(READ_FLASH_SLOW_SIZE, size - part))
            for part in range(0, size, READ_FLASH_SLOW_SIZE)
        ]
        data = b"".join(session.execute_all(commands))
        if session.execute(SpiFlashMd5(offset=offset, size=size)) != md5_of(data):
            raise ProtocolError("what was read is not what the flash holds")
        self._report(start, offset + size - start, total)
        return data

    def _stream(self, offset: int, size: int, start: int, total: int) -> Iterator[bytes]:
        """Yield the packets of one stream, and see that their digest is right."""
        session = self._loader.session
        session.start_stream(ReadFlash(offset=offset, size=size))
        packets: list[bytes] = []
        received = 0
        while received < size:
            packet = session.read_frame(DEFAULT_TIMEOUT)
            if len(packet) != min(READ_PACKET_SIZE, size - received):
                raise ProtocolError(f"a packet of {len(packet)} bytes came out of turn")
            received += len(packet)
            packets.append(packet)
            session.write_frame(_ACKNOWLEDGEMENT.pack(received))
            yield packet
            if received < size:
                self._report(start, offset + received - start, total)
        digest = session.read_frame(DEFAULT_TIMEOUT)
        session.end_stream()
        if len(digest) != MD5_SIZE or digest != md5_of(b"".join(packets)):
            raise ProtocolError("what was read is not what the flash holds")
        self._report(start, offset + size - start, total)

    def _report(self, start: int, done: int, total: int) -> None:
        self._on_progress(
            Progress(phase=Phase.READ, offset=start, done=done, total=total, wire_bytes=done)
        )
