"""The device encrypts what it writes, or says before anything is erased why it does not."""

from __future__ import annotations

import hashlib
import random
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

import esploader
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.errors import FlashError, PlanError, UnsupportedError
from esploader.flash.guards import check_encryption, encryption_addresses
from esploader.flash.parameters import FlashParameters
from esploader.flash.plan import SECTOR_SIZE, Piece, plan_write
from esploader.flash.progress import Phase, Progress, ProgressEvent, Restarted
from esploader.protocol import slip
from esploader.protocol.dialect import ESP32_ROM
from esploader.protocol.download_commands import FlashBegin
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.soc.flash_encryption import encrypt
from images import small_image
from stub_files import shared_stubs
from unreliable_transport import UnreliableTransport
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.simulator.bench import HardwareOnBench

Connect: TypeAlias = "Callable[..., Device]"

OFFSET = 0x1_0000
KEY = 0x0123_4567_89AB_CDEF
IMAGE = random.Random(3).randbytes(0x9000) + bytes(0x3010)  # noqa: S311 - data, not a secret

XTS_128 = {"key_purpose_0": 4, "key0": KEY}
XTS_256 = {"key_purpose_1": 2, "key_purpose_4": 3, "key1": KEY, "key4": KEY + 1}
ESP32_KEY = {"flash_crypt_config": 0xF, "flash_key": KEY}

READY = [
    pytest.param(ESP32, ESP32_KEY, "stub", id="esp32"),
    *(
        pytest.param(chip, XTS_128, loader, id=f"{chip.key}-{loader}")
        for chip in (ESP32_S2, ESP32_S3, ESP32_C3)
        for loader in ("stub", "rom")
    ),
    pytest.param(ESP32_S2, XTS_256, "stub", id="esp32s2-xts-256"),
    pytest.param(ESP32_S3, XTS_256, "rom", id="esp32s3-xts-256"),
]
"""Chip, eFuses with which it can encrypt, and the loader."""

NOT_READY = [
    pytest.param(
        ESP32, {**ESP32_KEY, "manual_encrypt_disabled": 1}, "keeps its loader", id="esp32-disabled"
    ),
    pytest.param(ESP32, {"flash_key": KEY}, "CONFIG is 0x0, and has to be 0xf", id="esp32-config"),
    pytest.param(
        ESP32, {**ESP32_KEY, "flash_crypt_config": 7}, "CONFIG is 0x7", id="esp32-part-of-config"
    ),
    pytest.param(ESP32, {"flash_crypt_config": 0xF}, "no flash encryption key", id="esp32-key"),
    *(
        pytest.param(
            chip,
            {**XTS_128, "manual_encrypt_disabled": 1},
            "keeps its loader",
            id=f"{chip.key}-disabled",
        )
        for chip in (ESP32_S2, ESP32_S3, ESP32_C3)
    ),
    *(
        pytest.param(chip, {"key_purpose_2": 9}, "no flash encryption key", id=f"{chip.key}-key")
        for chip in (ESP32_S2, ESP32_S3, ESP32_C3)
    ),
    pytest.param(
        ESP32_S2, {"key_purpose_0": 2}, "no flash encryption key", id="esp32s2-half-of-a-key"
    ),
    pytest.param(ESP32_C3, XTS_256, "no flash encryption key", id="esp32c3-knows-no-xts-256"),
]
"""Chip, eFuses, and why it cannot encrypt."""


@pytest.fixture(name="connect_to")
def _connect_to() -> Iterator[Connect]:
    """Connect to simulated devices with given eFuses."""
    devices: list[Device] = []

    def connect_to(
        chip: Chip,
        efuses: dict[str, int] | None = None,
        *,
        loader: str = "stub",
        garble: Callable[[bytes], bytes] = bytes,
        misdirects: bool = False,
    ) -> Device:
        transport = UnreliableTransport(
            SimulatedTransport(SimulatedDevice(chip, efuses=efuses or {})), garble
        )
        stub = shared_stubs() if loader == "stub" else False
        # What a spoilt offset changes nobody has planned.
        connect_ = esploader.connect if misdirects else connect
        device = connect_(transport, stub=stub)
        devices.append(device)
        return device

    yield connect_to
    for device in devices:
        device.close()


