"""What ``ssh://`` URLs say, and which words ssh and the far end are given for that.

Anybody may have written a URL: a file of settings, another program. So whatever could be more than
the word that it stands for is refused, here as at the far end. A host and a user that begin with a
hyphen are options to ssh, and the commands in its configuration get both of them through a shell;
an ``@`` in front names a file of arguments to us. What is left is quoted for the shell of the far
end. Quotes mean the same to all of those that POSIX knows, and to fish; a backslash, and in csh an
exclamation mark, does not.
"""

from __future__ import annotations

import re
import shlex
from typing import Final
from urllib.parse import unquote

from esploader.classes import frozen
from esploader.errors import UrlError
from esploader.numerals import whole
from esploader.transport.network_url import UrlWithOptions, parse_query, split_url
from esploader.transport.rfc2217_url import NEGOTIATION_TIMEOUT, OPTIONS

SCHEME: Final = "ssh"

COMMANDS: Final = ("esploader", "python3")
"""What is run at the far end unless the URL says ``command=``: the first that is there."""

SERVE: Final = ("serve", "--stdio", "--")
"""What our program at the far end is told, in front of the name of the port."""

_OPTIONS: Final = OPTIONS | {"command"}

_MAX_TCP_PORT: Final = 0xFFFF

_PLACE: Final = re.compile(
    r"(?:(?P<user>[^@]*)@)?(?:\[(?P<ipv6>.*)\]|(?P<host>[^:]*))(?::(?P<port>.*))?"
)
_HOST: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")
_USER: Final = re.compile(r"[\w.+][\w.+@-]*")
_NESTED: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PYTHON: Final = re.compile(r"(?:.*/)?python[0-9.]*")


@frozen(kw_only=True)
class SshUrl:
    """What a URL says."""

    url: str
    """The URL, as given."""

    user: str | None
    """Whom to be there; ``None`` to leave that to ssh."""

    host: str
    """Name, address, or what the configuration of ssh calls it."""

    tcp_port: int | None
    """Where sshd listens; ``None`` to leave that to ssh."""

    far_port: str
    """The name or URL of the port at the far end."""

    command: str | None
    """What to run there; ``None`` for the usual ones."""

    timeout: float
    """For how long the far end may leave the request for option 44 unanswered, in seconds."""

    log_level: int | None
    """The level at which the telnet traffic, and what ssh says, is logged; ``None`` for not at
    all."""

    @property
    def destination(self) -> list[str]:
        """The words that tell ssh where to go."""
        user = [] if self.user is None else ["-l", self.user]
        tcp_port = [] if self.tcp_port is None else ["-p", str(self.tcp_port)]
        return [*user, *tcp_port, "--", self.host]

    def commands(self) -> list[str]:
        """Return what to have the shell of the far end run, each if the one before is missing."""
        return [
            shlex.join([program, *_module(program), *SERVE, self.far_port])
            for program in (COMMANDS if self.command is None else (self.command,))
        ]


def parse_ssh_url(url: str) -> SshUrl:
    """Read ``ssh://[user@]host[:port]/PORT[?command=PROGRAM][&timeout=N][&logging=LEVEL]``.

    ``PORT`` is a path, ``/dev/ttyUSB0``, or a name or URL without the slash in front of it,
    ``COM3``. What means something in a URL is written as in any: ``%3F``.

    Raises:
        UnknownSchemeError: the scheme is another one.
        UrlError: anything else is missing, malformed, unknown, said twice, or might be taken for
            something else.
    """
    parts = split_url(url, SCHEME, "HOST/dev/ttyUSB0")
    user, host, tcp_port = _place(url, parts.netloc)
    options = parse_query(url, parts.query, _OPTIONS)
    said = UrlWithOptions(url=url, options=options)
    for flag in ("ign_set_control", "poll_modem"):
        said.flag(flag)
    return SshUrl(
        url=url,
        user=user,
        host=host,
        tcp_port=tcp_port,
        far_port=_far_port(url, parts.path),
        command=_word(url, "command", options["command"]) if "command" in options else None,
        timeout=said.seconds("timeout", NEGOTIATION_TIMEOUT),
        log_level=said.log_level(),
    )


def _place(url: str, text: str) -> tuple[str | None, str, int | None]:
    """Return user, host and TCP port."""
    found = _PLACE.fullmatch(text)
    host = None if found is None else found["ipv6"] or found["host"]
    if found is None or not host:
        raise UrlError(url, "the host is missing")
    if (_HOST if found["ipv6"] is None else _IPV6).fullmatch(host) is None:
        raise UrlError(url, f"{host!r} is no name of a host")
    user = None if found["user"] is None else unquote(found["user"])
    if user is not None and ":" in user:
        raise UrlError(url, "passwords are not supported: everybody on this machine could see it")
    if user is not None and _USER.fullmatch(user) is None:
        raise UrlError(url, f"{user!r} is no name of a user")
    if found["port"] is None:
        return user, host, None
    try:
        return user, host, whole(found["port"], 1, _MAX_TCP_PORT, base=10)
    except ValueError as exc:
        raise UrlError(url, f"the port number makes no sense: {exc}") from exc


def _far_port(url: str, path: str) -> str:
    """Return the port that a path means."""
    name = path[1:]
    is_path = "/" in name and not name.startswith("/") and _NESTED.match(name) is None
    return _word(url, "the port at the far end", path if is_path else name)


def _word(url: str, what: str, text: str) -> str:
    """Return ``text`` without the escapes of URLs, if it is one word to whoever reads it."""
    try:
        word = unquote(text, errors="strict")
    except UnicodeDecodeError as exc:
        raise UrlError(url, f"{what} is no text") from exc
    if not word:
        raise UrlError(url, f"{what} is missing")
    if word[0] in "-@":
        raise UrlError(url, f"{what} begins with {word[0]!r}, and would be an option there")
    if not word.isprintable() or not {"\\", "!"}.isdisjoint(word):
        raise UrlError(url, f"{what} has characters that no shell is trusted with: {word!r}")
    return word


def _module(program: str) -> list[str]:
    """Return what an interpreter is to run; nothing for our program itself."""
    return [] if _PYTHON.fullmatch(program) is None else ["-m", "esploader"]
