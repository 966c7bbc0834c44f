"""A benchmark waits for no program for ever."""

from __future__ import annotations

import json
import sys

import pytest

from processes import GivenUpError, killed_after, read_document, read_line, run_python, running

FOR_EVER = "import threading; threading.Event().wait()"


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_a_document_is_read_however_it_is_laid_out(indent: int | None) -> None:
    document = {"devices": [{"urls": {"pty": "/dev/pts/7"}}]}
    text = json.dumps(document, indent=indent)

    with running(sys.executable, "-c", f"print({text!r}, flush=True); {FOR_EVER}") as process:
        assert read_document(process) == document


@pytest.mark.parametrize("text", ["", "{", '{\n "urls": {\n }', "sim serve: error"])
def test_a_program_that_ends_without_its_document_is_given_up(text: str) -> None:
    with (
        running(sys.executable, "-c", f"print({text!r})") as process,
        pytest.raises(GivenUpError),
    ):
        read_document(process)


def test_a_program_that_says_nothing_is_given_up() -> None:
    with (
        running(sys.executable, "-c", FOR_EVER) as process,
        killed_after(process, 0.0),
        pytest.raises(GivenUpError),
    ):
        read_line(process)


def test_a_program_that_does_not_end_is_given_up() -> None:
    with pytest.raises(GivenUpError, match="no end after"):
        run_python("-c", FOR_EVER, timeout=0.0)


def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(GivenUpError, match="no such thing"):
        run_python("-c", "raise SystemExit('no such thing')")
