"""Partitions of a device: read, written, erased and compared by name, and which one boots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from boot_choice import FACTORY, chosen, entry, otadata
from covering import covering_parameters
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import (
    EsploaderError,
    FlashError,
    PartitionTableError,
    PlanError,
    UnsupportedError,
)
from esploader.image.partitions import PartitionTable, parse_csv
from esploader.simulator import Corrupt, Drop, FaultyTransport, SimulatedDevice
from images import small_image
from stub_files import shared_stubs
from untouched import comparing, connect, connect_as_it_is, old_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from esploader.device.device import Device

    Connect: TypeAlias = Callable[..., tuple[SimulatedDevice, Device]]

CSV = """
nvs,      data, nvs,     0x9000,  0x4000
otadata,  data, ota,     0xd000,  0x2000
phy_init, data, phy,     0xf000,  0x1000
factory,  app,  factory, 0x10000, 32K
ota_0,    app,  ota_0,          , 32K
ota_1,    app,  ota_1,          , 32K
"""
TABLE = parse_csv(CSV)
OTADATA = TABLE["otadata"].offset
APP = small_image(ESP32_C3)
FLASH_SIZE = 0x4_0000
LOADERS = ("stub", "rom")


@pytest.fixture(name="connect_to", params=LOADERS)
def _connect_to(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Connect to a device with a partition table, by a stub or by the ROM loader."""
    stub = shared_stubs() if request.param == "stub" else False
    devices: list[Device] = []

    def connect_to(
        *,
        table: bytes = TABLE.to_bytes(),
        content: bytes = otadata(),
        efuses: dict[str, int] | None = None,
        at: int = 0x8000,
        apps: bool = True,
        chip: str = "esp32c3",
    ) -> tuple[SimulatedDevice, Device]:
        flash = bytearray(old_content(FLASH_SIZE))
        flash[at : at + 0xC00] = table
        flash[OTADATA : OTADATA + 0x2000] = content
        for name in ("factory", "ota_0", "ota_1") if apps else ():
            start = TABLE[name].offset
            flash[start : start + len(APP)] = APP
        simulated = SimulatedDevice(
            chip, flash_size=FLASH_SIZE, flash=bytes(flash), efuses=efuses or {}
        )
        device = connect_as_it_is(simulated.open_transport(), stub=stub)
        devices.append(device)
        return simulated, device

    yield connect_to
    for device in devices:
        device.close()


def choice(simulated: SimulatedDevice) -> int:
    """Return the slot that a bootloader would boot."""
    return chosen(simulated.nor.read(OTADATA, 0x2000), 2, has_factory=True)


def test_the_table_of_a_device(connect_to: Connect) -> None:
    simulated, device = connect_to()
    with comparing(simulated):
        assert device.partitions.table == TABLE
        assert [each.entry.name for each in device.partitions] == [each.name for each in TABLE]


def test_read_write_verify_and_erase_by_name(connect_to: Connect) -> None:
    simulated, device = connect_to()
    old = simulated.flash
    nvs = device.partitions["nvs"]
    assert nvs.read() == old[0x9000:0xD000]
    data = b"new" * 0x500
    with comparing(simulated, (0x9000, 0xD000)):
        nvs.write(data)
        assert nvs.verify(data) == ()
        assert nvs.read()[: len(data)] == data
        # What is behind the last sector of the data stays.
        assert nvs.read()[0x2000:] == old[0xB000:0xD000]
        (difference,) = nvs.verify(data[:-1] + b"x")
        assert (difference.start, difference.end) == (0x9000 + len(data) - 1, 0x9000 + len(data))
        nvs.erase()
    assert simulated.nor.is_blank(0x9000, 0x4000)


def test_a_write_leaves_the_rest_of_the_partition(connect_to: Connect) -> None:
    simulated, device = connect_to()
    with comparing(simulated, (0x9000, 0xA000)):
        device.partitions["nvs"].write(b"few")
    assert simulated.flash[0x9000:0xA000] == b"few".ljust(0x1000, b"\xff")


def test_several_places_go_beside_offsets(connect_to: Connect) -> None:
    simulated, device = connect_to()
    nvs, phy = device.partitions.select("nvs", "phy_init")
    with comparing(simulated, (0x9000, 0xA000), (0xF000, 0x1_0000), (0x3_8000, 0x3_9000)):
        device.flash.write([(nvs.place, b"a"), (0x3_8000, b"b"), (phy.place + 16, b"c")])
    assert simulated.flash[0x9000:0x9001] == b"a"
    assert simulated.flash[0x3_8000:0x3_8001] == b"b"
    assert simulated.flash[0xF000:0xF012] == b"\xff" * 16 + b"c\xff"


