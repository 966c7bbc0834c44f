"""Commands reach the flash chip through the SPI peripheral of every simulated chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.errors import UnsupportedError
from esploader.flash.spi import (
    MAX_READ_SIZE,
    READ_ID,
    READ_SFDP,
    READ_STATUS,
    FlashPort,
    SpiTransaction,
)
from esploader.simulator import SimulatedTransport

if TYPE_CHECKING:
    from esploader.device.device import Device

every_chip = pytest.mark.parametrize("chip", [chip.key for chip in DESCRIBED])

WRITE_ENABLE = 0x06
WRITE_DISABLE = 0x04
WRITE_ENABLED = 0b10


def flash_port(device: Device) -> FlashPort:
    return FlashPort(device.session, device.chip, pads=0)


@every_chip
def test_read_id(chip: str) -> None:
    with connect(f"sim://{chip}?flash=8MB") as device:
        answer = flash_port(device).transact(SpiTransaction(opcode=READ_ID, input_size=3))
    assert answer == bytes.fromhex("c84017")


@every_chip
def test_sfdp_takes_an_address_and_dummy_cycles(chip: str) -> None:
    with connect(f"sim://{chip}") as device:
        port = flash_port(device)
        whole = port.transact(sfdp(0, 32))
        assert whole[:4] == b"SFDP"
        for offset, size in ((0, 4), (0, 16), (1, 3), (4, 8)):
            assert port.transact(sfdp(offset, size)) == whole[offset : offset + size]


def sfdp(offset: int, size: int) -> SpiTransaction:
    return SpiTransaction(
        opcode=READ_SFDP, address=offset, address_bits=24, dummy_bits=8, input_size=size
    )


@every_chip
def test_a_command_without_data_has_its_effect(chip: str) -> None:
    with connect(f"sim://{chip}") as device:
        port = flash_port(device)
        read_status = SpiTransaction(opcode=READ_STATUS[0], input_size=1)
        assert port.transact(read_status)[0] & WRITE_ENABLED == 0
        port.transact(SpiTransaction(opcode=WRITE_ENABLE))
        assert port.transact(read_status)[0] & WRITE_ENABLED
        port.transact(SpiTransaction(opcode=WRITE_DISABLE))
        assert port.transact(read_status)[0] & WRITE_ENABLED == 0


@every_chip
def test_flash_is_read_through_registers(chip: str) -> None:
    content = bytes(range(256))
    with connect(f"sim://{chip}", stub=False) as device:
        transport = device.session.transport
        assert isinstance(transport, SimulatedTransport)
        port = flash_port(device)
        for offset, size in ((0, 4), (0x1234, 100), (0x3F_FFC0, 64)):
            transport.device.nor.program(offset, content[:size])
            assert port.read(offset, size) == content[:size]
        assert device.flash.id().size == 4 << 20


@every_chip
def test_one_sector_is_erased_by_the_flash_itself(chip: str) -> None:
    with connect(f"sim://{chip}", stub=False) as device:
        transport = device.session.transport
        assert isinstance(transport, SimulatedTransport)
        flash = transport.device.nor
        flash.program(0, bytes(0x3000))
        flash_port(device).erase_sector(0x1000)
        assert flash.read(0, 0x3000) == bytes(0x1000) + b"\xff" * 0x1000 + bytes(0x1000)


def test_24_bits_of_address_have_an_end() -> None:
    with connect("sim://esp32s3?flash=32MB", stub=False) as device:
        with pytest.raises(UnsupportedError, match="16 MiB"):
            flash_port(device).read(0xFF_FFC0, 65)
        with pytest.raises(UnsupportedError, match="16 MiB"):
            flash_port(device).erase_sector(0x100_0000)


@every_chip
def test_flash_status_puts_the_first_register_lowest(chip: str) -> None:
    with connect(f"sim://{chip}") as device:
        flash_port(device).transact(SpiTransaction(opcode=WRITE_ENABLE))
        assert device.flash.status(1) == WRITE_ENABLED
        assert device.flash.status(3) & 0xFF == WRITE_ENABLED


@pytest.mark.parametrize(
    ("output", "input_size"), [(b"", MAX_READ_SIZE + 1), (bytes(65), 0)], ids=["in", "out"]
)
def test_a_transaction_has_a_limited_size(output: bytes, input_size: int) -> None:
    with pytest.raises(UnsupportedError):
        SpiTransaction(opcode=0x03, output=output, input_size=input_size)
