"""For programs that say ``esptool.main([...])`` or run ``python -m esptool``.

``from esploader.compat import esptool`` in place of ``import esptool``, and ``python -m
esploader.compat.esptool`` in place of ``python -m esptool``. What the words mean, and what differs,
is in docs/coming-from-esptool.md.

Sources: what esptool 5.6.0 does when its ``main`` is called; what ESPHome, pytest-embedded and
openshock-autoflasher expect of it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from esploader import cli
from esploader.commands.parser import parse
from esploader.version import __version__ as _our_version

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from esploader.commands.command import Command
    from esploader.device.device import Device

__version__: Final = "5.6.0"
"""The version of esptool whose command line this is measured against."""

_BANNER: Final = f"esptool v{__version__}: in its place esploader v{_our_version}"


def main(argv: Sequence[str] | None = None, esp: Device | None = None) -> None:
    """Run one command, as ``esptool.main`` does; return when it is done.

    ``argv`` are the words behind the name of the program, by default those of this process.
    ``esp`` is a device that is connected already: the work is done there, what says how to connect
    (``--port``, ``--baud``, ``--before``, ``--no-stub``, ...) counts for nothing, ``--chip`` has
    to be right, and its port stays open. It is left as ``--after`` says: after a reset it takes
    another :func:`esploader.connect` to talk to it.

    Results go to ``sys.stdout``, and what went wrong to ``sys.stderr``, as these are when it is
    called. Signals stay what they are to this process.

    Raises:
        SystemExit: 2, it was refused, failed, or cannot be understood; or another code but 0, as
            in docs/command-line.md.
        KeyboardInterrupt: it was interrupted, and the device is left as ``--after`` says.
    """
    words = sys.argv[1:] if argv is None else argv

    def understand(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
        command, arguments = _understand(words)
        arguments.device = esp
        return command, arguments

    code = cli.run(words, understand)
    if code:
        raise SystemExit(code)


def entry_point() -> None:
    """Run the command line of this process and exit."""
    cli.run_process(_understand)


def _understand(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return a command and its arguments; it presents itself as tools that ask for it expect.

    Raises:
        SystemExit: as :func:`esploader.commands.parser.parse`.
    """
    command, arguments = parse(words)
    arguments.banner, arguments.bare_version = _BANNER, __version__
    return command, arguments


if __name__ == "__main__":
    entry_point()
