"""What long operations tell whoever wants to draw them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeAlias

import attrs

from esploader.classes import frozen


@enum.unique
class Phase(enum.Enum):
    """What is being done with the flash, or with memory."""

    COMPARE = "compare"
    """Finding out by hashing on the device what it holds already."""
    ERASE = "erase"
    """Erasing on request: reported at the beginning and at the end."""
    WRITE = "write"
    """Flash is written."""
    READ = "read"
    """Flash or memory is read."""
    VERIFY = "verify"
    """What is in the flash is compared with what should be there."""


@frozen(kw_only=True)
class Progress:
    """One step of a long operation.

    Within a phase of one region ``done`` never decreases, and reaches ``total`` once.
    """

    phase: Phase
    """What is being done."""
    offset: int = attrs.field(repr=hex)
    """Where the region begins."""
    done: int
    """Bytes of the region that are done, skipped ones included."""
    total: int
    """Bytes of the region."""
    wire_bytes: int
    """Bytes sent or received for the whole operation so far, as far as they carry data."""


@frozen(kw_only=True)
class Restarted:
    """The operation goes on from where the device is known to be right."""

    offset: int = attrs.field(repr=hex)
    """The first byte of flash that will be sent or read again."""
    reason: str
    """What went wrong."""


ProgressEvent: TypeAlias = Progress | Restarted

ProgressCallback: TypeAlias = Callable[[ProgressEvent], None]
"""Called with each event. What it raises ends the operation, cleanly."""


def ignore_progress(event: ProgressEvent) -> None:
    """Draw nothing."""
