"""What holds for all tests."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import settings

from esploader.loader.stub_sources import from_esptool
from far_ends import STAND_INS
from one_fault import Counts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

TESTS = Path(__file__).parent


@cache
def room_of(path: Path) -> str:
    """Return the folder of tests that has a file, or the file itself if it is in none."""
    return str(TESTS / path.relative_to(TESTS).parts[0])


ROOMS = sorted({room_of(path) for path in TESTS.rglob("test_*.py")})

IS_FULL = os.environ.get("ESPLOADER_FULL") == "1"
"""What ``.ci/run --full`` asks for: the slow tests too, and more examples of what is drawn."""

# Chance has a seed: what passes here passes there, and what fails can be looked at again. How long
# an example takes is up to whatever else the machine does.
settings.register_profile("usual", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("full", derandomize=True, deadline=None, max_examples=150)
settings.load_profile("full" if IS_FULL else "usual")

# Programs that we start are told to end as from a terminal. A shell that runs tests in the
# background has them ignore that, and they hand it on to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT"):
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
if hasattr(signal, "SIGHUP") and (
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or "PYTEST_XDIST_WORKER" in os.environ
):
    # nohup has it ignored. A handler that does nothing spares us, too, and is not handed on.
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def pytest_configure(config: pytest.Config) -> None:
    """Compile what is tested once, not in each of the processes that are started.

    Where byte code must not be left beside the sources, it is kept for as long as the tests run.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        folder = tempfile.mkdtemp(prefix="esploader-pycache-")
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    worker: dict[str, object] | None = getattr(config, "workerinput", None)
    if worker is not None and config.args == config.getini("testpaths"):
        # Each begins to read the tests elsewhere, and finds compiled what others have read.
        number = int(str(worker["workerid"]).removeprefix("gw"))
        config.args = rotated(ROOMS, number / int(str(worker["workercount"])))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two for each core: tests of other people's programs mostly wait."""
    return 2 * (os.cpu_count() or 1)


def pytest_report_header() -> str:
    """Say which tests there are."""
    return "slow tests: run, too" if IS_FULL else "slow tests: left out; ESPLOADER_FULL=1 runs them"


def rotated(rooms: Sequence[str], share: float) -> list[str]:
    """Return all of them, beginning behind those that hold this share of what there is to read."""
    sizes = [sum(path.stat().st_size for path in Path(room).rglob("*.py")) for room in rooms]
    first = sum(before < share * sum(sizes) for before in itertools.accumulate(sizes))
    return [*rooms[first:], *rooms[:first]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, if they were not asked for; bring the rest into one order."""
    items.sort(key=lambda item: ROOMS.index(room_of(item.path)))
    if IS_FULL:
        return
    slow = [item for item in items if item.get_closest_marker("slow") is not None]
    if slow:
        config.hook.pytest_deselected(items=slow)
        left_out = set(slow)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Have the tests alone looked through for garbage, not what makes up the thousands of them."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what came of the faults of ``scenarios/test_one_fault_everywhere.py``."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    columns = [field.name for field in attrs.fields(Counts)]
    reports = (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
    for name, value in (item for report in reports for item in report.user_properties):
        if name == "one fault" and isinstance(value, list | tuple):
            operation, loader, *found = value
            for case in ((operation, loader), (operation, "all"), ("all", "all")):
                known = counts.setdefault(case, Counter())
                known.update(dict(zip(columns, found, strict=True)))
    if not counts:
        return
    terminalreporter.section("one fault everywhere")
    for (operation, loader), numbers in sorted(counts.items()):
        text = ", ".join(f"{numbers[column]} {column}" for column in columns)
        terminalreporter.write_line(f"{operation} on {loader}: {text}")


@pytest.fixture(scope="session", autouse=True)
def _no_stubs_of_whoever_runs_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
            monkeypatch.setenv(name, folder)
        yield


@pytest.fixture(scope="session", name="known_files")
def _known_files() -> dict[str, bytes]:
    """Espressif's stubs, by name; without an esptool, which has them, the test is skipped."""
    found = from_esptool()
    if found is None:
        pytest.skip("esptool, which has the stubs, is missing")
    return dict(found.files)


# Only tests that are marked with ``peer`` start other people's programs ------------------------

OUR_PROGRAMS = {Path(sys.executable).name, "esploader", "esploader-rfc2217-server"}
OF_THE_SYSTEM = {"bash", "ldconfig", "mount", "sh", "umount"}
"""Shells run what our documentation says; a small disk is mounted, and is then full; Python asks
``ldconfig`` where a library is."""

FOREIGN_MODULES = {"esptool", "espefuse", "espsecure", "esp_rfc2217_server"}


class Starts:
    """Notices the programs that tests start."""

    def __init__(self) -> None:
        self.may_be_foreign = True
        """As long as no test is run."""

    def notice(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take note of an audit event of Python."""
        if event == "subprocess.Popen" and not self.may_be_foreign:
            _, command, *_ = arguments
            if isinstance(command, list | tuple) and is_foreign(list(map(os.fspath, command))):
                raise AssertionError(f"a test that starts {command} needs the mark 'peer'")


def is_foreign(command: Sequence[str]) -> bool:
    """Return whether a command runs somebody else's program."""
    if Path(command[0]).parent.name == STAND_INS:
        return False
    if Path(command[0]).name in OUR_PROGRAMS:
        return not FOREIGN_MODULES.isdisjoint(command)
    return Path(command[0]).name not in OF_THE_SYSTEM


STARTS = Starts()
sys.addaudithook(STARTS.notice)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Allow what the test is marked for."""
    STARTS.may_be_foreign = item.get_closest_marker("peer") is not None
    try:
        return (yield)
    finally:
        STARTS.may_be_foreign = True
