"""The public names of the package, in one place; :mod:`esploader` loads it when one is used."""

from __future__ import annotations

from esploader.chips.model.chip import Chip
from esploader.chips.model.revision import Revision
from esploader.chips.reading.efuses import Efuses
from esploader.chips.reading.identity import Identity
from esploader.chips.reading.security import SecurityInfo
from esploader.device.device import Device
from esploader.errors import EsploaderError
from esploader.flash.artefact import Artefact
from esploader.flash.jedec import FlashId
from esploader.flash.parameters import FlashParameters
from esploader.flash.plan import WritePlan
from esploader.flash.progress import Phase, Progress, Restarted
from esploader.flash.verify import Difference
from esploader.flash.write_plan import RegionResult
from esploader.loader.download_mode import Before
from esploader.loader.resetting import After
from esploader.transport.ports import list_ports
from esploader.urlhandler import register_pyserial
from esploader.urls import open_transport

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
    "list_ports",
    "open_transport",
    "register_pyserial",
]
