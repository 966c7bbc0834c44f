"""The page about pytest-embedded does what it says: its files and its commands, in its order."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from embedded_suites import Suite
from esploader.chips.esp32c3 import ESP32_C3
from made_builds import esp_idf

PAGE = Path(__file__).parents[2] / "docs" / "pytest-embedded.md"

# The name of a file stands behind the language.
FILE = re.compile(r"^```python (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

END_OF_JOBS = "\nstatus=$?; kill %1; wait; exit $status"

TEXT = PAGE.read_text(encoding="utf-8")


def suite_of_the_page(folder: Path) -> Suite:
    suite = Suite(folder)
    esp_idf(folder / "build", ESP32_C3)
    suite.write(**dict(FILE.findall(TEXT)))
    return suite


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a shell of POSIX")
@pytest.mark.parametrize("command", [each for each in COMMANDS.findall(TEXT) if "&" not in each])
def test_the_suites_on_the_page_pass(command: str, tmp_path: Path) -> None:
    done = suite_of_the_page(tmp_path).run_command("bash", "-c", command)
    assert done.exit_code == 0, done.stdout


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of a shell of POSIX")
def test_a_suite_that_flashes_with_esptool_finds_a_simulated_device(tmp_path: Path) -> None:
    (command,) = (each for each in COMMANDS.findall(TEXT) if "&" in each)
    suite = suite_of_the_page(tmp_path)
    suite.write(conftest="")
    # Tells what esptool has said also where the test passes.
    (suite.folder / "pytest.ini").write_text("[pytest]\naddopts = -rP\n", encoding="utf-8")
    description = suite.folder / "build" / "flasher_args.json"
    text = description.read_text(encoding="utf-8").replace('"true"', '"false"')
    # esptool refuses to encrypt for a device that does not.
    description.write_text(json.dumps(json.loads(text)), encoding="utf-8")

    done = suite.run_command("bash", "-c", command + END_OF_JOBS)

    assert done.exit_code == 0, done.stdout
    assert "1 passed" in done.stdout
    assert "esptool v" in done.stdout
