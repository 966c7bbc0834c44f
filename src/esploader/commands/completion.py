"""The command ``completion``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output

SHELLS: Final = ("bash", "zsh", "fish", "powershell")


def _add_shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def _completion(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.commands.completion_scripts import script

    output.part(script(arguments.shell))


COMMANDS: Final = (
    Command(
        name="completion",
        help="print what completes words in a shell",
        add_arguments=_add_shell,
        run=_completion,
        example="completion bash",
        has_common_options=False,
        heeds_files=False,
        only_prints=True,
    ),
)
