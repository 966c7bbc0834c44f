"""labgrid as it runs in a lab: coordinator, exporter and client, with simulated devices.

docs/labgrid.md is one path through it, which the tests go every time; these are the others.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from esploader.simulator.url import SCHEME
from eventually import eventually
from firmware import firmware
from labgrid_lab import STOCK, Lab, make_lab
from peers import do_without, require_program
from programs import LOOPBACK, free_port, run, running, served_chip
from served import server_process, tcp_port
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="labgrid runs on Linux"),
]

SIZE = 4 * 1024 * 1024
OFFSET = 0x2_0000
DATA = firmware(3, 300_000)
LARGE = firmware(4, 2_000_000)
PLACES = 12

TEST_FILE = """
def test_board(target):
    driver = target.get_driver("EspLoaderDriver")
    console = target.get_driver("SerialDriver")
    assert driver.chip_info()["chip"] == "ESP32-C3"
    assert driver.read_flash({offset}, 4) == {data!r}
    driver.write_flash([({other}, b"from a test")])
    # It had the port before, and has it again.
    assert console.state.name == "active"
    print("url", driver.url)
"""
OTHER_OFFSET = 0x10_0000


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Iterator[Lab]:
    lab = make_lab(tmp_path / "lab")
    with lab.coordinating():
        yield lab


@attrs.frozen
class Board:
    """The flash of a simulated device."""

    flash: Path
    before: bytes

    @property
    def url(self) -> str:
        return f"{SCHEME}://esp32c3?file={self.flash}"

    def assert_holds(self, *parts: tuple[int, bytes]) -> None:
        """Compare these, and that nothing else has changed."""
        after = self.flash.read_bytes()
        for offset, data in parts:
            assert after[offset : offset + len(data)] == data
        regions = [(offset, offset + len(data)) for offset, data in parts]
        assert_untouched(self.before, after, regions)


def make_board(path: Path) -> Board:
    content = old_content(SIZE)
    path.write_bytes(content)
    return Board(path, content)


@pytest.fixture(name="board")
def _board(tmp_path: Path) -> Board:
    return make_board(tmp_path / "flash.bin")


def load(lab: Lab, place: str, data: bytes = DATA, **options: object) -> None:
    """Acquire a place, load it and release it."""
    image = lab.folder / f"{place}.bin"
    image.write_bytes(data)
    environment = lab.environment_file(place, offset=OFFSET, **options)
    with lab.acquired(place):
        lab.client("-c", environment, "-p", place, "bootstrap", str(image))


def use(lab: Lab, board: Board, **variables: str) -> str:
    """Do with the place ``esp`` what labs do; return what the test there printed."""
    load(lab, "esp")
    board.assert_holds((OFFSET, DATA))
    test = lab.folder / "test_board.py"
    test.write_text(
        TEST_FILE.format(offset=OFFSET, other=OTHER_OFFSET, data=DATA[:4]), encoding="utf-8"
    )
    with lab.acquired("esp"):
        printed = lab.pytest("-s", "--lg-env", lab.environment_file("esp"), str(test), **variables)
    board.assert_holds((OFFSET, DATA), (OTHER_OFFSET, b"from a test"))
    return printed


# The ways to a board ---------------------------------------------------------------------------


@contextlib.contextmanager
def by_our_exporter(lab: Lab, board: Board) -> Iterator[None]:
    exports = {"bench": {"RawEsploaderPort": {"port": board.url, "bind": LOOPBACK}}}
    with lab.exporting("exp", exports):
        yield


@contextlib.contextmanager
def by_ser2net(lab: Lab, board: Board) -> Iterator[None]:
    require_program("ser2net")
    with served_chip("esp32c3", "--pty", "--flash", str(board.flash)) as urls:
        exports = {"bench": {"RawSerialPort": {"port": urls["pty"], "speed": 115200}}}
        with lab.exporting("exp", exports, STOCK):
            yield


@contextlib.contextmanager
def by_a_server_beside(lab: Lab, board: Board, *options: str) -> Iterator[None]:
    with server_process("-p", "0", *options, board.url) as (_, (url,)):
        port = {"host": LOOPBACK, "port": tcp_port(url), "protocol": "rfc2217"}
        with lab.exporting("exp", {"bench": {"NetworkSerialPort": port}}, STOCK):
            yield


@contextlib.contextmanager
def by_a_raw_socket(lab: Lab, board: Board) -> Iterator[None]:
    with served_chip("esp32c3", "--tcp", "0", "--flash", str(board.flash)) as urls:
        port = {"host": LOOPBACK, "port": tcp_port(urls["tcp"]), "protocol": "raw"}
        with lab.exporting("exp", {"bench": {"NetworkSerialPort": port}}, STOCK):
            yield


@pytest.mark.parametrize("way", [by_our_exporter, by_ser2net, by_a_server_beside, by_a_raw_socket])
def test_a_place_is_acquired_loaded_tested_and_released(
    lab: Lab,
    board: Board,
    way: Callable[[Lab, Board], contextlib.AbstractContextManager[None]],
) -> None:
    with way(lab, board):
        lab.make_place("esp", "exp/bench/*")
        use(lab, board)


def test_twelve_places_at_once(lab: Lab, tmp_path: Path) -> None:
    boards = {f"esp{number}": make_board(tmp_path / f"{number}.bin") for number in range(PLACES)}
    exports = {
        name: {"RawEsploaderPort": {"port": board.url, "bind": LOOPBACK}}
        for name, board in boards.items()
    }
    images = {name: firmware(number, 100_000) for number, name in enumerate(boards)}
    with lab.exporting("exp", exports), ThreadPoolExecutor(PLACES) as pool:
        list(pool.map(lambda name: lab.make_place(name, f"exp/{name}/*"), boards))
        list(pool.map(lambda name: load(lab, name, images[name]), boards))
    for name, board in boards.items():
        board.assert_holds((OFFSET, images[name]))


# Through SSH -----------------------------------------------------------------------------------

SSHD = """
ListenAddress {host}
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
"""
SSH = """
Host gateway
    HostName {host}
    Port {port}
    IdentityFile {folder}/user_key
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking accept-new
"""


@contextlib.contextmanager
def ssh_gateway(folder: Path) -> Iterator[Path]:
    """Run an SSH server; yield a folder with an ``ssh`` that knows it as ``gateway``."""
    sshd, ssh = require_program("sshd"), require_program("ssh")
    privileges = Path("/run/sshd")
    if not privileges.is_dir():
        try:
            privileges.mkdir(mode=0o755)
        except OSError as exc:
            do_without(f"sshd cannot be run: {exc}")
    for name in ("host_key", "user_key"):
        key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        assert run(*key).exit_code == 0
    facts = {"host": LOOPBACK, "port": free_port(), "folder": folder}
    (folder / "sshd_config").write_text(SSHD.format(**facts), encoding="utf-8")
    (folder / "ssh_config").write_text(SSH.format(**facts), encoding="utf-8")
    programs = folder / "programs"
    programs.mkdir()
    wrapper = programs / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/ssh_config "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    with running(sshd, "-D", "-e", "-f", str(folder / "sshd_config")):

        def attempt() -> None:
            if run(str(wrapper), "gateway", "true").exit_code:
                raise ConnectionError

        eventually(attempt, ConnectionError)
        yield programs


def test_a_place_behind_a_proxy_is_reached_through_it(
    lab: Lab, board: Board, tmp_path: Path
) -> None:
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    with ssh_gateway(folder) as programs, by_our_exporter(lab, board):
        lab.make_place("esp", "exp/bench/*")
        path = f"{programs}:{lab.programs}:/usr/bin:/bin"
        printed = use(lab, board, LG_PROXY="gateway", PATH=path)
    assert "url rfc2217://localhost:" in printed


# What is killed in mid-write --------------------------------------------------------------------


def wait_for_mid_write(board: Board) -> None:
    """Wait until some of what is loaded is in the flash, and see that not all of it is."""

    def look() -> None:
        with board.flash.open("rb") as file:
            file.seek(OFFSET)
            assert file.read(64) == LARGE[:64]

    eventually(look, AssertionError)
    assert LARGE not in board.flash.read_bytes()


@contextlib.contextmanager
def loading(lab: Lab) -> Iterator[None]:
    """Have a client load the place ``esp``, however that ends."""
    image = lab.folder / "large.bin"
    image.write_bytes(LARGE)
    environment = lab.environment_file("esp", offset=OFFSET)
    with lab.client_running("-c", environment, "-p", "esp", "bootstrap", str(image)) as client:
        yield
        client.kill()
        client.wait()


def test_after_a_client_was_killed_the_next_one_repairs_its_board(lab: Lab, board: Board) -> None:
    with by_our_exporter(lab, board):
        lab.make_place("esp", "exp/bench/*")
        with lab.acquired("esp"), loading(lab):
            wait_for_mid_write(board)
        load(lab, "esp", LARGE)
    board.assert_holds((OFFSET, LARGE))


def test_after_an_exporter_was_killed_another_finds_its_board(lab: Lab, board: Board) -> None:
    exports = {"bench": {"RawEsploaderPort": {"port": board.url, "bind": LOOPBACK}}}
    with lab.exporting("exp", exports) as exporter:
        lab.make_place("esp", "exp/bench/*")
        lab.client("-p", "esp", "acquire")
        with loading(lab):
            wait_for_mid_write(board)
            exporter.kill()
            exporter.wait()
    with lab.exporting("exp", exports):
        lab.client("-p", "esp", "release")
        load(lab, "esp", LARGE)
    board.assert_holds((OFFSET, LARGE))


def test_after_a_coordinator_was_killed_another_lends_the_board(
    tmp_path: Path, board: Board
) -> None:
    lab = make_lab(tmp_path / "lab")
    exports = {"bench": {"RawEsploaderPort": {"port": board.url, "bind": LOOPBACK}}}
    with lab.coordinating() as coordinator, lab.exporting("exp", exports) as exporter:
        lab.make_place("esp", "exp/bench/*")
        lab.await_saved("esp:", "bench")
        lab.client("-p", "esp", "acquire")
        with loading(lab):
            wait_for_mid_write(board)
            coordinator.kill()
            coordinator.wait()
            # It says by that that it wants to be started again.
            assert exporter.wait(60) == 100
    with lab.coordinating(), lab.exporting("exp", exports):
        lab.try_client("-p", "esp", "release")
        load(lab, "esp", LARGE)
    board.assert_holds((OFFSET, LARGE))
