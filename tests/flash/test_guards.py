"""What would leave a device that never boots again is refused before anything is erased."""

from __future__ import annotations

import gzip
import itertools
import logging
from typing import TYPE_CHECKING, TypeAlias

import pytest

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s3 import ESP32_S3
from esploader.chips.esp8266 import ESP8266
from esploader.chips.model.revision import Revision
from esploader.chips.reading.security_state import (
    SecurityState,
    security_state,
    security_state_addresses,
)
from esploader.errors import PlanError
from esploader.flash.parameters import FlashParameters
from esploader.simulator import SimulatedDevice, SimulatedTransport
from images import small_image
from silence import Silent, do_work
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.simulator.bench import HardwareOnBench

Connect: TypeAlias = "Callable[..., Device]"

REVISION_3 = (3, 0)
APP_OFFSET = 0x1_0000
OLD = b"what was there before"

SECURABLE = [
    chip for chip in DESCRIBED if chip.secure_boot_v2 is not None and chip.secure_boot_v1 is None
]

SECURED = [
    pytest.param(ESP32, {"secure_boot_v1": 1}, "secure boot is on", id="esp32-secure-boot-v1"),
    pytest.param(ESP32, {"secure_boot_v2": 1}, "secure boot is on", id="esp32-secure-boot-v2"),
    pytest.param(ESP32, {"flash_crypt_count": 1}, "flash encryption is on", id="esp32-encryption"),
    pytest.param(
        ESP32,
        {"secure_boot_v2": 1, "flash_crypt_count": 0x7F},
        "secure boot and flash encryption are on",
        id="esp32-both",
    ),
    *(
        pytest.param(chip, {name: value}, reason, id=f"{chip.key}-{name}")
        for chip in SECURABLE
        for name, value, reason in (
            ("secure_boot_v2", 1, "secure boot is on"),
            ("flash_crypt_count", 0b111, "flash encryption is on"),
        )
    ),
]
"""Chip, eFuses, and the beginning of the reason against erasing."""

ENCRYPTING_ONLY_AT_BOOT = [
    pytest.param(chip, {"flash_crypt_count": 1, "manual_encrypt_disabled": 1}, id=chip.key)
    for chip in (ESP32, *SECURABLE)
]


@pytest.fixture(name="connect_to")
def _connect_to() -> Iterator[Connect]:
    """Connect to simulated devices with given eFuses, whose flash holds something."""
    devices: list[Device] = []

    def connect_to(
        chip: Chip, efuses: dict[str, int] | None = None, *, has_stub: bool = True
    ) -> Device:
        revision = REVISION_3 if chip is ESP32 else None
        transport = SimulatedTransport(
            SimulatedDevice(chip, revision=revision, efuses=efuses or {})
        )
        for offset in (0, chip.bootloader_offset, APP_OFFSET):
            transport.device.nor.program(offset, OLD)
        device = connect(transport, stub=shared_stubs() if has_stub else False)
        devices.append(device)
        return device

    yield connect_to
    for device in devices:
        device.close()


def simulated(device: Device) -> HardwareOnBench:
    transport = device.session.transport
    assert isinstance(transport, SimulatedTransport)
    return transport.device


def flash_of(device: Device, offset: int, size: int) -> bytes:
    return bytes(simulated(device).nor.read(offset, size))


def assert_untouched(device: Device) -> None:
    assert not simulated(device).nor.erase_counts
    for offset in (0, device.chip.bootloader_offset, APP_OFFSET):
        assert flash_of(device, offset, len(OLD)) == OLD


@pytest.mark.parametrize(("chip", "efuses", "reason"), SECURED)
def test_erasing_a_secured_device_is_refused(
    connect_to: Connect, chip: Chip, efuses: dict[str, int], reason: str
) -> None:
    device = connect_to(chip, efuses)
    with pytest.raises(PlanError, match=f"^{reason}"):
        device.flash.erase()
    with pytest.raises(PlanError, match=f"^{reason}"):
        device.flash.erase_region(APP_OFFSET, 0x1000)
    with pytest.raises(PlanError, match=f"^{reason}"):
        device.flash.plan([(APP_OFFSET, b"new")], erase_all=True)
    with pytest.raises(PlanError, match=f"^{reason}"):
        device.flash.write([(APP_OFFSET, b"new")], erase_all=True)
    assert_untouched(device)


