"""Real esptool has a served simulator encrypt, and the flash then holds what ours leaves."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from esploader import connect
from esploader.server.serve import Server
from esploader.simulator.url import open_served, open_simulated, parse
from programs import Completed, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peer

READY = "efuses=flash_crypt_count:1,key_purpose_0:4,key0:0x0123456789abcdef"
OFFSET = 0x1_0000
SIZE = 0x2_0000
IMAGE = b"".join(hashlib.sha256(bytes((index,))).digest() + bytes(50) for index in range(200))


def esptool_on(url: str, loader: str, *arguments: str) -> tuple[Completed, bytes]:
    """Run esptool on a simulated device; return what the flash holds then, from OFFSET on."""
    with open_served(parse(url), follows_device=True) as transport, Server(transport) as server:
        port = server.listen_tcp()
        server.start()
        done = run(sys.executable, "-m", "esptool", *loader.split(), "--port", port, *arguments)
        return done, transport.device.nor.read(OFFSET, SIZE)


def ours_on(url: str, *, stub: bool) -> bytes:
    with open_simulated(url) as transport, connect(transport, stub=stub) as device:
        device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)])
        return transport.device.nor.read(OFFSET, SIZE)


@pytest.mark.parametrize("loader", ["--after no-reset", "--no-stub"], ids=["stub", "rom"])
@pytest.mark.parametrize(
    "options", [["--encrypt"], ["0x8000", "FILE", "--encrypt-files"]], ids=["all", "one of two"]
)
def test_both_leave_the_same_in_flash(tmp_path: Path, loader: str, options: list[str]) -> None:
    url = f"sim://esp32c3?state=download&{READY}"
    file = tmp_path / "image.bin"
    file.write_bytes(IMAGE)
    options = [str(file) if word == "FILE" else word for word in options]
    # A ROM loader encrypts nothing that is compressed, which esptool does not know.
    compress = "--no-compress" if loader == "--no-stub" else "--compress"
    words = ["write-flash", compress, *options, hex(OFFSET), str(file)]
    done, theirs = esptool_on(url, loader, *words)
    assert done.exit_code == 0, done.stdout + done.stderr
    ours = ours_on(url, stub=loader != "--no-stub")
    # esptool fills up its last block, which is encrypted as a whole.
    end = len(IMAGE) if loader == "--no-stub" else SIZE
    assert theirs[:end] == ours[:end]
    assert ours[len(IMAGE) :] == b"\xff" * (SIZE - len(IMAGE))
    assert theirs[: len(IMAGE)] != IMAGE


@pytest.mark.parametrize(
    "efuses",
    ["flash_crypt_count:1", "key_purpose_0:4,manual_encrypt_disabled:1"],
    ids=["no key", "disabled"],
)
def test_both_refuse_without_a_key_or_where_the_loader_may_not(tmp_path: Path, efuses: str) -> None:
    url = f"sim://esp32c3?state=download&efuses={efuses}"
    file = tmp_path / "image.bin"
    file.write_bytes(IMAGE)
    done, flash = esptool_on(url, "--no-stub", "write-flash", "--encrypt", "0x10000", str(file))
    assert done.exit_code == 2, done.stdout + done.stderr
    assert flash == b"\xff" * SIZE
