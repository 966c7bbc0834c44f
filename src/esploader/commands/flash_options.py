"""Options and arguments that commands for the flash share, and what sizes are called."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from esploader.commands.values import (
    PartitionName,
    flash_frequency,
    flash_mode,
    flash_size,
    number,
    offset,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Unheeded(argparse.Action):
    """An option that esptool has, and that can make no difference here."""

    def __init__(self, *args: object, why: str, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._why = why

    # `override` of esploader.classes loads attrs, which takes longer than all else here.
    def __call__(  # type: ignore[explicit-override]
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse passes it
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Note why it makes none."""
        setattr(namespace, self.dest, values or True)
        namespace.details.append(f"{option_string} has no effect: {self._why}")


def add_no_progress(parser: argparse.ArgumentParser) -> None:
    """Add what ``-p`` means to commands that show progress: behind them it is never a port."""
    parser.add_argument(
        "-p",
        "--no-progress",
        action="store_true",
        default=argparse.SUPPRESS,
        help="draw no progress; the port is --port, or -p in front of the command",
    )


def add_spi_connection(parser: argparse.ArgumentParser) -> None:
    """Add where the flash is."""
    parser.add_argument(
        "-sc",
        "--spi-connection",
        metavar="PINS",
        help="where the flash is: SPI, HSPI (ESP32) or five pins, CLK,Q,D,HD,CS (default: SPI)",
    )


def add_flash_parameters(parser: argparse.ArgumentParser) -> None:
    """Add what goes into the header of the bootloader."""
    for short, name, check, values in (
        ("-fm", "mode", flash_mode, "qio, qout, dio, dout or keep"),
        ("-ff", "freq", flash_frequency, "80m, 40m, ... as the chip has them, or keep"),
        ("-fs", "size", flash_size, "1MB, 2MB, ... as the chip has them, detect or keep"),
    ):
        parser.add_argument(
            short,
            f"--flash-{name}",
            type=check,
            default="keep",
            metavar=name.upper(),
            help=f"what to put into the bootloader's header: {values} "
            f"(default: keep; environment: ESPTOOL_{short[1:].upper()})",
        )


def add_inputs(parser: argparse.ArgumentParser, *, nargs: str = "+") -> None:
    """Add pairs of an offset and a file."""
    parser.add_argument(
        "inputs",
        nargs=nargs,
        action=PairsAction,
        metavar="OFFSET FILE",
        help="where to (part:NAME for a partition), and what; as often as wanted",
    )
    add_table_offset(parser)


def add_table_offset(parser: argparse.ArgumentParser) -> None:
    """Add where the table is in which the names of partitions are looked up."""
    parser.add_argument(
        "--partition-table-offset",
        type=number,
        default=0x8000,
        metavar="OFFSET",
        help="where the device has its partition table (default: 0x8000)",
    )


WHOLE_PARTITION: Final = -1
"""The size of which nothing was said."""


class ExtentAction(argparse.Action):
    """Takes a size, which may be left out where a partition says it."""

    # typing_extensions, for its `override`, takes as long to import as all else here.
    def __call__(  # type: ignore[explicit-override]
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,  # noqa: ARG002 - argparse passes it
    ) -> None:
        """Take the size."""
        if values == WHOLE_PARTITION and not isinstance(namespace.offset, PartitionName):
            parser.error("the following arguments are required: SIZE")
        namespace.size = values


def add_extent(parser: argparse.ArgumentParser, help_of_size: str) -> None:
    """Add where something begins, and how many bytes it is about."""
    parser.add_argument(
        "offset", type=offset, metavar="OFFSET", help="where to begin; part:NAME for a partition"
    )
    parser.add_argument(
        "size",
        type=size,
        nargs="?",
        default=WHOLE_PARTITION,
        action=ExtentAction,
        metavar="SIZE",
        help=f"{help_of_size}; not needed for a whole partition",
    )
    add_table_offset(parser)


class PairsAction(argparse.Action):
    """Collects offsets and files, one after the other, into pairs."""

    # `override` of esploader.classes loads attrs, which takes longer than all else here.
    def __call__(  # type: ignore[explicit-override]
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,  # noqa: ARG002 - argparse passes it
    ) -> None:
        """Take the words as pairs."""
        words = [str(value) for value in values or ()]
        # None at all will do where there are files to be encrypted.
        if not words and not namespace.encrypt_files:
            parser.error("the following arguments are required: OFFSET FILE")
        try:
            offsets = [offset(word) for word in words[::2]]
        except argparse.ArgumentTypeError as exc:
            parser.error(str(exc))
        if len(words) % 2:
            parser.error("offsets and files come in pairs")
        setattr(namespace, self.dest, [*zip(offsets, words[1::2], strict=True)])


def pace(size: int, seconds: float) -> str:
    """Return how long ``size`` bytes took, and the rate, in the words that tools know."""
    rate = f" ({size * 8 / seconds / 1000:.1f} kbit/s)" if seconds else ""
    return f"in {seconds:.1f} seconds{rate}"
