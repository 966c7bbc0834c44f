"""How a server that runs is told to read its configuration file again, and what it says of it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from esploader.commands.ending import has_terminal
from esploader.errors import ConfigError
from esploader.server.control import ControlSocket, ask_to_reload, control_path, has_control

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from esploader.commands.output import Output
    from esploader.server.reload import Report


def reload(arguments: argparse.Namespace, output: Output) -> None:
    """Have the server that has this configuration file read it again, and say what has changed.

    Raises:
        ConfigError: there is no such server, or it goes on as before.
    """
    if arguments.config is None:
        raise ConfigError("--reload", "it needs --config: the file to be read again")
    if not has_control():
        raise ConfigError("--reload", "this system has no Unix sockets; start the server again")
    path = Path(arguments.config)
    report = ask_to_reload(control_path(path, os.environ), path)
    write_report(report, output)
    output.finish(
        {
            "reload": {
                "added": [*report.added],
                "removed": [*report.removed],
                "restarted": [*report.restarted],
                "kept": [*report.kept],
                "missing": [*report.missing],
                "settings": [*report.settings],
                "needs_restart": [*report.needs_restart],
            }
        }
    )


def write_report(report: Report, output: Output) -> None:
    """Say what has changed."""
    for word, labels in (
        ("Added", report.added),
        ("Removed", report.removed),
        ("Restarted", report.restarted),
    ):
        for label in labels:
            output.line(f"{word} {label}")
    for key in report.settings:
        output.line(f"Changed {key}, for clients that come from now on")
    if not report.is_change:
        output.line("Nothing has changed")
    for reason in report.missing:
        output.write(f"WARNING: not served: {reason}\n")
    for key in report.needs_restart:
        output.write(f"WARNING: {key} needs a restart of the server\n")


@contextmanager
def control_socket(config_file: str | None, output: Output) -> Iterator[ControlSocket | None]:
    """Yield where ``--reload`` reaches a server; ``None`` where that cannot be, which is noted."""
    if config_file is None or not has_control():
        yield None
        return
    try:
        control = ControlSocket.listen(control_path(Path(config_file), os.environ))
    except ConfigError as exc:
        output.note(f"--reload will not reach this server: {exc}")
        yield None
        return
    try:
        yield control
    finally:
        control.close()


def reload_signal(config_file: str | None, heeded: list[int]) -> int | None:
    """Return the signal that has the file read again: SIGHUP, where it tells of no terminal."""
    if sys.platform == "win32":  # no test
        return None
    is_free = config_file is not None and signal.SIGHUP in heeded and not has_terminal()
    return signal.SIGHUP if is_free else None
