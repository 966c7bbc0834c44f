"""The page about the status page does what it says: its ``sh`` blocks, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guides import THE_END, WAIT_FOR, is_free, run_session
from peers import require_program

pytestmark = pytest.mark.peer

PAGE = Path(__file__).parents[2] / "docs" / "status-page.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TCP_PORT = 22218
NOT_RUN = ("pip install", "ssh ")

REPLACED = {"/dev/ttyUSB0": "sim://esp32c3", "serve --status": "serve --tcp-port 0 --status"}


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    for program in ("curl", "openssl"):
        require_program(program)
    if not is_free(TCP_PORT):
        pytest.skip(f"somebody has the TCP port {TCP_PORT}")
    script = ["set -e", WAIT_FOR]
    expected: list[str] = []
    for language, content in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "json":
            expected += content.splitlines()
        if language != "sh" or content.startswith(NOT_RUN):
            continue
        for there, here in REPLACED.items():
            content = content.replace(there, here)  # noqa: PLW2901 - what is run
        script.append(content)
        if content.endswith("&\n"):
            script.append(f"wait_for {TCP_PORT}")
    script.append(f"wait || true; echo '{THE_END}'")
    said = run_session("\n".join(script), tmp_path)
    assert said.rstrip().endswith(THE_END), said
    assert len(expected) == 3
    assert [line for line in expected if line not in said] == []
    assert '"can_change": true' in said
    assert 'esploader_port_present{port="sim://esp32c3"} ' in said
