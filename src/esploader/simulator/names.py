"""The public names of the package, in one place; it is loaded when one is used."""

from __future__ import annotations

from esploader.simulator.config import DeviceConfig, FlashPresence, InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.timings import UNPACED, Timings
from esploader.simulator.history import Boot, History, SeenCommand, SeenLines, SentResponse
from esploader.simulator.line.faults import (
    BaudMismatch,
    Corrupt,
    Cut,
    Delay,
    Direction,
    Drop,
    Duplicate,
    Fault,
    Jitter,
    Overflow,
    Split,
    Stall,
)
from esploader.simulator.line.faulty_transport import FaultyTransport
from esploader.simulator.line.transport import RealTimeTransport, SimulatedTransport
from esploader.simulator.personality import ResetCause
from esploader.simulator.recordings.check import CheckedRow, check_recording
from esploader.simulator.recordings.recorder import RecordingTransport
from esploader.simulator.recordings.recording import Recording, encode_recording, read_recording
from esploader.simulator.recordings.replay import ReplayTransport
from esploader.simulator.rom.minimal_image import minimal_image
from esploader.simulator.soc.application import Application, Runtime, Task, hello
from esploader.simulator.url import open_served, open_simulated, parse

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
