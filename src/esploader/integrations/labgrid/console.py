"""A port that others have: theirs again when we are done with it.

labgrid leaves a console active when somebody else opens its port. Two clients of one port take
each other's bytes, and our server lets only one in.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from labgrid.binding import BindingState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labgrid import Target
    from labgrid.driver import Driver
    from labgrid.resource import Resource

_log: Final = logging.getLogger(__name__)


@contextlib.contextmanager
def borrowed(target: Target, port: Resource, borrower: Driver) -> Iterator[None]:
    """Deactivate whoever else has ``port``, and what is built on them; activate them afterwards.

    However that ends. What goes wrong then is raised, unless something else went wrong before.
    """
    taken: list[Driver] = []
    try:
        for client in sorted(port.clients, key=_name):
            if client is not borrower and client.state is BindingState.active:
                taken += target.deactivate(client)
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            _give_back(target, taken)
        raise
    _give_back(target, taken)


def _give_back(target: Target, taken: Sequence[Driver]) -> None:
    """Activate all of ``taken`` that can be; raise what was first in the way of one."""
    failures: list[Exception] = []
    for driver in taken:
        try:
            target.activate(driver)
        except Exception as exc:  # noqa: BLE001 - whatever a driver of somebody else raises
            _log.warning("%s is not active again: %s", _name(driver), exc)
            failures.append(exc)
    if failures:
        raise failures[0]


def _name(driver: Driver) -> str:
    name: str = driver.display_name
    return name
