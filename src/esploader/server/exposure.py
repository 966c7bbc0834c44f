"""Whom a configuration lets in without asking who it is. Nothing here does I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.server.access import is_loopback

if TYPE_CHECKING:
    from esploader.server.config import ServerConfig


def is_exposed(config: ServerConfig) -> bool:
    """Tell whether anybody on the network can use the ports."""
    return _is_open(config, *config.bind)


def is_status_exposed(config: ServerConfig) -> bool:
    """Tell whether anybody on the network can see the status page."""
    status = config.status
    return status is not None and status.host is not None and _is_open(config, status.host)


def _is_open(config: ServerConfig, *hosts: str) -> bool:
    is_reachable = not all(is_loopback(host) for host in hosts)
    return is_reachable and not config.allow.networks and config.tls is None
