"""The address space of a simulated device."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from esploader.chips.model.chip import Region
from esploader.simulator.soc.memory import Memory

RAM = Region("ram", 0x1000, 0x4000)


@given(st.integers(0x1000, 0x3FFF), st.binary(max_size=9000))
def test_ram_holds_what_fits_its_region(address: int, data: bytes) -> None:
    memory = Memory((RAM,))
    memory.write(address, data)
    inside = data[: RAM.end - address]

    assert memory.read(address, len(inside)) == inside
    assert memory.read(RAM.end, 100) == bytes(100)


def test_words_are_little_endian_and_aligned() -> None:
    memory = Memory((RAM,))
    memory.write_word(0x1002, 0x0403_0201)

    assert memory.read(0x1000, 4) == b"\x01\x02\x03\x04"
    assert memory.read_word(0x1003) == 0x0403_0201


def test_registers_hold_words_outside_the_regions() -> None:
    memory = Memory((RAM,))
    memory.write_word(0x6000_0000, 0x1_2345_6789)

    assert memory.read_word(0x6000_0000) == 0x2345_6789
    assert memory.read_word(0x6000_0004) == 0


def test_constants_cannot_be_written() -> None:
    memory = Memory((RAM,))
    memory.fix({0x1000: 7})
    memory.write_word(0x1000, 8)

    assert memory.read_word(0x1000) == 7


def test_hooks_see_reads_and_writes() -> None:
    memory = Memory((RAM,))
    seen: list[int] = []

    def written(value: int) -> int:
        seen.append(value)
        return value & 0xF

    memory.hook(0x6000_0000, write=written)
    memory.hook(0x6000_0004, read=lambda: 42)
    memory.write_word(0x6000_0000, 0xFF)

    assert seen == [0xFF]
    assert memory.read_word(0x6000_0000) == 0xF
    assert memory.read_word(0x6000_0004) == 42


def test_registers_that_a_client_makes_up_are_bounded() -> None:
    memory = Memory((RAM,))
    for index in range(20_000):
        memory.write_word(0x6000_0000 + 4 * index, 1)

    assert sum(memory.read_word(0x6000_0000 + 4 * index) for index in range(20_000)) == 0x4000


def test_without_power_everything_but_constants_is_lost() -> None:
    memory = Memory((RAM,))
    memory.fix({0x10: 7})
    memory.write_word(0x1000, 1)
    memory.write_word(0x6000_0000, 1)
    memory.forget()

    assert [memory.read_word(address) for address in (0x10, 0x1000, 0x6000_0000)] == [7, 0, 0]
