"""How the ports of a server stand, as Prometheus reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from esploader.classes import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client import Metric

    from esploader.server.station_view import StationView
    from esploader.server.status.document import ServerFacts
    from esploader.server.status.lab import PortView

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of the exposition format."""

_GAUGES: Final[dict[str, tuple[str, Callable[[StationView], float]]]] = {
    "esploader_port_present": (
        "1 while the port is there, 0 while it is missing",
        lambda view: view.device is not None,
    ),
    "esploader_port_in_use": (
        "1 while a client has the port",
        lambda view: view.holder is not None,
    ),
    "esploader_port_waiting": ("Clients that wait in line for the port", lambda v: len(v.line)),
    "esploader_port_watching": (
        "Clients that listen to the port without having it",
        lambda view: view.watchers + len(view.listening),
    ),
}

_COUNTERS: Final[dict[str, tuple[str, Callable[[StationView], float]]]] = {
    "esploader_port_to_device_bytes": (
        "Bytes that clients have sent to the device",
        lambda view: view.totals.to_port,
    ),
    "esploader_port_to_client_bytes": (
        "Bytes of the device that clients have been sent",
        lambda view: view.totals.to_client,
    ),
    "esploader_port_resets": ("Resets of the device", lambda view: view.totals.resets),
    "esploader_port_clients": ("Clients that got the port", lambda view: view.totals.clients),
    "esploader_port_refusals": (
        "Clients of the port that were sent away",
        lambda view: view.totals.refusals,
    ),
    "esploader_port_losses": ("Times that the port was lost", lambda view: view.totals.losses),
}


class _Ports(Collector):
    """Tells Prometheus's library what there is."""

    def __init__(self, facts: ServerFacts, views: Sequence[PortView]) -> None:
        self._facts = facts
        self._views = views

    @override
    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "esploader", "The port server", value={"version": self._facts.version}
        )
        yield GaugeMetricFamily(
            "esploader_start_time_seconds",
            "When the server was started, in seconds since 1970",
            value=self._facts.started_at.timestamp(),
        )
        for family, table in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _COUNTERS)):
            for name, (text, value) in table.items():
                metric = family(name, text, labels=("port",))
                for view in self._views:
                    metric.add_metric((_as_label(view),), value(view.station))
                yield metric


def _as_label(view: PortView) -> str:
    # A name that is no text to the system, as that of a file may be, could not be sent.
    return view.place.label.encode("utf-8", "backslashreplace").decode("utf-8")


def exposition(facts: ServerFacts, views: Sequence[PortView]) -> bytes:
    """Return the metrics in the format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Ports(facts, views))
    return generate_latest(registry)
