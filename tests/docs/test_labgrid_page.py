"""The guide to labgrid does what it says: its ``sh`` blocks, from top to bottom.

All are one session of one shell, in a directory of their own. The other blocks that are used are
files, whose names stand behind the language. As a user would, the session waits for a coordinator
and an exporter before it goes on. It is the one path through labgrid that is gone every time.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from guides import THE_END, WAIT_FOR, is_free, run_session
from lab_files import make_lab_files
from labgrid_lab import require_labgrid
from untouched import assert_untouched, old_content

GUIDE = Path(__file__).parents[2] / "docs" / "labgrid.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COORDINATOR_PORT = 20408
SIZE = 4 * 1024 * 1024
SETTINGS_OFFSET = 0x9000
SETTINGS = b"settings"

REPLACED = {
    "/dev/ttyUSB0": "sim://esp32c3?file=flash.bin",
    "lab.example": "localhost",
}

WAIT_FOR_BOARD = """
until labgrid-client resources 2> /dev/null | grep -q rack/bench-1/; do sleep 0.1; done
"""


def session(text: str) -> str:
    """Return the guide as a script."""
    script = ["set -e", WAIT_FOR]
    for language, name, content in BLOCK.findall(text):
        for there, here in REPLACED.items():
            content = content.replace(there, here)  # noqa: PLW2901 - each after the other
        if name:
            script.append(f"cat > {name} <<'END'\n{content}END")
        elif language == "sh":
            if "acquire" in content:
                # Only now, when it is there: who asks costs a client each time.
                script.append(WAIT_FOR_BOARD)
            script.append(content)
            if "labgrid-coordinator" in content:
                script.append(f"wait_for {COORDINATOR_PORT}")
    return "\n".join([*script, f"echo '{THE_END}'"])


@pytest.mark.peer
@pytest.mark.skipif(sys.platform != "linux", reason="labgrid runs on Linux")
def test_the_commands_do_what_they_are_for(tmp_path: Path) -> None:
    programs = require_labgrid()
    if not is_free(COORDINATOR_PORT) and os.environ.get("ESPLOADER_REQUIRE_PEERS") != "1":
        pytest.skip(f"TCP port {COORDINATOR_PORT}, which the guide uses, is not free")
    files = make_lab_files(tmp_path)
    before = old_content(SIZE)
    (tmp_path / "flash.bin").write_bytes(before)

    printed = run_session(session(GUIDE.read_text(encoding="utf-8")), tmp_path, programs)
    assert printed.endswith(f"{THE_END}\n"), printed
    assert "1 passed" in printed, printed

    after = (tmp_path / "flash.bin").read_bytes()
    # The settings of the flash go into the header of the bootloader.
    for offset, data in files.parts[1:]:
        assert after[offset : offset + len(data)] == data
    assert after[SETTINGS_OFFSET:].startswith(SETTINGS)
    parts = (*files.parts, (SETTINGS_OFFSET, SETTINGS))
    assert_untouched(before, after, [(offset, offset + len(data)) for offset, data in parts])


def test_commands_that_are_not_run_are_said_not_to_be() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block[1] != "sh" and not block[2]:
            paragraph = text[: block.start()].rstrip().rpartition("\n\n")[2]
            assert "**not run**" in paragraph.lower(), block[0]
