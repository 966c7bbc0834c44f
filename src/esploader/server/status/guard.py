"""Which requests are heard, and which may change something. Nothing here does I/O.

A page that somebody's browser has open must not reach this server in his name: not under a name
that its owner has point here (DNS rebinding), and not by requests across sites. Addresses and
certificates are looked at before, by the door.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define, frozen
from esploader.server.access import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_WRONG_TOKENS: Final = 5
"""How many wrong tokens one address may try in :data:`PERIOD`."""

PERIOD: Final = 60.0
"""In seconds."""

MAX_ADDRESSES: Final = 256
"""Of how many addresses wrong tokens are remembered."""

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::\d{1,5})?")
_PREFIX_OF_IPV6: Final = 64
_SCHEME: Final = "bearer "
_NONE: Final = "none"
_SAME_ORIGIN: Final = "same-origin"


@frozen(kw_only=True)
class Denied:
    """Why a request is not answered as it would like."""

    status: int
    """Of HTTP."""

    reason: str
    """A sentence."""


@frozen(kw_only=True)
class Asker:
    """Who asks, as far as that decides on anything."""

    address: str
    """Without the port."""

    has_tls: bool
    hosts: Sequence[str]
    """All that the request says in ``Host``."""

    headers: Mapping[str, str]
    """The rest, whatever the case of their names."""

    @property
    def origin(self) -> str:
        """What a page of this server has as ``Origin``."""
        return f"http{'s' if self.has_tls else ''}://{''.join(self.hosts[:1]).lower()}"


@frozen(kw_only=True)
class HostNames:
    """Under which names the page may be asked for."""

    is_loopback: bool
    """Only this machine reaches it."""

    names: frozenset[str]
    """In small letters."""

    def judge(self, asker: Asker) -> Denied | None:
        """Return what there is to say against the host that a request names."""
        match = _HOST.fullmatch(asker.hosts[0]) if len(asker.hosts) == 1 else None
        if match is None:
            return Denied(status=400, reason="the request has to name one host")
        name = match[1].lower().removesuffix(".")
        if self._knows(name):
            return None
        where = "127.0.0.1 or localhost" if self.is_loopback else "an address"
        advice = f"ask by {where}, or have the server know the name: status-names, --status-name"
        return Denied(status=403, reason=f"this server is not called {name[:80]!r}: {advice}")

    def _knows(self, name: str) -> bool:
        if name == "localhost" or name in self.names:
            return True
        # Nobody can have an address in numbers point elsewhere.
        literal = name.removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(literal)
        except ValueError:
            return False
        return is_loopback(literal) or not self.is_loopback


def judge_site(asker: Asker, *, is_page: bool) -> Denied | None:
    """Return what there is to say against where a browser says that a request comes from.

    ``is_page`` says that the page itself is asked for, to which anybody may link.
    """
    headers = asker.headers
    site = headers.get("Sec-Fetch-Site", _NONE)
    is_link = is_page and headers.get("Sec-Fetch-Mode") == "navigate"
    is_link = is_link and headers.get("Sec-Fetch-Dest") == "document"
    is_foreign = site not in {_NONE, _SAME_ORIGIN} and not is_link
    origin = headers.get("Origin")
    if is_foreign or (origin is not None and origin.lower() != asker.origin):
        return Denied(status=403, reason="pages of other sites may not ask this server anything")
    return None


@define(eq=False)
class TokenGuard:
    """Lets those change something who know the token, and slows down those who guess."""

    token: bytes | None = attrs.field(repr=False)
    """``None`` where nobody may change anything."""

    _wrong: OrderedDict[str, tuple[float, int]] = attrs.field(factory=OrderedDict, init=False)
    """When an address began to try wrong tokens, and how many they were."""

    def judge(self, asker: Asker, now: float) -> Denied | None:
        """Return why a request may not change anything; ``None`` when it may."""
        if self.token is None:
            reason = "nothing can be changed here: the server has no token file (--token-file)"
            return Denied(status=403, reason=reason)
        if not asker.has_tls and not is_loopback(asker.address):
            reason = (
                "a token does not cross the network in the clear: ask by TLS, or on the machine of "
                "the server, to which ssh leads"
            )
            return Denied(status=403, reason=reason)
        group = _group(asker.address)
        begun, count = self._wrong.get(group, (now, 0))
        if now - begun >= PERIOD:
            begun, count = now, 0
        if count >= MAX_WRONG_TOKENS:
            left = begun + PERIOD - now
            return Denied(status=429, reason=f"too many wrong tokens: try again in {left:.0f} s")
        said = asker.headers.get("Authorization", "")
        if not said.lower().startswith(_SCHEME):
            return Denied(status=401, reason="this takes the token of the server")
        given = said[len(_SCHEME) :].strip().encode("utf-8", "surrogateescape")
        if hmac.compare_digest(given, self.token):
            return None
        self._remember(group, begun, count + 1)
        return Denied(status=401, reason="this is not the token of the server")

    def _remember(self, group: str, begun: float, count: int) -> None:
        self._wrong[group] = (begun, count)
        self._wrong.move_to_end(group)
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)


def _group(address: str) -> str:
    """Return what stands for all addresses that one machine may have."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, _PREFIX_OF_IPV6), strict=False))
    return str(found)
