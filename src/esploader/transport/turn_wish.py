"""What a client wants of a port that somebody else has, as its URL says it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen
from esploader.errors import ConfigError, UrlError
from esploader.transport import turns
from esploader.transport.token_file import read_token
from esploader.transport.turns import Ask

if TYPE_CHECKING:
    from esploader.transport.network_url import NetworkUrl

OPTIONS: Final = frozenset({"takeover", "token-file", "wait", "yield"})
"""Of a URL."""

TOKEN_VARIABLE: Final = "ESPLOADER_TOKEN_FILE"  # noqa: S105 - a name
"""The environment variable that names the file where the URL does not."""

_FORCE: Final = "force"


@frozen(kw_only=True)
class TurnWish:
    """Whether to wait, to take over, and to give way."""

    wait: float = 0.0
    """For how long to wait in line, in seconds."""

    takes_over: bool = False
    is_forced: bool = False
    """Take it over although its holder works with it, which needs the token."""

    token_file: str | None = None
    gives_way: bool = False
    token: bytes | None = attrs.field(default=None, repr=False)
    """What is in the file, once it has been read."""

    @property
    def is_patient(self) -> bool:
        """A port in use is not the end."""
        return self.wait > 0 or self.takes_over or self.gives_way

    def with_token(self, url: str) -> TurnWish:
        """Return the same with the token, if it is needed; ``url`` is where this comes from.

        Raises:
            UrlError: no file is named, or it is no token file.
        """
        if not self.is_forced:
            return self
        path = self.token_file or os.environ.get(TOKEN_VARIABLE)
        if not path:
            reason = f"takeover=force needs token-file=, or {TOKEN_VARIABLE}"
            raise UrlError(url, reason)
        try:
            return attrs.evolve(self, token=read_token(path))
        except ConfigError as exc:
            raise UrlError(url, f"{exc} (token-file=, or {TOKEN_VARIABLE})") from exc

    def ask(self, signature: bytes) -> Ask:
        """Return what to say to the server whose SIGNATURE that is."""
        return Ask(
            who=who_we_are(),
            wait=self.wait,
            takes_over=self.takes_over,
            proof=None if self.token is None else turns.prove(self.token, signature),
            gives_way=self.gives_way,
        )


def parse_wish(address: NetworkUrl) -> TurnWish:
    """Return what ``wait=SECONDS``, ``takeover[=force]``, ``token-file=FILE`` and ``yield`` say.

    Raises:
        UrlError: one of them makes no sense.
    """
    how = address.options.get("takeover")
    token_file = address.options.get("token-file")
    if how not in {None, "", _FORCE}:
        raise UrlError(address.url, f"takeover has no value, or is {_FORCE}")
    if token_file is not None and how != _FORCE:
        raise UrlError(address.url, f"token-file is for takeover={_FORCE} only")
    if token_file == "":
        raise UrlError(address.url, "token-file names no file")
    return TurnWish(
        wait=address.seconds("wait", 0.0),
        takes_over=how is not None,
        is_forced=how == _FORCE,
        token_file=token_file,
        gives_way=address.flag("yield"),
    )


def who_we_are() -> str:
    """Return how a server should call us to other people: ``user@host``."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # No user has this number, as in many a container.
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
