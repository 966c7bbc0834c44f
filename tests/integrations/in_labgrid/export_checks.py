"""What an exporter does with ports of ours, where labgrid is: test_labgrid_driver.py runs this."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
from labgrid.remote.exporter import BrokenResourceError

import esploader
from esploader.errors import ConfigError, PortNotFoundError, TransportError, UrlError
from esploader.integrations.labgrid.port_export import EsploaderPortExport
from eventually import eventually
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOPBACK = "127.0.0.1"
SIZE = 4 * 1024 * 1024


def export_of(kind: str = "RawEsploaderPort", /, **params: object) -> EsploaderPortExport:
    """Return what an exporter makes of an entry of its configuration."""
    data = {"avail": False, "cls": kind, "params": {"bind": LOOPBACK, **params}}
    # Its types do not know what labgrid has it take.
    make: Callable[..., EsploaderPortExport] = EsploaderPortExport
    export = make(data, host=LOOPBACK)
    export.poll()
    return export


@pytest.fixture(name="flash")
def _flash(tmp_path: Path) -> Path:
    path = tmp_path / "flash.bin"
    path.write_bytes(old_content(SIZE))
    return path


@pytest.fixture(name="export")
def _export(flash: Path) -> Iterator[EsploaderPortExport]:
    export = export_of(port=f"sim://esp32c3?file={flash}", speed=74880)
    yield export
    if export.acquired:
        export.release()


def url_of(export: EsploaderPortExport) -> str:
    return f"rfc2217://{export.params['host']}:{export.params['port']}"


def test_a_place_gets_what_every_client_knows(export: EsploaderPortExport, flash: Path) -> None:
    assert (export.cls, export.avail) == ("NetworkSerialPort", True)
    assert export.params["port"] is None
    export.acquire("place")
    assert export.params["speed"] == 74880
    with esploader.connect(url_of(export), stub=False) as device:
        # The server is ours.
        assert device.session.transport.capabilities.gated
        device.flash.write([(0x3_0000, b"some")])
    after = flash.read_bytes()
    assert after[0x3_0000:0x3_0004] == b"some"
    assert_untouched(old_content(SIZE), after, [(0x3_0000, 0x3_0004)])


def test_a_port_is_served_while_its_place_is_acquired(export: EsploaderPortExport) -> None:
    export.acquire("place")
    url, server = url_of(export), export.server
    assert server is not None
    export.release()
    assert server.returncode == 0
    assert export.params["port"] is None
    with pytest.raises(TransportError):
        esploader.open_transport(url)
    export.acquire("other")
    esploader.open_transport(url_of(export)).close()


def test_a_server_that_was_killed_is_started_again(
    export: EsploaderPortExport, caplog: pytest.LogCaptureFixture
) -> None:
    export.acquire("place")
    first = export.server
    assert first is not None
    first.kill()
    first.wait()
    assert export.poll()
    assert "the server has ended with code -9; starting another" in caplog.text
    esploader.open_transport(url_of(export)).close()
    # Once it is there again, nothing is different from one look to the next.
    assert not export.poll()


def test_no_server_outlives_its_exporter(export: EsploaderPortExport) -> None:
    export.acquire("place")
    url, server = url_of(export), export.server
    assert server is not None
    assert server.stdin is not None
    # As the end of the process would.
    os.close(os.dup(server.stdin.fileno()))
    assert server.poll() is None
    server.stdin.close()
    server.wait(10)
    with pytest.raises(TransportError):
        esploader.open_transport(url)


def test_only_those_are_let_in_who_are_allowed(flash: Path) -> None:
    export = export_of(port=f"sim://esp32c3?file={flash}", allow=["192.0.2.0/24"])
    export.acquire("place")
    try:
        with pytest.raises(TransportError, match="not for your address"):
            esploader.open_transport(url_of(export))
    finally:
        export.release()


def test_a_board_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    export = export_of(port=str(tmp_path / "ttyUSB0"))
    export.acquire("place")
    try:
        with pytest.raises(PortNotFoundError, match="not there"):
            esploader.open_transport(url_of(export))
    finally:
        export.release()


def test_a_board_that_is_known_by_what_it_is_has_to_be_plugged_in() -> None:
    export = export_of("USBEsploaderPort", match={"ID_SERIAL_SHORT": "of nobody"})
    assert (export.cls, export.avail) == ("NetworkSerialPort", False)
    export.acquire("place")
    assert export.server is None
    export.release()


def test_a_server_that_cannot_start_breaks_the_resource(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    # An address of nobody.
    export = export_of(port="sim://esp32c3", bind="192.0.2.1")
    with pytest.raises(BrokenResourceError):
        export.acquire("place")
    assert export.server is None
    assert "the server cannot start: cannot listen on 192.0.2.1" in caplog.text


@pytest.mark.parametrize(
    ("params", "error", "reason"),
    [
        ({"bind": ""}, ConfigError, "RawEsploaderPort of the exporter: bind: ''"),
        ({"bind": [1]}, ConfigError, "bind"),
        ({"allow": ["everybody"]}, ConfigError, "'everybody' is no address or network"),
        ({"allow": {"x": 1}}, ConfigError, "neither an address nor a list"),
        ({"port": "sim://nochip"}, UrlError, "nochip"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_at_once(
    params: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        export_of(**{"port": "sim://esp32c3"} | params)


def test_two_exports_of_a_board_do_not_take_it_from_each_other(
    export: EsploaderPortExport, flash: Path
) -> None:
    export.acquire("place")
    other = export_of(port=f"sim://esp32c3?file={flash}")
    other.acquire("other")
    try:
        with (
            eventually(lambda: esploader.connect(url_of(export), stub=False), TransportError),
            pytest.raises(TransportError),
        ):
            esploader.open_transport(url_of(other))
    finally:
        other.release()
