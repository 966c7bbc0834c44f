"""The stand-in for flash encryption depends on key, offset and data, as the real one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp8266 import ESP8266
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice
from esploader.simulator.config import InitialState
from esploader.simulator.soc.flash_encryption import can_encrypt, encrypt
from simulated import Bench, make_bench, words

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

KEY = {"key_purpose_3": 4, "key3": 0xABCD}
OFFSET = 0x2_0000
DATA = bytes(range(256)) * 4

ACCEPTED = b"\0\0"
ROM_FAILED = b"\x01\x64"
STUB_FAILED = b"\xc4\x00"


def device(chip: Chip = ESP32_C3, **efuses: int) -> SimulatedDevice:
    return SimulatedDevice(chip, efuses=efuses or KEY)


@given(st.integers(0, 0x8_0000), st.binary(max_size=300), st.integers(0, 300))
def test_each_byte_depends_on_its_own_offset_alone(unit: int, data: bytes, cut: int) -> None:
    machine, offset = device(), 16 * unit
    whole = encrypt(machine, offset, data)
    parts = encrypt(machine, offset, data[:cut]) + encrypt(machine, offset + cut, data[cut:])
    assert whole == parts[: len(data)]
    assert encrypt(machine, offset, whole) == data


@pytest.mark.parametrize(
    "other",
    [
        device(key_purpose_3=4, key3=0xABCE),
        device(key_purpose_2=4, key3=0xABCD),
        device(ESP32_S2, key_purpose_0=2, key_purpose_3=3, key3=0xABCD),
        device(ESP32, flash_key=0xABCD_0000),
    ],
)
def test_another_key_gives_other_bytes(other: SimulatedDevice) -> None:
    assert encrypt(other, OFFSET, DATA) != encrypt(device(), OFFSET, DATA) != DATA


def test_another_offset_gives_other_bytes() -> None:
    blocks = [encrypt(device(), OFFSET + 16 * index, bytes(16)) for index in range(64)]
    assert len(set(blocks)) == 64


@pytest.mark.parametrize(
    ("machine", "offset", "size", "possible"),
    [
        (device(), OFFSET, 16, True),
        (device(), OFFSET + 16, 0, True),
        (device(), OFFSET + 8, 16, False),
        (device(), OFFSET, 8, False),
        (device(ESP32, flash_key=1), OFFSET + 16, 32, False),
        (device(ESP32, flash_key=1), OFFSET + 32, 32, True),
        (device(manual_encrypt_disabled=1), OFFSET, 16, False),
        (SimulatedDevice(ESP8266), OFFSET, 16, False),
    ],
)
def test_what_can_be_encrypted(
    machine: SimulatedDevice, offset: int, size: int, *, possible: bool
) -> None:
    assert can_encrypt(machine, offset, size) is possible


def begin(bench: Bench, offset: int, encrypt_word: int, size: int = len(DATA)) -> bytes:
    return bench.status(Opcode.FLASH_BEGIN, words(size, 1, 0x400, offset, encrypt_word))


@pytest.mark.parametrize("state", [InitialState.DOWNLOAD, InitialState.STUB])
def test_the_fifth_word_of_a_begin_decides(state: InitialState) -> None:
    for word in (0, 1):
        bench = make_bench(state=state, efuses=KEY)
        assert begin(bench, OFFSET, word) == ACCEPTED
        assert bench.send_block(Opcode.FLASH_DATA, DATA, 0) == ACCEPTED
        expected = encrypt(bench.device, OFFSET, DATA) if word else DATA
        assert bench.device.nor.read(OFFSET, len(DATA)) == expected


@pytest.mark.parametrize(
    ("state", "refusal"), [(InitialState.DOWNLOAD, ROM_FAILED), (InitialState.STUB, STUB_FAILED)]
)
def test_a_begin_that_cannot_be_encrypted_is_refused(state: InitialState, refusal: bytes) -> None:
    disabled = make_bench(state=state, efuses={**KEY, "manual_encrypt_disabled": 1})
    assert begin(disabled, OFFSET, 1) == refusal
    unaligned = make_bench(state=state, efuses=KEY)
    assert begin(unaligned, OFFSET + 8, 1)[:1] == refusal[:1]
    assert not unaligned.device.nor.erase_counts
    assert not disabled.device.nor.erase_counts


def test_a_block_that_is_no_unit_of_encryption_fails() -> None:
    rom = make_bench(efuses=KEY)
    begin(rom, OFFSET, 1)
    assert rom.send_block(Opcode.FLASH_DATA, DATA[:8], 0) == b"\x01\x64"
    stub = make_bench(state=InitialState.STUB, efuses=KEY)
    begin(stub, OFFSET, 1)
    assert stub.send_block(Opcode.FLASH_DATA, DATA[:8], 0) == ACCEPTED
    assert stub.send_block(Opcode.FLASH_DATA, DATA, 1) == STUB_FAILED
