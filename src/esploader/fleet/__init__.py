"""Many boards on one machine: one artefact, a thread for each, a result and a record of each."""

from __future__ import annotations

from esploader.flash.artefact import Artefact
from esploader.fleet.bed import Again, run_bed
from esploader.fleet.crew import Patience
from esploader.fleet.events import (
    Began,
    Ended,
    Failed,
    FleetEvent,
    Identified,
    Progressed,
    SeenAgain,
    VerdictLost,
    Waiting,
    Warned,
)
from esploader.fleet.job import DeviceInput, Job
from esploader.fleet.many import flash_many
from esploader.fleet.record import Record, read_record
from esploader.fleet.record_entry import RecordEntry
from esploader.fleet.results import BoardResult, FleetResult, Found, Status
from esploader.fleet.stop import StopRules
from esploader.server.discovery import UsbIdentity

__all__ = [
    "Again",
    "Artefact",
    "Began",
    "BoardResult",
    "DeviceInput",
    "Ended",
    "Failed",
    "FleetEvent",
    "FleetResult",
    "Found",
    "Identified",
    "Job",
    "Patience",
    "Progressed",
    "Record",
    "RecordEntry",
    "SeenAgain",
    "Status",
    "StopRules",
    "UsbIdentity",
    "VerdictLost",
    "Waiting",
    "Warned",
    "flash_many",
    "read_record",
    "run_bed",
]
