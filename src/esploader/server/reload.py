"""What becomes of a server whose configuration has changed. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from esploader.server.config import PortConfig, ServerConfig
    from esploader.server.discovery import PortSource

NEW_CLIENTS: Final = {
    "allow": "allow",
    "tls": "tls",
    "limits": "limits",
    "takeover": "takeover",
    "token_file": "token-file",
    "announce": "announce",
    "status_names": "status-names",
}
"""What counts for those who come from now on, and how a file calls it."""

NEEDS_RESTART: Final = {
    "tcp_port": "tcp-port",
    "directory_port": "directory-port",
    "bind": "bind",
    "status": "status",
}
"""What is settled when the server begins."""


@frozen(kw_only=True)
class ServedAs:
    """A port as it is served now."""

    config: PortConfig
    tcp_port: int
    is_named: bool
    """The configuration names it; otherwise it was found."""


@frozen(kw_only=True)
class Entry:
    """A port that gets its place."""

    config: PortConfig
    tcp_port: int | None
    """The one that it had; ``None`` for the one that its configuration says, or a new one."""


@frozen(kw_only=True)
class Report:
    """What a change of the configuration has changed."""

    added: tuple[str, ...] = ()
    """Ports, by what they are called."""

    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Their clients have noticed nothing."""

    settings: tuple[str, ...] = ()
    """What else has changed: it counts for clients that come from now on."""

    needs_restart: tuple[str, ...] = ()
    """What else the file says that stays as it was until the server begins anew."""

    missing: tuple[str, ...] = ()
    """Why ports that should be served are not."""

    @property
    def counts(self) -> dict[str, int]:
        """How many ports were added, removed and so on."""
        names = ("added", "removed", "restarted", "kept", "missing")
        return {name: len(getattr(self, name)) for name in names}

    @property
    def is_change(self) -> bool:
        """Anything is not as before."""
        return bool(self.added or self.removed or self.restarted or self.settings or self.missing)


@frozen(kw_only=True)
class Plan:
    """Who leaves and who comes."""

    leaving: tuple[ServedAs, ...]
    entering: tuple[Entry, ...]
    report: Report


def effective(before: ServerConfig, after: ServerConfig) -> ServerConfig:
    """Return ``after`` with what cannot change while a server runs as it was ``before``."""
    kept = {name: getattr(before, name) for name in NEEDS_RESTART}
    if _switches_tls(before, after):
        kept["tls"] = before.tls
    if before.directory_port is None:
        kept["announce"] = False
    return attrs.evolve(after, **kept)


def make_plan(
    before: ServerConfig,
    after: ServerConfig,
    served: Iterable[ServedAs],
    named_now: Collection[PortSource],
) -> Plan:
    """Return what to do about ``served`` for ``after`` to hold in place of ``before``.

    ``named_now`` are those that were found, and that ``after`` names in another way.
    """
    wanted = {port.source: port for port in after.ports}
    numbers = {port.tcp_port: port.source for port in after.ports if port.tcp_port}
    numbers |= {port.watch_port: port.source for port in after.ports if port.watch_port}
    leaving: list[ServedAs] = []
    entering: list[Entry] = []
    labels: dict[str, list[str]] = {"kept": [], "removed": [], "restarted": [], "added": []}
    for each in served:
        source = each.config.source
        config = wanted.pop(source, None)
        if config is None and not each.is_named and source not in named_now:
            config = after.new_ports and attrs.evolve(after.new_ports, source=source)
        is_number_free = numbers.get(each.tcp_port, source) == source
        if config == each.config and is_number_free:
            labels["kept"].append(config.label)
            continue
        leaving.append(each)
        if config is None:
            labels["removed"].append(each.config.label)
            continue
        keeps_number = is_number_free and not config.tcp_port and not each.config.tcp_port
        entering.append(Entry(config=config, tcp_port=each.tcp_port if keeps_number else None))
        labels["restarted"].append(config.label)
    for config in wanted.values():
        entering.append(Entry(config=config, tcp_port=None))
        labels["added"].append(config.label)
    report = Report(
        **{name: tuple(them) for name, them in labels.items()},
        settings=_changed(NEW_CLIENTS, before, effective(before, after)),
        needs_restart=_needing_restart(before, after),
    )
    return Plan(leaving=tuple(leaving), entering=tuple(entering), report=report)


def _changed(names: dict[str, str], before: ServerConfig, after: ServerConfig) -> tuple[str, ...]:
    return tuple(
        key for name, key in names.items() if getattr(before, name) != getattr(after, name)
    )


def _needing_restart(before: ServerConfig, after: ServerConfig) -> tuple[str, ...]:
    keys = _changed(NEEDS_RESTART, before, after)
    if _switches_tls(before, after):
        keys = (*keys, "tls")
    return (*keys, "announce") if after.announce and before.directory_port is None else keys


def _switches_tls(before: ServerConfig, after: ServerConfig) -> bool:
    """Tell whether all URLs would be others."""
    return (before.tls is None) != (after.tls is None)
