"""What is the case at a port, as values: who has it, who waits, what went wrong last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.classes import frozen

if TYPE_CHECKING:
    import datetime as dt

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

    holder: HolderView | None
    """Who has the port."""

    watchers: int
    """How many listen besides."""

    last_error: str | None
    """What went wrong last; ``None`` as long as nothing has."""

    last_error_at: dt.datetime | None
    """When that was, in UTC."""
