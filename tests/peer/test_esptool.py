"""Real esptool takes a served simulator for a chip, and reads of it what we read.

Each run of esptool is a process of its own. All are started at the first test and judged
one by one, because a run over RFC 2217 takes 20 seconds, nearly all of them spent asleep
in pyserial's client.
"""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from described_chips import DESCRIBED
from esploader import cli
from programs import Completed, esptool, run, served_chip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

CHIPS = ("esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3")
MORE_CHIPS = tuple(chip.key for chip in DESCRIBED if chip.key not in CHIPS)
"""One command each in the usual run, the others under ``--full``."""

WITH_SECURITY_INFO = ("esp32s2", "esp32s3", "esp32c3")
COMMANDS = ("flash-id", "read-mac", "chip-id", "get-security-info")

OPTIONS = {"tcp": ("--tcp", "0"), "pty": ("--pty",), "rfc2217": ("--rfc2217", "0")}

# Those over RFC 2217 sleep, the others work.
SLEEPERS = 8
WORKERS = 2

# What other tools look for in the output, as far as both programs print it.
TOKEN = re.compile(
    r"Detecting chip type\.\.\. |Chip type: |Features: |Crystal frequency: |MAC: "
    r"|Manufacturer: |Device: |Detected flash size: |Flash type set in eFuse: "
    r"|Flash voltage set by |Flags: 0x|  BLOCK_KEY|Chip ID: |API Version: "
    r"|Secure Boot: |Flash Encryption: |SPI Boot Crypt Count \(SPI_BOOT_CRYPT_CNT\): "
)


@attrs.frozen
class Run:
    """One run of esptool: on which chip, through which front end of the server, for what."""

    chip: str
    front_end: str
    command: str

    @override
    def __str__(self) -> str:
        return f"{self.chip} {self.front_end} {self.command}"


MORE_RUNS = tuple(
    pytest.param(Run(chip, front_end, command), marks=() if is_usual else pytest.mark.slow)
    for chip in MORE_CHIPS
    for front_end, command, is_usual in (
        *(("tcp", command, command == "flash-id") for command in COMMANDS),
        ("rfc2217", "flash-id", False),
    )
)

RUNS = (
    *(Run(chip, "tcp", command) for chip in CHIPS for command in COMMANDS[:3]),
    *(Run(chip, "tcp", "get-security-info") for chip in WITH_SECURITY_INFO),
    *(Run("esp32c3", "pty", command) for command in COMMANDS),
    *(Run(chip, "pty", "flash-id") for chip in CHIPS[:-1]),
    *(Run("esp32c3", "rfc2217", command) for command in COMMANDS),
    *(Run(chip, "rfc2217", "flash-id") for chip in CHIPS[:-1]),
)


# Without it two outputs that say nothing would be equal.
PROOF = {
    "flash-id": "Detected flash size: 4MB",
    "read-mac": "MAC: ",
    "chip-id": "Features: ",
    "get-security-info": "Flash Encryption: Disabled",
}


def esptool_on_served_chip(wanted: Run) -> Completed:
    """Run esptool on a chip that nobody else uses."""
    with served_chip(wanted.chip, *OPTIONS[wanted.front_end]) as urls:
        return run(*esptool("--port", urls[wanted.front_end], wanted.command))


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[dict[Run, Future[Completed]]]:
    """Start every run that a test of this session will ask for, the slow ones first."""
    asked_for: list[Run] = []
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path:
            spec = getattr(item, "callspec", None)
            wanted = None if spec is None else spec.params.get("wanted")
            if isinstance(wanted, Run) and item.get_closest_marker("skip") is None:
                asked_for.append(wanted)
    with ThreadPoolExecutor(SLEEPERS) as sleepers, ThreadPoolExecutor(WORKERS) as workers:
        yield {
            each: (sleepers if each.front_end == "rfc2217" else workers).submit(
                esptool_on_served_chip, each
            )
            for each in asked_for
        }


def tokens(output: str) -> list[str]:
    """Return the lines that other tools look for."""
    return [line for line in output.splitlines() if TOKEN.match(line)]


@pytest.mark.parametrize("wanted", [*RUNS, *MORE_RUNS], ids=str)
def test_esptool_reads_what_we_read(
    wanted: Run, results: dict[Run, Future[Completed]], capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = results[wanted].result()
    ours = cli.main(["--port", f"sim://{wanted.chip}", "--chip", "auto", wanted.command])

    assert theirs.exit_code == 0, theirs.stdout + theirs.stderr
    assert ours == cli.DONE
    assert tokens(theirs.stdout) == tokens(capsys.readouterr().out)
    assert any(line.startswith(PROOF[wanted.command]) for line in tokens(theirs.stdout))


def test_esptool_recognises_what_it_knows_next_to_nothing_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with served_chip("esp32e22", "--tcp", "0") as urls:
        theirs = run(*esptool("--port", urls["tcp"], "read-mac"))
    ours = cli.main(["--port", "sim://esp32e22", "read-mac"])

    assert theirs.exit_code == 0, theirs.stdout + theirs.stderr
    assert ours == cli.DONE
    # It takes what it does not know for zero.
    expected = theirs.stdout.replace("ESP32-E22 (revision v0.0)", "ESP32-E22")
    assert tokens(expected) == tokens(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("chip", MORE_CHIPS)
def test_esptool_writes_and_verifies_without_its_stub(chip: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(range(256)) * 256)
    at = "0x1f000"
    with served_chip(chip, "--tcp", "0") as urls:
        written = run(*esptool("--port", urls["tcp"], "write-flash", at, str(image)))
        verified = run(*esptool("--port", urls["tcp"], "verify-flash", at, str(image)))

    assert written.exit_code == 0, written.stdout + written.stderr
    assert verified.exit_code == 0, verified.stdout + verified.stderr
    assert "Verification successful (digest matched)." in verified.stdout