def simulated(device: Device) -> HardwareOnBench:
    transport = device.session.transport
    assert isinstance(transport, UnreliableTransport)
    assert isinstance(transport.inner, SimulatedTransport)
    return transport.inner.device


def flash_of(device: Device, offset: int, size: int) -> bytes:
    return bytes(simulated(device).nor.read(offset, size))


def padded(data: bytes, unit: int) -> bytes:
    return data.ljust(-(-len(data) // unit) * unit, b"\xff")


def assert_encrypted(device: Device, offset: int, data: bytes) -> None:
    """The flash holds ``data`` encrypted, up to a unit, and nothing behind it."""
    plain = padded(data, device.chip.encrypted_write_alignment or 1)
    assert flash_of(device, offset, len(plain)) == encrypt(simulated(device), offset, plain)
    rest = -(offset + len(plain)) % SECTOR_SIZE
    assert flash_of(device, offset + len(plain), rest) == b"\xff" * rest


@pytest.mark.parametrize("compress", [None, True, False], ids=["auto", "compressed", "plain"])
@pytest.mark.parametrize(("chip", "efuses", "loader"), READY)
def test_the_device_encrypts_what_it_writes(
    connect_to: Connect, chip: Chip, efuses: dict[str, int], loader: str, *, compress: bool | None
) -> None:
    device = connect_to(chip, efuses, loader=loader)
    data = IMAGE + b"an odd size"
    (result,) = device.flash.write(encrypted_inputs=[(OFFSET, data)], compress=compress)
    assert_encrypted(device, OFFSET, data)
    assert not result.verified
    assert result.size == result.written == len(padded(data, chip.encrypted_write_alignment or 1))
    assert result.restarts == 0


def test_another_key_or_offset_gives_other_bytes(connect_to: Connect) -> None:
    found = set()
    for key in (KEY, KEY + 1):
        device = connect_to(ESP32_C3, {**XTS_128, "key0": key})
        for offset in (OFFSET, 2 * OFFSET):
            device.flash.write(encrypted_inputs=[(offset, IMAGE)])
            found.add(flash_of(device, offset, len(IMAGE)))
    assert len({*found, IMAGE}) == 5


def test_plain_and_encrypted_inputs_go_in_one_write(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    plain, encrypted = device.flash.write([(0x8000, b"plain")], encrypted_inputs=[(0x9000, IMAGE)])
    assert (plain.verified, encrypted.verified) == (True, False)
    assert flash_of(device, 0x8000, 5) == b"plain"
    assert_encrypted(device, 0x9000, IMAGE)


def test_what_is_encrypted_is_written_again_each_time(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    for _ in range(2):
        (result,) = device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)])
        assert result.written == len(IMAGE)
    assert_encrypted(device, OFFSET, IMAGE)


def test_nothing_is_said_to_be_verified_that_is_not(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    events: list[ProgressEvent] = []
    device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)], on_progress=events.append)
    phases = {event.phase for event in events if isinstance(event, Progress)}
    assert phases == {Phase.WRITE}


