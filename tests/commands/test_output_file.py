"""Where what was read goes: files are replaced at once, all else is only written to."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from esploader import connect
from esploader.cli import main
from esploader.commands.output_file import OutputFile
from esploader.errors import PlanError
from silence import Silent, do_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esploader.flash.progress import ProgressEvent

NOBODY = 65534
C3 = ("--port", "sim://esp32c3", "--no-stub")
BLANK = b"\xff" * 16


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def save(path: Path, data: bytes = b"new") -> None:
    with OutputFile.open(path) as file:
        file.write(data)


@pytest.fixture(name="umask", params=[0o022, 0o077, 0o002], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask: int = request.param
    old = os.umask(mask)
    yield mask
    os.umask(old)


def test_a_new_file_gets_the_permissions_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "new"
    save(path)
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o755], ids=oct)
def test_an_older_file_keeps_its_permissions(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"longer than what is new")
    path.chmod(mode)
    save(path)
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_file_is_there_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    with path.open("rb") as reader, OutputFile.open(path) as file:
        assert path.read_bytes() == b"old"
        file.write(b"new")
        assert path.read_bytes() == b"new"
        # Whoever was reading it reads on in the old one.
        assert reader.read() == b"old"


@pytest.mark.parametrize("is_there", [True, False])
def test_nothing_is_left_of_a_file_that_was_not_written(tmp_path: Path, *, is_there: bool) -> None:
    path = tmp_path / "file"
    if is_there:
        path.write_bytes(b"old")
    with OutputFile.open(path):
        pass
    assert [each.read_bytes() for each in tmp_path.iterdir()] == ([b"old"] if is_there else [])


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_the_file_that_it_names_is_written(
    tmp_path: Path, *, is_there: bool
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target, link = folder / "target", tmp_path / "link"
    if is_there:
        target.write_bytes(b"old")
    link.symlink_to(target)
    save(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert list(folder.iterdir()) == [target]


def test_the_other_names_of_a_file_stay_names_of_it(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"longer than what is new")
    other.hardlink_to(one)
    save(one)
    assert one.samefile(other)
    assert other.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main([*C3, "read-flash", "0", "16", str(pipe)]) == 0
        assert os.read(reader, 100) == BLANK
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_pipe_stays_when_the_reading_fails(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main([*C3, "dump-mem", "0xfffffff0", "1k", str(pipe)]) == 2
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)
    assert pipe.is_fifo()


class Watcher(Silent):
    """Notes whether anything was read."""

    has_seen_progress = False

    @override
    def progress(self, event: ProgressEvent) -> None:
        self.has_seen_progress = True


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (".", "Is a directory"),
        ("missing/file", "No such file or directory"),
        ("file/file", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("long" * 100, "File name too long"),
        ("a\0b", "null byte"),
    ],
    ids=["directory", "no directory", "in a file", "loop", "long name", "zero byte"],
)
@pytest.mark.parametrize("command", ["read-flash", "dump-mem"])
def test_where_nothing_can_be_written_nothing_is_read(
    command: str, output: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    words = [command, "0x40000000" if command == "dump-mem" else "0", "16", f"{tmp_path}/{output}"]
    watcher = Watcher()
    with connect("sim://esp32c3", stub=False) as device:
        with pytest.raises(PlanError, match=f"cannot be written: .*{reason}"):
            do_work(device, words, watcher)
        assert not watcher.has_seen_progress
        words[-1] = str(tmp_path / "new")
        do_work(device, words, watcher)
        assert watcher.has_seen_progress


@pytest.fixture(name="read_only_directory")
def _read_only_directory() -> Iterator[Path]:
    """A directory in which only root can make files, and which all can enter."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for file, mode in (("open", 0o666), ("closed", 0o444)):
            (directory / file).write_bytes(b"longer than what is new")
            (directory / file).chmod(mode)
        directory.chmod(0o555)
        yield directory
        directory.chmod(0o755)


def save_as_nobody(path: Path) -> str:
    """Write to ``path`` as somebody for whom permissions count, as they do not for root."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from esploader.errors import PlanError\n"
        "from esploader.commands.output_file import OutputFile\n"
        f"os.geteuid() or os.setgid({NOBODY}) or os.setuid({NOBODY})\n"
        "try:\n"
        "    with OutputFile.open(Path(sys.argv[1])) as file:\n"
        "        file.write(b'new')\n"
        "except PlanError as exc:\n"
        "    print(exc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_a_file_is_written_where_no_other_can_be_made(read_only_directory: Path) -> None:
    path = read_only_directory / "open"
    assert not save_as_nobody(path)
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o666


@pytest.mark.parametrize("name", ["closed", "new"])
def test_a_file_that_may_not_be_written_is_refused(read_only_directory: Path, name: str) -> None:
    path = read_only_directory / name
    assert save_as_nobody(path) == f"{path} cannot be written: Permission denied\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_stays_theirs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"longer than what is new")
    os.chown(path, NOBODY, NOBODY)
    save(path)
    assert path.read_bytes() == b"new"
    assert path.stat().st_uid == NOBODY
