"""Every example in the README and in docs/ does what it says, against ``sim://``."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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
def test_python_examples(example: Example) -> None:
    test = doctest.DocTestParser().get_doctest(
        example.text, {}, example.label, str(example.page), example.line
    )
    assert test.examples, "an example without a prompt is never run"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    failures: list[str] = []
    runner.run(test, out=failures.append)
    assert not failures, "".join(failures)


@pytest.mark.parametrize("example", examples("console"), ids=label)
def test_console_examples(example: Example, tmp_path: Path) -> None:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ESPTOOL_")
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    commands = re.split(r"^\$ ", example.text, flags=re.MULTILINE)[1:]
    assert commands, "a console block without a prompt is never run"
    for command in commands:
        line, _, expected = command.partition("\n")
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        matches = doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS)
        assert matches, f"$ {line}\n{done.stdout}"
