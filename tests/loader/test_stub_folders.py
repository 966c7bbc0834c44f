"""Where stubs are looked for that nobody has named, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bare_python import run_bare
from esploader import connect
from esploader.chips.esp32c3 import ESP32_C3 as C3
from esploader.loader.stub import find_stub
from esploader.loader.stub_folders import user_folder
from esploader.protocol.dialect import STUB
from stub_files import TEXT_START, stub_directory, stub_file

OFFERED = "run 'esploader stub install'"


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/esploader/stubs"),
        ("linux", {}, "~/.local/share/esploader/stubs"),
        ("linux", {"XDG_DATA_HOME": ""}, "~/.local/share/esploader/stubs"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "~/.local/share/esploader/stubs"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "~/Library/Application Support/esploader/stubs"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/esploader/stubs"),
        ("win32", {}, "~/AppData/Local/esploader/stubs"),
    ],
)
def test_the_folder_is_where_the_platform_has_such_data(
    platform: str, environment: dict[str, str], folder: str
) -> None:
    assert user_folder(environment, platform) == Path(folder).expanduser()


def installed(folder: Path, content: bytes) -> dict[str, str]:
    """Put a stub into the folder of a user; return the environment of that user."""
    environment = {"XDG_DATA_HOME": str(folder), "LOCALAPPDATA": str(folder)}
    path = user_folder(environment, "linux")
    path.mkdir(parents=True)
    (path / "esp32c3.json").write_bytes(content)
    return environment


def test_the_users_stub_counts_more_than_that_of_esptool(tmp_path: Path) -> None:
    environment = installed(tmp_path, stub_file())
    assert find_stub(C3, None, environment).entry == TEXT_START + 0x54


def test_what_is_named_counts_more_than_the_users_stub(tmp_path: Path) -> None:
    environment = installed(tmp_path, stub_file())
    other = tmp_path / "other.json"
    other.write_bytes(stub_file(entry=TEXT_START + 8))
    assert find_stub(C3, other, environment).entry == TEXT_START + 8

    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "esp32c3.json").write_bytes(stub_file(entry=TEXT_START + 12))
    environment["ESPLOADER_STUB_DIR"] = str(folder)
    assert find_stub(C3, None, environment).entry == TEXT_START + 12
    assert find_stub(C3, other, environment).entry == TEXT_START + 8


def test_a_stub_of_the_user_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in installed(tmp_path, stub_file()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ESPLOADER_STUB_DIR", raising=False)
    with connect("sim://esp32c3") as device:
        device.flash.erase()
        assert device.session.dialect is STUB


@pytest.mark.parametrize(
    ("chip", "words", "needs"),
    [
        ("esp32c3", ("erase-flash",), "the ROM loader cannot; a stub can"),
        pytest.param(
            "esp32c3",
            ("--no-stub", "erase-flash"),
            "the ROM loader cannot; a stub can",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "esp32",
            ("write-flash", "--erase-all", "0x10000", "image"),
            "cannot; a stub can",
            marks=pytest.mark.slow,
        ),
        (
            "esp32s3?flash=32MB",
            ("read-flash", "0x1000000", "16", "out"),
            "and not up to 0x1000010; a stub does",
        ),
    ],
)
def test_who_needs_a_stub_and_has_none_is_told_how_to_get_one(
    chip: str, words: tuple[str, ...], needs: str, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(bytes(16))
    names = {"image": str(tmp_path / "image"), "out": str(tmp_path / "out")}
    command = [names.get(word, word) for word in words]
    done = run_bare(tmp_path, "-m", "esploader", "--port", f"sim://{chip}", *command)
    assert done.exit_code == 2
    assert f"{needs}: {OFFERED}\n" in done.stderr


def test_who_is_slower_without_a_stub_is_told_how_to_get_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["--port", "sim://esp32c3", "read-flash", "0", "16", str(out)]
    done = run_bare(tmp_path, "-m", "esploader", *command)
    assert done.exit_code == 0
    assert done.stderr.splitlines()[0] == (
        f"WARNING: stub for the ESP32-C3: it is not installed, {OFFERED}; "
        "going on with the slower ROM loader"
    )
    assert out.read_bytes() == b"\xff" * 16


def test_a_folder_without_a_stub_is_named_to_who_needs_one(tmp_path: Path) -> None:
    command = ["-m", "esploader", "--port", "sim://esp32c3", "erase-flash"]
    nowhere = str(tmp_path / "nowhere")
    done = run_bare(tmp_path, *command, environment={"ESPLOADER_STUB_DIR": nowhere})
    assert done.exit_code == 2
    assert f"a stub can: ESPLOADER_STUB_DIR names {nowhere}, where there is none\n" in done.stderr


def test_who_has_a_stub_is_not_told_to_get_one(tmp_path: Path) -> None:
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    stub_directory(stubs)
    command = ["-m", "esploader", "--port", "sim://esp32c3", "--no-stub", "erase-flash"]
    done = run_bare(tmp_path, *command, environment={"ESPLOADER_STUB_DIR": str(stubs)})
    assert done.exit_code == 2
    assert "a stub can\n" in done.stderr
    assert "stub install" not in done.stderr
