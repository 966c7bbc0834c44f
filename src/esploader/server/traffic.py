"""What went through a port while one client had it."""

from __future__ import annotations

from esploader.classes import define


@define
class Traffic:
    """What one client has done."""

    to_port: int = 0
    """In bytes."""

    to_client: int = 0
    """In bytes."""

    resets: int = 0
    """Reset sequences that were recognised, and resets by clients that set every line
    themselves."""

    gates: int = 0
    """Gates that opened."""

    failures: int = 0
    """Gates that failed, and times that the port was lost."""


@define
class Totals:
    """What has happened at a port since it is served, by all of its clients."""

    to_port: int = 0
    """In bytes."""

    to_client: int = 0
    """In bytes."""

    resets: int = 0
    clients: int = 0
    """Those that got the port; one that lent it, and had it back, more than once."""

    refusals: int = 0
    """Clients that were sent away, or left before they said what they are."""

    losses: int = 0
    """Times that the port was lost."""

    def add(self, traffic: Traffic) -> None:
        """Add what a client has done that has left."""
        self.to_port += traffic.to_port
        self.to_client += traffic.to_client
        self.resets += traffic.resets
