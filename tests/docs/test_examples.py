"""Every example in the README and in docs/ does what it says, against simulated devices.

A ``python`` block is a doctest. A ``console`` block is one session of a shell: a line that
begins with ``$`` is a command, lines that begin with ``>`` right below continue it, and what
follows is what it prints. Variables and background jobs last until the end of the block,
where jobs are ended. Other blocks (``sh``, ``yaml``, ...) are not run here.
"""

from __future__ import annotations

import doctest
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest

from loaded_commands import stand_ins

ROOT = Path(__file__).parents[2]
IS_FULL = os.environ.get("ESPLOADER_FULL") == "1"
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*\n(?:^> .*\n)*)", re.MULTILINE)
PATIENCE = 60.0
"""When to give up waiting for a session, in seconds."""

# Between the outputs of two commands: nothing that a command prints.
BOUNDARY = "\0"
END_OF_JOBS = "jobs -p | xargs -r kill; wait"


@attrs.frozen
class Example:
    """One block of code in a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def label(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples(language: str) -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Example(page, line, language, match[2]))
    return found


def label(example: Example) -> str:
    return example.label


@pytest.mark.parametrize("example", examples("python"), ids=label)
def test_python_examples(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(
        example.text, {}, example.label, str(example.page), example.line
    )
    assert test.examples, "an example without a prompt is never run"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    failures: list[str] = []
    runner.run(test, out=failures.append)
    assert not failures, "".join(failures)


def parse_session(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with what it should print."""
    before, *parts = COMMAND.split(text)
    assert not before, "a console block begins with a command"
    commands = (command.replace("\n> ", "\n") for command in parts[::2])
    return list(zip(commands, parts[1::2], strict=True))


def run_session(commands: list[str], folder: Path) -> list[str]:
    """Run commands in one shell and return what each printed, on stdout and stderr."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ESPTOOL_")
    }
    folders = [str(Path(sys.executable).parent), environment["PATH"]]
    # Loaded anew each time, as people have it, where there is time for that.
    if sys.platform == "linux" and not IS_FULL:
        folders.insert(0, str(stand_ins()))
    environment["PATH"] = os.pathsep.join(folders)
    separator = "printf '\\0'\n"
    script = "".join(command + separator for command in commands) + END_OF_JOBS
    # A file and no pipe: a job in the background would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return output.read().decode().split(BOUNDARY)


@pytest.mark.parametrize("example", examples("console"), ids=label)
def test_console_examples(example: Example, tmp_path: Path) -> None:
    session = parse_session(example.text)
    printed = run_session([command for command, _ in session], tmp_path)
    for (command, expected), actual in zip(session, printed, strict=False):
        matches = doctest.OutputChecker().check_output(expected, actual, doctest.ELLIPSIS)
        assert matches, f"$ {command}{actual}"
    # The last one is what ending the jobs prints.
    assert len(printed) == len(session) + 1, f"it did not end:\n{printed[-1]}"


def test_a_session_keeps_variables_and_ends_its_jobs(tmp_path: Path) -> None:
    session = parse_session(
        "$ word=one\n"
        "$ (trap 'touch ended; exit' TERM; touch ready; while :; do sleep 0.01; done) &\n"
        "$ until [ -e ready ]; do sleep 0.01; done\n"
        "$ echo $word \\\n"
        "> two\n"
        "one two\n"
    )
    assert [expected for _, expected in session] == ["", "", "", "one two\n"]
    printed = run_session([command for command, _ in session], tmp_path)
    assert printed[:-1] == ["", "", "", "one two\n"]
    assert (tmp_path / "ended").exists()
