"""The JEDEC id names maker, part and size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.flash.jedec import FlashId

KIB, MIB = 1 << 10, 1 << 20


@pytest.mark.parametrize(
    ("jedec_id", "manufacturer", "device", "size"),
    [
        (0x1640C8, "GigaDevice", "GD25Q32", 4 * MIB),
        (0x1840EF, "Winbond", "W25Q128", 16 * MIB),
        (0x164020, "XMC", "XM25QH32", 4 * MIB),
        (0x17609D, "ISSI", "IS25LP064", 8 * MIB),
        (0x00471F, "Adesto (Atmel)", None, 4 * MIB),
        (0x3A80C2, "Macronix", None, 64 * MIB),
    ],
)
def test_known_parts(jedec_id: int, manufacturer: str, device: str | None, size: int) -> None:
    flash = FlashId(jedec_id)
    assert (flash.manufacturer_name, flash.device_name) == (manufacturer, device)
    assert flash.size == size
    assert flash.is_plausible


def test_parts_are_written_type_first() -> None:
    flash = FlashId(0x1640C8)
    assert (flash.manufacturer, flash.device) == (0xC8, 0x4016)


@pytest.mark.parametrize("jedec_id", [0x000000, 0xFFFFFF])
def test_an_empty_socket_is_no_flash(jedec_id: int) -> None:
    flash = FlashId(jedec_id)
    assert not flash.is_plausible
    assert flash.size is None


@given(st.integers(0, 0xFFFFFF))
def test_any_id_has_a_size_that_flash_can_have_or_none(jedec_id: int) -> None:
    size = FlashId(jedec_id).size
    assert size is None or (size & (size - 1) == 0 and 256 * KIB <= size <= 256 * MIB)
