"""SLIP framing (RFC 1055), the way the Espressif loaders use it.

On the wire a frame is ``END payload END``. Inside the payload, ``END`` travels
as ``ESC ESC_END`` and ``ESC`` as ``ESC ESC_ESC``. Nothing here does I/O.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from esploader.classes import define, frozen

END: Final = b"\xc0"
ESC: Final = b"\xdb"
ESCAPED_END: Final = b"\xdb\xdc"
ESCAPED_ESC: Final = b"\xdb\xdd"

# The largest packet in either direction is a FLASH_DATA block: 0x4000 bytes plus
# 24 of headers, and escaping can double it. This bounds what noise can cost us.
MAX_RUN_SIZE: Final = 0x10000


@frozen
class Frame:
    """One well-formed frame, unescaped."""

    payload: bytes


@frozen
class Noise:
    """Bytes that belong to no frame: a boot log, a glitch, a broken frame."""

    data: bytes


SlipEvent: TypeAlias = Frame | Noise


def encode(payload: bytes) -> bytes:
    """Return ``payload`` as one frame."""
    # ESC first: escaping END brings in new ESC bytes.
    return END + payload.replace(ESC, ESCAPED_ESC).replace(END, ESCAPED_END) + END


@define
class SlipDecoder:
    """Turn a byte stream into :class:`Frame` and :class:`Noise` events.

    Never raises and never waits. ``END END`` counts as one boundary, so the
    decoder recovers by itself after a lost or spurious delimiter.
    """

    _run: list[bytes] = attrs.field(factory=list, init=False)
    _run_size: int = attrs.field(default=0, init=False)
    _in_frame: bool = attrs.field(default=False, init=False)

    def feed(self, data: bytes) -> list[SlipEvent]:
        """Return the events that ``data`` completes, in wire order."""
        events: list[SlipEvent] = []
        *closed_runs, open_run = data.split(END)
        for run in closed_runs:
            self._extend_run(run, events)
            self._close_run(events)
        self._extend_run(open_run, events)
        if not self._in_frame:
            self._flush_noise(events)
        return events

    def reset(self) -> list[Noise]:
        """Forget an unfinished frame and return its bytes as noise.

        For whoever knows that a frame cannot go on: after a change of the baud rate or
        a reset, what follows an unpaired ``END`` is a boot log and not a frame.
        """
        self._in_frame = False
        return [Noise(self._take_run())] if self._run else []

    def _extend_run(self, data: bytes, events: list[SlipEvent]) -> None:
        if not data:
            return
        self._run.append(data)
        self._run_size += len(data)
        if self._run_size > MAX_RUN_SIZE:
            self._flush_noise(events)
            self._in_frame = False

    def _close_run(self, events: list[SlipEvent]) -> None:
        if not self._in_frame:
            self._flush_noise(events)
            self._in_frame = True
        elif self._run:
            run = self._take_run()
            # END first: the other order would turn DB DD DC into C0.
            payload = run.replace(ESCAPED_END, END).replace(ESCAPED_ESC, ESC)
            # Every ESC that begins an escape makes the payload one byte shorter.
            is_whole = len(run) - len(payload) == run.count(ESC)
            events.append(Frame(payload) if is_whole else Noise(run))
            self._in_frame = False

    def _flush_noise(self, events: list[SlipEvent]) -> None:
        if self._run:
            events.append(Noise(self._take_run()))

    def _take_run(self) -> bytes:
        run = self._run[0] if len(self._run) == 1 else b"".join(self._run)
        self._run.clear()
        self._run_size = 0
        return run
