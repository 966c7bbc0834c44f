"""A server whose configuration a test changes while it runs."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader.server.control import ControlSocket, ask_to_reload
from esploader.server.port_server import PortServer
from esploader.server.upkeep import Upkeep
from served import Plugs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.server.config import ServerConfig
    from esploader.server.place import Place
    from esploader.server.reload import Report


@attrs.define
class Reloadable:
    """A server in a thread."""

    server: PortServer
    config: ServerConfig
    """What a reload finds."""

    path: Path
    """Where it is asked for one."""

    def reload(self, config: ServerConfig) -> Report:
        """Have it do what ``config`` says; return what has changed."""
        self.config = config
        return ask_to_reload(self.path, self.path)

    def place(self, label: str) -> Place:
        """Return where a port is found."""
        return next(place for place in self.server.places if place.label == label)


@contextlib.contextmanager
def reloadable(config: ServerConfig, plugs: Plugs | None = None) -> Iterator[Reloadable]:
    """Serve in a thread."""
    plugged = plugs or Plugs()
    # The name of a Unix socket has to be short.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control" / "server.sock"
        control = ControlSocket.listen(path)
        upkeep = Upkeep(reread=lambda: made.config, control=control)
        server = PortServer(
            config, on_place=lambda _: None, ports=plugged.list_ports, upkeep=upkeep
        )
        made = Reloadable(server, config, path)
        with contextlib.closing(control), server:
            server.listen()
            server.start()
            yield made
