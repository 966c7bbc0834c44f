"""Real esptool finds the security states of served simulators, and gets on with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from covering import usual_parameters
from described_chips import DESCRIBED
from esploader import cli
from programs import esptool, run
from served import lent_chip

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer

CHIPS = [chip.key for chip in DESCRIBED if chip.secure_download is not None]
USUAL = ("esp32s2", "esp32c3", "esp32s31")
"""The others under ``--full``: a run of esptool takes a second."""

USUAL_BY_WRITES = ("esp32s2", "esp32c3")
"""Each takes four runs."""

EFUSES = {
    "esp32c2": "secure_download:1,hard_dis_jtag:1,flash_crypt_count:1",
}
"""One key block, which has no purpose, and no keys to revoke."""

USUAL_EFUSES = (
    "secure_download:1,secure_boot_v2:1,secure_boot_aggressive_revoke:1,"
    "secure_boot_key_revoke1:1,hard_dis_jtag:1,flash_crypt_count:1,key_purpose_0:4,"
    "key_purpose_1:9,key_purpose_4:10"
)

LINE = re.compile(
    r"Flags: 0x|  BLOCK_KEY|Chip ID: |API Version: |Secure Boot: |Flash Encryption: "
    r"|SPI Boot Crypt Count"
)

MIB = 1 << 20


def lines_of(output: str) -> list[str]:
    return [line for line in output.splitlines() if LINE.match(line)]


@pytest.mark.parametrize("chip", usual_parameters(CHIPS, USUAL))
def test_esptool_says_the_same_of_the_security_state(
    chip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    device = f"sim://{chip}?efuses={EFUSES.get(chip, USUAL_EFUSES)}"
    with lent_chip(device) as port:
        theirs = run(*esptool("--port", port, "get-security-info"))
    assert theirs.exit_code == 0, theirs.stdout + theirs.stderr
    assert cli.main(["--port", device, "get-security-info"]) == cli.DONE
    ours = lines_of(capsys.readouterr().out)
    assert any("Flash Encryption: Enabled" in line for line in ours)
    assert lines_of(theirs.stdout) == ours


@pytest.mark.parametrize("chip", usual_parameters(CHIPS, USUAL_BY_WRITES))
def test_esptool_writes_and_erases_in_secure_download_mode(chip: str, tmp_path: Path) -> None:
    image, flash = tmp_path / "image", tmp_path / "flash"
    image.write_bytes(bytes(range(256)) * 64)
    flash.write_bytes(bytes(8 * MIB))
    device = f"sim://{chip}?flash=8MB&efuses=secure_download:1"
    with lent_chip(device, flash=flash) as port:
        # Later the ROM loader knows more: over TCP nobody resets it.
        beyond = run(*esptool("--port", port, "write-flash", "0x300000", str(image)))
        for words in (
            ["write-flash", "0x10000", str(image)],
            ["write-flash", "-fs", "8MB", "0x300000", str(image)],
            ["erase-region", "0x302000", "0x1000"],
        ):
            done = run(*esptool("--port", port, *words))
            assert done.exit_code == 0, done.stdout + done.stderr
    content = flash.read_bytes()
    assert beyond.exit_code != 0
    assert content[0x1_0000:0x1_4000] == image.read_bytes()
    assert content[0x30_0000:0x30_2000] == image.read_bytes()[:0x2000]
    assert content[0x30_2000:0x30_3000] == b"\xff" * 0x1000
