"""The page on jumpstarter does what it says: its exporter runs, and its client's commands."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from firmware import firmware
from jumpstarter_lab import running_exporter
from programs import free_port
from untouched import assert_untouched, old_content

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="exporters are for Linux"),
]

PAGE = Path(__file__).parents[2] / "docs" / "jumpstarter.md"
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TCP_PORT = "18443"
"""That on the page; somebody on this machine may have it."""

FLASH_SIZE = 4 * 1024 * 1024


def test_the_commands_on_the_page_do_what_it_says(tmp_path: Path) -> None:
    number = free_port()
    text = PAGE.read_text(encoding="utf-8").replace(TCP_PORT, str(number))
    (_, configuration), (_, serving), (_, commands) = BLOCK.findall(text)
    old, app = old_content(FLASH_SIZE), firmware(1, 0x1_2345)
    flash = tmp_path / "flash.bin"
    flash.write_bytes(old)
    (tmp_path / "app.bin").write_bytes(app)
    (tmp_path / "exporter.yaml").write_text(configuration, encoding="utf-8")
    assert serving.endswith(" &\n")
    with running_exporter(tmp_path, number, *shlex.split(serving.removesuffix("&\n"))) as exporter:
        done = exporter.run("sh", "-ec", commands)
    assert done.exit_code == 0, done
    assert "Chip: ESP32-C3\n" in done.stdout
    held = flash.read_bytes()
    assert held[0x1_0000 : 0x1_0000 + len(app)] == app
    assert held[0x9000:0xF000] == b"\xff" * 0x6000
    assert_untouched(old, held, [(0x1_0000, 0x1_0000 + len(app)), (0x9000, 0xF000)])
    assert (tmp_path / "nvs.bin").read_bytes() == old[0x9000:0xF000]
    dump = (tmp_path / "flash-of-the-board.bin").read_bytes()
    assert dump[0x1_0000:] == held[0x1_0000:]
