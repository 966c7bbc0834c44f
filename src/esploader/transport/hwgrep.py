"""``hwgrep://``: pyserial's way to name a port by what its descriptors say.

pyserial takes the first port that fits. Which others do, nobody would know.
"""

from __future__ import annotations

from typing import Final

_PREFIX: Final = "hwgrep://"


def is_hwgrep(port: str) -> bool:
    """Tell whether it is a URL of this scheme."""
    return port.lower().startswith(_PREFIX)


def matching_devices(url: str) -> list[str]:
    """Return the names of the ports that fit ``url``, as pyserial orders them.

    Where the URL says which of them (``&n=2``), only that one. Raises :exc:`ValueError` or
    :exc:`re.error` for one that makes no sense.
    """
    from serial.tools import list_ports

    expression, *options = url[len(_PREFIX) :].split("&")
    found = [port.device for port in sorted(list_ports.grep(expression))]
    for name, _, value in (option.partition("=") for option in options):
        if name == "n":
            found = found[int(value) - 1 : int(value)]
    return found