def test_what_fits_exactly_is_written(connect_to: Connect) -> None:
    simulated, device = connect_to()
    with comparing(simulated, (0xF000, 0x1_0000)):
        device.partitions["phy_init"].write(bytes(0x1000))
    assert simulated.flash[0xF000:0x1_0000] == bytes(0x1000)


def _hex_beyond(folder: Path) -> Path:
    # One byte at 0x1000: data records of the Intel HEX format.
    path = folder / "beyond.hex"
    path.write_text(":01000000AA55\n:01100000AA45\n:00000001FF\n")
    return path


def test_what_does_not_fit_is_refused_before_anything_is_touched(
    connect_to: Connect, tmp_path: Path
) -> None:
    simulated, device = connect_to()
    phy, nvs = device.partitions.select("phy_init", "nvs")
    with comparing(simulated):
        for place, source in (
            (phy.place, bytes(0x1001)),
            (phy.place + 0xFFF, b"ab"),
            (phy.place, _hex_beyond(tmp_path)),
        ):
            inputs = [(nvs.place, b"fits"), (place, source)]
            message = r"do not fit into the partition phy_init \(0x1000 bytes at 0xf000\): 1 bytes"
            with pytest.raises(PlanError, match=message):
                device.flash.write(inputs)
            with pytest.raises(PlanError, match=message):
                device.flash.plan(inputs, force=True)
            with pytest.raises(PlanError, match=message):
                device.flash.verify(inputs)
        with pytest.raises(PlanError, match="1 bytes too many"):
            phy.verify(bytes(0x1001))
    assert not [each for each in simulated.history.commands if "BEGIN" in each.name[:11]][2:]


def test_what_the_device_encrypts_has_to_fit_as_well(connect_to: Connect) -> None:
    simulated, device = connect_to(efuses={"key_purpose_0": 4, "key0": 0x1234_5678})
    phy = device.partitions["phy_init"]
    with comparing(simulated), pytest.raises(PlanError, match="1 bytes too many"):
        phy.write(bytes(0x1001), encrypt=True)
    with comparing(simulated, (0xF000, 0x1_0000)):
        (result,) = phy.write(bytes(0x1000), encrypt=True)
    assert not result.verified
    assert simulated.flash[0xF000:0x1_0000] not in {bytes(0x1000), old_content(FLASH_SIZE)[0xF000:]}


def test_what_shares_a_sector_with_something_else_is_not_written(connect_to: Connect) -> None:
    # As tables from the first years of the ESP32 may have it.
    (first, second) = parse_csv("a,data,fat,0x9000,0x800\nb,data,fat,0xa000,0x1000\n")
    simulated, device = connect_to(table=PartitionTable((first, second)).to_bytes())
    part = device.partitions["a"]
    assert len(part.read()) == 0x800
    with comparing(simulated):
        with pytest.raises(PlanError, match=r"a .* shares a sector of 0x1000 bytes"):
            part.write(b"x")
        with pytest.raises(PlanError, match="no whole sectors"):
            part.erase()


def wrong_table(*rows: tuple[str, int, int]) -> bytes:
    """Return a table with data partitions that ESP-IDF would refuse."""
    (row,) = parse_csv("x,data,fat,0x9000,4K\n")
    partitions = [
        type(row)(name=name, type=row.type, subtype=row.subtype, offset=offset, size=size)
        for name, offset, size in rows
    ]
    return PartitionTable(tuple(partitions)).to_bytes()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("a", 0x9000, 0x2000), ("b", 0xA000, 0x1000)], "the table has it share bytes with b"),
        ([("a", 0x0, 0x2000)], "the bootloader and the table are in front of 0x9000"),
        ([("a", 0x8000, 0x2000)], "the bootloader and the table are in front of 0x9000"),
    ],
)
def test_what_a_wrong_table_gives_away_is_read_and_not_changed(
    rows: list[tuple[str, int, int]], reason: str, connect_to: Connect
) -> None:
    simulated, device = connect_to(table=wrong_table(*rows))
    part = device.partitions["a"]
    with comparing(simulated):
        assert len(part.read()) == 0x2000
        with pytest.raises(PlanError, match=f"is left alone: {reason}$"):
            part.write(b"x", force=True)
        with pytest.raises(PlanError, match=f"is left alone: {reason}$"):
            part.erase(force=True)


