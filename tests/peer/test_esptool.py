"""Real esptool takes a served simulator for a chip, and reads of it what we read.

Over RFC 2217 a run of it takes 20 seconds, nearly all of them spent asleep in pyserial's client.
Those of ``test_clients.py`` have to do in the usual run; the ones here are under ``--full``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader import cli
from esploader.protocol.opcodes import Opcode
from esptool_output import COMMANDS, PROOF, tokens
from programs import esptool, run
from served import lent_chip
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

NEAR_RUNS = (
    *(Run(chip, "tcp", command) for chip in CHIPS for command in COMMANDS[:3]),
    *(Run(chip, "tcp", "get-security-info") for chip in WITH_SECURITY_INFO),
    *(Run("esp32c3", "pty", command) for command in COMMANDS),
    *(Run(chip, "pty", "flash-id") for chip in CHIPS[:-1]),
)


def aspects(wanted: Run) -> Iterator[tuple[str | bool, ...]]:
    """Return what the usual part of those has to have at least once."""
    yield (wanted.front_end,)
    # Only the ESP8266 has a chip id, and the ESP32-S2 says less of its security.
    yield wanted.command, wanted.chip == "esp8266", wanted.chip == "esp32s2"
    if wanted.command == "flash-id":
        # It tells most of a chip.
        yield wanted.command, wanted.chip


RUNS = (
    *covering_parameters([(each,) for each in NEAR_RUNS], aspects),
    *(
        pytest.param(each, marks=pytest.mark.slow)
        for each in (
            *(Run("esp32c3", "rfc2217", command) for command in COMMANDS),
            *(Run(chip, "rfc2217", "flash-id") for chip in CHIPS[:-1]),
        )
    ),
)


@pytest.mark.parametrize("wanted", [*RUNS, *MORE_RUNS], ids=str)
def test_esptool_reads_what_we_read(wanted: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with lent_chip(wanted.chip, wanted.front_end) as port:
        theirs = run(*esptool("--port", port, wanted.command))
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
    with lent_chip("esp32e22", front_end) as port:
        theirs = run(*esptool("--port", port, command))
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
    content = bytes(range(256)) * 80
    image.write_bytes(content)
    flash.write_bytes(old_content(4 << 20))
    commands = (
        ("write-flash", hex(OFFSET), str(image)),
        ("verify-flash", hex(OFFSET), str(image)),
        ("read-flash", hex(OFFSET), hex(len(content)), str(read)),
    )
    with lent_chip(chip.key, flash=flash) as port:
        written, verified, was_read = (
            run(*esptool("--port", port, *command)) for command in commands
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
