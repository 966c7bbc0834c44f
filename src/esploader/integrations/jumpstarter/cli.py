"""What ``j`` does with a board, on the machine of a board."""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import click
from jumpstarter.client.decorators import driver_click_group
from jumpstarter.streams.encoding import Compression
from rich import get_console

from esploader.commands.progress_display import Lines, bar_on
from esploader.errors import EsploaderError
from esploader.flash.jedec import name_of_size
from esploader.integrations.jumpstarter.wire import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.commands.progress_display import Display
    from esploader.flash.write_plan import RegionResult
    from esploader.integrations.jumpstarter.remote_board import RemoteBoard
    from esploader.integrations.jumpstarter.wire import Event

_TARGET_HELP: Final = "OFFSET:SIZE, or the name of a partition (default: all of the flash)"

_compression: Final = click.option(
    "--compression",
    type=click.Choice(Compression, case_sensitive=False),
    help="how FILE is compressed",
)


def make_cli(board: RemoteBoard) -> click.Group:
    """Return the commands of a board."""
    base: click.Group = driver_click_group(board)(_describe)
    add_flash(base, board)
    add_dump(base, board)
    add_erase(base, board)
    add_others(base, board)
    return base


def _describe() -> None:
    """Flash, read, erase and identify a board with an Espressif chip."""


def add_flash(base: click.Group, board: RemoteBoard) -> None:
    """Add ``flash``."""

    @base.command()
    @click.argument("file", required=False)
    @click.option("--address", "-a", help="where FILE goes: an offset, or the name of a partition")
    @click.option(
        "--target",
        "-t",
        "targets",
        multiple=True,
        metavar="ADDRESS:FILE",
        help="as often as wanted",
    )
    @click.option("--app-only", is_flag=True, help="of a build, write the application alone")
    @click.option("--partition", multiple=True, help="of a build, write this part alone")
    @click.option("--encrypt", is_flag=True, help="have the device encrypt what it writes")
    @click.option("--erase", is_flag=True, help="erase the whole flash first")
    @click.option(
        "--force", is_flag=True, help="do not check the bootloader and the security state"
    )
    @_compression
    def flash(  # noqa: PLR0913 - an option each
        *,
        file: str | None,
        address: str | None,
        targets: tuple[str, ...],
        app_only: bool,
        partition: tuple[str, ...],
        encrypt: bool,
        erase: bool,
        force: bool,
        compression: Compression | None,
    ) -> None:
        """Write FILE, several files, or the folder of a build."""
        if (file is None) is not bool(targets):
            raise click.UsageError("name a FILE, or files by --target")
        is_partial = bool(app_only or partition)
        if is_partial and (file is None or address):
            raise click.UsageError("--app-only and --partition are for builds")
        if file is not None and is_partial:
            write = partial(board.flash_build, file, app_only=app_only, partitions=partition)
        else:
            write = partial(board.flash, file or _by_target(targets), target=address)
        with _shown() as display:
            results = write(
                compression=compression,
                encrypt=encrypt,
                erase_all=erase,
                force=force,
                on_event=display.show,
            )
        for result in results:
            _say_region(result)


def add_dump(base: click.Group, board: RemoteBoard) -> None:
    """Add ``dump``."""

    @base.command()
    @click.argument("file")
    @click.option("--target", "-t", help=_TARGET_HELP)
    @_compression
    def dump(file: str, target: str | None, compression: Compression | None) -> None:
        """Read the flash into FILE."""
        with _shown() as display:
            result = board.dump(file, target=target, compression=compression, on_event=display.show)
        click.echo(f"Read {result.size} bytes from {result.offset:#010x} to '{file}'.")
        click.echo(f"SHA-256: {result.sha256}")


def add_erase(base: click.Group, board: RemoteBoard) -> None:
    """Add ``erase``."""

    @base.command()
    @click.option("--target", "-t", help=_TARGET_HELP)
    @click.option("--force", is_flag=True, help="do not check the security state")
    def erase(*, target: str | None, force: bool) -> None:
        """Erase the flash."""
        with _shown() as display:
            result = board.erase(target=target, force=force, on_event=display.show)
        what = "All of the flash" if result.size is None else f"{result.size} bytes"
        seen = "" if result.verified else ", which nobody can see"
        click.echo(f"{what} from {result.offset:#010x} on erased{seen}.")
        _say_warnings(result.warnings)


def add_others(base: click.Group, board: RemoteBoard) -> None:
    """Add what writes nothing."""

    @base.command()
    def chip_info() -> None:
        """Tell who the device is."""
        with _shown() as display:
            info = board.chip_info(on_event=display.show)
        lines = {
            "Chip": info.chip,
            "Description": info.description,
            "Revision": info.revision,
            "Features": ", ".join(info.features) or None,
            "MAC": info.mac,
            "Flash size": None if info.flash_size is None else name_of_size(info.flash_size),
            "Secure Download Mode": "on" if info.secure_download_mode else None,
        }
        for what, value in lines.items():
            if value is not None:
                click.echo(f"{what}: {value}")

    @base.command()
    def reset() -> None:
        """Reset the device, which runs its application."""
        with _shown() as display:
            board.hard_reset(on_event=display.show)
        click.echo("The device was reset.")

    @base.command()
    def download_mode() -> None:
        """Leave the device in download mode."""
        with _shown() as display:
            board.enter_download_mode(on_event=display.show)
        click.echo("The device is in download mode.")


def _by_target(targets: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for target in targets:
        address, separator, file = target.partition(":")
        if not (address and separator and file):
            raise click.UsageError(f"{target!r} is not ADDRESS:FILE")
        if address in found:
            raise click.UsageError(f"two files are to go to {address}")
        found[address] = file
    return found


class _Shown:
    """Draws progress, and writes notes beside it."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def show(self, event: Event) -> None:
        """Show one more event."""
        if isinstance(event, Note):
            self.end()
            click.echo(f"NOTE: {event.text}", err=True)
        else:
            self._display.show(event)

    def end(self) -> None:
        """Let somebody else write below what is shown."""
        self._display.end()


@contextlib.contextmanager
def _shown() -> Iterator[_Shown]:
    """Show events meanwhile: on a terminal a bar, else lines."""
    shown = _Shown(bar_on(sys.stderr) or Lines(lambda line: click.echo(line, err=True)))
    console = get_console()
    was_quiet = console.quiet
    # jumpstarter draws a bar of its own there for what is sent, and goes on when all is sent.
    console.quiet = True
    try:
        yield shown
    except EsploaderError as exc:
        raise click.ClickException(str(exc)) from exc
    finally:
        console.quiet = was_quiet
        shown.end()


def _say_region(result: RegionResult) -> None:
    where = f"at {result.offset:#010x}"
    if result.written:
        click.echo(f"Wrote {result.written} of {result.size} bytes {where}.")
    else:
        click.echo(f"{result.size} bytes {where} are already in flash.")
    click.echo("Hash of data verified." if result.verified else "Not verified: nobody can see it.")
    _say_warnings(result.warnings)


def _say_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        click.echo(f"WARNING: {warning}", err=True)
