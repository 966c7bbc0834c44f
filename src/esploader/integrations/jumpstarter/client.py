"""The class that clients of jumpstarter load for a board.

In a leased session they do so only if ``drivers.allow`` in their configuration has ``esploader.*``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.classes import override
from esploader.integrations.jumpstarter.cli import make_cli
from esploader.integrations.jumpstarter.remote_board import RemoteBoard

if TYPE_CHECKING:
    import click


class EspLoaderClient(RemoteBoard):
    """The client of :class:`~esploader.integrations.jumpstarter.driver.EspLoader`."""

    @override
    def cli(self) -> click.Group:
        """Return the commands of ``j``."""
        return make_cli(self)
