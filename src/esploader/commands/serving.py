"""What ``serve`` does: its options to a configuration, and what it says meanwhile."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from esploader.commands.ending import signals_to_heed
from esploader.commands.port_file import port_file
from esploader.commands.reloading import control_socket, reload_signal, write_report
from esploader.errors import ConfigError
from esploader.server.access import AllowList, TlsFiles
from esploader.server.config import (
    LOOPBACK,
    PortConfig,
    ServerConfig,
    parse_reset,
    read_config,
)
from esploader.server.config import Protocol as ServedProtocol
from esploader.server.credentials import file_named
from esploader.server.discovery import parse_usb
from esploader.server.exposure import is_exposed, is_status_exposed
from esploader.server.port_server import PortServer
from esploader.server.recogniser import ResetPolicy
from esploader.server.service_manager import ServiceManager
from esploader.server.status_address import check_names, parse_status
from esploader.server.upkeep import Upkeep

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output
    from esploader.server.place import Place
    from esploader.server.reload import Report

_STANDARD_INPUT: Final = 0
_PIECE_SIZE: Final = 4096


def serve(arguments: argparse.Namespace, output: Output) -> None:
    """Serve until SIGTERM or Ctrl-C, or until standard input ends, where that is asked for.

    With ``--stdio`` until the client leaves, too.

    Raises:
        ConfigError: the options or the file they name make no sense.
        UrlError: a port can never be there.
        ListenError: a TCP port cannot be had.
    """
    config = make_config(arguments)
    if arguments.stdio:
        from esploader.commands.serving_stdio import serve_stdio

        serve_stdio(arguments, config)
    else:
        _serve_network(config, arguments, output)


def _serve_network(config: ServerConfig, arguments: argparse.Namespace, output: Output) -> None:
    output.banner()
    _warn_of_exposure(config, output)
    if config.bind == LOOPBACK:
        output.note("only this machine can use these ports; --bind ADDR lets others in")
    has_begun = False

    def on_place(place: Place) -> None:
        # The ports that were named come all at once.
        if has_begun or len(server.places) >= len(config.ports):
            write_port_file()
        watch = "" if place.watch_url is None else f"; watch it on {place.watch_url}"
        output.line(f"Serving {place.label} on {place.url}{watch}")

    def write_port_file() -> None:
        try:
            write_places((place.url, place.label) for place in server.places)
        except ConfigError as exc:
            if not has_begun:
                raise
            output.write(f"WARNING: {exc}\n")

    def on_reload(report: Report) -> None:
        write_report(report, output)
        _warn_of_exposure(server.config, output)
        write_port_file()

    with (
        port_file(arguments.port_file) as write_places,
        control_socket(arguments.config, output) as control,
        PortServer(
            config,
            on_place=on_place,
            upkeep=Upkeep(
                reread=None if arguments.config is None else lambda: make_config(arguments),
                on_reload=on_reload,
                on_announced=lambda name, addresses: output.line(
                    f"Announced as {name!r} at {', '.join(addresses)}"
                ),
                control=control,
                manager=ServiceManager.from_environment(os.environ),
            ),
        ) as server,
    ):
        _heed_signals(server, arguments.config)
        if arguments.until_eof:
            threading.Thread(target=_stop_at_the_end_of_input, args=(server,), daemon=True).start()
        server.listen()
        has_begun = True
        _say_what_else(server, output)
        output.finish(_document(server))
        server.run()


def _say_what_else(server: PortServer, output: Output) -> None:
    """Say where there is something besides ports."""
    if server.directory_port is not None:
        output.line(f"Telling names of ports on TCP port {server.directory_port}")
    if server.status_url is not None:
        output.line(f"Showing how they stand on {server.status_url}")


def _document(server: PortServer) -> Json:
    places = server.places
    return {
        "urls": {place.label: place.url for place in places},
        "watch_urls": {place.label: place.watch_url for place in places if place.watch_url},
        "directory_port": server.directory_port,
        "status_url": server.status_url,
    }


def _warn_of_exposure(config: ServerConfig, output: Output) -> None:
    if is_exposed(config):
        output.write(
            "WARNING: anybody on the network can use these ports; limit that by --allow or TLS\n"
        )
    if is_status_exposed(config):
        output.write(
            "WARNING: anybody on the network can see the status page; "
            "limit that by --allow or TLS\n"
        )


def _heed_signals(server: PortServer, config_file: str | None) -> None:
    numbers = signals_to_heed()
    for_reload = reload_signal(config_file, numbers)
    server.heed_signals(number for number in numbers if number != for_reload)
    if for_reload is not None:
        server.on_signal(for_reload, lambda _number, _frame: server.request_reload())


def _stop_at_the_end_of_input(server: PortServer) -> None:
    """Wait for the end of standard input, and stop ``server`` then; what comes means nothing."""
    # Not by sys.stdin: Python could not end while a thread waits in there. Without a standard
    # input there is an end of it, too.
    with suppress(OSError):
        while os.read(_STANDARD_INPUT, _PIECE_SIZE):
            pass
    server.stop()


def make_config(arguments: argparse.Namespace) -> ServerConfig:
    """Return what the options say, on top of what the file says that they name.

    Raises:
        ConfigError: something of it makes no sense.
    """
    given = arguments
    config = ServerConfig() if given.config is None else read_config(Path(given.config))
    protocol = ServedProtocol.RAW if given.raw else ServedProtocol.RFC2217
    usual = ResetPolicy(
        download_mode=given.custom_reset_sequence, hard_reset=given.custom_hard_reset_sequence
    )
    reset = parse_reset("off" if given.no_reset else "r0" if given.r0 else "on", "the options")
    reset = _or_usual(reset, usual)
    sources = [*given.ports, *(parse_usb(spec, "--usb") for spec in given.usb)]
    named = tuple(
        PortConfig(
            source=each,
            protocol=protocol,
            reset=reset,
            watch_port=given.watch_port and given.watch_port + number,
        )
        for number, each in enumerate(sources)
    )
    config = attrs.evolve(
        config,
        ports=(*(_in_usual_manner(port, usual) for port in config.ports), *named),
        new_ports=config.new_ports and _in_usual_manner(config.new_ports, usual),
        tcp_port=config.tcp_port if given.tcp_port is None else given.tcp_port,
        directory_port=(
            config.directory_port if given.directory_port is None else given.directory_port
        ),
        announce=given.announce or config.announce,
        bind=tuple(given.bind) or config.bind,
        allow=AllowList.parse(given.allow, "--allow") if given.allow else config.allow,
        tls=_tls(given) or config.tls,
        takeover=given.takeover or config.takeover,
        token_file=_file(given, "token_file") or config.token_file,
        status=config.status if given.status is None else parse_status(given.status, "--status"),
        status_names=check_names(tuple(given.status_name), "--status-name") or config.status_names,
    )
    if given.all:
        config = attrs.evolve(
            config, new_ports=PortConfig(source="", protocol=protocol, reset=reset)
        )
    if not config.ports and config.new_ports is None:
        raise ConfigError("serve", "there is no port to serve: name one, or use --usb or --all")
    return config


def _in_usual_manner(port: PortConfig, usual: ResetPolicy) -> PortConfig:
    return attrs.evolve(port, reset=_or_usual(port.reset, usual))


def _or_usual(reset: ResetPolicy, usual: ResetPolicy) -> ResetPolicy:
    """Return ``usual`` for a port of which nothing else is said."""
    return usual if reset == ResetPolicy() else reset


def _tls(given: argparse.Namespace) -> TlsFiles | None:
    if given.tls_cert is None:
        for option in ("key", "client_ca"):
            if getattr(given, f"tls_{option}") is not None:
                name = option.replace("_", "-")
                raise ConfigError(f"--tls-{name}", "it needs --tls-cert")
        return None
    return TlsFiles(
        cert=file_named(given.tls_cert, Path(), "--tls-cert"),
        key=_file(given, "tls_key"),
        client_ca=_file(given, "tls_client_ca"),
    )


def _file(given: argparse.Namespace, name: str) -> Path | None:
    """Return the file that an option names, if it is given."""
    value: str | None = getattr(given, name)
    option = f"--{name.replace('_', '-')}"
    return None if value is None else file_named(value, Path(), option)
