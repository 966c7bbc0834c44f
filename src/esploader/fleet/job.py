"""What is to be done to one board: which port, what is written, and how."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from esploader.classes import frozen, override
from esploader.connector import DEFAULT_ATTEMPTS, DEFAULT_BAUDRATE
from esploader.errors import ConfigError
from esploader.flash.parameters import KEEP_PARAMETERS, FlashParameters
from esploader.image.partitions import DEFAULT_OFFSET
from esploader.loader.resetting import After
from esploader.numerals import shown
from esploader.server.discovery import UsbIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.flash.artefact import Artefact
    from esploader.flash.place import Offset
    from esploader.flash.source import Source
    from esploader.fleet.results import Found
    from esploader.loader.download_mode import Before
    from esploader.transport.base import Transport
    from esploader.transport.steps import ResetSequence

_ONE_A_HOST: Final = frozenset({"rfc2217", "rfc2217+tls", "socket"})
"""What is reached by these is the same at the same host and TCP port."""

_END_OF_HOST: Final = re.compile("[/?#]")

Port: TypeAlias = "str | os.PathLike[str] | UsbIdentity | Callable[[], Transport]"
"""A name, a URL, what a USB port is known by whatever it is called, or what opens a transport, anew
for each attempt."""


class DeviceInput(NamedTuple):
    """What goes to one board alone."""

    where: Offset | str
    """An offset, a place in a partition, or the name of a partition."""
    source: Source
    """What goes there: bytes, the path of a file, or an open one."""
    encrypted: bool = False
    """The device encrypts it as it writes it."""


DeviceInputs: TypeAlias = "Callable[[Found], Iterable[DeviceInput | tuple[Offset | str, Source]]]"
"""Returns what a board gets besides, once it is known which one it is. Called in its thread; what
it raises fails that board."""


@frozen(kw_only=True)
class Job:
    """What is to be done to the board at one port."""

    port: Port
    """Where the board is."""
    artefact: Artefact
    """What is written; many jobs share one."""
    label: str = ""
    """What the place is called; by default as the port."""
    device_inputs: DeviceInputs | None = None
    """Returns what the board gets besides, as soon as it is known which one it is."""
    check: Callable[[Device], object] | None = None
    """Called with the board before anything is planned; what it raises fails that board."""
    table_offset: int = DEFAULT_OFFSET
    """Where the partition table is by which names of partitions go."""

    chip: str | None = None
    """As :func:`esploader.connect` has it."""
    baudrate: int = DEFAULT_BAUDRATE
    """As :func:`esploader.connect` has it."""
    before: Before = "default-reset"
    """As :func:`esploader.connect` has it."""
    attempts: int = DEFAULT_ATTEMPTS
    """As :func:`esploader.connect` has it."""
    open_attempts: int = 1
    """As :func:`esploader.connect` has it."""
    reset_sequence: ResetSequence | None = None
    """As :func:`esploader.connect` has it."""
    hard_reset_sequence: ResetSequence | None = None
    """As :func:`esploader.connect` has it."""
    reset_delay: float | None = None
    """As :func:`esploader.connect` has it."""
    stub: bool | str | os.PathLike[str] = True
    """As :func:`esploader.connect` has it."""
    chips: Sequence[Chip] | None = None
    """As :func:`esploader.connect` has it."""

    parameters: FlashParameters = KEEP_PARAMETERS
    """As :meth:`DeviceFlash.write <esploader.device.flash.DeviceFlash.write>` has it."""
    erase_all: bool = False
    """As :meth:`DeviceFlash.write <esploader.device.flash.DeviceFlash.write>` has it."""
    skip: bool = True
    """As :meth:`DeviceFlash.write <esploader.device.flash.DeviceFlash.write>` has it."""
    compress: bool | None = None
    """As :meth:`DeviceFlash.write <esploader.device.flash.DeviceFlash.write>` has it."""
    force: bool = False
    """As :meth:`DeviceFlash.write <esploader.device.flash.DeviceFlash.write>` has it."""

    after: After = After.HARD_RESET
    """How the board is left, whatever became of it."""

    @override
    def __repr__(self) -> str:
        return f"<Job: {self.artefact!r} to {self.name}>"

    @property
    def name(self) -> str:
        """What the place is called in messages."""
        return self.label or self.port_name

    @property
    def port_name(self) -> str:
        """Name or URL of the port, or what it is known by; of what opens one, what it is called."""
        if isinstance(self.port, UsbIdentity):
            return str(self.port)
        if isinstance(self.port, str | os.PathLike):
            return os.fspath(self.port)
        return getattr(self.port, "__qualname__", type(self.port).__name__)


def require_at_least(name: str, value: int | None, low: int) -> None:
    """Refuse a number that makes no sense: many a caller has no types.

    Raises:
        ConfigError: it makes none.
    """
    if value is None:
        return
    if not isinstance(value, int):
        raise ConfigError(name, f"{shown(value)} is not a whole number")
    if value < low:
        raise ConfigError(name, f"{shown(value)} is less than {low}")


def require_real(name: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Refuse what is no number, is infinite, or does not lie between the two.

    Raises:
        ConfigError: that is so.
    """
    if value is None:
        return
    if not _is_finite(value):
        raise ConfigError(name, f"{shown(value)} is not a number")
    if value < low:
        raise ConfigError(name, f"{shown(value)} is less than {low:g}")
    if value > high:
        raise ConfigError(name, f"{shown(value)} is more than {high:g}")


def require_time(name: str, value: float | None) -> None:
    """Refuse a time in seconds in which nothing can be done.

    Raises:
        ConfigError: it is none.
    """
    require_real(name, value, 0.0)
    if value == 0:
        raise ConfigError(name, "no time at all is not enough")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def require_distinct(jobs: Iterable[Job]) -> None:
    """Refuse the same port twice, and two places that are called the same.

    Raises:
        ConfigError: that is so.
    """
    ports: dict[object, str] = {}
    names: set[str] = set()
    for job in jobs:
        port = _real(job.port)
        if port in ports:
            raise ConfigError(job.name, f"its port is that of {ports[port]}, too")
        ports[port] = job.name
        if job.name in names:
            raise ConfigError(job.name, "more than one place is called that")
        names.add(job.name)


def _real(port: Port) -> object:
    """Return what two names of the same port have in common."""
    if not isinstance(port, str | os.PathLike):
        try:
            hash(port)
        except TypeError:
            return id(port)
        # Of a method there is another object each time it is named, and they are equal.
        return port
    name = os.fspath(port)
    scheme, separator, rest = name.partition("://")
    if not separator:
        return os.path.realpath(name)
    if scheme.lower() in _ONE_A_HOST:
        # Whatever else the URL says, it is the same server, which has one port.
        return _END_OF_HOST.split(rest, 1)[0].lower()
    return name
