"""esploader in labgrid: drivers that load what a place is to run, and an exporter with gates.

An environment of labgrid names this package under ``imports``, which registers the drivers.
"""

from __future__ import annotations

from esploader.integrations.labgrid.driver import EspLoaderDriver
from esploader.integrations.labgrid.outputs_driver import EspLoaderOutputsDriver

__all__ = ["EspLoaderDriver", "EspLoaderOutputsDriver"]