@pytest.mark.parametrize(("chip", "efuses", "reason"), SECURED)
def test_force_erases_a_secured_device(
    connect_to: Connect, chip: Chip, efuses: dict[str, int], reason: str
) -> None:
    assert reason
    # Secure boot keeps some chips from starting a stub, and their ROM cannot erase it all.
    device = connect_to(chip, efuses, has_stub=False)
    device.flash.erase_region(APP_OFFSET, 0x1000, force=True)
    assert flash_of(device, APP_OFFSET, len(OLD)) == b"\xff" * len(OLD)
    assert flash_of(device, 0, len(OLD)) == OLD


def test_force_erases_the_whole_of_a_secured_flash(connect_to: Connect) -> None:
    device = connect_to(ESP32, {"secure_boot_v1": 1, "flash_crypt_count": 1})
    device.flash.erase(force=True)
    assert flash_of(device, 0, len(OLD)) == b"\xff" * len(OLD)
    device.flash.write([(APP_OFFSET, b"first")])
    device.flash.write([(0x2_0000, b"second")], erase_all=True, force=True)
    assert flash_of(device, APP_OFFSET, 5) == b"\xff" * 5
    assert flash_of(device, 0x2_0000, 6) == b"second"


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_a_device_without_security_may_be_erased_and_written(
    connect_to: Connect, chip: Chip, caplog: pytest.LogCaptureFixture
) -> None:
    device = connect_to(chip)
    device.flash.write([(chip.bootloader_offset, small_image(chip))])
    device.flash.erase_region(APP_OFFSET, 0x1000)
    device.flash.erase()
    assert not caplog.records


@pytest.mark.parametrize("offset", [0, 0x1000, 0x7000, 0x7FFF])
def test_secure_boot_v1_keeps_its_bootloader(connect_to: Connect, offset: int) -> None:
    device = connect_to(ESP32, {"secure_boot_v1": 1})
    with pytest.raises(PlanError, match=f"^Secure Boot V1 is on: writing at {offset:#x}"):
        device.flash.write([(APP_OFFSET, b"new"), (offset, b"!")])
    assert_untouched(device)
    device.flash.write([(offset, b"!")], force=True)
    assert flash_of(device, offset, 1) == b"!"


KEY_MANAGED = [chip for chip in DESCRIBED if chip.flash_key_in_manager is not None]


def test_the_key_manager_is_known_of_those_chips_that_have_one_for_flash_encryption() -> None:
    assert [chip.key for chip in KEY_MANAGED] == ["esp32p4", "esp32c5", "esp32h4", "esp32s31"]


@pytest.mark.parametrize("offset", [0, 0x1FFF])
@pytest.mark.parametrize("chip", KEY_MANAGED, ids=lambda chip: chip.key)
def test_what_the_key_manager_needs_is_let_alone(
    connect_to: Connect, chip: Chip, offset: int
) -> None:
    device = connect_to(chip, {"flash_crypt_count": 1, "flash_key_in_manager": 1})
    reason = r"^the key manager has the key .* of 0x2000"
    with pytest.raises(PlanError, match=reason):
        device.flash.write([(0x2000, b"new"), (offset, b"!")])
    with pytest.raises(PlanError, match=reason):
        device.flash.write(encrypted_inputs=[(offset - offset % 16, b"!")])
    with pytest.raises(PlanError, match=r"^flash encryption is on"):
        device.flash.erase_region(0, 0x1000)
    assert_untouched(device)
    device.flash.write([(0x4000, b"new")])
    device.flash.write(encrypted_inputs=[(0x5000, b"new")])
    device.flash.write([(offset, b"!")], force=True)
    assert flash_of(device, offset, 1) == b"!"


@pytest.mark.parametrize(
    "efuses", [{}, {"flash_crypt_count": 1}, {"flash_key_in_manager": 1}], ids=str
)
def test_the_start_of_the_flash_is_free_where_no_key_manager_needs_it(
    connect_to: Connect, efuses: dict[str, int]
) -> None:
    device = connect_to(KEY_MANAGED[0], efuses)
    device.flash.write([(0, b"new")])
    assert flash_of(device, 0, 3) == b"new"