def test_an_encrypted_bootloader_gets_its_flash_parameters(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    image = small_image(ESP32_C3)
    parameters = FlashParameters(mode="dout", size="detect")
    plan = device.flash.plan(encrypted_inputs=[(0, image)], parameters=parameters)
    (region,) = plan.regions
    assert region.encrypted
    assert region.data[2] == 3 != image[2]


@pytest.mark.parametrize(("chip", "efuses", "reason"), NOT_READY)
def test_efuses_without_which_the_device_could_not_decrypt_are_refused(
    connect_to: Connect, chip: Chip, efuses: dict[str, int], reason: str
) -> None:
    device = connect_to(chip, efuses)
    for write in (device.flash.plan, device.flash.write):
        for force in (False, True):
            with pytest.raises(PlanError, match=reason):
                write([(0, b"plain")], encrypted_inputs=[(OFFSET, IMAGE)], force=force)
    assert not simulated(device).nor.erase_counts


@pytest.mark.parametrize(
    ("chip", "efuses"),
    [(ESP32, {"flash_crypt_config": 7}), (ESP32, ESP32_KEY), (ESP32_S3, {}), (ESP32_C3, {})],
)
def test_these_refusals_can_be_overruled(
    connect_to: Connect, chip: Chip, efuses: dict[str, int]
) -> None:
    device = connect_to(chip, efuses)
    device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)], ignore_encryption_efuses=True)
    assert_encrypted(device, OFFSET, IMAGE)


@pytest.mark.parametrize("chip", [ESP32, ESP32_S2, ESP32_S3, ESP32_C3], ids=lambda chip: chip.key)
def test_a_loader_that_does_not_encrypt_cannot_be_overruled(
    connect_to: Connect, chip: Chip
) -> None:
    device = connect_to(chip, {"manual_encrypt_disabled": 1})
    with pytest.raises(PlanError, match="keeps its loader from encrypting"):
        device.flash.write(
            encrypted_inputs=[(OFFSET, IMAGE)], force=True, ignore_encryption_efuses=True
        )
    assert not simulated(device).nor.erase_counts


def test_a_key_and_a_configuration_that_cannot_be_read_will_do(connect_to: Connect) -> None:
    efuses = {"flash_crypt_config_hidden": 1, "flash_key_read_protected": 1}
    device = connect_to(ESP32, efuses)
    device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)])
    assert_encrypted(device, OFFSET, IMAGE)


def test_an_esp8266_has_no_flash_encryption(connect_to: Connect) -> None:
    device = connect_to(ESP8266)
    with pytest.raises(UnsupportedError, match="ESP8266 has no flash encryption"):
        device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)], ignore_encryption_efuses=True)
    assert not simulated(device).nor.erase_counts


def test_the_rom_of_the_esp32_does_not_encrypt(connect_to: Connect) -> None:
    device = connect_to(ESP32, ESP32_KEY, loader="rom")
    for write in (device.flash.plan, device.flash.write):
        with pytest.raises(UnsupportedError, match="ESP32 ROM loader cannot; a stub can"):
            write(encrypted_inputs=[(OFFSET, IMAGE)], ignore_encryption_efuses=True)
    assert not simulated(device).nor.erase_counts


def test_an_esp32_for_which_no_stub_is_found_is_not_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(tmp_path))
    transport = SimulatedTransport(SimulatedDevice(ESP32, efuses=ESP32_KEY))
    with connect(transport) as device:
        for write in (device.flash.plan, device.flash.write):
            with pytest.raises(UnsupportedError, match="ESP32 ROM loader cannot; a stub can"):
                write(encrypted_inputs=[(OFFSET, IMAGE)])
        assert not transport.device.nor.erase_counts


def test_the_encryption_flag_is_never_dropped() -> None:
    begin = FlashBegin(size=16, block_count=1, block_size=16, offset=0, encrypt=True)
    with pytest.raises(UnsupportedError, match="ESP32 ROM"):
        begin.encode_body(ESP32_ROM)


@pytest.mark.parametrize(
    ("chip", "efuses", "offset"),
    [(ESP32, ESP32_KEY, 0x1_0010), (ESP32_C3, XTS_128, 0x1_0008), (ESP32_S2, XTS_128, 0x1_0001)],
)
def test_offsets_within_a_unit_of_encryption_are_refused(
    connect_to: Connect, chip: Chip, efuses: dict[str, int], offset: int
) -> None:
    device = connect_to(chip, efuses)
    unit = chip.encrypted_write_alignment
    with pytest.raises(PlanError, match=f"{offset:#x} has to begin at a multiple of {unit} bytes"):
        device.flash.write(
            [(0, b"plain")],
            encrypted_inputs=[(0x2_0000, b"aligned"), (offset, b"not aligned")],
            ignore_encryption_efuses=True,
        )
    assert not simulated(device).nor.erase_counts


