"""``serve --stdio``: a port for whoever runs us, at our standard input and output."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Final

from esploader.commands.ending import signals_to_heed
from esploader.errors import ConfigError
from esploader.server.single_server import SingleServer

if TYPE_CHECKING:
    import argparse

    from esploader.server.config import PortConfig, ServerConfig

_OPTION: Final = "--stdio"

_OF_THE_NETWORK: Final = (
    *("tcp_port", "directory_port", "watch_port", "bind", "allow", "tls_cert", "port_file"),
    *("all", "raw", "json"),
    *("announce", "watch_port", "takeover", "token_file", "status", "status_name"),
)
"""What means nothing to a client that does not come in by it."""

_STDIN, _STDOUT, _STDERR = range(3)


def serve_stdio(arguments: argparse.Namespace, config: ServerConfig) -> None:
    """Serve the port of ``config`` until its client leaves, or is gone.

    Nothing is said of that: what is on stderr in the end may become part of an error message.

    Raises:
        ConfigError: there is not one port, an option says how others come in, or nobody is there.
        UrlError: the port can never be there.
    """
    port = _only_port(arguments, config)
    source, sink = _take_over()
    with SingleServer(port, source, sink) as server:
        server.heed_signals(signals_to_heed())
        server.run()


def _only_port(arguments: argparse.Namespace, config: ServerConfig) -> PortConfig:
    given = vars(arguments)
    for name in _OF_THE_NETWORK:
        if given[name] not in (None, []) and given[name] is not False:
            raise ConfigError(_OPTION, f"it does not go with --{name.replace('_', '-')}")
    if len(config.ports) != 1:
        raise ConfigError(_OPTION, f"it serves one port, not {len(config.ports)}")
    if os.isatty(_STDIN):
        raise ConfigError(_OPTION, "it is for programs: stdin is a terminal")
    return config.ports[0]


def _take_over() -> tuple[IO[bytes], IO[bytes]]:
    """Return what was stdin and stdout, without buffers, for nobody else to read and write.

    What is printed goes to stderr from now on, whoever prints it, and nothing can be read.

    Raises:
        ConfigError: they are not there.
    """
    try:
        streams = [os.dup(number) for number in (_STDIN, _STDOUT)]
        os.dup2(_STDERR, _STDOUT)
        with open(os.devnull, "rb", buffering=0) as nothing:  # noqa: PTH123 - a device
            os.dup2(nothing.fileno(), _STDIN)
    except OSError as exc:
        raise ConfigError(_OPTION, f"stdin or stdout cannot be used: {exc.strerror}") from exc
    for stream in streams:
        # Whoever shares it may have had it return before it is ready.
        if hasattr(os, "set_blocking"):
            os.set_blocking(stream, True)
    source, sink = streams
    return os.fdopen(source, "rb", buffering=0), os.fdopen(sink, "wb", buffering=0)
