"""From the words of a command line to values, for argparse."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Final

from esploader.numerals import real, shown, whole

if TYPE_CHECKING:
    from esploader.transport.steps import ResetSequence

_MAX_WORD: Final = 0xFFFF_FFFF
_MAX_COUNT: Final = 1_000_000
_MAX_SECONDS: Final = 1_000_000.0
_LEAST_SEARCH_TIME: Final = 0.1
_MAX_TCP_PORT: Final = 0xFFFF
_MAX_BAUDRATE: Final = 20_000_000
"""What :func:`esploader.connect` takes; what knows it takes long to load."""
_MAX_USB_ID: Final = 0xFFFF
FLASH_MODES: Final = ("qio", "qout", "dio", "dout")
PARTITION: Final = "part:"
"""In front of the name of a partition that stands in place of an offset."""

_UNITS: Final = {"k": 1 << 10, "m": 1 << 20}
_SIZE: Final = "(.+)([kKmM])[bB]?"
_FREQUENCY: Final = r"keep|\d{1,3}m"
_STATUS_ADDRESS: Final = (
    r"\d+|localhost|[\d.]+|[\dA-Fa-f]*:[\dA-Fa-f:.]*|\[[^\]/]*\](:\d+)?|[^\[\]:/\\]*:\d+"
)
_FLASH_SIZE: Final = r"keep|detect|\d{1,4}[KM]B(-c1)?"


def number(text: str) -> int:
    """Return a number of 32 bits: ``4096``, ``0x1000``, ``4k``, ``4K``, ``1M``, ``1MB``."""
    match = re.fullmatch(_SIZE, text)
    if match is None:
        return _bounded(text, 0, _MAX_WORD)
    unit = _UNITS[match[2].lower()]
    return unit * _bounded(match[1], 0, _MAX_WORD // unit)


class PartitionName:
    """The name of a partition in place of an offset: which that is, the device tells."""

    def __init__(self, name: str) -> None:
        self.name = name


def offset(text: str) -> int | PartitionName:
    """Return an offset in flash, or what stands for one: ``part:NAME``."""
    if not text.startswith(PARTITION):
        return number(text)
    name = text.removeprefix(PARTITION)
    if not name:
        raise argparse.ArgumentTypeError(f"{PARTITION} needs the name of a partition behind it")
    return PartitionName(name)


def size(text: str) -> int | None:
    """Return a number of bytes; ``None`` for ``all``."""
    return None if text.lower() == "all" else number(text)


def count(text: str) -> int:
    """Return how often something is to be done."""
    return _bounded(text, 0, _MAX_COUNT)


def attempts(text: str) -> int:
    """Return how often something is to be tried: 0, or less, means without end."""
    return max(0, _bounded(text, -_MAX_COUNT, _MAX_COUNT))


def baudrate(text: str) -> int:
    """Return a rate in baud."""
    return _bounded(text, 1, _MAX_BAUDRATE)


def tcp_port(text: str) -> int:
    """Return the number of a TCP port, 0 included."""
    return _bounded(text, 0, _MAX_TCP_PORT)


def is_status_address(text: str) -> bool:
    """Tell whether a word behind ``--status`` is its value, and not the name of a port."""
    return re.fullmatch(_STATUS_ADDRESS, text) is not None


def seconds(text: str) -> float:
    """Return how long something takes, or may take."""
    return _real(text, 0, _MAX_SECONDS)


def search_time(text: str) -> float:
    """Return for how long to look for something."""
    return _real(text, _LEAST_SEARCH_TIME, _MAX_SECONDS)


def pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as exc:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no regular expression: {exc}") from None


def reset_sequence(text: str) -> ResetSequence:
    """Return what is to be done to the lines of a port."""
    from esploader.errors import UnsupportedError
    from esploader.transport.reset import parse_custom

    try:
        return parse_custom(text)
    except UnsupportedError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def port_filter(text: str) -> tuple[str, int | str]:
    """Return what a port is to have: ``vid=NUMBER``, ``pid=NUMBER``, ``name=``, ``serial=``."""
    key, _, value = text.partition("=")
    match key.lower():
        case "vid" | "pid":
            return key.lower(), _bounded(value, 0, _MAX_USB_ID)
        case "name" | "serial" if value:
            return key.lower(), value
        case _:
            raise argparse.ArgumentTypeError(
                f"{shown(text)} is none of vid=NUMBER, pid=NUMBER, name=TEXT, serial=TEXT"
            )


class OneOf:
    """Takes one of some names, in any spelling."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self, text: str) -> str:
        """Return the name."""
        wanted = hyphened(text).lower()
        for name in self.names:
            if name.lower() == wanted:
                return name
        raise argparse.ArgumentTypeError(f"{shown(text)} is none of {', '.join(self.names)}")


flash_mode: Final = OneOf("keep", *FLASH_MODES)
"""Takes the name of a flash mode."""


def flash_frequency(text: str) -> str:
    """Return the name of a flash clock; which ones there are depends on the chip."""
    return _named(text, _FREQUENCY, "keep, 80m, 40m or the like")


def flash_size(text: str) -> str:
    """Return the name of a flash size; which ones there are depends on the chip."""
    return _named(text, _FLASH_SIZE, "keep, detect, 4MB or the like")


def _named(text: str, pattern: str, examples: str) -> str:
    if not re.fullmatch(pattern, text):
        raise argparse.ArgumentTypeError(f"{shown(text)} is none of {examples}")
    return text


def hyphened(text: str) -> str:
    """Return a name in its usual spelling."""
    return text.replace("_", "-")


def _real(text: str, low: float, high: float) -> float:
    try:
        return real(text, low, high)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _bounded(text: str, low: int, high: int) -> int:
    try:
        return whole(text, low, high)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