def test_a_partition_beyond_the_flash_is_refused(connect_to: Connect) -> None:
    simulated, device = connect_to(table=wrong_table(("a", FLASH_SIZE - 0x1000, 0x2000)))
    part = device.partitions["a"]
    with comparing(simulated):
        for work in (part.read, part.erase, lambda: part.write(bytes(0x2000))):
            with pytest.raises(PlanError, match="beyond the flash of 0x40000 bytes"):
                work()


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (small_image(ESP32), "it is for ESP32, not for ESP32-C3"),
        (APP[:-1], "it ends 1 bytes too early"),
        (APP[:40] + b"\x99" + APP[41:], "its checksum is"),
    ],
    ids=["another chip", "cut off", "damaged"],
)
def test_an_app_that_cannot_run_here_is_refused(
    image: bytes, reason: str, connect_to: Connect
) -> None:
    simulated, device = connect_to()
    slot = device.partitions["ota_0"]
    with (
        comparing(simulated),
        pytest.raises(PlanError, match=f"^the app for ota_0 cannot run here: {reason}"),
    ):
        slot.write(image)
    with comparing(simulated, (0x2_0000, 0x2_1000)):
        slot.write(image, force=True)
    assert simulated.flash[0x2_0000:][: len(image)] == image


def test_an_app_larger_than_its_slot_is_refused(connect_to: Connect) -> None:
    simulated, device = connect_to()
    with comparing(simulated), pytest.raises(PlanError, match=r"ota_0 .*: 1 bytes too many$"):
        device.partitions["ota_0"].write(APP.ljust(0x8001, b"\xff"), force=True)


def test_what_is_no_app_is_remarked_on(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    simulated, device = connect_to()
    with comparing(simulated, (0x2_0000, 0x2_1000)):
        device.partitions["ota_0"].write(b"text")
    assert "what goes to ota_0, which is for apps, is none: it does not begin" in caplog.text
    caplog.clear()
    with comparing(simulated, (0x9000, 0xA000)):
        device.partitions["nvs"].write(b"text")
    assert "is none" not in caplog.text


@pytest.mark.parametrize("part", [b"\xe9 by chance", b"text"], ids=["image", "text"])
def test_what_goes_into_the_middle_of_an_app_is_not_judged(
    part: bytes, connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """As the second piece of an Intel HEX file."""
    simulated, device = connect_to()
    place = device.partitions["ota_0"].place
    with comparing(simulated, (0x2_0000, 0x2_1000), (0x2_2000, 0x2_3000)):
        device.flash.write([(place, APP), (place + 0x2000, part)])
    assert simulated.flash[0x2_2000:][: len(part)] == part
    assert "is none" not in caplog.text


def test_what_was_encrypted_elsewhere_is_not_judged(connect_to: Connect) -> None:
    # It may begin like an image by chance.
    simulated, device = connect_to(efuses={"flash_crypt_count": 1})
    image = b"\xe9" + old_content(0x1000)[1:]
    with comparing(simulated, (0x2_0000, 0x2_1000)):
        device.partitions["ota_0"].write(image)
    assert simulated.flash[0x2_0000:0x2_1000] == image


def test_names_that_are_not_there(connect_to: Connect) -> None:
    _, device = connect_to()
    with pytest.raises(PartitionTableError, match=r"no partition ota_2 \(did you mean ota_1 or"):
        device.partitions["ota_2"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"\xff" * 0xC00, "no partition table at 0x8000: it is blank"),
        (bytes(0xC00), "no partition table at 0x8000: row 1 begins with 0000 instead of aa50"),
    ],
    ids=["blank", "zeros"],
)
def test_a_device_without_a_table(table: bytes, message: str, connect_to: Connect) -> None:
    simulated, device = connect_to(table=table)
    with comparing(simulated), pytest.raises(PartitionTableError, match=f"^{message}$"):
        device.partitions["nvs"]


def test_a_table_elsewhere(connect_to: Connect) -> None:
    (row,) = parse_csv("here,data,fat,0x38000,4K\n")
    _, device = connect_to(table=PartitionTable((row,)).to_bytes(), at=0x3_A000)
    with pytest.raises(PartitionTableError, match="at 0x8000"):
        device.partitions["here"]
    device.partitions.table_offset = 0x3_A000
    assert device.partitions["here"].entry == row


def test_the_table_is_read_anew_each_time(connect_to: Connect) -> None:
    simulated, device = connect_to()
    assert len(device.partitions.table) == 6
    (row,) = parse_csv("here,data,fat,0x38000,4K\n")
    with comparing(simulated, (0x8000, 0x9000)):
        device.flash.write([(0x8000, PartitionTable((row,)).to_bytes())])
    assert device.partitions["here"].entry == row


