"""Options and arguments that commands for the flash share, and what sizes are called."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from esploader.commands.values import number

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_spi_connection(parser: argparse.ArgumentParser) -> None:
    """Add where the flash is."""
    parser.add_argument(
        "-sc",
        "--spi-connection",
        "--spi_connection",
        metavar="PINS",
        help="where the flash is: SPI, HSPI (ESP32) or five pins, CLK,Q,D,HD,CS (default: SPI)",
    )


def add_flash_parameters(parser: argparse.ArgumentParser) -> None:
    """Add what goes into the header of the bootloader."""
    for short, name, values in (
        ("-fm", "mode", "qio, qout, dio, dout or keep"),
        ("-ff", "freq", "80m, 40m, ... as the chip has them, or keep"),
        ("-fs", "size", "1MB, 2MB, ... as the chip has them, detect or keep"),
    ):
        parser.add_argument(
            short,
            f"--flash-{name}",
            f"--flash_{name}",
            default="keep",
            metavar=name.upper(),
            help=f"what to put into the bootloader's header: {values} (default: keep)",
        )


def add_inputs(parser: argparse.ArgumentParser, *, nargs: str = "+") -> None:
    """Add pairs of an offset and a file."""
    parser.add_argument(
        "inputs",
        nargs=nargs,
        action=PairsAction,
        metavar="OFFSET FILE",
        help="where to, and what; as often as wanted",
    )


class PairsAction(argparse.Action):
    """Collects offsets and files, one after the other, into pairs."""

    # typing_extensions, for its `override`, takes as long to import as all else here.
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
        if len(words) % 2:
            parser.error("offsets and files come in pairs")
        try:
            pairs = [(number(words[i]), words[i + 1]) for i in range(0, len(words), 2)]
        except argparse.ArgumentTypeError as exc:
            parser.error(str(exc))
        setattr(namespace, self.dest, pairs)


def size_name(size: int) -> str:
    """Return what a size of a flash is called."""
    kib = size // 1024
    return f"{kib // 1024}MB" if kib % 1024 == 0 else f"{kib}KB"


def pace(size: int, seconds: float) -> str:
    """Return how long ``size`` bytes took, and the rate, in the words that tools know."""
    rate = f" ({size * 8 / seconds / 1000:.1f} kbit/s)" if seconds else ""
    return f"in {seconds:.1f} seconds{rate}"
