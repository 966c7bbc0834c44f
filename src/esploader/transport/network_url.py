"""The parts that all port URLs with a host share."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from esploader.classes import frozen
from esploader.errors import UnknownSchemeError, UrlError
from esploader.numerals import real, shown

DIRECTORY_PORT: Final = 22217
"""The TCP port at which a server tells the names of its ports. Nobody has it from IANA, whose list
has 22129 to 22221 unassigned."""

MAX_TCP_PORT: Final = 0xFFFF

MAX_NAME_SIZE: Final = 256
"""A longer name of a port is refused, in characters."""

MAX_SECONDS: Final = 86_400.0
"""The longest time that an option may state."""

LOG_LEVELS: Final[dict[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""What ``logging=`` may say, as in pyserial's URLs."""


@frozen(kw_only=True)
class UrlWithOptions:
    """A URL, and the options in its query."""

    url: str
    """The URL, as given."""

    options: dict[str, str]
    """The query, in order; an option without a value has an empty one."""

    def flag(self, name: str) -> bool:
        """Tell whether the option ``name``, which takes no value, is there.

        Raises:
            UrlError: it has a value.
        """
        if self.options.get(name):
            raise UrlError(self.url, f"option {name!r} takes no value")
        return name in self.options

    def log_level(self) -> int | None:
        """Return the level that ``logging=`` names; ``None`` without it.

        Raises:
            UrlError: there is no such level.
        """
        name = self.options.get("logging")
        if name is None:
            return None
        if name not in LOG_LEVELS:
            raise UrlError(self.url, f"logging is one of {', '.join(LOG_LEVELS)}, not {name!r}")
        return LOG_LEVELS[name]

    def seconds(self, name: str, default: float) -> float:
        """Return the positive number of seconds that the option ``name`` states.

        Raises:
            UrlError: it states no such number.
        """
        text = self.options.get(name)
        if text is None:
            return default
        try:
            value = real(text, 0.0, MAX_SECONDS)
        except ValueError:
            value = 0.0
        if not value:
            reason = f"a positive number of seconds, up to {MAX_SECONDS:g}, not {shown(text)}"
            raise UrlError(self.url, f"{name} is {reason}")
        return value


@frozen(kw_only=True)
class NetworkUrl(UrlWithOptions):
    """A host, a TCP port and options."""

    host: str
    """Name or address; an IPv6 address without its brackets."""

    port: int
    """TCP port, 1 to 65535; with a name that of the directory."""

    name: str | None = None
    """What the port is called that is meant, in place of its TCP port."""


def parse_network_url(
    url: str, scheme: str, options: frozenset[str], *, default_port: int | None = None
) -> NetworkUrl:
    """Read ``scheme://host:port[/][?option[=value]&...]``.

    With a ``default_port`` the port may be missing; then there may be a name: ``scheme://host/name``.

    Raises:
        UnknownSchemeError: the scheme is another one.
        UrlError: anything else is missing, malformed, unknown or said twice.
    """
    parts = split_url(url, scheme, "HOST:PORT")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise UrlError(url, str(exc)) from exc
    if "@" in parts.netloc:
        raise UrlError(url, "user names and passwords are not supported")
    if not host:
        raise UrlError(url, "the host is missing")
    is_named = port is None and default_port is not None
    if is_named:
        port = default_port
    if not port:
        raise UrlError(url, "the port number is missing" if port is None else "port 0 is not one")
    has_path = parts.path not in {"", "/"}
    if has_path and not is_named:
        raise UrlError(url, f"unexpected path {parts.path!r}")
    return NetworkUrl(
        url=url,
        host=host,
        port=port,
        name=_parse_name(url, parts.path[1:]) if has_path else None,
        options=parse_query(url, parts.query, options),
    )


def split_url(url: str, scheme: str, expected: str) -> SplitResult:
    """Return the parts of a URL of this scheme; ``expected`` is what stands behind it.

    Raises:
        UnknownSchemeError: the scheme is another one.
        UrlError: there are characters in it, or a fragment, that no such URL has.
    """
    # urlsplit would silently drop some of these.
    if any(character <= " " or character == "\x7f" for character in url):
        raise UrlError(url, "it contains blanks or control characters")
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise UrlError(url, str(exc)) from exc
    if parts.scheme != scheme:
        raise UnknownSchemeError(url, f"expected {scheme}://{expected}")
    if parts.fragment:
        raise UrlError(url, f"unexpected fragment {parts.fragment!r}")
    return parts


def _parse_name(url: str, quoted: str) -> str:
    try:
        name = unquote(quoted, errors="strict")
    except UnicodeDecodeError as exc:
        raise UrlError(url, "the name of the port is no UTF-8") from exc
    if not name.isprintable() or len(name) > MAX_NAME_SIZE:
        reason = f"the name of a port has printable characters only, {MAX_NAME_SIZE} at most"
        raise UrlError(url, reason)
    return name


def parse_query(url: str, query: str, known: frozenset[str]) -> dict[str, str]:
    """Return the options of a query, of which all must be ``known``.

    Raises:
        UrlError: one is not, or is given twice.
    """
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise UrlError(url, f"unknown option {name!r}; known are {', '.join(sorted(known))}")
        if name in options:
            raise UrlError(url, f"option {name!r} is given twice")
        options[name] = value
    return options
