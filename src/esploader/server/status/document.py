"""How the ports of a server stand, as a JSON document, which ``docs/schemas/status.json`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.classes import frozen

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from esploader.server.station_view import HolderView, ListenerView, StationView, WaiterView
    from esploader.server.status.lab import PortView
    from esploader.server.traffic import Totals

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

SCHEMA: Final = 1
"""The version of the document: a higher one may lack what this one has."""

MAX_TEXT_SIZE: Final = 1024
"""Longer texts are cut, in characters: names and reasons come from outside."""


@frozen(kw_only=True)
class ServerFacts:
    """What does not change while a server runs."""

    version: str
    host: str
    """What its machine calls itself."""

    started_at: dt.datetime
    """In UTC."""


def describe(facts: ServerFacts, views: Iterable[PortView], *, can_change: bool) -> dict[str, Json]:
    """Return the document, apart from what time it is."""
    return {
        "schema": SCHEMA,
        "esploader": facts.version,
        "host": _cut(facts.host),
        "started": _moment(facts.started_at),
        "can_change": can_change,
        "ports": [_port(each) for each in views],
    }


def _port(view: PortView) -> dict[str, Json]:
    place, station = view.place, view.station
    return {
        "name": place.label,
        "url": place.url,
        "tcp_port": place.tcp_port,
        "watch_port": place.watch_port,
        "protocol": place.config.protocol.value,
        "device": _cut(station.device),
        "usb": _usb(station),
        "missing": _cut(station.missing),
        "baudrate": station.baudrate,
        "can_reset": station.has_lines,
        "holder": None if station.holder is None else _holder(station.holder),
        "waiting": [_waiter(each) for each in station.line],
        "listening": [_client(each) for each in station.listening],
        "watcher_count": station.watchers,
        "total": _totals(station.totals),
        "last_error": (
            None
            if station.last_error is None
            else {"text": _cut(station.last_error), "at": _moment(station.last_error_at)}
        ),
    }


def _usb(station: StationView) -> Json:
    port = station.usb_port
    if port is not None:
        return {
            "vid": port.vid,
            "pid": port.pid,
            "serial_number": _cut(port.serial_number),
            "location": _cut(port.location),
            "description": _cut(port.description),
        }
    if station.usb_ids is None:
        return None
    vid, pid = station.usb_ids
    nothing: dict[str, Json] = {"serial_number": None, "location": None, "description": ""}
    return {"vid": vid, "pid": pid, **nothing}


def _holder(holder: HolderView) -> dict[str, Json]:
    return {
        "address": _cut(holder.address),
        "who": _cut(holder.who),
        "since": _moment(holder.since),
        "to_device_bytes": holder.to_port,
        "to_client_bytes": holder.to_client,
        "resets": holder.resets,
        "gates": holder.gates,
        "failures": holder.failures,
    }


def _waiter(waiter: WaiterView) -> dict[str, Json]:
    return {
        "address": _cut(waiter.address),
        "who": _cut(waiter.who),
        "since": _moment(waiter.since),
        "takes_over": waiter.takes_over,
    }


def _client(listener: ListenerView) -> dict[str, Json]:
    return {"address": _cut(listener.address), "who": _cut(listener.who)}


def _totals(totals: Totals) -> dict[str, Json]:
    return {
        "to_device_bytes": totals.to_port,
        "to_client_bytes": totals.to_client,
        "resets": totals.resets,
        "clients": totals.clients,
        "refusals": totals.refusals,
        "losses": totals.losses,
    }


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:MAX_TEXT_SIZE]


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
