"""What an exporter does with a port of ours: a port server while somebody has it acquired.

A place gets it as ``NetworkSerialPort``, which every client of labgrid knows: consoles work
without this package, and our driver finds out by itself that the server obeys gates.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

from labgrid.remote.exporter import ExporterError, ResourceExport
from labgrid.resource import RawSerialPort
from labgrid.resource.udev import USBSerialPort

from esploader.classes import define
from esploader.errors import ConfigError
from esploader.server.access import AllowList
from esploader.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL_PORTS: Final = {"RawEsploaderPort": RawSerialPort, "USBEsploaderPort": USBSerialPort}
"""By the name of a resource in the configuration of an exporter: how its port is found."""

EXPORTED_AS: Final = "NetworkSerialPort"

EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - places are for other machines, as with ser2net

START_TIME: Final = 60.0
"""When to give up starting a server, in seconds."""

STOP_TIME: Final = 3.0
"""When to kill a server that does not end, in seconds."""


@define(eq=False, slots=False)
class EsploaderPortExport(ResourceExport):
    """A serial port that ``esploader serve`` serves while its place is acquired.

    Besides what labgrid's own resource takes there are ``bind``, the addresses to listen on, and
    ``allow``, the networks to let in: each a text, or several.
    """

    def __attrs_post_init__(self) -> None:
        """Take apart what the configuration says.

        Raises:
            ConfigError: an address or a network makes no sense.
            UrlError: the port can never be there.
        """
        super().__attrs_post_init__()
        own = f"{self.cls} of the exporter"
        parameters = dict(self.local_params)
        self.bind = _texts(parameters.pop("bind", EVERY_ADDRESS), f"{own}: bind")
        self.allow = _texts(parameters.pop("allow", []), f"{own}: allow")
        AllowList.parse(self.allow, f"{own}: allow")
        self.local = LOCAL_PORTS[self.cls](target=None, name=None, **parameters)
        if isinstance(self.local, RawSerialPort):
            check_url(self.local.port)
        self.data["cls"] = EXPORTED_AS
        self.server: subprocess.Popen[str] | None = None
        self.port: int | None = None

    def poll(self) -> bool:
        """Start, stop or leave the server; return whether anything is different for a client."""
        if self.server is not None and self.server.poll() is not None:
            code = self.server.returncode
            self.logger.warning("the server has ended with code %s; starting another", code)
            self.stop()
        changed: bool = super().poll()
        return changed

    def _get_start_params(self) -> dict[str, str]:
        return {"path": self.local.port}

    def _get_params(self) -> dict[str, object]:
        return {
            "host": self.host,
            "port": self.port,
            "speed": self.local.speed,
            "extra": {"path": self.local.port},
        }

    def _start(self, start_params: dict[str, str]) -> None:
        command = _serve(start_params["path"], self.bind, self.allow)
        self.logger.info("starting %s", " ".join(command))
        # It ends with us, whatever ends us: nobody else holds its standard input.
        self.server = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self.port = _wait_for_port(self.server)
        except BaseException:
            self._end_server()
            raise

    def _stop(self, _start_params: dict[str, str]) -> None:
        self._end_server()

    def _end_server(self) -> None:
        server, self.server, self.port = self.server, None, None
        if server is None:
            return
        for pipe in (server.stdin, server.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            server.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            self.logger.warning("the server does not end, and is killed")
            server.kill()
            server.wait()


def _serve(port: str, bind: Sequence[str], allow: Sequence[str]) -> list[str]:
    """Return the command that serves ``port`` on a free TCP port."""
    command = [sys.executable, "-m", "esploader", "serve", "--json", "--until-eof", "-p", "0"]
    for address in bind:
        command += ["--bind", address]
    for network in allow:
        command += ["--allow", network]
    return [*command, "--", port]


def _wait_for_port(server: subprocess.Popen[str]) -> int:
    """Return the TCP port that a server tells of when it can be used."""
    giving_up = threading.Timer(START_TIME, server.kill)
    giving_up.start()
    try:
        text = ""
        while server.stdout is not None and not text.endswith("\n}\n"):
            line = server.stdout.readline()
            if not line:
                code = server.wait()
                raise ExporterError(f"the server ended with code {code} before it could be used")
            text += line
    finally:
        giving_up.cancel()
    said = json.loads(text)
    if "error" in said:
        raise ExporterError(f"the server cannot start: {said['error']['message']}")
    (url,) = said["urls"].values()
    return int(url.rpartition(":")[2])


def _texts(value: object, source: str) -> list[str]:
    """Return a text, or several, as several."""
    texts: list[object] = value if isinstance(value, list) else [value]
    found = [text for text in texts if isinstance(text, str) and text]
    if len(found) < len(texts):
        raise ConfigError(source, f"{value!r} is neither an address nor a list of them")
    return found