def test_secure_download_mode_hides_the_table() -> None:
    simulated = SimulatedDevice("esp32c3", efuses={"secure_download": 1})
    with connect(simulated.open_transport()) as device:
        count = len(simulated.history.commands)
        for look in (lambda: device.partitions.table, lambda: device.partitions["nvs"]):
            with pytest.raises(UnsupportedError, match="in Secure Download Mode nobody can see"):
                look()
        with pytest.raises(UnsupportedError, match="Secure Download Mode"):
            device.partitions.boot("ota_0")
        assert len(simulated.history.commands) == count


@pytest.mark.parametrize(
    "efuses", [{"flash_crypt_count": 1}, {"flash_crypt_count": 7}], ids=["once", "for good"]
)
def test_flash_encryption_hides_the_table(efuses: dict[str, int], connect_to: Connect) -> None:
    # What it reads like: noise.
    simulated, device = connect_to(table=bytes(range(256)) * 12, efuses=efuses)
    with (
        comparing(simulated),
        pytest.raises(UnsupportedError, match="flash encryption is on, and only the device can"),
    ):
        device.partitions["nvs"]


def test_what_boots_is_not_chosen_where_otadata_is_encrypted(connect_to: Connect) -> None:
    simulated, device = connect_to(efuses={"flash_crypt_count": 1})
    with (
        comparing(simulated),
        pytest.raises(UnsupportedError, match=r"^choosing what boots: flash encryption is on"),
    ):
        device.partitions.boot("ota_0", force=True)


BOOTED = [
    (otadata(), "factory"),
    (otadata(entry(1)), "ota_0"),
    (otadata(entry(1), entry(2)), "ota_1"),
    (otadata(entry(3), entry(2)), "ota_0"),
]


@pytest.mark.parametrize(("content", "name"), BOOTED, ids=[name for _, name in BOOTED])
def test_the_app_that_boots(content: bytes, name: str, connect_to: Connect) -> None:
    _, device = connect_to(content=content)
    booted = device.partitions.booting()
    assert booted is not None
    assert booted.entry.name == name
    assert device.partitions["app"] == booted
    following = device.partitions.next_ota_slot().entry.name
    assert following == {"factory": "ota_0", "ota_0": "ota_1", "ota_1": "ota_0"}[name]


def test_a_partition_that_is_called_app_is_the_one_that_is_meant(connect_to: Connect) -> None:
    table = parse_csv("app,data,fat,0x9000,4K\nfactory,app,factory,0x10000,64K\n")
    _, device = connect_to(table=table.to_bytes())
    assert device.partitions["app"].entry.type_name == "data"


def test_a_table_without_otadata(connect_to: Connect) -> None:
    table = parse_csv("factory,app,factory,0x10000,64K\nota_0,app,ota_0,,64K\n")
    simulated, device = connect_to(table=table.to_bytes())
    partitions = device.partitions
    assert partitions.otadata(table) is None
    assert partitions["app"].entry.name == "factory"
    with comparing(simulated):
        with pytest.raises(PlanError, match="has no slot for an update"):
            partitions.next_ota_slot()
        with pytest.raises(PlanError, match="has no otadata, which says what boots"):
            partitions.boot("ota_0")


def test_a_table_without_an_app(connect_to: Connect) -> None:
    _, device = connect_to(table=parse_csv("nvs,data,nvs,0x9000,0x4000\n").to_bytes())
    assert device.partitions.booting() is None
    with pytest.raises(PartitionTableError, match="there is no partition app"):
        device.partitions["app"]


def test_otadata_that_is_too_small(connect_to: Connect) -> None:
    table = wrong_table(("x", 0x9000, 0x1000))
    small = bytearray(table)
    small[3] = 0  # The subtype: otadata.
    _, device = connect_to(table=bytes(small[:32]).ljust(0xC00, b"\xff"))
    with pytest.raises(
        PartitionTableError, match="otadata has two sectors, 0x2000 bytes, and this one"
    ):
        device.partitions.booting()


