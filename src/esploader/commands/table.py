"""Which commands there are, in the order of the help, and which module declares each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from esploader.commands.command import Command

HOMES: Final = {
    "flash-id": "flash_chip",
    "chip-id": "chip",
    "read-mac": "chip",
    "get-security-info": "chip",
    "write-flash": "flash",
    "flash": "build",
    "monitor": "monitor",
    "fleet": "fleet",
    "verify-flash": "flash",
    "read-flash": "flash",
    "erase-flash": "flash",
    "erase-region": "flash",
    "partition-table": "partitions",
    "read-flash-status": "flash_chip",
    "write-flash-status": "flash_chip",
    "read-flash-sfdp": "flash_chip",
    "read-mem": "memory",
    "write-mem": "memory",
    "dump-mem": "memory",
    "load-ram": "memory",
    "run": "chip",
    "efuse-summary": "efuses",
    "elf2image": "images",
    "image-info": "images",
    "merge-bin": "merge",
    "ports": "ports",
    "version": "version",
    "sim": "sim",
    "serve": "serve",
    "stub": "stub",
    "completion": "completion",
}


def command(name: str) -> Command:
    """Return the command of that name; only the module that declares it is loaded."""
    home = importlib.import_module(f"esploader.commands.{HOMES[name]}")
    declared: tuple[Command, ...] = home.COMMANDS
    (found,) = (each for each in declared if each.name == name)
    return found


def commands() -> list[Command]:
    """Return all of them, for a list of them."""
    return [command(name) for name in HOMES]
