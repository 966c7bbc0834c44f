"""The file that a flash is kept in has one owner."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esploader.errors import UrlError
from esploader.simulator import SimulatedDevice, open_simulated
from esploader.simulator.flash.file import FlashFile
from programs import PATIENCE, environment, read_line
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="nobody is kept away")


def require_taken(path: Path) -> None:
    with pytest.raises(OSError, match="another simulated device has it") as caught:
        FlashFile(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    FlashFile(path).release()
    assert path.read_bytes() == b""


@needs_locks
def test_a_file_is_claimed_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    file = FlashFile(path)
    require_taken(path)
    # By whatever name.
    require_taken(tmp_path / ".." / tmp_path.name / "flash.bin")
    file.release()
    file.release()
    FlashFile(path).release()


def test_a_file_is_gone_again_only_where_nobody_had_one_and_nothing_is_in_it(
    tmp_path: Path,
) -> None:
    for had_one, content, stays in (
        (False, b"", False),
        (False, b"content", True),
        (True, b"", True),
    ):
        path = tmp_path / "flash.bin"
        path.unlink(missing_ok=True)
        if had_one:
            path.write_bytes(b"")
        file = FlashFile(path)
        path.write_bytes(content)
        file.discard()
        assert path.exists() is stays
        FlashFile(path).release()


@needs_locks
def test_a_file_that_was_replaced_is_still_claimed(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    file = FlashFile(path)
    for content in (b"one", b"two"):
        file.save([content])
        assert path.read_bytes() == content
        require_taken(path)
    file.release()
    FlashFile(path).release()
    assert list(tmp_path.iterdir()) == [path]


@needs_locks
def test_an_owner_that_is_forgotten_leaves_it_free(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    file = FlashFile(path)
    require_taken(path)
    del file
    FlashFile(path).release()


@needs_locks
def test_another_process_is_kept_away_until_the_owner_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    code = (
        "import sys, pathlib, time; from esploader.simulator import SimulatedDevice\n"
        "device = SimulatedDevice('esp32c3', flash=sys.argv[1])\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert read_line(process) == "ready\n"
        require_taken(path)
        process.kill()
        process.wait(PATIENCE)
    FlashFile(path).release()


@needs_locks
def test_two_devices_cannot_have_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    first = SimulatedDevice("esp32c3", flash=path)
    with connect(first.open_transport(), stub=False) as connected:
        connected.flash.write([(0, b"first")])
    # It is still there when a port to it has been closed.
    with pytest.raises(OSError, match="another simulated device has it"):
        SimulatedDevice("esp32", flash=path)
    with pytest.raises(UrlError, match="another simulated device has it"):
        open_simulated(f"sim://esp32?file={path}")
    first.close()
    for _ in range(2):
        with open_simulated(f"sim://esp32?file={path}") as port:
            assert port.device.flash[:6] == b"first\xff"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/flash.bin", "there is no such directory"), (".", "it is no regular file")],
)
def test_a_file_that_cannot_be_written_is_refused_at_once(
    name: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match=reason):
        SimulatedDevice("esp32c3", flash=tmp_path / name)


def test_a_device_that_cannot_be_made_leaves_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    with pytest.raises(ValueError, match="revision"):
        SimulatedDevice("esp32c3", flash=path, revision=(99, 0))
    assert not path.exists()


def test_what_is_missing_already_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    file = FlashFile(path)
    file.save([b"whole"])
    path.unlink()
    file.store(1, b"change")
    path.write_bytes(b"other")
    file.store(1, b"change")
    assert path.read_bytes() == b"other"
    file.save([b"whole again"])
    file.store(0, b"W")
    assert path.read_bytes() == b"Whole again"
    file.release()
