"""esptool-js, Espressif's flasher for browsers, takes a served simulator for a chip.

It runs in Node; what a browser would give it, a port of the Web Serial API, is
``esptool_js/web_serial.mjs``, whose other end is a TCP port.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import attrs
import pytest

from covering import usual_parameters
from eventually import eventually
from peers import require_npm_package, require_program
from programs import run, served_chip
from simulated import incompressible

pytestmark = pytest.mark.peer

VERSION = "0.7.0"

SCRIPT = Path(__file__).parent / "esptool_js" / "flash.mjs"

OFFSET = 0x1_0000
# One half compresses well, the other one not at all; it ends within a sector.
CONTENT = bytes(20_000) + incompressible(20_000) + b"the end."

FLASH_ID = 0x16_40C8


@attrs.frozen
class Expected:
    """What it should find out about a chip."""

    chip: str
    mac: str = "24:0a:c4:00:00:01"
    flash_id: int = FLASH_ID


CHIPS = {
    "esp32": Expected("ESP32-D0WDQ6-V3 (revision 3)"),
    "esp32c3": Expected("ESP32-C3 (QFN32) (revision v0.4)"),
    "esp32s2": Expected("ESP32-S2 (revision v1.0)"),
    "esp32s3": Expected("ESP32-S3 (QFN56) (revision v0.2)"),
    # It asks this one for a byte of the id only.
    "esp8266": Expected("ESP8266EX", mac="18:fe:34:00:00:01", flash_id=FLASH_ID & 0xFF),
}

USUAL = ("esp8266", "esp32")
"""The others under ``--full``; to esptool-js they are much like the ESP32-C3, which the usual run
has by the bare bytes."""

MORE_CHIPS = (
    "esp32c2",
    "esp32c5",
    "esp32c6",
    "esp32c61",
    "esp32h2",
    "esp32h4",
    "esp32p4",
    "esp32s31",
)
"""What it knows besides. Not the ESP32-H21: it has no stub for that one, and sends its ROM
blocks that are too large."""


@pytest.fixture(scope="module")
def package() -> Path:
    require_program("node")
    return require_npm_package("esptool-js", VERSION) / "lib" / "index.js"


def flash(package: Path, url: str, before: str, folder: Path) -> dict[str, object]:
    """Write, verify and read flash, and reset the device; return what it found out."""
    source, copy = folder / "source.bin", folder / "copy.bin"
    source.write_bytes(CONTENT)
    arguments = (url, before, hex(OFFSET), str(source), str(copy))
    done = run(require_program("node"), str(SCRIPT), str(package), *arguments)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "Hash of data verified." in done.stderr
    assert copy.read_bytes() == CONTENT
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def require_last_boot(trace: Path) -> None:
    """Require that the lines have reset the device twice, at last into its application."""
    boots = re.findall(r"\* boots into (.*)", trace.read_text(encoding="utf-8"))
    assert boots == ["download mode", "its application"]


@pytest.mark.parametrize("chip", usual_parameters(CHIPS, USUAL))
def test_esptool_js_over_rfc_2217(chip: str, package: Path, tmp_path: Path) -> None:
    file, trace = tmp_path / "flash.bin", tmp_path / "trace.txt"
    with served_chip(chip, "--flash", str(file), "--trace", str(trace)) as urls:
        found = flash(package, urls["rfc2217"], "default_reset", tmp_path)
        # The server plays the last reset, and is not done when the client has gone.
        eventually(lambda: require_last_boot(trace), AssertionError)

    expected = CHIPS[chip]
    assert found == {
        "chip": expected.chip,
        "mac": expected.mac,
        "flashId": expected.flash_id,
        "digest": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    }
    assert file.read_bytes()[OFFSET : OFFSET + len(CONTENT)] == CONTENT


@pytest.mark.slow
@pytest.mark.parametrize("chip", MORE_CHIPS)
def test_esptool_js_with_the_other_chips(chip: str, package: Path, tmp_path: Path) -> None:
    with served_chip(chip) as urls:
        found = flash(package, urls["rfc2217"], "default_reset", tmp_path)
    assert found["digest"] == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def test_esptool_js_over_raw_tcp(package: Path, tmp_path: Path) -> None:
    with served_chip("esp32c3", "--tcp", "0") as urls:
        found = flash(package, urls["tcp"], "no_reset", tmp_path)
    assert found["chip"] == CHIPS["esp32c3"].chip
