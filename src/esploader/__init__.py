"""Talk to the boot loaders of Espressif chips.

>>> import esploader
>>> with esploader.connect("sim://esp32c3") as device:
...     print(device.chip.name, device.flash.id().size)
ESP32-C3 4194304

Names are loaded when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from esploader.version import __version__

if TYPE_CHECKING:
    from esploader import errors
    from esploader.connector import connect
    from esploader.names import (
        After,
        Artefact,
        Before,
        Chip,
        Device,
        Difference,
        Efuses,
        EsploaderError,
        FlashId,
        FlashParameters,
        Identity,
        Phase,
        Progress,
        RegionResult,
        Restarted,
        Revision,
        SecurityInfo,
        WritePlan,
        list_ports,
        open_transport,
        register_pyserial,
    )

__all__ = [
    "After",
    "Artefact",
    "Before",
    "Chip",
    "Device",
    "Difference",
    "Efuses",
    "EsploaderError",
    "FlashId",
    "FlashParameters",
    "Identity",
    "Phase",
    "Progress",
    "RegionResult",
    "Restarted",
    "Revision",
    "SecurityInfo",
    "WritePlan",
    "__version__",
    "connect",
    "errors",
    "list_ports",
    "open_transport",
    "register_pyserial",
]


# A type checker is to know the names above, and no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object
        if name == "errors":
            return importlib.import_module("esploader.errors")
        # What is behind it loads when it is called.
        home = "connector" if name == "connect" else "names"
        value = getattr(importlib.import_module(f"esploader.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
