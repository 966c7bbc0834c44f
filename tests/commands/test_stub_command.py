"""What ``stub install``, ``stub list`` and ``stub remove`` do and say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bare_python import run_bare
from certificates import Authority
from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.errors import StubDownloadError, StubInstallError
from esploader.loader.stub_folders import user_folder
from https_server import content, https_server
from stub_files import stub_directory, stub_file

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "https://github.com/espressif/esp-flasher-stub"


@pytest.fixture(autouse=True)
def _user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
    monkeypatch.delenv("ESPLOADER_STUB_DIR", raising=False)


def written(folder: Path, files: dict[str, bytes]) -> str:
    """Write files of stubs into a folder; return the path of that."""
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.json").write_bytes(data)
    return str(folder)


def test_stubs_are_copied_from_an_installed_esptool(
    known_files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stub", "install"]) == 0
    text = capsys.readouterr().out
    assert "From:               the installed esptool 5." in text
    assert f" of {PAGE}\nLicence:            MIT OR Apache-2.0\n" in text
    assert f"Installed in:       {user_folder()}\n" in text
    assert {path.stem for path in user_folder().iterdir()} == set(known_files)


def test_what_is_installed_is_listed_and_removed(
    tmp_path: Path, known_files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    place = written(tmp_path / "stubs", known_files)
    assert main(["stub", "install", "--from", place, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["from"] == place
    assert document["licence"] == "MIT OR Apache-2.0"

    assert main(["stub", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == {"folder": document["folder"], "stubs": document["stubs"]}
    assert main(["stub", "list"]) == 0
    assert f"  esp32c3       {document['version']}\n" in capsys.readouterr().out

    assert main(["stub", "remove", "--json"]) == 0
    removed = json.loads(capsys.readouterr().out)
    assert removed == {"folder": document["folder"], "removed": sorted(known_files)}
    assert not user_folder().exists()
    assert main(["stub", "list"]) == 0
    assert "no stub is installed here; those of the installed esptool" in capsys.readouterr().err


def test_what_is_not_known_is_installed_if_it_is_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = written(tmp_path / "stubs", {"esp32c3": stub_file()})
    install = ["stub", "install", "--from", place, "--exit-codes", "detailed"]
    assert main(install) == EXPLANATIONS[StubInstallError].code
    assert "--trust takes it all the same" in capsys.readouterr().err
    assert not user_folder().exists()

    assert main([*install, "--trust"]) == 0
    text = capsys.readouterr().out
    assert "Version:            unknown\nLicence:            not known" in text
    assert (user_folder() / "esp32c3.json").read_bytes() == stub_file()


def test_one_wrong_file_keeps_all_from_being_installed(
    tmp_path: Path, known_files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    place = written(tmp_path / "stubs", {**known_files, "esp8266": known_files["esp32"]})
    assert main(["stub", "install", "--from", place]) == 2
    assert "esp8266.json: it is none of the stubs" in capsys.readouterr().err
    assert not user_folder().exists()


def test_what_counts_more_is_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(tmp_path))
    assert main(["stub", "list"]) == 0
    assert f"ESPLOADER_STUB_DIR is set, and counts more: {tmp_path}" in capsys.readouterr().err


def test_stubs_are_downloaded_and_checked(
    tmp_path: Path,
    known_files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    answers = {
        "/esp32.json": content(known_files["esp32"]),
        "/wrong/esp32.json": content(known_files["esp32"][:-1] + b" }"),
    }
    with https_server(authority.issue("server"), answers) as url:
        assert main(["stub", "install", "--from", f"{url}/wrong/esp32.json"]) == 2
        assert "it is none of the stubs" in capsys.readouterr().err
        assert not user_folder().exists()
        assert main(["stub", "install", "--from", f"{url}/esp32.json"]) == 0
    assert [path.name for path in user_folder().iterdir()] == ["esp32.json"]


def test_without_a_network_it_is_said_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["stub", "install", "--from", "https://127.0.0.1:1/", "--exit-codes", "detailed"]
    assert main(words) == EXPLANATIONS[StubDownloadError].code
    text = capsys.readouterr().err
    assert "https://127.0.0.1:1/esp32.json: it cannot be reached: Connection refused\n" in text
    assert "--from esptool-VERSION.tar.gz" in text


def test_who_has_no_esptool_downloads_and_is_told_how_to_do_without(tmp_path: Path) -> None:
    # A proxy that is not there stands for a network that is not there.
    environment = {"https_proxy": "http://127.0.0.1:1"}
    done = run_bare(tmp_path, "-m", "esploader", "stub", "install", environment=environment)
    assert done.exit_code == 2
    assert f"Downloading v1.4.1 from {PAGE}/releases/download ...\n" in done.stdout
    assert f"error occurred: {PAGE}/releases/download/v1.4.1/esp32.json: it cannot" in done.stderr
    assert "HINT: On a machine without a network:" in done.stderr


def test_with_an_installed_stub_the_whole_flash_is_erased_and_written(tmp_path: Path) -> None:
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    stub_directory(stubs)
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(range(256)) * 20)
    common = ("-m", "esploader", "--port", "sim://esp32c3")
    assert main(["stub", "install", "--trust", "--from", str(stubs)]) == 0
    for words in (
        (*common, "erase_flash"),
        (*common, "write_flash", "0x10000", str(image)),
    ):
        done = run_bare(tmp_path, *words)
        assert done.exit_code == 0, done.stderr
        assert done.stderr == ""
