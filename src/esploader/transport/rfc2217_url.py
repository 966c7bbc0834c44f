"""What ``rfc2217://`` and ``rfc2217+tls://`` URLs say."""

from __future__ import annotations

from typing import Final

import attrs

from esploader.classes import frozen
from esploader.errors import UrlError
from esploader.numerals import whole
from esploader.transport import turn_wish
from esploader.transport.network_url import (
    DIRECTORY_PORT,
    MAX_TCP_PORT,
    NetworkUrl,
    parse_network_url,
)
from esploader.transport.turn_wish import TurnWish, parse_wish

NEGOTIATION_TIMEOUT: Final = 3.0
"""For how long a host may leave the request for option 44 unanswered, in seconds, unless
the URL says ``timeout=``; ten round trips come on top."""

TLS_SUFFIX: Final = "+tls"

OPTIONS: Final = frozenset({"ign_set_control", "logging", "poll_modem", "timeout"})
"""What every URL may say whose port is reached by RFC 2217."""

SCHEME: Final = "rfc2217"

TLS_OPTIONS: Final = frozenset({"ca", "cert", "key"})
"""Of a URL with TLS."""

_DIRECTORY_OPTION: Final = "directory-port"
_OPTIONS: Final = OPTIONS | turn_wish.OPTIONS | {_DIRECTORY_OPTION}


@frozen(kw_only=True)
class TlsOptions:
    """Files in PEM format for a connection with TLS."""

    ca: str | None = None
    """Certificates of the authorities to trust; ``None`` for those of the system."""

    cert: str | None = None
    """Our own certificate, for servers that ask for one."""

    key: str | None = None
    """Its private key; ``None`` when that is in the same file."""


@frozen(kw_only=True)
class Rfc2217Options:
    """What a URL says."""

    address: NetworkUrl
    """Where the server is."""

    ign_set_control: bool = False
    """Do not wait for the acknowledgement of lines. We never do."""

    poll_modem: bool = False
    """Ask for the state of the input lines instead of being told. We never look at them."""

    timeout: float = NEGOTIATION_TIMEOUT
    """For how long the host may leave the request for option 44 unanswered, in seconds."""

    log_level: int | None = None
    """The level at which the telnet traffic is logged; ``None`` for not at all."""

    wish: TurnWish = TurnWish()
    """What to do when somebody else has the port."""

    tls: TlsOptions | None = None
    """``None`` for a connection that anybody on the way can read and change."""


def parse_rfc2217_url(url: str) -> Rfc2217Options:
    """Read ``rfc2217[+tls]://host:port[?ign_set_control][&poll_modem][&timeout=N][&logging=LEVEL]``.

    There may be what :func:`~esploader.transport.turn_wish.parse_wish` reads, too, and with
    ``+tls`` the names of files: ``ca``, ``cert`` and ``key``.
    ``rfc2217://host/name`` has the port looked up by its name, where ``directory-port=N`` says.

    Raises:
        UnknownSchemeError: the scheme is another one.
        UrlError: anything else is missing, malformed, unknown or said twice.
    """
    has_tls = url.partition("://")[0].lower().endswith(TLS_SUFFIX)
    scheme, known = (SCHEME + TLS_SUFFIX, _OPTIONS | TLS_OPTIONS) if has_tls else (SCHEME, _OPTIONS)
    address = _parse_address(url, scheme, known)
    return Rfc2217Options(
        address=address,
        ign_set_control=address.flag("ign_set_control"),
        poll_modem=address.flag("poll_modem"),
        timeout=address.seconds("timeout", NEGOTIATION_TIMEOUT),
        log_level=address.log_level(),
        wish=parse_wish(address),
        tls=parse_tls_options(address) if has_tls else None,
    )


def _parse_address(url: str, scheme: str, known: frozenset[str]) -> NetworkUrl:
    address = parse_network_url(url, scheme, known, default_port=DIRECTORY_PORT)
    number = address.options.get(_DIRECTORY_OPTION)
    if address.name is None:
        if number is not None:
            raise UrlError(url, f"{_DIRECTORY_OPTION} is for a port that is named")
        # Without a name there is nothing to look up.
        return parse_network_url(url, scheme, known)
    if number is None:
        return address
    try:
        return attrs.evolve(address, port=whole(number, 1, MAX_TCP_PORT, base=10))
    except ValueError as exc:
        raise UrlError(url, f"{_DIRECTORY_OPTION}: {exc}") from exc


def parse_tls_options(address: NetworkUrl) -> TlsOptions:
    """Return what ``ca``, ``cert`` and ``key`` say.

    Raises:
        UrlError: one of them names no file, or there is a key without a certificate.
    """
    for name in TLS_OPTIONS & address.options.keys():
        if not address.options[name]:
            raise UrlError(address.url, f"{name} names no file")
    files = TlsOptions(
        ca=address.options.get("ca"),
        cert=address.options.get("cert"),
        key=address.options.get("key"),
    )
    if files.key is not None and files.cert is None:
        raise UrlError(address.url, "key needs cert")
    return files
