"""What may be installed as a stub, and that it is there as a whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.errors import StubInstallError
from esploader.loader.known_stubs import ESPTOOL_VERSIONS, KNOWN_STUBS, LATEST
from esploader.loader.stub import MAX_FILE_SIZE
from esploader.loader.stub_store import (
    StoredStub,
    checked,
    install,
    installed,
    remove,
    version_of,
)
from full_disk import files_of_at_most, small_disk
from stub_files import stub_file

if TYPE_CHECKING:
    from pathlib import Path


def test_the_table_of_known_stubs_makes_sense() -> None:
    for name, digests in KNOWN_STUBS.items():
        assert name.startswith("esp")
        found = [version for versions in digests.values() for version in versions]
        assert len(found) == len(set(found))
        assert LATEST in found
        assert set(found) <= set(ESPTOOL_VERSIONS)
        for digest in digests:
            assert len(bytes.fromhex(digest)) == 32
    assert list(ESPTOOL_VERSIONS)[-1] == LATEST


def test_stubs_of_espressif_are_known(known_files: dict[str, bytes]) -> None:
    stubs = [checked(name, content) for name, content in known_files.items()]
    assert version_of(stubs) in ESPTOOL_VERSIONS


@pytest.mark.parametrize("change", [b"\n", b" "])
def test_a_stub_that_is_not_known_is_refused(change: bytes, known_files: dict[str, bytes]) -> None:
    content = known_files["esp32"] + change
    with pytest.raises(StubInstallError, match=r"esptool 5\.2\.0 to 5\.6\.0 .*; --trust takes it"):
        checked("esp32", content)
    assert checked("esp32", content, trust=True).version == "unknown"


def test_a_stub_by_the_name_of_another_is_refused(known_files: dict[str, bytes]) -> None:
    with pytest.raises(StubInstallError, match="esp32c3"):
        checked("esp32c3", known_files["esp32"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", bytes(MAX_FILE_SIZE + 1)])
def test_what_is_no_stub_is_not_even_trusted(content: bytes) -> None:
    with pytest.raises(StubInstallError):
        checked("esp32", content, trust=True)


def test_versions_of_stubs_that_do_not_belong_together() -> None:
    assert version_of([StoredStub("esp32", stub_file())]) == "unknown"


def test_what_was_installed_is_there_until_it_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "stubs"
    stubs = [StoredStub(name, stub_file(name.encode() * 100)) for name in ("esp32", "esp32c3")]
    assert installed(folder) == []
    install(stubs, folder)
    assert installed(folder) == stubs
    assert sorted(path.name for path in folder.iterdir()) == ["esp32.json", "esp32c3.json"]
    install(stubs[:1], folder)
    assert installed(folder) == stubs

    assert remove(folder) == ["esp32", "esp32c3"]
    assert not folder.exists()
    assert remove(folder) == []


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    install([StoredStub("esp32", stub_file())], tmp_path)
    assert remove(tmp_path) == ["esp32"]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def assert_old_stubs_are_whole(folder: Path, old: list[StoredStub]) -> None:
    assert installed(folder) == old
    assert len(list(folder.iterdir())) == len(old)


def test_files_that_may_not_grow_leave_the_old_stubs(tmp_path: Path) -> None:
    old = [StoredStub(name, stub_file()) for name in ("esp32", "esp32c3")]
    new = [StoredStub("esp32", stub_file()), StoredStub("esp32c3", stub_file(bytes(200_000)))]
    install(old, tmp_path)
    with files_of_at_most(100_000), pytest.raises(StubInstallError, match="too large"):
        install(new, tmp_path)
    assert_old_stubs_are_whole(tmp_path, old)


def test_a_full_disk_leaves_the_old_stubs(tmp_path: Path) -> None:
    old = [StoredStub(name, stub_file()) for name in ("esp32", "esp32c3")]
    new = [StoredStub("esp32", stub_file()), StoredStub("esp32c3", stub_file(bytes(200_000)))]
    with small_disk(tmp_path, 128) as disk:
        install(old, disk)
        with pytest.raises(StubInstallError, match="No space left"):
            install(new, disk)
        assert_old_stubs_are_whole(disk, old)


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StubInstallError):
        install([StoredStub("esp32", stub_file())], tmp_path / "file" / "stubs")
    (tmp_path / "esp32.json").mkdir()
    for attempt in (installed, remove):
        with pytest.raises(StubInstallError):
            attempt(tmp_path)