@pytest.mark.parametrize(
    ("connect_to", "content", "old", "target"),
    covering_parameters(
        [
            (loader, content, old, target)
            for loader in LOADERS
            for content, old in BOOTED
            for target in ("factory", "ota_0", "ota_1")
        ],
        lambda loader, content, _, target: ((content, target), (loader, target)),
    ),
    indirect=["connect_to"],
)
def test_another_app_is_made_to_boot(
    content: bytes, old: str, target: str, connect_to: Connect
) -> None:
    simulated, device = connect_to(content=content)
    erased = dict(simulated.erase_counts)
    with comparing(simulated, (OTADATA, OTADATA + 0x2000)):
        assert device.partitions.boot(target) is (old != target)
    assert choice(simulated) == {"factory": FACTORY, "ota_0": 0, "ota_1": 1}[target]
    booted = device.partitions.booting()
    assert booted is not None
    assert booted.entry.name == target
    if target not in {"factory", old}:
        # One sector, and that the one which did not count.
        changed = [n for n, count in simulated.erase_counts.items() if count != erased.get(n, 0)]
        assert len(changed) <= 1


@pytest.mark.parametrize(
    ("connect_to", "content", "target", "sectors"),
    covering_parameters(
        [
            (loader, *case)
            for loader in LOADERS
            for case in (
                (otadata(entry(1), entry(2)), "factory", [0, 1]),
                (otadata(entry(3), entry(2)), "factory", [1, 0]),
                (otadata(entry(3), entry(2)), "ota_1", [1]),
            )
        ],
        lambda loader, content, target, _: ((content, target), (loader, target == "factory")),
    ),
    indirect=["connect_to"],
)
def test_the_power_may_fail_at_any_page(
    content: bytes, target: str, sectors: list[int], connect_to: Connect
) -> None:
    new = {"factory": FACTORY, "ota_0": 0, "ota_1": 1}[target]
    for count in range(1, 40):
        simulated, device = connect_to(content=content)
        old = choice(simulated)
        simulated.cut_power_at(count)
        with comparing(simulated, (OTADATA, OTADATA + 0x2000)):
            try:
                device.partitions.boot(target)
            except EsploaderError:
                assert choice(simulated) in {old, new}
            else:
                break
    else:
        raise AssertionError("the power failed every time")
    assert choice(simulated) == new
    assert count > len(sectors)


def test_a_slot_without_an_app_is_not_chosen_unless_forced(connect_to: Connect) -> None:
    simulated, device = connect_to(content=otadata(entry(1)), apps=False)
    with (
        comparing(simulated),
        pytest.raises(PlanError, match=r"^ota_1 holds no application that boots: it begins with"),
    ):
        device.partitions.boot("ota_1")
    with comparing(simulated, (OTADATA + 0x1000, OTADATA + 0x2000)):
        assert device.partitions.boot("ota_1", force=True)
    assert choice(simulated) == 1


def test_an_app_for_another_chip_is_not_chosen(connect_to: Connect) -> None:
    simulated, device = connect_to(chip="esp32s3")
    with (
        comparing(simulated),
        pytest.raises(PlanError, match=r"it is for ESP32-C3, not for ESP32-S3$"),
    ):
        device.partitions.boot("ota_1")


def test_what_can_never_boot_is_not_chosen(connect_to: Connect) -> None:
    simulated, device = connect_to()
    with (
        comparing(simulated),
        pytest.raises(PlanError, match=r"nvs cannot be chosen: .* one of ota_0, ota_1$"),
    ):
        device.partitions.boot("nvs", force=True)


def test_a_worn_out_sector_leaves_the_old_choice(connect_to: Connect) -> None:
    simulated, device = connect_to(content=otadata(entry(1), entry(2)))
    simulated.nor.wear_out(OTADATA)
    with comparing(simulated, (OTADATA, OTADATA + 0x1000)), pytest.raises(FlashError):
        device.partitions.boot("ota_0")
    assert choice(simulated) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_bad_line_spoils_neither_the_table_nor_the_choice(seed: int) -> None:
    flash = {0x8000: TABLE.to_bytes(), OTADATA: otadata(entry(1), entry(2)), 0x2_0000: APP}
    simulated = SimulatedDevice("esp32c3", flash_size=FLASH_SIZE, flash=flash)
    faults = [Corrupt(rate=0.0002), Drop(rate=0.0001)]
    line = FaultyTransport(simulated.open_transport(), faults, seed=seed)
    stub = shared_stubs() if seed else False
    with connect_as_it_is(line, stub=stub) as device:
        device.link.reopen = line.reopen
        with comparing(simulated, (OTADATA, OTADATA + 0x1000)):
            assert device.partitions.table == TABLE
            assert device.partitions["app"].entry.name == "ota_1"
            assert device.partitions.boot("ota_0")
        assert device.partitions["app"].entry.name == "ota_0"
    assert choice(simulated) == 0
