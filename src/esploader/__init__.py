"""Talk to the boot loaders of Espressif chips.

>>> import esploader
>>> with esploader.connect("sim://esp32c3") as device:
...     print(device.chip.name, device.flash_id().size)
ESP32-C3 4194304

Names are loaded when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from esploader.version import __version__

if TYPE_CHECKING:
    from esploader.connector import connect
    from esploader.device.device import Device
    from esploader.errors import EsploaderError
    from esploader.transport.ports import list_ports
    from esploader.urlhandler import register_pyserial
    from esploader.urls import open_transport

__all__ = [
    "Device",
    "EsploaderError",
    "__version__",
    "connect",
    "list_ports",
    "open_transport",
    "register_pyserial",
]

_HOMES = {
    "Device": "esploader.device.device",
    "EsploaderError": "esploader.errors",
    "connect": "esploader.connector",
    "list_ports": "esploader.transport.ports",
    "open_transport": "esploader.urls",
    "register_pyserial": "esploader.urlhandler",
}


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
