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
