"""The tests that README and docs/testing.md show pass, run by pytest as their reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import esploader
from esploader.integrations import pytest_plugin, pytest_report
from esploader.simulator import SimulatedDevice

pytest_plugins = ("pytester",)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
README = ROOT / "README.md"

# The name of the file stands behind the language.
FILE = re.compile(r"^```python (test_\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIXTURE = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
MARK = re.compile(r"^`@pytest\.mark\.(\w+)\(", re.MULTILINE)
TRACE = re.compile(r"^```text\n-+ simulated device -+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page: Path = PAGE) -> str:
    return page.read_text(encoding="utf-8")


FILES = [match for page in (README, PAGE) for match in FILE.findall(text(page))]


def test_every_block_of_python_is_a_file() -> None:
    assert len(FILE.findall(text())) == text().count("```python") > 5
    assert FILE.findall(text(README))


def test_the_tests_on_the_page_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    for name, content in FILES:
        pytester.path.joinpath(name).write_text(content, encoding="utf-8")
    names = sorted(name for name, _ in FILES)
    assert len(set(names)) == len(names)
    words = (*names, "-v", "-pno:cacheprovider")
    result = pytester.runpytest_inprocess(*words, plugins=[pytest_plugin])
    assert result.ret == pytest.ExitCode.OK
    # Each of the files has tests.
    assert sorted({line.split("::")[0] for line in result.outlines if "::" in line}) == names


def test_the_page_names_every_fixture_and_every_mark() -> None:
    fixtures = {
        name
        for name in vars(pytest_plugin)
        if name.startswith("esploader_") or name == "simulated_device"
    }
    assert set(FIXTURE.findall(text())) == fixtures
    assert set(MARK.findall(text())) == {mark.partition("(")[0] for mark in pytest_plugin.MARKS}


def test_the_report_on_the_page_is_one() -> None:
    (shown,) = TRACE.findall(text())
    device = SimulatedDevice("esp32c3")
    esploader.connect(device.open_transport()).close()
    assert pytest_report.describe(device).startswith(shown.rstrip("\n"))
