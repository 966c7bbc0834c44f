"""Real esptool takes a served simulator for a chip, and reads of it what we read.

Each run of esptool is a process of its own. All are started at the first test and judged
one by one, because a run over RFC 2217 takes 20 seconds, nearly all of them spent asleep
in pyserial's client.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from described_chips import DESCRIBED
from esploader import cli
from esploader.protocol.opcodes import Opcode
from esptool_output import COMMANDS, PROOF, tokens
from programs import Completed, esptool, run, served_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip

pytestmark = pytest.mark.peer

CHIPS = ("esp8266", "esp32", "esp32s2", "esp32s3", "esp32c3")
MORE_CHIPS = tuple(chip.key for chip in DESCRIBED if chip.key not in CHIPS)
"""One command each in the usual run, the others under ``--full``."""

WRITTEN = ("esp8266", "esp32c3")
"""Those that the usual run writes to."""

OFFSET = 0x1_F000
"""Where to: the last sector before a block."""

WITH_SECURITY_INFO = ("esp32s2", "esp32s3", "esp32c3")

OPTIONS = {"tcp": ("--tcp", "0"), "pty": ("--pty",), "rfc2217": ("--rfc2217", "0")}

# Those over RFC 2217 sleep, the others work.
SLEEPERS = 8
WORKERS = 2


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


@pytest.mark.parametrize(
    ("front_end", "command"),
    [
        ("tcp", "read-mac"),
        pytest.param("tcp", "chip-id", marks=pytest.mark.slow),
        pytest.param("tcp", "get-security-info", marks=pytest.mark.slow),
        pytest.param("rfc2217", "read-mac", marks=pytest.mark.slow),
    ],
)
def test_esptool_recognises_what_it_knows_next_to_nothing_of(
    front_end: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served_chip("esp32e22", *OPTIONS[front_end]) as urls:
        theirs = run(*esptool("--port", urls[front_end], command))
    ours = cli.main(["--port", "sim://esp32e22", command])

    assert theirs.exit_code == 0, theirs.stdout + theirs.stderr
    assert ours == cli.DONE
    # It takes what it does not know for zero, and for as it is on other chips.
    expected = theirs.stdout.replace("ESP32-E22 (revision v0.0)", "ESP32-E22")
    known = [line for line in tokens(expected) if "BLOCK_KEY" not in line]
    assert known == tokens(capsys.readouterr().out)


@pytest.mark.parametrize(
    "chip",
    [
        pytest.param(chip, marks=() if chip.key in WRITTEN else pytest.mark.slow)
        for chip in DESCRIBED
    ],
    ids=lambda chip: chip.key,
)
def test_esptool_writes_verifies_and_reads_without_its_stub(chip: Chip, tmp_path: Path) -> None:
    image, read, flash = tmp_path / "image", tmp_path / "read", tmp_path / "flash"
    content = bytes(range(256)) * 256
    image.write_bytes(content)
    flash.write_bytes(old_content(4 << 20))
    commands = (
        ("write-flash", hex(OFFSET), str(image)),
        ("verify-flash", hex(OFFSET), str(image)),
        ("read-flash", hex(OFFSET), hex(len(content)), str(read)),
    )
    with served_chip(chip.key, "--tcp", "0", "--flash", str(flash)) as urls:
        written, verified, was_read = (
            run(*esptool("--port", urls["tcp"], *command)) for command in commands
        )

    assert written.exit_code == 0, written.stdout + written.stderr
    assert flash.read_bytes()[OFFSET:][: len(content)] == content
    regions = [(OFFSET, OFFSET + len(content))]
    assert_untouched(old_content(4 << 20), flash.read_bytes(), regions)
    if Opcode.SPI_FLASH_MD5 not in chip.rom.opcodes:
        # The ROM loader of the ESP8266 has neither command; we read by another way.
        assert "does not support function flash_md5sum" in verified.stdout + verified.stderr
        assert "does not support function read_flash_slow" in was_read.stdout + was_read.stderr
        return
    assert verified.exit_code == 0, verified.stdout + verified.stderr
    assert "Verification successful (digest matched)." in verified.stdout
    assert was_read.exit_code == 0, was_read.stdout + was_read.stderr
    assert read.read_bytes() == content
