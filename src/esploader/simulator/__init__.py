"""A chip made of software: ROM loader, flash, registers, reset circuit and serial line.

A :class:`SimulatedDevice` does no I/O; :class:`SimulatedTransport` connects it in virtual
time, :class:`RealTimeTransport` in real time, and a ``sim://`` URL describes one in a line.
A :class:`FaultyTransport` in front of it, or of any other, makes a bad line of a good one.
"""

from __future__ import annotations

from esploader.simulator.config import DeviceConfig, InitialState
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.faults import Corrupt, Cut, Delay, Drop, Stall
from esploader.simulator.faulty_transport import FaultyTransport
from esploader.simulator.timings import UNPACED, Timings
from esploader.simulator.transport import RealTimeTransport, SimulatedTransport
from esploader.simulator.url import open_simulated, parse

__all__ = [
    "UNPACED",
    "Corrupt",
    "Cut",
    "Delay",
    "DeviceConfig",
    "Drop",
    "FaultyTransport",
    "InitialState",
    "RealTimeTransport",
    "SimulatedDevice",
    "SimulatedTransport",
    "Stall",
    "Timings",
    "open_simulated",
    "parse",
]
