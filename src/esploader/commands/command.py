"""What a command is: its name, what its help says, what it takes, and what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from esploader.commands.output import Output


class Runner(Protocol):
    """Does what a command is for."""

    def __call__(self, arguments: argparse.Namespace, output: Output, /) -> int | None:
        """Do it, and return an exit code; ``None`` stands for 0."""


class Command(NamedTuple):
    """One command of the command line. Nothing of the library is loaded to declare it."""

    name: str
    """With hyphens; underscores do, too."""

    help: str
    """One line, without a capital and without a full stop."""

    run: Runner

    example: str
    """What is shown at the end of its help: words behind the name of the program."""

    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _parser: None
    """Says what it takes besides the options of every command."""

    has_common_options: bool = True
    """It takes the options of every command, not only in front of its name."""

    heeds_files: bool = True
    """What it does depends on settings in files."""

    only_prints: bool = False
    """What it prints is all that it does."""

    works_with: tuple[str, ...] = ()
    """Of what only prints: the options with which it does more, as their values are called."""

    usage: str | None = None
    """Where argparse would not find it out by itself."""

    @property
    def description(self) -> str:
        """What the help of the command begins with."""
        return f"{self.help[0].upper()}{self.help[1:]}."
