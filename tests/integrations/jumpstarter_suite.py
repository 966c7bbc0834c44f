"""The driver and its client in one process. ``test_jumpstarter.py`` runs it."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import hashlib
import http.server
import lzma
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from backports import zstd
from jumpstarter.client.core import DriverError, DriverInvalidArgument
from jumpstarter.common.exceptions import ConfigurationError
from jumpstarter.common.utils import serve
from jumpstarter.streams.encoding import Compression, create_decompressor
from jumpstarter_driver_composite.driver import Composite, Proxy
from jumpstarter_driver_pyserial.driver import PySerial
from opendal import Operator
from typing_extensions import override

from elf_programs import made_up
from esploader.chips.registry import chip_by_name
from esploader.errors import PlanError
from esploader.flash.progress import Phase, Progress
from esploader.integrations.jumpstarter.console import EspConsole
from esploader.integrations.jumpstarter.driver import EspLoader
from esploader.integrations.jumpstarter.wire import Note
from firmware import firmware
from made_builds import OTA_TABLE, esp_idf, table
from programs import served_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from esploader.integrations.jumpstarter.client import EspLoaderClient
    from esploader.integrations.jumpstarter.wire import Event

CHIP = chip_by_name("esp32c3")
FLASH_SIZE = 4 * 1024 * 1024
OFFSET = 0x1_0000
APP = firmware(1, 0x3_0123)
APP_END = OFFSET + len(APP)
OLD = old_content(FLASH_SIZE)
TABLE = table()
PACKERS = {
    Compression.GZIP: gzip.compress,
    Compression.XZ: lzma.compress,
    Compression.BZ2: bz2.compress,
    Compression.ZSTD: zstd.compress,
}


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    path = tmp_path / "flash.bin"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.bin"
    path.write_bytes(APP)
    return path


@pytest.fixture
def board(flash: Path) -> Iterator[EspLoaderClient]:
    with serve(EspLoader(url=f"sim://esp32c3?file={flash}", chip="esp32c3")) as client:
        yield client


def assert_holds(
    flash: Path, parts: Mapping[int, bytes], before: bytes = OLD, after: bytes | None = None
) -> None:
    """Assert that the flash holds ``parts``, and around them what it held before."""
    held = flash.read_bytes() if after is None else after
    for offset, data in parts.items():
        assert held[offset : offset + len(data)] == data, hex(offset)
    regions = [(offset, offset + len(data)) for offset, data in parts.items()]
    assert_untouched(before, held, regions)


def test_events_come_while_it_happens_and_the_result_is_typed(
    board: EspLoaderClient, flash: Path, app: Path
) -> None:
    events: list[Event] = []
    (region,) = board.flash(app, target=hex(OFFSET), on_event=events.append)
    assert (region.offset, region.verified) == (OFFSET, True)
    (part,) = region.inputs
    assert part.size == len(APP)
    written = [
        event for event in events if isinstance(event, Progress) and event.phase is Phase.WRITE
    ]
    assert len(written) > 3
    assert written[-1].done == written[-1].total
    # What the library has to say at the exporter arrives, too.
    assert any(isinstance(event, Note) and "no input covers it" in event.text for event in events)
    assert_holds(flash, {OFFSET: APP})


def test_who_gives_up_ends_the_write_and_the_next_one_repairs_it(flash: Path, app: Path) -> None:
    class GivenUpError(Exception):
        pass

    def give_up(event: Event) -> None:
        if isinstance(event, Progress) and event.phase is Phase.WRITE:
            raise GivenUpError

    # What a line takes its time for is still being written when that arrives.
    ways = ("--realtime", "--rfc2217", "0", "--flash", str(flash))
    with (
        served_chip("esp32c3", *ways) as urls,
        serve(EspLoader(url=urls["rfc2217"], baudrate=230400)) as board,
    ):
        with pytest.raises(GivenUpError):
            board.flash(app, target=hex(OFFSET), on_event=give_up)
        assert board.chip_info().chip == "ESP32-C3"
        assert flash.read_bytes()[OFFSET:APP_END] != APP
        board.flash(app, target=hex(OFFSET))
    assert_holds(flash, {OFFSET: APP})


def test_several_files_go_to_offsets_and_partitions(
    board: EspLoaderClient, flash: Path, app: Path, tmp_path: Path
) -> None:
    board.flash(put(tmp_path, "table.bin", TABLE), target="0x8000")
    before = flash.read_bytes()
    nvs = put(tmp_path, "nvs.bin", firmware(2, 0x2000))
    board.flash({"nvs": nvs, "0x200000": app})
    offset = next(row[2] for row in OTA_TABLE if row[-1] == "nvs")
    assert_holds(flash, {offset: nvs.read_bytes(), 0x20_0000: APP}, before)


def test_a_merged_image_is_all_of_the_flash(
    board: EspLoaderClient, flash: Path, tmp_path: Path
) -> None:
    merged = firmware(3, 0x8000) + TABLE + firmware(4, 0x1_0000)
    board.flash(put(tmp_path, "merged.bin", merged))
    assert_holds(flash, {0: merged})


def test_an_elf_file_becomes_an_image_where_it_is_told_to(
    board: EspLoaderClient, flash: Path, tmp_path: Path
) -> None:
    program = made_up(CHIP, 1)
    elf = put(tmp_path, "app.elf", program.elf)
    with pytest.raises(DriverError, match="no partition table"):
        board.flash(elf)
    with pytest.raises(DriverInvalidArgument, match=r"nothing says where data\.bin goes"):
        board.flash(put(tmp_path, "data.bin", b"data"))
    assert flash.read_bytes() == OLD
    (region,) = board.flash(elf, target=hex(OFFSET), force=True)
    held = flash.read_bytes()
    assert held[OFFSET] == 0xE9
    assert_untouched(OLD, held, [(OFFSET, OFFSET + region.size)])


def test_a_build_is_judged_by_the_client_and_written_with_its_parameters(
    board: EspLoaderClient, flash: Path, tmp_path: Path
) -> None:
    parts = {offset: data for name, offset, data in esp_idf(tmp_path / "build", CHIP) if offset}
    board.flash(tmp_path / "build")
    held = flash.read_bytes()
    # dio, 4MB, and the clock as it was.
    assert held[2:3] == b"\x02"
    assert held[3] >> 4 == 2
    assert_holds(flash, parts, before=held[:0x1000] + OLD[0x1000:])
    with pytest.raises(PlanError, match="has no 'nothing'"):
        board.flash_build(tmp_path / "build", partitions=["nothing"])


@pytest.mark.parametrize("compression", [*Compression])
def test_files_may_be_compressed(
    compression: Compression,
    board: EspLoaderClient,
    flash: Path,
    tmp_path: Path,
) -> None:
    packed, dump = tmp_path / "app.packed", tmp_path / "dump.packed"
    packed.write_bytes(PACKERS[compression](APP))
    board.flash(packed, target=hex(OFFSET), compression=compression)
    assert_holds(flash, {OFFSET: APP})
    result = board.dump(dump, target=f"{OFFSET:#x}:{len(APP)}", compression=compression)
    assert create_decompressor(compression).decompress(dump.read_bytes()) == APP
    assert result.sha256 == hashlib.sha256(APP).hexdigest()
    with pytest.raises(PlanError, match="is not compressed as"):
        board.flash(put(tmp_path, "raw.bin", APP), target=hex(OFFSET), compression=compression)


def test_files_may_be_where_opendal_finds_them(
    board: EspLoaderClient, flash: Path, app: Path, tmp_path: Path
) -> None:
    operator = Operator("fs", root=str(tmp_path))
    board.flash(app.name, target=hex(OFFSET), operator=operator)
    assert_holds(flash, {OFFSET: APP})
    board.dump("dump.bin", operator=operator)
    assert (tmp_path / "dump.bin").read_bytes() == flash.read_bytes()


def test_the_exporter_fetches_urls(
    board: EspLoaderClient, flash: Path, app: Path, tmp_path: Path
) -> None:
    with web_server(tmp_path) as url:
        board.flash(f"{url}/{app.name}", target=hex(OFFSET))
        assert_holds(flash, {OFFSET: APP})
        with pytest.raises(DriverError, match="404"):
            board.flash(f"{url}/nothing.bin", target=hex(OFFSET))


def test_a_dump_that_fails_leaves_the_old_file(board: EspLoaderClient, tmp_path: Path) -> None:
    dump = put(tmp_path, "dump.bin", b"old")
    with pytest.raises(DriverInvalidArgument, match="beyond the flash"):
        board.dump(dump, target="0x3ff000:0x2000")
    assert dump.read_bytes() == b"old"
    result = board.dump(dump)
    assert (result.offset, result.size) == (0, FLASH_SIZE)
    assert dump.read_bytes() == OLD


def test_all_a_region_or_a_partition_is_erased(
    board: EspLoaderClient, flash: Path, tmp_path: Path
) -> None:
    board.erase(target="0x20000:0x2000")
    assert_holds(flash, {0x2_0000: b"\xff" * 0x2000})
    board.flash(put(tmp_path, "table.bin", TABLE), target="0x8000")
    before = flash.read_bytes()
    assert board.erase(target="nvs").verified
    assert_holds(flash, {0x9000: b"\xff" * 0x5000}, before)
    assert board.erase().size == FLASH_SIZE
    assert flash.read_bytes() == b"\xff" * FLASH_SIZE


def test_a_device_says_who_it_is(board: EspLoaderClient) -> None:
    info = board.chip_info()
    assert (info.chip, info.revision, info.flash_size) == ("ESP32-C3", "v0.4", FLASH_SIZE)
    assert info.mac == "24:0a:c4:00:00:01"
    assert not info.secure_download_mode


def test_a_request_that_makes_no_sense_is_refused(board: EspLoaderClient, flash: Path) -> None:
    requests: list[object] = [{}, [], None, {"uploads": []}, {"uploads": [{}] * 65}]
    for request in requests:
        with pytest.raises(DriverInvalidArgument, match="the request of the client"):
            list(board.streamingcall("flash", request))
    for operation in ("erase", "dump"):
        with pytest.raises(DriverInvalidArgument, match="the request of the client"):
            list(board.streamingcall(operation, 5, 5))
    assert flash.read_bytes() == OLD


def test_what_does_not_arrive_as_it_was_sent_is_not_written(
    board: EspLoaderClient, flash: Path, tmp_path: Path
) -> None:
    with web_server(tmp_path) as url:
        put(tmp_path, "app.bin", APP)
        source = {"headers": {}, "url": f"{url}/app.bin", "method": "GET"}
        upload = {
            "name": "app.bin",
            "target": "0x10000",
            "source": {"kind": "presigned_request", **source},
            "sha256": "0" * 64,
            "encrypted": False,
        }
        options = {"encrypt": False, "erase_all": False, "force": False}
        with pytest.raises(DriverInvalidArgument, match="did not arrive as"):
            list(board.streamingcall("flash", {"uploads": [upload], **options}))
    assert flash.read_bytes() == OLD


def test_another_chip_is_left_alone(flash: Path, app: Path) -> None:
    with (
        serve(EspLoader(url=f"sim://esp32c3?file={flash}", chip="esp32")) as board,
        pytest.raises(DriverInvalidArgument, match="this chip is ESP32-C3, not ESP32"),
    ):
        board.flash(app, target="0x10000")
    assert flash.read_bytes() == OLD


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "EspLoader has no port"),
        ({"url": "rfc2217://nowhere"}, "cannot use 'rfc2217://nowhere' as a port"),
        ({"url": 5}, "5 is no url"),
        ({"url": ""}, "EspLoader has no port"),
        ({"url": "sim://esp32c3", "chip": "z80"}, "z80"),
        ({"url": "sim://esp32c3", "baudrate": "fast"}, "'fast' is no baudrate"),
        ({"url": "sim://esp32c3", "baudrate": 0}, "0 is no baud rate"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(
    config: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        EspLoader(**config)  # type: ignore[arg-type]  # that is what it is about


@pytest.mark.parametrize("console", [PySerial, EspConsole])
def test_the_console_lets_go_of_the_port_and_has_it_again(
    console: type[PySerial], flash: Path, app: Path
) -> None:
    with bench(console, flash) as client, client.serial.stream():
        # Somebody has the only port of the board.
        client.storage.flash(app, target=hex(OFFSET))
        with client.serial.stream() as stream:
            assert stream is not None
        with pytest.raises(DriverInvalidArgument):
            client.storage.flash(app, target="0x3ff000")
        with client.serial.stream() as stream:
            assert stream is not None
    assert_holds(flash, {OFFSET: APP})


def test_a_console_waits_while_the_board_is_flashed(flash: Path, app: Path) -> None:
    order: list[str] = []
    with bench(EspConsole, flash) as client:

        def open_console() -> None:
            with client.serial.stream():
                order.append("opened")

        opener = threading.Thread(target=open_console)

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                order.append(event.phase.value)
                if opener.ident is None and event.phase is Phase.WRITE:
                    opener.start()

        client.storage.flash(app, target=hex(OFFSET), on_event=show)
        opener.join()
    assert order.count("opened") == 1
    assert Phase.WRITE.value not in order[order.index("opened") :]
    assert_holds(flash, {OFFSET: APP})


def test_a_console_gets_the_port_back_from_a_board_that_is_given_up_at_once() -> None:
    turns: list[str] = []

    class Console(EspConsole):
        @override
        def hold(self) -> None:
            turns.append("held")

        @override
        def give_back(self) -> None:
            turns.append("given back")

        @override
        def close(self) -> None:
            raise asyncio.CancelledError

    console = Console(url="socket://127.0.0.1:1", check_present=False)
    storage = EspLoader(url="sim://esp32c3", children={"serial": console})

    async def ask() -> None:
        async for _ in storage.chip_info():
            pass

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ask())
    assert turns == ["held", "given back"]


@contextmanager
def bench(console: type[PySerial], flash: Path) -> Iterator[Composite]:
    """Yield the client of an exporter whose board has a port for a console, too."""
    ways = ("--rfc2217", "0", "--tcp", "0", "--flash", str(flash))
    with served_chip("esp32c3", *ways) as urls:
        serial = console(url=urls["tcp"], check_present=False)
        storage = EspLoader(url=urls["rfc2217"], children={"serial": Proxy(ref="serial")})
        with serve(Composite(children={"serial": serial, "storage": storage})) as client:
            yield client


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve the files of a folder meanwhile."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        @override
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
