"""What an exporter of jumpstarter does with a board, and says of it, without jumpstarter."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import EsploaderError, PlanError, PortBusyError
from esploader.flash.builds.build import Build
from esploader.flash.erasure import EraseResult
from esploader.flash.parameters import FlashParameters
from esploader.flash.plan import InputPart
from esploader.flash.progress import Phase, Progress, Restarted
from esploader.flash.write_plan import RegionResult
from esploader.integrations.jumpstarter import wire, work
from esploader.integrations.jumpstarter.job import GivenUpError, Worker
from firmware import firmware
from lab_files import APP_OFFSET, make_lab_files
from made_builds import put
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.device import Device
    from esploader.flash.builds.folder import Json
    from esploader.integrations.jumpstarter.job import Job

FLASH_SIZE = 4 * 1024 * 1024
OFFSET = 0x1_0000
APP = firmware(1, 0x2_0123)
APP_END = OFFSET + len(APP)

PROGRESS = Progress(phase=Phase.WRITE, offset=0x1000, done=5, total=10, wire_bytes=7)
REQUEST = wire.FlashRequest(
    uploads=(
        wire.Upload(name="a.bin", target="0x0", source={"a": 1}, sha256="0" * 64, encrypted=True),
        wire.Upload(name="b.bin", target=None, source=None, sha256=None),
    ),
    build=Build(
        tool="ESP-IDF",
        folder=Path("build"),
        chip="esp32c3",
        parts=(),
        parameters=FlashParameters(mode="dio"),
    ),
    encrypt=True,
)
REGION = RegionResult(
    offset=0x1000,
    size=0x2000,
    written=0x1000,
    sent=0x800,
    restarts=1,
    verified=True,
    seconds=0.25,
    warnings=("look at the cable",),
    inputs=(InputPart(name=None, offset=0x1000, size=0x1800),),
)
ERASED = EraseResult(offset=0, size=None, restarts=0, verified=False, seconds=1.0)
DUMPED = wire.DumpResult(offset=0x1000, size=4, sha256="0" * 64)
INFO = wire.ChipInfo(
    chip="ESP32-C3",
    description=None,
    revision="v0.4",
    features=("Wi-Fi",),
    mac=None,
    flash_size=FLASH_SIZE,
    secure_download_mode=False,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=8,
)


def travelled(document: object) -> Json:
    """Return a document as it arrives: numbers are doubles on their way."""
    arrived: Json = json.loads(json.dumps(document), parse_int=float)
    return arrived


@pytest.fixture
def flash(tmp_path: Path) -> Path:
    path = tmp_path / "flash.bin"
    path.write_bytes(old_content(FLASH_SIZE))
    return path


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.bin"
    path.write_bytes(APP)
    return path


def board_with(flash: Path) -> work.Board:
    return work.Board(url=f"sim://esp32c3?file={flash}", chip="esp32c3", baudrate=115200)


def request_for(target: str | None) -> wire.FlashRequest:
    upload = wire.Upload(name="app.bin", target=target, source=None, sha256=None)
    return wire.FlashRequest(uploads=(upload,))


def done(
    board: work.Board,
    operation: Callable[[Device, Job[object]], object],
    on_event: Callable[[wire.Event], None] = lambda _: None,
) -> object:
    """Return what came of an operation, all the way an exporter does it."""

    async def run() -> object:
        worker = Worker(board.url)
        async with worker.doing(
            lambda job: board.visit(job, lambda device: operation(device, job)), lambda: None
        ) as job:
            async for event in job.events():
                on_event(event)
            found = job.result()
        worker.close()
        return found

    return asyncio.run(run())


# What is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event", [PROGRESS, Restarted(offset=0x1000, reason="noise"), wire.Note("a word")]
)
def test_events_arrive_as_they_were_told(event: wire.Event) -> None:
    document = travelled(wire.event_document(event))
    assert isinstance(document, dict)
    assert wire.read_event(document) == event


def test_a_request_arrives_as_it_was_made() -> None:
    assert wire.read_request(travelled(wire.request_document(REQUEST))) == REQUEST


def test_results_arrive_as_they_were_found() -> None:
    regions = travelled([wire.result_document(REGION)])
    assert wire.read_regions(regions) == (REGION,)
    assert wire.read_erase_result(travelled(wire.result_document(ERASED))) == ERASED
    assert wire.read_dump_result(travelled(wire.result_document(DUMPED))) == DUMPED
    assert wire.read_chip_info(travelled(wire.result_document(INFO))) == INFO


def test_what_the_other_end_says_is_for_the_eye() -> None:
    assert wire.read_event({"note": "red\x1b[31m" + "x" * 5000}) == wire.Note(
        "red?[31m" + "x" * 1992
    )


@given(json_values)
def test_what_makes_no_sense_is_refused(document: Json) -> None:
    reads: tuple[Callable[[Json], object], ...] = (
        wire.read_request,
        wire.read_erase_result,
        wire.read_dump_result,
        wire.read_chip_info,
    )
    for read in reads:
        with pytest.raises(PlanError):
            read(document)


@given(st.sampled_from(["offset", "done", "total"]), json_values)
def test_no_number_but_a_whole_one_counts(key: str, value: Json) -> None:
    document = {"progress": {**wire_progress(), key: value}}
    try:
        event = wire.read_event(document)
    except PlanError:
        return
    assert isinstance(event, Progress)
    number = getattr(event, key)
    assert isinstance(number, int)
    assert number == value


def wire_progress() -> dict[str, Json]:
    (found,) = wire.event_document(PROGRESS).values()
    assert isinstance(found, dict)
    return found


# What is done --------------------------------------------------------------------------------


def test_a_file_is_written_and_its_progress_told(flash: Path, app: Path) -> None:
    events: list[wire.Event] = []
    done(
        board_with(flash),
        lambda device, job: work.flash(device, request_for("0x10000"), [app], job),
        events.append,
    )
    written = [each for each in events if isinstance(each, Progress) and each.phase is Phase.WRITE]
    assert len(written) > 3
    # What the library warns of is told, too.
    assert any(isinstance(each, wire.Note) for each in events)
    held = flash.read_bytes()
    assert held[OFFSET:APP_END] == APP
    assert_untouched(old_content(FLASH_SIZE), held, [(OFFSET, APP_END)])


def test_nobody_waiting_ends_the_write_and_the_next_one_repairs_it(flash: Path, app: Path) -> None:
    def write(device: Device, job: Job[object]) -> object:
        told: list[wire.Event] = []

        def tell(event: wire.Event) -> None:
            told.append(event)
            if isinstance(event, Progress) and event.phase is Phase.WRITE:
                job.give_up()
            job.tell(event)

        return device.flash.write([(OFFSET, app)], on_progress=tell)

    with pytest.raises(GivenUpError):
        done(board_with(flash), write)
    held = flash.read_bytes()
    assert held[OFFSET:APP_END] != APP
    assert_untouched(old_content(FLASH_SIZE), held, [(OFFSET, APP_END)])
    done(
        board_with(flash),
        lambda device, job: work.flash(device, request_for("0x10000"), [app], job),
    )
    assert flash.read_bytes()[OFFSET:APP_END] == APP


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("0x3ff000", "beyond the flash"),
        ("12x", "'12x' is not a number"),
        ("nvs", "no partition table"),
    ],
)
def test_a_target_that_is_none_changes_nothing(
    target: str, sentence: str, flash: Path, app: Path
) -> None:
    with pytest.raises(EsploaderError, match=sentence):
        done(
            board_with(flash),
            lambda device, job: work.flash(device, request_for(target), [app], job),
        )
    assert flash.read_bytes() == old_content(FLASH_SIZE)


@pytest.mark.parametrize("name", ["merged", "app", "elf"])
def test_without_a_target_a_file_goes_where_it_says_itself(
    name: str, flash: Path, tmp_path: Path
) -> None:
    files = make_lab_files(tmp_path)
    flash.write_bytes(files.whole.ljust(APP_OFFSET, b"\xff").ljust(FLASH_SIZE, b"\xff"))
    source: Path = getattr(files, name)
    done(
        board_with(flash),
        lambda device, job: work.flash(device, request_for(None), [source], job),
    )
    held = flash.read_bytes()
    assert held[: len(files.whole)] == files.whole
    assert not held[len(files.whole) :].strip(b"\xff")


def test_without_a_target_what_says_nothing_is_refused(flash: Path, tmp_path: Path) -> None:
    path = put(tmp_path, "0-data", b"data" * 100)
    with pytest.raises(PlanError, match=r"nothing says where app\.bin goes: .* at what offset"):
        done(
            board_with(flash),
            lambda device, job: work.flash(device, request_for(None), [path], job),
        )
    assert flash.read_bytes() == old_content(FLASH_SIZE)


def test_regions_are_read_and_erased(flash: Path) -> None:
    board, old = board_with(flash), old_content(FLASH_SIZE)
    result, data = done_pair(done(board, lambda device, job: work.dump(device, None, job)))
    assert (result.size, data) == (FLASH_SIZE, old)
    result, data = done_pair(done(board, lambda device, job: work.dump(device, "0x1000:0x20", job)))
    assert (result.offset, data) == (0x1000, old[0x1000:0x1020])
    done(board, lambda device, job: work.erase(device, "0x9000:0x1000", job, force=False))
    held = flash.read_bytes()
    assert held[0x9000:0xA000] == b"\xff" * 0x1000
    assert_untouched(old, held, [(0x9000, 0xA000)])


def done_pair(found: object) -> tuple[wire.DumpResult, bytes]:
    assert isinstance(found, tuple)
    result, data = found
    assert isinstance(result, wire.DumpResult)
    assert isinstance(data, bytes)
    return result, data


def test_one_operation_is_done_at_a_time() -> None:
    order: list[str] = []

    async def run() -> None:
        worker, is_free = Worker("port"), threading.Event()

        def first(_: Job[str]) -> str:
            is_free.wait()
            order.append("first")
            return "first"

        def second(_: Job[str]) -> str:
            order.append("second")
            return "second"

        async with (
            worker.doing(first, lambda: order.append("free")) as one,
            worker.doing(second, lambda: None) as two,
        ):
            is_free.set()
            assert [event async for event in two.events()] == []
            assert [event async for event in one.events()] == []
            assert (one.result(), two.result()) == ("first", "second")

    asyncio.run(run())
    assert order.index("first") < order.index("second")
    assert "free" in order


def test_an_error_is_raised_where_somebody_waits() -> None:
    def fail(_: Job[str]) -> str:
        raise PortBusyError("port", "another program has it")

    async def run() -> None:
        async with Worker("port").doing(fail, lambda: None) as job:
            assert [event async for event in job.events()] == []
            with pytest.raises(PortBusyError, match="another program"):
                job.result()

    asyncio.run(run())


def test_warnings_of_other_threads_are_not_told() -> None:
    def warn(_: Job[str]) -> str:
        log = logging.getLogger("esploader.flash")
        other = threading.Thread(target=log.warning, args=("not mine",))
        other.start()
        other.join()
        log.warning("%s", "mine")
        return ""

    async def run() -> list[wire.Event]:
        async with Worker("port").doing(warn, lambda: None) as job:
            return [event async for event in job.events()]

    assert asyncio.run(run()) == [wire.Note("mine")]
