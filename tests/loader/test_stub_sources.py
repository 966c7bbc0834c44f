"""Stubs are found in files, folders and archives, and nothing else is."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from esploader.errors import StubInstallError
from esploader.loader.known_stubs import KNOWN_STUBS, LATEST
from esploader.loader.stub_sources import from_esptool, from_place, from_release
from stub_files import stub_file

IN_ARCHIVE = "esptool-5.6.0/esptool/targets/stub_flasher"


def archive(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """Return an archive as those of esptool's sources are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as files:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            files.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "esptool-5.6.0.tar.gz"
    path.write_bytes(
        archive(
            {
                "esptool-5.6.0/setup.py": b"raise SystemExit('never run')",
                f"{IN_ARCHIVE}/1/esp32.json": b"GPL",
                f"{IN_ARCHIVE}/2/README.md": b"text",
                f"{IN_ARCHIVE}/2/esp32.json": b"one",
                f"{IN_ARCHIVE}/2/esp32p4-rev1.json": b"two",
                f"{IN_ARCHIVE}/2/deeper/esp32s2.json": b"three",
            }
        )
    )
    found = from_place(str(path))
    assert found.files == {"esp32": b"one", "esp32p4-rev1": b"two"}
    assert found.origin == str(path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"{IN_ARCHIVE}/2/esp32.json")
            link.type, link.linkname = kind, str(Path(__file__))
            files.addfile(link)
    path = tmp_path / "esptool.tar.gz"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(StubInstallError, match="there is no targets/stub_flasher/2 in it"):
        from_place(str(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive({"other/esp32.json": b"x"}), "there is no targets/stub_flasher/2 in it"),
        (archive({f"{IN_ARCHIVE}/2/esp32.json": bytes(9999)})[:-20], "damaged"),
        (gzip.compress(b"no archive at all" * 1000), "no archive that can be read"),
        (gzip.compress(bytes((64 << 20) + 1)), "too large when it is unpacked"),
        (b"\x1f\x8b\x08\x00nonsense", "no archive that can be read|damaged"),
        (b"", "neither a stub"),
        (b"PK\x03\x04", "neither a stub"),
    ],
    ids=["without stubs", "cut", "no tar", "bomb", "nonsense", "empty", "zip"],
)
def test_what_is_no_archive_of_esptool_is_refused(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "esptool.tar.gz"
    path.write_bytes(content)
    with pytest.raises(StubInstallError, match=reason):
        from_place(str(path))


def test_a_file_of_any_size_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "esptool.tar.gz"
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(StubInstallError, match="too large"):
        from_place(str(path))


@pytest.mark.parametrize("inside", ["", "targets/stub_flasher/2", "esptool/targets/stub_flasher/2"])
def test_a_folder_is_looked_into(inside: str, tmp_path: Path) -> None:
    folder = tmp_path / inside
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "esp32.json").write_bytes(stub_file())
    (folder / "package.json").write_bytes(b"{}")
    assert from_place(str(tmp_path)).files == {"esp32": stub_file()}


def test_a_folder_without_stubs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StubInstallError, match=r"no file called esp\*\.json"):
        from_place(str(tmp_path))


def test_a_file_is_one_stub(tmp_path: Path) -> None:
    path = tmp_path / "esp32c3.json"
    path.write_bytes(stub_file())
    assert from_place(str(path)).files == {"esp32c3": stub_file()}


@pytest.mark.parametrize("name", ["stub.json", "esp32c3.txt", "esp32 c3.json", "esp32c3"])
def test_a_file_by_another_name_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(stub_file())
    with pytest.raises(StubInstallError, match="neither a stub"):
        from_place(str(path))


def test_the_older_stubs_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "stub_flasher" / "1"
    folder.mkdir(parents=True)
    (folder / "esp32.json").write_bytes(stub_file())
    for place in (folder, folder / "esp32.json"):
        with pytest.raises(StubInstallError, match="GPL"):
            from_place(str(place))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StubInstallError, match="No such file"):
        from_place(str(tmp_path / "esp32.json"))


def test_an_installed_esptool_has_the_stubs_that_are_known(known_files: dict[str, bytes]) -> None:
    found = from_esptool()
    assert found is not None
    assert found.origin.startswith("the installed esptool 5.")
    assert found.files == known_files
    assert set(known_files) <= set(KNOWN_STUBS)


@pytest.mark.parametrize(
    "place", ["http://localhost/", "file:///etc/", "ftp://localhost/esp32.json"]
)
def test_only_https_is_spoken(place: str) -> None:
    with pytest.raises(StubInstallError, match="begins with https://"):
        from_place(place)


def test_a_release_is_downloaded_from_where_it_is() -> None:
    with pytest.raises(StubInstallError, match=f"^http://localhost/base/{LATEST}/esp32.json:"):
        from_release(releases="http://localhost/base")
