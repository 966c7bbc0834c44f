"""Byte pipes with two lines, a baud rate and a clock.

Names are loaded when first used: most of what needs one module needs few of the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.transport.names import (
        Capabilities,
        Clock,
        FoundServer,
        Lent,
        Offered,
        PortInfo,
        RealClock,
        RemotePort,
        ResetSequence,
        SetLines,
        Transport,
        VirtualClock,
        Wait,
        find_servers,
        list_ports,
        parse_custom,
        sort_ports,
    )

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


# A type checker is to know the names above, and no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module("esploader.transport.names"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
