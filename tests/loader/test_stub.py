"""Stub files are found, checked, and refused when they are none."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from described_chips import DESCRIBED
from esploader.chips.registry import chip_by_name
from esploader.errors import StubError
from esploader.loader.stub import MAX_FILE_SIZE, StubImage, find_stub
from esploader.protocol.dialect import STUB
from stub_files import DATA_START, TEXT_START, stub_directory, stub_file
from untouched import connect

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

C3 = chip_by_name("esp32c3")

needs_esptool = pytest.mark.skipif(
    importlib.util.find_spec("esptool") is None, reason="esptool, which has the stubs, is missing"
)


@pytest.mark.parametrize("other", ["esp32", "esp8266", "esp32s2", "esp32s3"])
def test_a_stub_that_does_not_fit_the_memory_of_the_chip_is_refused(
    tmp_path: Path, other: str
) -> None:
    path = stub_directory(tmp_path) / f"{other}.json"
    with pytest.raises(StubError, match="no stub for this chip"):
        find_stub(C3, path)


def test_a_stub_is_two_segments_and_an_entry() -> None:
    stub = StubImage.parse(stub_file(b"12345678", b"abcd", entry=TEXT_START + 4), "x.json")
    assert [(segment.address, segment.data) for segment in stub.segments] == [
        (TEXT_START, b"12345678"),
        (DATA_START, b"abcd"),
    ]
    assert stub.entry == TEXT_START + 4


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        stub_file(entry=TEXT_START - 4),
        stub_file(entry=DATA_START),
        stub_file(text_start=0xFFFF_FFFF, entry=0xFFFF_FFFF),
        stub_file(data_start=-1),
        stub_file().replace(b'"text":', b'"txet":'),
        stub_file().replace(b'"data":', b'"dat":'),
        stub_file().replace(b'"data_start":', b'"data_stat":'),
        stub_file().replace(b'"entry": ', b'"entry": "1", "x": '),
        stub_file().replace(b'"text": "', b'"text": "!'),
    ],
    ids=range(15),
)
def test_what_is_no_stub_is_refused(text: bytes) -> None:
    with pytest.raises(StubError) as caught:
        StubImage.parse(text, "name.json")
    assert caught.value.name == "name.json"


keys = st.sampled_from(["text", "data", "entry", "text_start", "data_start"])
json_values = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_file_is_a_stub_or_a_stub_error(text: bytes) -> None:
    try:
        StubImage.parse(text, "name.json")
    except StubError:
        return


def test_a_file_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(stub_file())
    assert find_stub(C3, path, {}).entry == TEXT_START + 0x54


def test_a_directory_may_be_named_by_argument_or_environment(tmp_path: Path) -> None:
    (tmp_path / "esp32c3.json").write_bytes(stub_file())
    environment = {"ESPLOADER_STUB_DIR": str(tmp_path)}
    assert find_stub(C3, tmp_path, {}) == find_stub(C3, None, environment)


def test_the_argument_counts_more_than_the_environment(tmp_path: Path) -> None:
    (tmp_path / "esp32c3.json").write_bytes(stub_file())
    environment = {"ESPLOADER_STUB_DIR": "/does-not-exist"}
    assert find_stub(C3, tmp_path, environment).segments


@pytest.mark.parametrize("name", ["missing.json", "esp32c3.json"])
def test_a_stub_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(StubError):
        find_stub(C3, tmp_path / name, {})
    with pytest.raises(StubError):
        find_stub(C3, tmp_path, {})


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(bytes(MAX_FILE_SIZE + 1))
    with pytest.raises(StubError, match="too large"):
        find_stub(C3, path, {})


@needs_esptool
@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_the_stubs_of_an_installed_esptool_are_found(chip: Chip) -> None:
    stub = find_stub(chip, None, {})
    assert len(stub.segments) == 2
    assert sum(len(segment.data) for segment in stub.segments) > 1000


@needs_esptool
def test_esptool_is_not_imported_for_its_stubs() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys\n"
                "from esploader.chips.registry import chip_by_name\n"
                "from esploader.loader.stub import find_stub\n"
                "find_stub(chip_by_name('esp32'), None, {})\n"
                "print([name for name in sys.modules if name.startswith('esptool')])"
            ),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("chip", "is_started"),
    [("esp32c2?revision=0.3", False), ("esp32c2?revision=1.0", True), ("esp32c2", True)],
)
def test_a_first_revision_that_starts_no_stub_does_without(
    chip: str, *, is_started: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(stub_directory(tmp_path)))
    with connect(f"sim://{chip}") as device:
        device.flash.write([(0x1_0000, b"data")])
        assert (device.session.dialect is STUB) == is_started
