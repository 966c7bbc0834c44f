"""``ssh`` beside us: out of reach of what ends us, heard within bounds, and always seen to end."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from esploader.transport.ssh_process import MAX_SAID, SshProcess

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and groups are those of POSIX")

TELL = """
import json, os, signal
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
print(json.dumps({"blocked": sorted(map(int, blocked)), "group": os.getpgrp()}), flush=True)
"""


def started(code: str, *, may_ask: bool = False) -> SshProcess:
    """Run a program of Python in place of ``ssh``."""
    words = [sys.executable, "-c", code]
    return SshProcess.start("it", words, may_ask=may_ask, on_words=lambda _: None)


def finish(process: SshProcess) -> None:
    process.stdin.close()
    process.stdout.close()
    process.end()
    assert process.exit_code is not None


@POSIX
@pytest.mark.parametrize("may_ask", [True, False])
def test_what_is_typed_at_a_terminal_does_not_reach_it(
    may_ask: bool,  # noqa: FBT001 - a column of the table
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    process = started(TELL, may_ask=may_ask)
    told = json.loads(process.stdout.read(4096))
    finish(process)
    assert {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP} <= set(told["blocked"])
    # Whoever kills it has to be heard.
    assert signal.SIGTERM not in told["blocked"]
    # In front it can ask for a password; where it need not it is not even there.
    assert (told["group"] == os.getpgrp()) is may_ask
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_what_it_says_last_is_kept_and_no_more() -> None:
    process = started(f"import sys; sys.stderr.write('x' * {3 * MAX_SAID} + 'the end')")
    assert process.wait() == 0
    said = process.last_words()
    assert len(said) == MAX_SAID
    assert said.endswith(b"the end")
    finish(process)


def test_one_that_ends_with_its_pipe_is_left_to_do_so() -> None:
    process = started("import sys; sys.stdin.read(); sys.exit(7)")
    finish(process)
    assert process.exit_code == 7


@POSIX
def test_one_that_does_not_end_is_told_to_and_then_made_to() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    process = started(f"{code}; print(flush=True); time.sleep(600)")
    assert process.stdout.read(100) == b"\n"
    process.terminate()
    assert process.exit_code == -signal.SIGKILL
    finish(process)