def test_only_what_is_encrypted_has_to_be_aligned(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    device.flash.write([(0x8001, b"plain")], encrypted_inputs=[(0x1_0010, b"encrypted")])
    assert flash_of(device, 0x8001, 5) == b"plain"
    unit = simulated(device)
    start = b"\xff" * 16 + b"encrypted".ljust(16, b"\xff")
    assert flash_of(device, OFFSET, 32) == encrypt(unit, OFFSET, start)


@pytest.mark.parametrize(
    ("plain", "encrypted", "reason"),
    [
        (0x1_0010, OFFSET, "overlaps"),
        (0x1_0FF0, OFFSET, "encrypted and plain, shares the sector at 0x10000"),
        (0x1_0000, 0x1_0800, "plain and encrypted, shares the sector at 0x10000"),
    ],
)
def test_plain_and_encrypted_inputs_do_not_share_a_sector(
    connect_to: Connect, plain: int, encrypted: int, reason: str
) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    with pytest.raises(PlanError, match=reason):
        device.flash.write([(plain, b"plain")], encrypted_inputs=[(encrypted, bytes(0x20))])
    assert not simulated(device).nor.erase_counts


def test_encrypted_inputs_that_share_a_sector_are_merged(connect_to: Connect) -> None:
    device = connect_to(ESP32_C3, XTS_128)
    inputs = [(0x1_0400, b"second"), (OFFSET, b"first")]
    (result,) = device.flash.write(encrypted_inputs=inputs)
    assert_encrypted(device, OFFSET, b"first".ljust(0x400, b"\xff") + b"second")
    assert result.size == 0x410


def test_a_plan_says_what_is_encrypted() -> None:
    pieces = [Piece(0x1000, b"x"), Piece(0x2000, b"y" * 17, encrypted=True)]
    assert str(plan_write(pieces, None, encryption_unit=16)) == (
        "0x00001000 to 0x00002000: 4096 bytes\n"
        "0x00002000 to 0x00002020: 32 bytes, encrypted by the device\n"
        "0x00001001 to 0x00002000: erased as well, covered by no input\n"
        "0x00002011 to 0x00003000: erased as well, covered by no input"
    )


pieces = st.builds(
    lambda unit, data, encrypted: Piece(16 * unit, data, encrypted=encrypted),
    st.integers(0, 0x800),
    st.binary(min_size=1, max_size=0x1800),
    st.booleans(),
)


@given(st.lists(pieces, max_size=5))
def test_no_byte_is_planned_in_the_wrong_kind(inputs: list[Piece]) -> None:
    sectors = [
        set(range(piece.offset // SECTOR_SIZE, -(-piece.end // SECTOR_SIZE))) for piece in inputs
    ]
    shared = any(one & other for one, other in combinations(sectors, 2))
    try:
        regions = plan_write(inputs, None, encryption_unit=16).regions
    except PlanError:
        regions = ()
        refused = True
    else:
        refused = False
    assert shared or not refused
    for piece in inputs if not refused else ():
        (region,) = (each for each in regions if each.offset <= piece.offset < each.end)
        assert region.encrypted == piece.encrypted
        start = piece.offset - region.offset
        assert region.data[start : start + len(piece.data)] == piece.data
    for first, second in pairwise(regions):
        assert first.end <= second.offset
    for region in regions:
        assert region.offset % SECTOR_SIZE == 0
        assert len(region.data) % (16 if region.encrypted else SECTOR_SIZE) == 0


@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 9]), min_size=6, max_size=6))
def test_a_key_is_one_block_for_128_bits_or_two_for_256(purposes: list[int]) -> None:
    words = dict.fromkeys(encryption_addresses(ESP32_S3), 0)
    for bits, purpose in zip(ESP32_S3.key_purposes, purposes, strict=True):
        words |= bits.insert(purpose, words)
    has_key = 4 in purposes or {2, 3} <= set(purposes)
    try:
        check_encryption(ESP32_S3, words)
    except PlanError:
        assert not has_key
    else:
        assert has_key