def test_secure_boot_v1_lets_the_rest_be_written(connect_to: Connect) -> None:
    device = connect_to(ESP32, {"secure_boot_v1": 1})
    device.flash.write([(0x8000, b"table"), (APP_OFFSET, b"new")])
    assert flash_of(device, 0x8000, 5) == b"table"


def test_secure_boot_v2_lets_a_signed_bootloader_be_replaced(connect_to: Connect) -> None:
    device = connect_to(ESP32, {"secure_boot_v2": 1})
    image = small_image(ESP32)
    device.flash.write([(0x1000, image)])
    assert flash_of(device, 0x1000, len(image)) == image


@pytest.mark.parametrize(("chip", "efuses"), ENCRYPTING_ONLY_AT_BOOT)
def test_plain_data_are_refused_where_the_loader_may_not_encrypt(
    connect_to: Connect, chip: Chip, efuses: dict[str, int]
) -> None:
    device = connect_to(chip, efuses)
    with pytest.raises(PlanError, match=r"^flash encryption is on and the loader may not"):
        device.flash.write([(APP_OFFSET, b"new")])
    assert_untouched(device)
    device.flash.write([(APP_OFFSET, b"new")], force=True)
    assert flash_of(device, APP_OFFSET, 3) == b"new"


@pytest.mark.parametrize("count", [0b000, 0b011, 0b101, 0b110])
def test_encryption_is_off_again_with_an_even_number_of_bits(
    connect_to: Connect, count: int
) -> None:
    device = connect_to(ESP32_C3, {"flash_crypt_count": count, "manual_encrypt_disabled": 1})
    device.flash.write([(APP_OFFSET, b"new")])
    device.flash.erase()


