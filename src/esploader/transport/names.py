"""The public names of the package, in one place; it is loaded when one is used."""

from __future__ import annotations

from esploader.transport.base import Capabilities, Transport
from esploader.transport.clock import Clock, RealClock, VirtualClock
from esploader.transport.directory import RemotePort
from esploader.transport.network_search import FoundServer, find_servers
from esploader.transport.ports import PortInfo, list_ports, sort_ports
from esploader.transport.reset import parse_custom
from esploader.transport.steps import ResetSequence, SetLines, Wait
from esploader.transport.turns import Lent, Offered

__all__ = [
    "Capabilities",
    "Clock",
    "FoundServer",
    "Lent",
    "Offered",
    "PortInfo",
    "RealClock",
    "RemotePort",
    "ResetSequence",
    "SetLines",
    "Transport",
    "VirtualClock",
    "Wait",
    "find_servers",
    "list_ports",
    "parse_custom",
    "sort_ports",
]
