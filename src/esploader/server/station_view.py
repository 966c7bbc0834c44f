"""What is the case at a port, as values: who has it, who waits, what went wrong last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    import datetime as dt

    from esploader.server.client_end import ClientEnd
    from esploader.server.port_keeper import PortKeeper
    from esploader.server.relay import Relay
    from esploader.server.succession import Succession, Waiter
    from esploader.server.tap import Tap
    from esploader.server.traffic import Totals
    from esploader.transport.ports import PortInfo


@frozen(kw_only=True)
class HolderView:
    """The client that has a port, and what it has done so far."""

    address: str
    """Where it comes from: an address with its TCP port, or the name of a pseudo-terminal."""

    who: str | None
    """Who it says it is; ``None`` where it does not."""

    since: dt.datetime
    """When it got the port, in UTC."""

    to_port: int
    """In bytes."""

    to_client: int
    """In bytes."""

    resets: int
    gates: int
    """Those that opened."""

    failures: int
    """Gates that failed, and times that the port was lost."""


@frozen(kw_only=True)
class WaiterView:
    """A client that waits in line for a port."""

    address: str
    who: str | None
    """Who it says it is; ``None`` where it does not."""

    since: dt.datetime
    """When it came, in UTC."""

    takes_over: bool
    """It takes the port as soon as whoever has it does nothing with it."""


@frozen(kw_only=True)
class ListenerView:
    """A client that gives way to everybody, listens meanwhile, and has the port then."""

    address: str
    who: str | None
    """Who it says it is; ``None`` where it does not."""


@frozen(kw_only=True)
class StationView:
    """A port at one moment."""

    label: str
    """What it is called."""

    device: str | None
    """The name of what is open; ``None`` while nothing is."""

    usb_ids: tuple[int, int] | None
    """USB vendor and product id of the port, where they are known."""

    usb_port: PortInfo | None
    """What is plugged in, where that is known."""

    missing: str | None
    """Why the port could not be opened the last time; ``None`` when it could."""

    baudrate: int | None
    """As it is set now; ``None`` while nothing is open."""

    has_lines: bool
    """Its device can be reset."""

    holder: HolderView | None
    """Who has the port."""

    line: tuple[WaiterView, ...]
    """Who waits for it, the next one first."""

    listening: tuple[ListenerView, ...]
    """Who has the port when nobody waits for it any more, the next one first."""

    watchers: int
    """How many listen besides these."""

    last_error: str | None
    """What went wrong last; ``None`` as long as nothing has."""

    last_error_at: dt.datetime | None
    """When that was, in UTC."""

    totals: Totals
    """What has happened since it is served; of whoever has it now, too."""


def view_station(
    label: str,
    keeper: PortKeeper,
    holder: HolderView | None,
    succession: Succession,
    tap: Tap,
    totals: Totals,
) -> StationView:
    """Return the view of a port; ``totals`` are of those that have had it before."""
    transport = None if keeper.port is None else keeper.port.transport
    listening = succession.listening
    return StationView(
        label=label,
        device=None if transport is None else transport.name,
        usb_ids=keeper.usb_ids,
        usb_port=None if transport is None else transport.usb_port,
        missing=None if keeper.missing is None else str(keeper.missing),
        baudrate=None if transport is None else transport.baudrate,
        has_lines=transport is not None and transport.capabilities.set_lines,
        holder=holder,
        line=tuple(map(view_waiter, succession.line)),
        listening=tuple(map(view_listener, listening)),
        watchers=tap.listener_count - len(listening),
        last_error=keeper.last_error,
        last_error_at=keeper.last_error_at,
        totals=_with(totals, holder),
    )


def view_holder(
    end: ClientEnd | None, since: dt.datetime, relay: Relay | None
) -> HolderView | None:
    """Return the view of the client that has a port; ``None`` when nobody has it."""
    if end is None or relay is None:
        return None
    traffic = relay.traffic
    return HolderView(
        address=end.address,
        who=end.who,
        since=since,
        to_port=traffic.to_port,
        to_client=traffic.to_client,
        resets=traffic.resets,
        gates=traffic.gates,
        failures=traffic.failures,
    )


def view_waiter(waiter: Waiter) -> WaiterView:
    """Return the view of a client that waits in line."""
    end = waiter.end
    return WaiterView(
        address=end.address, who=end.who, since=waiter.since, takes_over=waiter.ask.takes_over
    )


def view_listener(end: ClientEnd) -> ListenerView:
    """Return the view of a client that gives way."""
    return ListenerView(address=end.address, who=end.who)


def _with(totals: Totals, holder: HolderView | None) -> Totals:
    """Return the totals with what whoever has the port has done so far."""
    if holder is None:
        return attrs.evolve(totals)
    return attrs.evolve(
        totals,
        to_port=totals.to_port + holder.to_port,
        to_client=totals.to_client + holder.to_client,
        resets=totals.resets + holder.resets,
    )