# Flash encryption is on ------------------------------------------------------------------


def test_where_encryption_is_on_plain_inputs_alone_are_remarked_on(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    device = connect_to(ESP32_C3, {**XTS_128, "flash_crypt_count": 1})
    device.flash.write(encrypted_inputs=[(OFFSET, IMAGE)])
    assert "unencrypted" not in caplog.text
    device.flash.write([(0x8000, b"plain")], encrypted_inputs=[(OFFSET, IMAGE)])
    assert "inputs are written as they are, unencrypted" in caplog.text


# Trouble ---------------------------------------------------------------------------------

FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
ENCRYPT_WORD = slice(8 + 16, 8 + 20)
OFFSET_WORD = slice(8 + 12, 8 + 16)


class Saboteur:
    """Changes the packets with one opcode, the nth that comes and those that follow."""

    def __init__(
        self, opcode: int, change: Callable[[bytearray], None], *, first: int = 0, count: int = 1
    ) -> None:
        self.opcode, self.change = opcode, change
        self.turns = range(first, first + count)
        self.seen = 0

    def spoil(self, data: bytes) -> bytes:
        frames = slip.SlipDecoder().feed(data)
        if len(frames) != 1 or not isinstance(frames[0], slip.Frame):
            return data
        packet = bytearray(frames[0].payload)
        if packet[:2] != bytes((0, self.opcode)):
            return data
        self.seen += 1
        if self.seen - 1 in self.turns:
            self.change(packet)
        return slip.encode(bytes(packet))


def spoil_checksum(packet: bytearray) -> None:
    packet[4] ^= 1


def clear_encrypt_word(packet: bytearray) -> None:
    packet[ENCRYPT_WORD] = bytes(4)


def misdirect_to(offset: int) -> Callable[[bytearray], None]:
    def misdirect(packet: bytearray) -> None:
        packet[OFFSET_WORD] = offset.to_bytes(4, "little")

    return misdirect


def write_with(
    connect_to: Connect, saboteur: Saboteur, loader: str = "stub", size: int = 0x2_0000
) -> tuple[Device, bytes, list[str], int]:
    """Write something encrypted; return it, the reasons of restarts, and how many there were."""
    device = connect_to(ESP32_C3, XTS_128, loader=loader, garble=saboteur.spoil)
    data = b"".join(hashlib.sha256(bytes((i % 256, i // 256))).digest() for i in range(size // 32))
    events: list[ProgressEvent] = []
    (result,) = device.flash.write(
        encrypted_inputs=[(OFFSET, data)], compress=False, on_progress=events.append
    )
    reasons = [event.reason for event in events if isinstance(event, Restarted)]
    starts = {event.offset for event in events if isinstance(event, Restarted)}
    assert starts <= {OFFSET}
    assert not result.verified
    return device, data, reasons, result.restarts


@pytest.mark.parametrize("loader", ["stub", "rom"])
def test_after_trouble_a_region_begins_anew_and_is_written_until_it_stays_the_same(
    connect_to: Connect, loader: str
) -> None:
    saboteur = Saboteur(FLASH_DATA, spoil_checksum, first=3)
    device, data, reasons, restarts = write_with(connect_to, saboteur, loader)
    assert len(reasons) == restarts == 1
    assert_encrypted(device, OFFSET, data)
    block_size = device.session.dialect.flash_block_size
    assert saboteur.seen == 4 + 2 * -(-len(data) // block_size)


@pytest.mark.parametrize("loader", ["stub", "rom"])
def test_a_begin_whose_encryption_flag_was_lost_is_noticed(
    connect_to: Connect, loader: str
) -> None:
    # A ROM erases by the same command.
    saboteur = Saboteur(FLASH_BEGIN, clear_encrypt_word, first=int(loader == "rom"))
    device, data, reasons, _ = write_with(connect_to, saboteur, loader)
    assert reasons == ["the flash holds the plain data, not encrypted"]
    assert_encrypted(device, OFFSET, data)


@pytest.mark.parametrize("loader", ["stub", "rom"])
@pytest.mark.parametrize(
    ("elsewhere", "reason"),
    [
        (0x20_0000, "the flash is blank where it was written to"),
        (OFFSET + 0x1000, "the flash is blank where the data begin or end"),
        (OFFSET - 0x1000, "the flash is blank where the data begin or end"),
    ],
)
def test_a_begin_that_went_elsewhere_is_noticed(
    connect_to: Connect, elsewhere: int, reason: str, loader: str
) -> None:
    saboteur = Saboteur(FLASH_BEGIN, misdirect_to(elsewhere), first=int(loader == "rom"))
    device = connect_to(ESP32_C3, XTS_128, loader=loader, garble=saboteur.spoil, misdirects=True)
    device.flash.write([(OFFSET, IMAGE)])
    saboteur.seen = 0
    events: list[ProgressEvent] = []
    device.flash.write(
        encrypted_inputs=[(OFFSET, IMAGE)], compress=False, on_progress=events.append
    )
    assert [event.reason for event in events if isinstance(event, Restarted)] == [reason]
    assert_encrypted(device, OFFSET, IMAGE)


def test_a_begin_that_went_elsewhere_after_trouble_is_noticed(
    connect_to: Connect,
) -> None:
    spoilt = Saboteur(FLASH_DATA, spoil_checksum, first=2)
    misdirected = Saboteur(FLASH_BEGIN, misdirect_to(0x20_0000), first=1)

    def spoil(data: bytes) -> bytes:
        return misdirected.spoil(spoilt.spoil(data))

    device = connect_to(ESP32_C3, XTS_128, garble=spoil, misdirects=True)
    events: list[ProgressEvent] = []
    device.flash.write(
        encrypted_inputs=[(OFFSET, IMAGE)], compress=False, on_progress=events.append
    )
    reasons = [event.reason for event in events if isinstance(event, Restarted)]
    assert reasons[1:] == ["the flash is blank where it was written to"]
    assert_encrypted(device, OFFSET, IMAGE)


def test_a_failure_of_the_last_block_is_noticed_at_the_end(connect_to: Connect) -> None:
    def cut_short(packet: bytearray) -> None:
        """Take 4 bytes off, so that the flash refuses what is no unit of encryption."""
        del packet[-4:]
        size = len(packet) - 24
        packet[2:4] = (16 + size).to_bytes(2, "little")
        packet[8:12] = size.to_bytes(4, "little")
        checksum = 0xEF
        for byte in packet[24:]:
            checksum ^= byte
        packet[4] = checksum

    saboteur = Saboteur(FLASH_DATA, cut_short, first=7)
    device, data, reasons, _ = write_with(connect_to, saboteur)
    assert len(data) == 8 * device.session.dialect.flash_block_size
    assert reasons == ["the last block failed after it had been answered: the SPI flash failed"]
    assert_encrypted(device, OFFSET, data)


def test_what_never_succeeds_ends_in_an_error_that_says_so(connect_to: Connect) -> None:
    saboteur = Saboteur(FLASH_BEGIN, clear_encrypt_word, count=1000)
    with pytest.raises(FlashError, match="holds the plain data, not encrypted") as caught:
        write_with(connect_to, saboteur, size=0x2000)
    assert (caught.value.offset, caught.value.confirmed) == (OFFSET, 0)
