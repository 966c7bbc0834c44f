"""The commands of ``stub``, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.options import add_exit_codes_option, add_json_option

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Output


def _add_actions(stub: argparse.ArgumentParser) -> None:
    """Add ``stub install``, ``stub list`` and ``stub remove`` to the parser of ``stub``."""
    actions = stub.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser(
        "install",
        help="install Espressif's stubs for this user",
        description="Install Espressif's flasher stubs (MIT OR Apache-2.0) for this user: from an "
        "installed esptool, else from the page of their releases.",
        epilog="example:\n  esploader stub install --from esptool-5.6.0.tar.gz",
    )
    install.add_argument(
        "--from",
        dest="source",
        metavar="PLACE",
        help="a file, a folder, esptool's source archive, or a URL of one of these "
        "(default: an installed esptool, else the release page)",
    )
    install.add_argument("--trust", action="store_true", help="take stubs that are not known, too")
    listing = actions.add_parser(
        "list",
        help="list the stubs of this user",
        description="List the stubs of this user, and their versions.",
        epilog="example:\n  esploader stub list --json",
    )
    remove = actions.add_parser(
        "remove",
        help="remove the stubs of this user",
        description="Remove the stubs of this user.",
        epilog="example:\n  esploader stub remove",
    )
    for action in (install, listing, remove):
        add_json_option(action)
        add_exit_codes_option(action)


def _stub(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.commands import stubs

    match arguments.action:
        case "install":
            stubs.install(arguments, output)
        case "list":
            stubs.show(output)
        case _:
            stubs.remove(output)


COMMANDS: Final = (
    Command(
        name="stub",
        help="install, list and remove stubs",
        add_arguments=_add_actions,
        heeds_files=False,
        run=_stub,
        example="stub install",
        has_common_options=False,
    ),
)
