"""The numbers of all chips hold together, and agree with a recorded table.

Where the table and ESP-IDF differ, the chips follow ESP-IDF; every such place is listed.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pytest

from described_chips import DESCRIBED
from esploader.chips.model.bits import BitField, Bits
from esploader.chips.model.watchdog import RtcWatchdog, SuperWatchdog
from esploader.chips.reading import security
from esploader.chips.registry import CHIPS, chip_by_name
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip

FlashTable = dict[str, int]
RegisterMask = tuple[str, str]


class Spi(TypedDict):
    """The SPI peripheral: an address, and offsets from it."""

    base: str
    usr: int
    usr1: int
    usr2: int
    mosi_dlen: int | None
    miso_dlen: int | None
    w0: int
    addr_is_msb_aligned: bool


class RecordedSuperWatchdog(TypedDict):
    """Registers, and what opens them."""

    feeds_itself: RegisterMask
    write_protect: str
    key: str


class _Always(TypedDict):
    image_chip_id: int | None
    magic: str | None
    has_usb_serial_jtag: bool
    has_usb_otg: bool
    knows_security_info: bool
    uart_clock_ratio: int
    uart_date_register: str
    watchdog_resets: bool
    single_bits: dict[str, list[tuple[str, int, int]]]


class Numbers(_Always, total=False):
    """What the table says about one chip; addresses are hexadecimal."""

    bootloader_offset: str
    flash_sizes: FlashTable
    flash_frequencies: FlashTable
    supports_4_byte_addresses: bool
    uf2_family: str
    spi: Spi
    uart_divider_register: str
    irom: tuple[str, str]
    memory: dict[str, tuple[str, str]]
    encrypted_write_alignment: int
    rtc_watchdog: dict[str, str]
    super_watchdog: RecordedSuperWatchdog
    force_download: RegisterMask
    stub_hook: str
    strapping_register: str
    boot_strap_mask: str
    security_fields: dict[str, RegisterMask]
    key_purposes: dict[str, str]
    key_purpose_positions: list[tuple[str, int]]
    key_purpose_width: int
    mac_register: str
    flash_vendor: tuple[str, int, int, dict[str, str]]
    psram_vendor: tuple[str, int, int, dict[str, str]]


RECORDED: dict[str, Numbers] = json.loads(
    (Path(__file__).parent / "recorded" / "numbers.json").read_text(encoding="utf-8")
)["chips"]

FOLLOWS_ESP_IDF = {
    ("esp32", "uart_date_register"): "the table has it where another bus has the UART",
    ("esp32s2", "uart_date_register"): "the table's is UART_ID, where another bus has the UART",
    ("esp32s3", "uart_date_register"): "the table's is UART_ID",
    ("esp32h2", "uart_date_register"): "the table has that of an older chip's UART",
    ("esp32c6", "uart_date_register"): "the table has that of an older chip's UART",
    ("esp32c61", "uart_date_register"): "the table has that of an older chip's UART",
    ("esp32c5", "uart_date_register"): "the table has that of an older chip's UART",
    ("esp32s2", "drom"): "the table's runs over the peripherals into external RAM",
    ("esp32s2", "irom"): "the table's ends beyond the mapped range of ICache",
    ("esp32s2", "irom_mask"): "the table has the size of an older chip's ROM",
    ("esp32h2", "irom"): "the table's is that of another chip, and half as long",
    ("esp32p4", "drom"): "the table's runs into external RAM",
    ("esp32p4", "irom"): "the table's runs into external RAM",
    ("esp32p4", "dram"): "the table leaves out what the cache may take",
    ("esp32p4", "iram"): "the table leaves out what the cache may take",
    ("esp32c61", "dram"): "the table's is longer than the chip's RAM",
    ("esp32c61", "iram"): "the table's is longer than the chip's RAM",
    ("esp32c61", "drom_mask"): "the table has that of an older chip's ROM",
    ("esp32c61", "irom_mask"): "the table has that of an older chip's ROM",
    ("esp32c61", "rtc_iram"): "the chip has no such RAM",
    ("esp32c61", "rtc_dram"): "the chip has no such RAM",
    ("esp32c5", "drom_mask"): "the table has that of a test chip",
    ("esp32c5", "irom_mask"): "the table has that of a test chip",
    ("esp32s31", "drom"): "the table's runs into external RAM",
    ("esp32s31", "irom"): "the table's runs into external RAM",
}

every_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)
every_described_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


def recorded(chip: Chip) -> Numbers:
    return RECORDED[chip.key]


def test_the_table_covers_every_chip() -> None:
    assert set(RECORDED) == {chip.key for chip in CHIPS}


@every_chip
def test_identity_numbers(chip: Chip) -> None:
    numbers = recorded(chip)

    assert chip.image_chip_id == numbers["image_chip_id"]
    assert chip.magic == (None if numbers["magic"] is None else int(numbers["magic"], 16))
    assert (chip.security_info_size is not None) == numbers["knows_security_info"]
    assert chip.has_usb_serial_jtag == numbers["has_usb_serial_jtag"]
    assert (chip.usb_otg_pid is not None) == numbers["has_usb_otg"]


@every_described_chip
def test_flash_parameters(chip: Chip) -> None:
    numbers = recorded(chip)

    assert chip.bootloader_offset == int(numbers["bootloader_offset"], 16)
    assert dict(chip.flash_sizes) == numbers["flash_sizes"]
    assert dict(chip.flash_frequencies) == numbers["flash_frequencies"]
    assert chip.encrypted_write_alignment == numbers.get("encrypted_write_alignment")
    assert chip.supports_4_byte_addresses == numbers["supports_4_byte_addresses"]
    assert chip.uf2_family == int(numbers["uf2_family"], 16)


@every_described_chip
def test_spi_registers(chip: Chip) -> None:
    spi = recorded(chip)["spi"]

    assert chip.spi.base == int(spi["base"], 16)
    assert (chip.spi.usr, chip.spi.usr1, chip.spi.usr2) == (spi["usr"], spi["usr1"], spi["usr2"])
    assert (chip.spi.mosi_dlen, chip.spi.miso_dlen) == (spi["mosi_dlen"], spi["miso_dlen"])
    assert chip.spi.w0 == spi["w0"]
    assert chip.spi.addr_is_msb_aligned == spi["addr_is_msb_aligned"]


@every_chip
def test_uart_and_straps(chip: Chip) -> None:
    numbers = recorded(chip)

    if "uart_divider_register" in numbers:
        assert chip.uart_clock_divider.address == int(numbers["uart_divider_register"], 16)
    assert chip.crystal.uart_clock_ratio == numbers["uart_clock_ratio"]
    if "strapping_register" in numbers:
        assert chip.strapping.address == int(numbers["strapping_register"], 16)
    if "boot_strap_mask" in numbers:
        assert 1 << chip.boot_strap.lsb == int(numbers["boot_strap_mask"], 16)


@every_chip
def test_uart_date(chip: Chip) -> None:
    expected = int(recorded(chip)["uart_date_register"], 16)
    follows_esp_idf = (chip.key, "uart_date_register") in FOLLOWS_ESP_IDF

    assert (chip.uart_date_register == expected) != follows_esp_idf


@every_described_chip
def test_watchdogs(chip: Chip) -> None:
    numbers = recorded(chip)
    rtc, super_watchdog = numbers.get("rtc_watchdog"), numbers.get("super_watchdog")

    assert chip.watchdog_resets == numbers["watchdog_resets"]
    assert chip.rtc_watchdog == (
        None
        if rtc is None
        else RtcWatchdog(
            config0=int(rtc["config0"], 16),
            config1=int(rtc["config1"], 16),
            write_protect=int(rtc["write_protect"], 16),
            key=int(rtc["key"], 16),
            delay=None if chip.rtc_watchdog is None else chip.rtc_watchdog.delay,
        )
    )
    assert chip.super_watchdog == (
        None
        if super_watchdog is None
        else SuperWatchdog(
            feeds_itself=single_bit(super_watchdog["feeds_itself"]),
            write_protect=int(super_watchdog["write_protect"], 16),
            key=int(super_watchdog["key"], 16),
        )
    )


@every_described_chip
def test_forced_download_and_the_start_of_a_stub(chip: Chip) -> None:
    forced = recorded(chip).get("force_download")
    hook = recorded(chip).get("stub_hook")

    assert chip.force_download == (None if forced is None else single_bit(forced))
    assert chip.stub_hook == (None if hook is None else int(hook, 16))


def single_bit(place: RegisterMask) -> Bits:
    register, mask = (int(number, 16) for number in place)
    assert mask.bit_count() == 1
    return Bits(register, mask.bit_length() - 1, 1)


@every_described_chip
def test_memory(chip: Chip) -> None:
    numbers = recorded(chip)
    regions = {region.name: (region.start, region.end) for region in chip.memory}

    for name, bounds in {**numbers["memory"], "irom": numbers["irom"]}.items():
        expected = (int(bounds[0], 16), int(bounds[1], 16))
        assert (regions.get(name) == expected) == ((chip.key, name) not in FOLLOWS_ESP_IDF)


@every_described_chip
def test_security_fields(chip: Chip) -> None:
    numbers = recorded(chip)
    fields: dict[str, BitField | None] = {
        "flash_crypt_count": chip.flash_crypt_count,
        "manual_encrypt_disabled": chip.manual_encrypt_disabled,
        "secure_boot_v1": chip.secure_boot_v1,
        "secure_boot_v2": chip.secure_boot_v2,
    }
    found = {
        name: field.insert((1 << field.width) - 1, {}) for name, field in fields.items() if field
    }
    positions = [field.parts for field in chip.key_purposes]

    assert found == {
        name: {int(register, 16): int(mask, 16)}
        for name, (register, mask) in numbers.get("security_fields", {}).items()
    }
    assert [(part.address, part.lsb, part.width) for (part,) in positions] == [
        (int(register, 16), lsb, numbers.get("key_purpose_width", 4))
        for register, lsb in numbers.get("key_purpose_positions", [])
    ]
    assert {str(value): name for value, name in chip.key_purpose_names} == numbers.get(
        "key_purposes", {}
    )


@every_chip
def test_every_bit_of_the_identity_fields(chip: Chip) -> None:
    fields: dict[str, BitField | None] = {field.name: field.bits for field in chip.fields}
    fields |= {
        "major_revision": chip.major_revision,
        "minor_revision": chip.minor_revision,
        "unique_id": chip.unique_id,
    }
    for name, bits in recorded(chip)["single_bits"].items():
        field = fields[name]
        assert field is not None
        assert field.width == len(bits)
        for register, bit, value in bits:
            words = dict.fromkeys(field.addresses, 0) | {int(register, 16): 1 << bit}
            assert field.extract(words) == value


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (key, name)
        for key, numbers in RECORDED.items()
        for name in ("flash_vendor", "psram_vendor")
        if name in numbers
    ],
)
def test_vendors(key: str, name: str) -> None:
    field = chip_by_name(key).field(name)
    numbers = RECORDED[key]
    recorded_field = numbers["flash_vendor"] if name == "flash_vendor" else numbers["psram_vendor"]
    register, lsb, width, names = recorded_field

    (part,) = field.bits.parts
    assert (part.address, part.lsb, part.width) == (int(register, 16), lsb, width)
    assert {str(value): vendor for value, vendor in field.names} == names


@every_described_chip
def test_efuse_fields_lie_in_efuse_blocks(chip: Chip) -> None:
    words = {
        block.address + 4 * index
        for block in chip.efuse_blocks
        for index in range(block.word_count)
    }
    security = (
        chip.flash_crypt_count,
        chip.secure_boot_v1,
        chip.secure_boot_v2,
        chip.secure_download,
        chip.manual_encrypt_disabled,
        *chip.key_purposes,
    )
    identity = (chip.mac, chip.mac_oui_code, chip.unique_id, chip.minor_revision)
    supply = chip.flash_supply
    wiring = (chip.octal_flash, None if supply is None else BitField(supply.efuse.decides))
    fields = (
        *(field.bits for field in chip.fields),
        *security,
        *identity,
        *chip.flash_pads,
        *wiring,
    )

    for bits in fields:
        assert bits is None or set(bits.addresses) <= words


@every_described_chip
def test_efuse_blocks_do_not_overlap(chip: Chip) -> None:
    words = [
        block.address + 4 * index
        for block in chip.efuse_blocks
        for index in range(block.word_count)
    ]

    assert len(words) == len(set(words))


@every_chip
def test_a_mac_has_48_bits(chip: Chip) -> None:
    assert chip.mac.width == 48


@pytest.mark.parametrize(
    "chip", [chip for chip in CHIPS if chip.knows("boot_strap")], ids=lambda chip: chip.key
)
def test_the_boot_strap_is_one_of_the_straps(chip: Chip) -> None:
    straps = chip.strapping

    assert chip.boot_strap.address == straps.address
    assert chip.boot_strap.width == 1
    assert straps.lsb <= chip.boot_strap.lsb < straps.lsb + straps.width


@every_described_chip
def test_the_strap_for_the_voltage_of_the_flash_is_another_one(chip: Chip) -> None:
    if chip.flash_supply is not None:
        strap = chip.flash_supply.strap

        assert strap.address == chip.strapping.address
        assert strap.width == 1
        assert strap.lsb != chip.boot_strap.lsb


@every_described_chip
def test_no_register_is_in_a_memory_region(chip: Chip) -> None:
    registers = {
        chip.spi.base,
        chip.uart_date_register,
        chip.uart_clock_divider.address,
        chip.strapping.address,
        *(block.address for block in chip.efuse_blocks),
    }

    for region in chip.memory:
        assert not any(region.start <= register < region.end for register in registers)


@every_chip
def test_every_chip_names_its_sources(chip: Chip) -> None:
    module = importlib.import_module(f"esploader.chips.{chip.key}")

    assert module.__doc__ is not None
    assert "Sources:" in module.__doc__


def test_security_info_has_a_size_that_is_understood() -> None:
    sizes = {chip.security_info_size for chip in CHIPS}

    assert sizes == {None, security.SIZE_WITHOUT_CHIP_ID, security.SIZE}


def test_dialects_know_security_info_where_the_chip_does() -> None:
    for chip in CHIPS:
        knows = Opcode.GET_SECURITY_INFO in chip.rom.opcodes
        assert knows == (chip.security_info_size is not None)
