"""Names that no file can have, wherever a file is named: one sentence, and never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from elf_writer import Section, elf_for
from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main

if TYPE_CHECKING:
    from pathlib import Path

LONG = "a" * 300
"""File systems have room for 255."""

SIMULATED = ("--port", "sim://esp32c3", "--no-stub")


@pytest.mark.parametrize(
    "words",
    [
        ("flash", LONG),
        ("flash", f"folder/{LONG}"),
        ("flash", f"{LONG}/build"),
        ("image-info", LONG),
        ("partition-table", LONG),
        ("--chip", "esp32c3", "elf2image", LONG),
        ("--chip", "esp32c3", "elf2image", "--output", LONG, "app.elf"),
        ("merge-bin", "--output", "out", "0", LONG),
        ("merge-bin", "--output", LONG, "0", "app.elf", "--chip", "esp32c3"),
        ("stub", "install", "--from", LONG),
        (*SIMULATED, "write-flash", "0", LONG),
        (*SIMULATED, "verify-flash", "0", LONG),
        (*SIMULATED, "read-flash", "0", "16", LONG),
        (*SIMULATED, "load-ram", LONG),
        (*SIMULATED[:2], "--stub", LONG, "read-flash", "0", "16", "out"),
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG"),
)
def test_a_name_that_is_too_long(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    elf = elf_for(ESP32_C3, [Section(".iram0.text", 0x4037_C000, b"code" * 4)]).build()
    (tmp_path / "app.elf").write_bytes(elf)
    assert main([*words]) == 2
    said = capsys.readouterr().err
    assert "A fatal error occurred: " in said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.elf", "folder"]
