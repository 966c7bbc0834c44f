"""``hwgrep://``: pyserial's way to name a port by what its descriptors say.

pyserial takes the first port that fits. Which others do, nobody would know.
"""

from __future__ import annotations

import re
from typing import Final

from esploader.errors import UrlError
from esploader.numerals import whole

_PREFIX: Final = "hwgrep://"
_MAX_NUMBER: Final = 10_000


def is_hwgrep(port: str) -> bool:
    """Tell whether it is a URL of this scheme."""
    return port.lower().startswith(_PREFIX)


def matching_devices(url: str) -> list[str]:
    """Return the names of the ports that fit ``url``, as pyserial orders them.

    Where the URL says which of them (``&n=2``), only that one.

    Raises:
        UrlError: it makes no sense.
    """
    from serial.tools import list_ports

    expression, *options = url[len(_PREFIX) :].split("&")
    try:
        found = [port.device for port in sorted(list_ports.grep(expression))]
        for name, _, value in (option.partition("=") for option in options):
            if name == "n":
                number = whole(value, 1, _MAX_NUMBER, base=10)
                found = found[number - 1 : number]
    except (ValueError, re.error) as exc:
        raise UrlError(url, str(exc)) from exc
    return found
