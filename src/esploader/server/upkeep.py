"""What a program gives a port server that runs for long: where to read again, whom to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.server.config import ServerConfig
    from esploader.server.control import ControlSocket
    from esploader.server.reload import Report
    from esploader.server.service_manager import ServiceManager


@frozen(kw_only=True)
class Upkeep:
    """Whatever is not there is not done."""

    reread: Callable[[], ServerConfig] | None = None
    """Returns what the configuration says by now; is called in a thread."""

    on_reload: Callable[[Report], None] = attrs.field(default=lambda _report: None)
    """Is told what has changed, in the loop."""

    on_announced: Callable[[str, tuple[str, ...]], None] = attrs.field(
        default=lambda _name, _addresses: None
    )
    """Is told, in the loop, by what name and with what addresses the network knows the server."""

    control: ControlSocket | None = None
    """Where other programs of the same user ask for that."""

    manager: ServiceManager | None = None
    """Is told how things stand."""
