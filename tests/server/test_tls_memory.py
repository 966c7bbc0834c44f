"""Clients that leave in the middle of their handshakes leave nothing behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from certificates import Authority
from eventually import eventually
from half_handshakes import come_and_go
from processes import memory_of
from served import server_process, tcp_port

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024
AT_ONCE = 100
LIMITS = "[limits]\nconnections = 200\nconnections-per-address = 200\n"


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is asked of Linux")
def test_half_handshakes_cost_little_and_nothing_once_they_are_gone(tmp_path: Path) -> None:
    config = tmp_path / "ports.toml"
    certificate = Authority(tmp_path).issue("server")
    config.write_text(f'[tls]\ncert = "{certificate}"\n{LIMITS}', encoding="utf-8")
    with server_process("-p", "0", "--config", str(config), "sim://esp32c3") as (process, urls):
        # The first one has the server load what it needs for any.
        come_and_go(tcp_port(urls[0]), 1, at_once=1)
        before = memory_of(process.pid, "VmRSS")
        come_and_go(tcp_port(urls[0]), 3 * AT_ONCE, at_once=AT_ONCE)
        assert memory_of(process.pid, "VmHWM") - before < 20 * MIB

        def attempt() -> None:
            assert memory_of(process.pid, "VmRSS") - before < 4 * MIB

        eventually(attempt, AssertionError)