def test_writing_to_encrypted_flash_says_that_it_writes_as_it_is(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    device = connect_to(ESP32_C3, {"flash_crypt_count": 1})
    device.flash.write([(APP_OFFSET, b"new!" * 0x400)])
    assert [record.getMessage() for record in caplog.records] == [
        "flash encryption is on: inputs are written as they are, unencrypted"
    ]


def test_the_header_of_a_signed_bootloader_is_left_alone(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = FlashParameters(mode="dio", size="detect")
    image = small_image(ESP32_S3)
    plan = connect_to(ESP32_S3).flash.plan([(0, image)], parameters=parameters)
    assert plan.regions[0].data[: len(image)] != image
    for force in (False, True):
        caplog.clear()
        device = connect_to(ESP32_S3, {"secure_boot_v2": 1})
        plan = device.flash.plan([(0, image)], parameters=parameters, force=force)
        assert plan.regions[0].data[: len(image)] == image
        assert "secure boot is on" in caplog.text


def test_a_signed_bootloader_is_verified_as_it_was_written(connect_to: Connect) -> None:
    parameters = FlashParameters(mode="dio", size="detect")
    inputs = [(0, small_image(ESP32_S3))]
    for efuses in ({}, {"secure_boot_v2": 1}):
        device = connect_to(ESP32_S3, efuses)
        device.flash.write(inputs, parameters=parameters)
        assert device.flash.verify(inputs, parameters=parameters) == ()
        assert bool(device.flash.verify(inputs)) is not bool(efuses)


def damaged(image: bytes) -> bytes:
    return image[:60] + bytes((image[60] ^ 1,)) + image[61:]


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "damaged": damaged,
    "digest cut off": lambda image: image[:-1],
    "cut off in a segment": lambda image: image[:100],
    "cut off in the header": lambda image: image[:1],
}


@pytest.mark.parametrize(
    ("chip", "how"),
    covering_parameters(
        list(itertools.product(DESCRIBED, SPOILT)), lambda chip, how: (chip.key, how)
    ),
    ids=lambda value: value if isinstance(value, str) else value.key,
)
def test_a_damaged_bootloader_is_refused(connect_to: Connect, chip: Chip, how: str) -> None:
    device = connect_to(chip)
    offset = chip.bootloader_offset
    image = SPOILT[how](small_image(chip))
    with pytest.raises(PlanError, match=f"^the image for {offset:#x} cannot run here"):
        device.flash.write([(APP_OFFSET, b"new"), (offset, image)])
    assert_untouched(device)
    device.flash.write([(offset, image)], force=True)
    assert flash_of(device, offset, len(image)) == image


def test_a_bootloader_within_a_larger_input_is_looked_at_too(connect_to: Connect) -> None:
    device = connect_to(ESP32)
    for image in (small_image(ESP32_S3), damaged(small_image(ESP32))):
        with pytest.raises(PlanError, match=r"^the image for 0x1000 cannot run here"):
            device.flash.write([(0, b"\xff" * 0x1000 + image)])
    assert_untouched(device)
    device.flash.write([(0, b"\xff" * 0x1000 + small_image(ESP32))])


def test_another_image_than_the_bootloader_may_be_damaged_or_for_another_chip(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    device = connect_to(ESP32_C3)
    device.flash.write([(APP_OFFSET, damaged(small_image(ESP32_C3)))])
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        device.flash.write([(APP_OFFSET, small_image(ESP32_S3))])
    assert "the image for 0x10000 cannot run here: it is for ESP32-S3" in caplog.text


FOREIGN = {
    "an ELF file": b"\x7fELF\x01\x01\x01" + bytes(100),
    "compressed by gzip": gzip.compress(b"image", mtime=0),
    "a UF2 file": b"UF2\n\x57\x51\x5d\x9e" + bytes(504),
    "a ZIP archive": b"PK\x03\x04\x14" + bytes(100),
    "an Intel HEX file": b":020000040000FA\n:00000001FF\n",
    "text": b"404: Not Found\n",
    "blank": b"\xff" * 0x1000,
}


@pytest.mark.parametrize(("kind", "data"), FOREIGN.items(), ids=FOREIGN)
@pytest.mark.parametrize("chip", [ESP32, ESP32_C3], ids=lambda chip: chip.key)
def test_what_goes_to_the_offset_of_the_bootloader_and_is_no_image_is_named(
    connect_to: Connect, caplog: pytest.LogCaptureFixture, chip: Chip, kind: str, data: bytes
) -> None:
    device = connect_to(chip)
    offset = chip.bootloader_offset
    with caplog.at_level(logging.WARNING):
        device.flash.write([(offset, data)])
    expected = f"what goes to {offset:#x}, from where {chip.name} boots, is no image: it is {kind}"
    assert [record.message for record in caplog.records if expected in record.message]
    assert flash_of(device, offset, len(data)) == data
    caplog.clear()
    device.flash.write([(APP_OFFSET, data)])
    device.flash.write([(offset, data)], force=True)
    assert "is no image" not in caplog.text


@pytest.mark.parametrize(("kind", "data"), FOREIGN.items(), ids=FOREIGN)
@pytest.mark.parametrize("efuses", [None, {"secure_boot_v2": 1}], ids=["open", "secure_boot"])
def test_what_is_no_image_and_gets_no_flash_parameters_is_one_warning(
    connect_to: Connect,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    data: bytes,
    efuses: dict[str, int] | None,
) -> None:
    device = connect_to(ESP32_C3, efuses, has_stub=False)
    device.flash.plan([(0, data)], parameters=FlashParameters(mode="dio"))
    (message,) = caplog.messages
    expected = (
        "what goes to 0x0, from where ESP32-C3 boots, is no image and gets no flash parameters"
    )
    assert message.startswith(f"{expected}: it is {kind}")


@pytest.mark.parametrize("force", [False, True])
def test_that_flash_parameters_were_not_put_anywhere_is_told_whatever_else_is_not(
    connect_to: Connect, caplog: pytest.LogCaptureFixture, *, force: bool
) -> None:
    device = connect_to(ESP32_C3)
    data = FOREIGN["an ELF file"] if force else bytes(range(256))
    device.flash.plan([(0, data)], parameters=FlashParameters(mode="dio"), force=force)
    (message,) = caplog.messages
    assert message.startswith("the flash parameters at 0x0: they were not changed: it begins with")


def test_data_that_nobody_can_name_are_written_without_a_word(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    device = connect_to(ESP32)
    data = bytes(range(256))
    device.flash.write([(ESP32.bootloader_offset, data)])
    assert flash_of(device, ESP32.bootloader_offset, len(data)) == data
    assert not caplog.records


ENCRYPTING = {"flash_crypt_count": 1}
"""Flash encryption is on, and the loader may encrypt."""


@pytest.mark.parametrize("beginning", [b"\xe9", b"\x7fELF", b"text"])
def test_what_is_encrypted_already_is_not_judged_by_how_it_begins(
    connect_to: Connect, caplog: pytest.LogCaptureFixture, beginning: bytes
) -> None:
    device = connect_to(ESP32, ENCRYPTING)
    data = beginning + bytes(range(256))
    device.flash.write([(ESP32.bootloader_offset, data)])
    assert flash_of(device, ESP32.bootloader_offset, len(data)) == data
    assert [record.message for record in caplog.records] == [
        "flash encryption is on: inputs are written as they are, unencrypted"
    ]


def test_a_whole_image_where_only_an_encrypted_one_boots_is_remarked_on(
    connect_to: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    device = connect_to(ESP32, ENCRYPTING)
    image = small_image(ESP32)
    device.flash.write([(ESP32.bootloader_offset, image)])
    assert flash_of(device, ESP32.bootloader_offset, len(image)) == image
    assert "the image for 0x1000 is not encrypted, and flash encryption is on" in caplog.text


def test_in_secure_download_mode_the_loader_tells_the_state(connect_to: Connect) -> None:
    secured = connect_to(ESP32_C3, {"secure_download": 1, "flash_crypt_count": 1}, has_stub=False)
    with pytest.raises(PlanError, match=r"^flash encryption is on: with"):
        secured.flash.erase_region(APP_OFFSET, 0x1000)
    with pytest.raises(PlanError, match=r"^flash encryption is on and in Secure Download Mode"):
        secured.flash.plan([(APP_OFFSET, b"new")])
    assert_untouched(secured)
    secured.flash.write([(APP_OFFSET, b"new")], force=True)
    assert flash_of(secured, APP_OFFSET, 3) == b"new"
    connect_to(ESP32_C3, {"secure_download": 1}, has_stub=False).flash.erase_region(
        APP_OFFSET, 0x1000
    )


@pytest.mark.parametrize(
    ("revision", "has_effect"),
    [(None, False), (Revision(1, 0), False), (Revision(3, 0), True), (Revision(3, 1), True)],
)
def test_an_esp32_knows_secure_boot_v2_from_revision_3_on(
    revision: Revision | None, *, has_effect: bool
) -> None:
    assert ESP32.secure_boot_v2 is not None
    words = dict.fromkeys(security_state_addresses(ESP32), 0)
    words |= ESP32.secure_boot_v2.insert(1, words)
    assert security_state(ESP32, words, revision).secure_boot is has_effect


def test_an_esp8266_has_nothing_to_ask_for() -> None:
    assert security_state_addresses(ESP8266) == ()
    assert security_state(ESP8266, {}, None) == SecurityState(
        secure_boot_v1=False,
        secure_boot_v2=False,
        flash_encryption=False,
        key_manager=False,
        encrypts_downloads=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["erase-flash"],
        ["erase-region", hex(APP_OFFSET), "0x1000"],
        ["write-flash", "--erase-all", hex(APP_OFFSET), "FILE"],
        ["write-flash", "0x1000", "FILE"],
    ],
    ids=" ".join,
)
def test_the_commands_refuse_too_unless_they_are_forced(
    connect_to: Connect, words: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "new"
    file.write_bytes(b"new")
    words = [str(file) if word == "FILE" else word for word in words]
    device = connect_to(ESP32, {"secure_boot_v1": 1})
    with pytest.raises(PlanError):
        do_work(device, words, Silent())
    if words[0] == "write-flash":
        with pytest.raises(PlanError):
            do_work(device, [*words, "--dry-run"], Silent())
    assert_untouched(device)
    do_work(device, [*words, "--force"], Silent())
    assert simulated(device).nor.erase_counts
