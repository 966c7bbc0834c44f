"""What ``rfc2217://`` and ``rfc2217+tls://`` URLs say."""

from __future__ import annotations

from typing import Final

from esploader.classes import frozen
from esploader.errors import UrlError
from esploader.transport import turn_wish
from esploader.transport.network_url import NetworkUrl, parse_network_url
from esploader.transport.turn_wish import TurnWish, parse_wish

NEGOTIATION_TIMEOUT: Final = 3.0
"""For how long a host may leave the request for option 44 unanswered, in seconds, unless
the URL says ``timeout=``; ten round trips come on top."""

TLS_SUFFIX: Final = "+tls"

_SCHEME: Final = "rfc2217"
_OPTIONS: Final = turn_wish.OPTIONS | {"ign_set_control", "logging", "poll_modem", "timeout"}
_TLS_OPTIONS: Final = frozenset({"ca", "cert", "key"})


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

    Raises:
        UnknownSchemeError: the scheme is another one.
        UrlError: anything else is missing, malformed, unknown or said twice.
    """
    has_tls = url.partition("://")[0].lower().endswith(TLS_SUFFIX)
    scheme, known = (
        (_SCHEME + TLS_SUFFIX, _OPTIONS | _TLS_OPTIONS) if has_tls else (_SCHEME, _OPTIONS)
    )
    address = parse_network_url(url, scheme, known)
    return Rfc2217Options(
        address=address,
        ign_set_control=address.flag("ign_set_control"),
        poll_modem=address.flag("poll_modem"),
        timeout=address.seconds("timeout", NEGOTIATION_TIMEOUT),
        log_level=address.log_level(),
        wish=parse_wish(address),
        tls=_tls_options(address) if has_tls else None,
    )


def _tls_options(address: NetworkUrl) -> TlsOptions:
    for name in _TLS_OPTIONS & address.options.keys():
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
