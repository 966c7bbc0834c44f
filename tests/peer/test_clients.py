"""Our server gets on with the clients that people have, and resets the chip for each.

Each pair does the whole job: identify, write 64 KiB with verification, read them back, and
leave the chip running its application, from where the next step has to reset it again.

A run of esptool over RFC 2217 takes 20 seconds and more, nearly all of them spent asleep in
pyserial's client. So the usual run has one of them, that writes; the whole job is under ``--full``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

import remote_job
from certificates import Authority
from covering import covering_parameters
from esploader import connect
from esploader.transport.clock import RealClock
from esploader.transport.network_url import parse_network_url
from esploader.transport.pipe import Pipe
from esploader.transport.rfc2217 import Rfc2217Transport
from esploader.transport.tcp import TcpPipe
from foreign_servers import socat
from peers import require_program
from programs import LOOPBACK, Completed, run, running
from remote_job import DATA, OFFSET, do_job
from served import PATIENCE, server_process, tcp_port
from wrapping_pipe import WrappingPipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


pytestmark = pytest.mark.peer

CHIPS = ("esp32", "esp32c3")
MOSTLY_ESP32 = ("esp32", pytest.param("esp32c3", marks=pytest.mark.slow))
MOSTLY_ESP32_C3 = (pytest.param("esp32", marks=pytest.mark.slow), "esp32c3")
"""In the usual run a client meets one of them."""

GREETING = b"\xff\xfb\x00\xff\xfd\x00"
"""What our server says at first: WILL BINARY, DO BINARY."""

ESPTOOL_PATIENCE = 900.0

READ_SIZE = {True: len(DATA), False: 4096}
"""With and without a stub, where it reads 64 bytes at a time and renegotiates the port for each."""


@contextlib.contextmanager
def our_server(*options: str, chip: str, state: str = "app") -> Iterator[str]:
    """Serve a new chip from a process of its own; yield the URL to use."""
    port = f"sim://{chip}?state={state}"
    with server_process(*options, "--tcp-port", "0", port, stderr=subprocess.DEVNULL) as served:
        yield served[1][0]


@attrs.define
class OtherVersion(WrappingPipe[Pipe]):
    """A pipe to a server whose gates are of a version that no client knows."""

    @override
    def receive(self, deadline: float) -> bytes:
        return self.inner.receive(deadline).replace(b"slip-gate=1;", b"slip-gate=9;")


@pytest.mark.parametrize(
    ("chip", "stub"),
    covering_parameters([*itertools.product(CHIPS, (True, False))], lambda *both: both),
    ids=lambda value: {True: "stub", False: "no stub"}.get(value, value),
)
def test_our_client_with_gates(chip: str, stub: bool) -> None:  # noqa: FBT001 - a parameter
    with our_server(chip=chip) as url:
        transport = Rfc2217Transport.open(url)
        assert transport.capabilities.gated
        do_job(transport, chip, stub=stub)


@pytest.mark.parametrize("chip", MOSTLY_ESP32)
def test_our_client_without_gates(chip: str) -> None:
    with our_server(chip=chip) as url:
        pipe = TcpPipe.connect(parse_network_url(url, "rfc2217", frozenset()), RealClock())
        transport = Rfc2217Transport.over(OtherVersion(pipe))
        assert not transport.capabilities.gated
        do_job(transport, chip)


@pytest.mark.parametrize("chip", MOSTLY_ESP32_C3)
def test_our_client_by_the_bare_bytes(chip: str) -> None:
    with our_server("--raw", chip=chip, state="download") as url:
        do_job(url, chip, resets=False)


@pytest.mark.parametrize("chip", MOSTLY_ESP32)
def test_pyserials_client(chip: str) -> None:
    with our_server(chip=chip) as url:
        program = (sys.executable, "-W", "ignore::DeprecationWarning", remote_job.__file__)
        done = run(*program, url, chip)
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("chip", MOSTLY_ESP32_C3)
def test_any_client_behind_a_tls_tunnel_of_socat(chip: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, theirs = authority.issue("server"), authority.issue("client")
    options = ("--tls-cert", str(ours), "--tls-client-ca", str(authority.path))
    with (
        our_server(*options, chip=chip) as url,
        socat(
            "TCP-LISTEN,nodelay",
            f"OPENSSL:{LOOPBACK}:{tcp_port(url)},cafile={authority.path},cert={theirs}",
        ) as port,
    ):
        assert url.startswith("rfc2217+tls://")
        do_job(f"rfc2217://{LOOPBACK}:{port}", chip)


@pytest.mark.parametrize("chip", MOSTLY_ESP32)
def test_our_client_by_tls(chip: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = ("--tls-cert", str(authority.issue("server")))
    with our_server(*options, chip=chip) as url:
        do_job(f"{url}?ca={authority.path}", chip)


def test_openssl_reaches_the_port_with_a_certificate_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, theirs = authority.issue("server"), authority.issue("client")
    options = ("--tls-cert", str(ours), "--tls-client-ca", str(authority.path))
    with our_server(*options, chip="esp32c3") as url:
        command = (
            *(require_program("openssl"), "s_client", "-quiet", "-verify_return_error"),
            *("-connect", f"{LOOPBACK}:{tcp_port(url)}", "-CAfile", str(authority.path)),
        )
        # It stays until it is ended, whatever becomes of its stdin.
        with running(*command, "-cert", str(theirs), stderr=subprocess.DEVNULL) as known:
            assert known.stdout is not None
            assert os.read(known.stdout.fileno(), len(GREETING)) == GREETING
        unknown = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
    assert unknown.returncode != 0
    assert unknown.stdout == b""


@attrs.frozen(kw_only=True)
class Run:
    """How esptool is to do the job."""

    chip: str
    query: str
    """What stands behind the URL."""

    stub: bool

    @override
    def __str__(self) -> str:
        return f"{self.chip}{self.query} {'stub' if self.stub else 'no stub'}"


RUNS = tuple(
    Run(chip=chip, query=query, stub=stub)
    for chip, query, stub in itertools.product(CHIPS, ("", "?ign_set_control"), (True, False))
)


def esptool_job(wanted: Run, folder: Path, names: Iterable[str]) -> dict[str, Completed]:
    """Do steps of the job with one run of esptool for each."""
    data, read = folder / "data", folder / "read"
    data.write_bytes(DATA)
    steps = {
        "identify": ("flash-id",),
        "write": ("write-flash", hex(OFFSET), str(data)),
        "verify": ("verify-flash", hex(OFFSET), str(data)),
        "read": ("read-flash", hex(OFFSET), hex(READ_SIZE[wanted.stub]), str(read)),
    }
    options = () if wanted.stub else ("--no-stub",)
    with our_server(chip=wanted.chip) as url:
        program = (sys.executable, "-m", "esptool", *options, "--port", url + wanted.query)
        return {name: run(*program, *steps[name], timeout=ESPTOOL_PATIENCE) for name in names}


def test_esptool_writes_what_we_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(DATA)
    write = ("write-flash", hex(OFFSET), str(data))
    with our_server(chip="esp32c3") as url:
        program = (sys.executable, "-m", "esptool", "--port", url)
        done = run(*program, *write, timeout=ESPTOOL_PATIENCE)
        assert done.exit_code == 0, done.stdout + done.stderr
        # Its application runs, from where we have to reset it again.
        with connect(url, stub=False) as device:
            assert device.flash.read(OFFSET, len(DATA)) == DATA
    assert "Hash of data verified." in done.stdout
    assert "Hard resetting via RTS pin..." in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("wanted", RUNS, ids=str)
def test_esptool(wanted: Run, tmp_path: Path) -> None:
    steps = esptool_job(wanted, tmp_path, ("identify", "write", "verify", "read"))
    for name, step in steps.items():
        assert step.exit_code == 0, name + step.stdout + step.stderr
        assert "Hard resetting via RTS pin..." in step.stdout
    assert "Detected flash size: 4MB" in steps["identify"].stdout
    assert "Hash of data verified." in steps["write"].stdout
    assert "Verification successful (digest matched)." in steps["verify"].stdout
    assert (tmp_path / "read").read_bytes() == DATA[: READ_SIZE[wanted.stub]]
