"""Which port each entry of a configuration has: no two the same, and none another board's.

An entry may fit several boards. It gets the first of them, says so, and keeps to that board:
when it is gone, another one that fits does not take its place and its name.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TypeAlias

import attrs

from esploader.classes import define
from esploader.errors import PortNotFoundError
from esploader.server.discovery import UsbIdentity
from esploader.transport.hwgrep import is_hwgrep, matching_devices
from esploader.transport.ports import (
    described,
    interface_of,
    is_same_device,
    list_ports,
    socket_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esploader.server.discovery import PortSource
    from esploader.transport.ports import PortInfo

Remark: TypeAlias = "Callable[[str, dict[str, str]], None]"
"""Is told of an event and its fields, in any thread."""


@define
class Board:
    """The board that an entry has had, as far as anything tells it from its like."""

    port: PortInfo
    """What it was last."""

    _products: dict[tuple[int | None, int | None], PortInfo] = attrs.field(factory=dict, init=False)
    """What it was with each pair of USB ids: they depend on what runs in a chip."""

    _has_clones: bool = attrs.field(default=False, init=False)
    """Other boards have its serial number."""

    _has_siblings: bool = attrs.field(default=False, init=False)
    """It has several ports."""

    def __attrs_post_init__(self) -> None:
        self.take(self.port)

    def take(self, port: PortInfo) -> None:
        """Take note of what it is now."""
        self.port = self._products[port.vid, port.pid] = port

    def look(self, listed: Iterable[PortInfo]) -> None:
        """Take note of its like among the ports that are plugged in at the same time."""
        alike = [port for port in listed if is_same_device(self._known(port), port)]
        if len({socket_of(port) for port in alike}) > 1:
            self._has_clones = True
        places = [port for port in listed if port.vid and socket_of(port) == socket_of(self.port)]
        if len(places) > 1:
            self._has_siblings = True

    def is_at(self, port: PortInfo) -> bool:
        """Tell whether ``port`` is this board."""
        known = self._known(port)
        if self._has_clones and socket_of(known) != socket_of(port):
            return False
        return is_same_device(known, port)

    def may_be(self, port: PortInfo, source: PortSource) -> bool:
        """Tell whether ``port``, which fits ``source``, may come in its place."""
        is_place_given = isinstance(source, UsbIdentity) and (
            source.location is not None
            # Another place is nothing to a serial number, unless several have it.
            or (source.serial_number is not None and not self._has_clones)
        )
        if not is_place_given:
            return self.is_at(port)
        return not self._has_siblings or interface_of(port) == interface_of(self.port)

    def _known(self, port: PortInfo) -> PortInfo:
        return self._products.get((port.vid, port.pid), self.port)


@define
class Claims:
    """Which device each entry has. Threads share it."""

    _ports: Callable[[], list[PortInfo]] = list_ports
    _labels: dict[PortSource, str] = attrs.field(factory=dict, init=False)
    _devices: dict[PortSource, str] = attrs.field(factory=dict, init=False)
    _chosen: dict[PortSource, tuple[PortInfo, list[PortInfo]]] = attrs.field(
        factory=dict, init=False
    )
    _boards: dict[PortSource, Board] = attrs.field(factory=dict, init=False)
    _told: dict[PortSource, set[str]] = attrs.field(factory=dict, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    remark: Remark = attrs.field(default=lambda _event, _fields: None, init=False)

    def add(self, source: PortSource, label: str) -> None:
        """Let an entry claim ports; ``label`` is what messages call it."""
        with self._lock:
            self._labels[source] = label

    def remove(self, source: PortSource) -> None:
        """Forget an entry, and which board it has had."""
        with self._lock:
            for known in (self._labels, self._devices, self._chosen, self._boards, self._told):
                known.pop(source, None)

    def claim(self, source: PortSource) -> str:
        """Return the device name or URL to open, which is the entry's until it claims again.

        Raises:
            PortNotFoundError: no port that fits is plugged in, or only another board than the
                one that the entry has had.
        """
        is_choice = may_fit_several(source)
        if isinstance(source, str) and "://" in source and not is_choice:
            return source
        listed = self._ports()
        with self._lock:
            self._devices.pop(source, None)
            self._chosen.pop(source, None)
            if isinstance(source, str) and not is_choice:
                names = _names_of(source)
                found = next((port for port in listed if port.device in names), None)
                device = source
            else:
                found = self._choose(source, listed)
                device = found.device
            self._devices[source] = os.path.realpath(device)
            if found is not None and found.vid is not None:
                self._chosen[source] = (found, listed)
        return device

    def opened(self, source: PortSource) -> None:
        """Take note that what was claimed could be opened: from now on it is the entry's board."""
        with self._lock:
            if source not in self._chosen:
                return
            port, listed = self._chosen.pop(source)
            board = self._boards.setdefault(source, Board(port))
            if not board.is_at(port):
                fields = {"port": self._labels[source], "before": described(board.port)}
                self.remark("another-board", {**fields, "now": described(port)})
            board.take(port)
            board.look(listed)

    def look(self) -> list[PortInfo]:
        """Look at what is plugged in, say which entries fit more than one port, and return it."""
        listed = self._ports()
        with self._lock:
            for source, board in self._boards.items():
                if source in self._devices:
                    board.look(listed)
            for source in self._devices:
                # Who has none yet is about to claim one, and says it then.
                if may_fit_several(source):
                    self._say_several(source, self._fitting(source, listed))
        return listed

    def taken(self) -> set[str]:
        """Return the devices that have an owner."""
        with self._lock:
            return set(self._devices.values())

    def _choose(self, source: PortSource, listed: list[PortInfo]) -> PortInfo:
        fitting = self._fitting(source, listed)
        taken = set(self._devices.values())
        free = [port for port in fitting if os.path.realpath(port.device) not in taken]
        board = self._boards.get(source)
        if board is not None:
            board.look(listed)
        mine = [port for port in free if board is None or board.may_be(port, source)]
        if mine:
            last = None if board is None else board.port.device
            chosen = next((port for port in mine if port.device == last), mine[0])
            self._say_several(source, fitting, chosen.device)
            return chosen
        self._say_several(source, fitting)
        reason = "no such USB port is plugged in"
        if free and board is not None:
            reason = (
                f"{described(board.port)} was served and is gone; what fits, too, is another one, "
                f"and is not served in its place before a restart: "
                f"{', '.join(map(described, free))}"
            )
        elif fitting:
            reason = "what fits is served under another name"
        raise PortNotFoundError(str(source), reason)

    def _fitting(self, source: PortSource, listed: list[PortInfo]) -> list[PortInfo]:
        """Return the ports that fit, without those that another entry means more clearly."""
        if isinstance(source, UsbIdentity):
            matching = [port for port in listed if source.matches(port)]
        else:
            by_name = {port.device: port for port in listed}
            names = [name for name in matching_devices(source) if name in by_name]
            matching = [by_name[name] for name in names]
        others = [other for other in self._labels if other != source]
        return [
            port
            for port in matching
            if not any(self._goes_before(other, source, port) for other in others)
        ]

    def _goes_before(self, other: PortSource, source: PortSource, port: PortInfo) -> bool:
        """Tell whether ``port`` is rather for another entry, there or not."""
        if isinstance(other, str) and "://" not in other:
            return port.device in _names_of(other)
        if _is_pinned(source):
            return False
        if isinstance(other, UsbIdentity) and _is_pinned(other):
            return other.matches(port)
        board = self._boards.get(other)
        return board is not None and board.is_at(port)

    def _say_several(
        self, source: PortSource, fitting: list[PortInfo], chosen: str | None = None
    ) -> None:
        """Say that an entry fits several ports, once for all that are plugged in."""
        several = [described(port) for port in fitting]
        told = self._told.setdefault(source, set())
        if len(several) < 2 or told.issuperset(several):  # noqa: PLR2004 - several
            return
        told.update(several)
        fields = {
            "port": self._labels[source],
            "ports": ", ".join(several),
            "served": chosen or self._devices.get(source, "none"),
            "advice": _advice(source, fitting),
        }
        self.remark("fits-several", fields)


def may_fit_several(source: PortSource) -> bool:
    """Tell whether an entry describes ports, and does not name one."""
    return isinstance(source, UsbIdentity) or is_hwgrep(source)


def _advice(source: PortSource, fitting: list[PortInfo]) -> str:
    """Return what tells ports apart."""
    keys = {
        "serial": [port.serial_number for port in fitting],
        "location": [port.location for port in fitting],
    }
    telling = [
        key
        for key, values in keys.items()
        if None not in values and len(set(values)) == len(values)
    ]
    if not telling:
        return "name the device: nothing else tells them apart"
    words = " or ".join(telling)
    if isinstance(source, UsbIdentity):
        return f"add {words} to the entry"
    return f"use an entry usb = {{...}} with {words}"


def _is_pinned(source: PortSource) -> bool:
    """Tell whether an entry says which board or which place it means."""
    return isinstance(source, UsbIdentity) and bool(source.serial_number or source.location)


def _names_of(device: str) -> set[str]:
    return {device, os.path.realpath(device)}
