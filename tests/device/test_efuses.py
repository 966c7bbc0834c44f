"""A device tells what its eFuses hold, and the command line prints that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.cli import main
from esploader.errors import UnsupportedError
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.urls import open_transport
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

PROTECTED = "sim://esp32c3?efuses=key0:0x1234,read_protection:1,key1:0x55,write_protection:0x10"


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_what_was_burnt_is_read(chip: Chip) -> None:
    with connect(f"sim://{chip.key}?mac=24:0a:c4:12:34:56") as device:
        efuses = device.efuses.read()
        assert efuses["mac"].meaning == device.mac == "24:0a:c4:12:34:56"
        revision = device.revision
        if revision is not None:
            major, minor = efuses["major_revision"], efuses["minor_revision"]
            assert int(major.meaning or major.value) == revision.major
            assert minor.value == revision.minor


# Each word is read twice. What fits the receive ring of the loader goes together.
@pytest.mark.parametrize(("chip", "turnarounds"), [("esp32", 4), ("esp32c3", 2), ("esp32c2", 1)])
def test_all_blocks_take_a_few_turnarounds_and_are_read_once(chip: str, turnarounds: int) -> None:
    transport = UnreliableTransport(open_transport(f"sim://{chip}"))
    with connect(transport) as device:
        before = len(transport.writes)
        efuses = device.efuses.read()
        assert len(transport.writes) == before + turnarounds
        assert device.efuses.read() is efuses
        assert len(transport.writes) == before + turnarounds


def test_a_key_that_is_read_protected_reads_as_zero_and_is_said_to_be() -> None:
    with connect(PROTECTED) as device:
        key0, key1 = device.efuses.read()["key0"], device.efuses.read()["key1"]
    assert (key0.value, key0.read_protected) == (0, True)
    assert (key1.value, key1.read_protected) == (0x55, False)


def test_in_secure_download_mode_nothing_is_sent() -> None:
    simulated = SimulatedDevice("esp32c3", efuses={"secure_download": 1})
    transport = UnreliableTransport(SimulatedTransport(simulated))
    with connect(transport) as device:
        before = len(transport.writes)
        with pytest.raises(UnsupportedError, match="Secure Download Mode"):
            device.efuses.read()
        assert len(transport.writes) == before


def test_where_nobody_knows_them_nothing_is_sent() -> None:
    transport = UnreliableTransport(open_transport("sim://esp32e22"))
    with connect(transport) as device:
        before = len(transport.writes)
        with pytest.raises(UnsupportedError, match="efuse blocks of the ESP32-E22"):
            device.efuses.read()
        assert len(transport.writes) == before


def test_the_command_prints_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", PROTECTED, "efuse_summary"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "mac BLOCK1[47:0] 0x240ac4000001 24:0a:c4:00:00:01" in lines
    assert "minor_revision BLOCK1[183,116:114] 0x4" in lines
    assert "flash_crypt_count BLOCK0[84:82] 0x0 flash encryption off write-protected" in lines
    assert "key0 BLOCK_KEY0[255:0] 0x0 read-protected: reads as 0" in lines
    assert "key1 BLOCK_KEY1[255:0] 0x55" in lines
    assert "eFuse Blocks:" not in lines


def test_the_command_dumps_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", PROTECTED, "efuse_summary", "--dump"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    rest = " 00000000" * 7
    assert f"BLOCK_KEY0 00000000{rest} read-protected: reads as 0" in lines
    assert f"BLOCK_KEY1 00000055{rest}" in lines


def test_the_document_has_fields_and_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", PROTECTED, "--json", "efuse-summary", "--dump"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["efuses"]["key_purpose_0"] == {
        "block": "BLOCK0",
        "positions": [{"block": "BLOCK0", "first": 88, "width": 4}],
        "value": 0,
        "meaning": "USER/EMPTY",
        "read_protected": False,
        "write_protected": False,
    }
    assert document["efuses"]["key1"]["value"] == f"0x{0x55:064x}"
    assert document["efuse_blocks"]["BLOCK_KEY0"] == {
        "words": [0] * 8,
        "read_protected": True,
        "write_protected": False,
    }
    assert main(["--port", PROTECTED, "--json", "efuse-summary"]) == 0
    assert "efuse_blocks" not in json.loads(capsys.readouterr().out)
