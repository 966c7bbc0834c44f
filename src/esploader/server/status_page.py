"""The status page of a port server, where one is wanted; what serves it is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from esploader.server.config import ServerConfig
    from esploader.server.journal import Journal
    from esploader.server.place import OpenPlace
    from esploader.server.status.serving import StatusServer


def make_status_page(
    config: ServerConfig, places: Callable[[], Iterable[OpenPlace]], journal: Journal
) -> StatusServer | None:
    """Return what serves the page, if the configuration says where.

    Raises:
        ConfigError: what it is made with is not installed.
    """
    if config.status is None:
        return None
    try:
        from esploader.server.status.serving import StatusServer
    except ImportError as exc:
        reason = f"it needs {exc.name}: pip install 'esploader[status]'"
        raise ConfigError("the status page", reason) from exc
    return StatusServer(config.status, places, journal)
