"""A chip made of software: ROM loader, flash, registers, reset circuit and serial line.

A :class:`SimulatedDevice` does no I/O; :meth:`SimulatedDevice.open_transport` connects to it in
virtual time, :class:`RealTimeTransport` in real time, and a ``sim://`` URL describes one in a
line. When it boots, it runs an :data:`Application`. A :class:`FaultyTransport` in front of it,
or of any other, makes a bad line of a good one. A :class:`RecordingTransport` remembers what
passes, and a :class:`ReplayTransport` answers from it.

Names are loaded when first used: most of what needs one module needs few of the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.simulator.names import (
        UNPACED,
        Application,
        BaudMismatch,
        Boot,
        CheckedRow,
        Corrupt,
        Cut,
        Delay,
        DeviceConfig,
        Direction,
        Drop,
        Duplicate,
        Fault,
        FaultyTransport,
        FlashPresence,
        History,
        InitialState,
        Jitter,
        Overflow,
        RealTimeTransport,
        Recording,
        RecordingTransport,
        ReplayTransport,
        ResetCause,
        Runtime,
        SeenCommand,
        SeenLines,
        SentResponse,
        SimulatedDevice,
        SimulatedTransport,
        Split,
        Stall,
        Task,
        Timings,
        check_recording,
        encode_recording,
        hello,
        minimal_image,
        open_served,
        open_simulated,
        parse,
        read_recording,
    )

__all__ = [
    "UNPACED",
    "Application",
    "BaudMismatch",
    "Boot",
    "CheckedRow",
    "Corrupt",
    "Cut",
    "Delay",
    "DeviceConfig",
    "Direction",
    "Drop",
    "Duplicate",
    "Fault",
    "FaultyTransport",
    "FlashPresence",
    "History",
    "InitialState",
    "Jitter",
    "Overflow",
    "RealTimeTransport",
    "Recording",
    "RecordingTransport",
    "ReplayTransport",
    "ResetCause",
    "Runtime",
    "SeenCommand",
    "SeenLines",
    "SentResponse",
    "SimulatedDevice",
    "SimulatedTransport",
    "Split",
    "Stall",
    "Task",
    "Timings",
    "check_recording",
    "encode_recording",
    "hello",
    "minimal_image",
    "open_served",
    "open_simulated",
    "parse",
    "read_recording",
]


# A type checker is to know the names above, and no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module("esploader.simulator.names"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
