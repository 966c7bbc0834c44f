"""Writing and erasing in Secure Download Mode, where nobody can see what came of it."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from described_chips import DESCRIBED
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s3 import ESP32_S3
from esploader.errors import (
    EsploaderError,
    FlashError,
    PlanError,
    UnsupportedError,
    WrongChipError,
)
from esploader.flash.parameters import FlashParameters
from esploader.flash.progress import Phase, Progress, ProgressEvent, Restarted
from esploader.flash.write import MAX_HIDDEN_PIECE_SIZE
from esploader.protocol.opcodes import Opcode
from esploader.simulator import (
    Corrupt,
    Drop,
    FaultyTransport,
    SimulatedDevice,
    SimulatedTransport,
)
from images import small_image
from silence import Silent, do_work
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device

RESTRICTED = [chip for chip in DESCRIBED if chip.secure_download is not None]
"""The chips that have the mode."""

MIB = 1 << 20
OLD = b"what was there before"
APP_OFFSET = 0x1_0000


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - data, not a secret


def restricted(
    chip: Chip = ESP32_C3, *, flash_size: int = 4 * MIB, efuses: Mapping[str, int] | None = None
) -> SimulatedDevice:
    return SimulatedDevice(
        chip,
        flash_size=flash_size,
        flash={0: OLD, APP_OFFSET: OLD, flash_size - 0x1000: OLD},
        efuses={"secure_download": 1, **(efuses or {})},
    )


def connected(simulated: SimulatedDevice) -> Device:
    return connect(simulated.open_transport())


@pytest.fixture(name="simulated")
def _simulated() -> SimulatedDevice:
    return restricted()


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_what_is_sent_is_there_in_the_end_and_its_neighbours_still_are(chip: Chip) -> None:
    simulated = restricted(chip)
    image = noise(0x5000 - 123)
    with connected(simulated) as device:
        assert device.is_in_secure_download_mode
        assert device.chip is chip
        (result,) = device.flash.write([(0x8000, image)])
    assert simulated.nor.read(0x8000, len(image)) == image
    assert simulated.nor.read(0x8000 + len(image), 123) == b"\xff" * 123
    assert simulated.nor.read(APP_OFFSET, len(OLD)) == OLD
    assert simulated.nor.read(0, len(OLD)) == OLD
    assert result.written == result.size == 0x5000
    assert not result.verified


def test_it_says_that_nobody_can_see_what_came_of_it(
    simulated: SimulatedDevice, caplog: pytest.LogCaptureFixture
) -> None:
    phases: list[Phase] = []

    def note(event: ProgressEvent) -> None:
        if isinstance(event, Progress):
            phases.append(event.phase)

    with connected(simulated) as device:
        device.flash.write([(0, bytes(0x1000))], on_progress=note)
    assert "what is written is not verified" in caplog.text
    assert set(phases) == {Phase.WRITE}


def test_only_what_the_mode_allows_is_sent(simulated: SimulatedDevice) -> None:
    with connected(simulated) as device:
        simulated.history.clear()
        device.flash.write([(0, noise(0x3000))], compress=True)
        device.flash.erase_region(APP_OFFSET, 0x1000)
    sent = {command.opcode for command in simulated.history.commands}
    assert sent == {Opcode.SPI_ATTACH, Opcode.FLASH_BEGIN, Opcode.FLASH_DATA}
    assert not any(response.error for response in simulated.history.responses)


def test_nothing_is_compressed_or_skipped(
    simulated: SimulatedDevice, caplog: pytest.LogCaptureFixture
) -> None:
    image = bytes(0x5000)
    with connected(simulated) as device:
        assert device.flash.plan([(0, image)], compress=True).compress is False
        assert "not compressed: it has no command for that" in caplog.text
        for _ in range(2):
            (result,) = device.flash.write([(0, image)], compress=True)
            assert result.sent == result.written == len(image)


def test_what_is_to_read_as_erased_is_erased(simulated: SimulatedDevice) -> None:
    simulated.nor.program(0x2_0000, bytes(0x4_0000))
    image = noise(0x1_0000) + b"\xff" * 0x3_0000 + noise(0x1_0000, seed=1)
    with connected(simulated) as device:
        (result,) = device.flash.write([(0x2_0000, image)])
    assert simulated.nor.read(0x2_0000, len(image)) == image
    assert result.sent == 0x2_0000


# The size of the flash ------------------------------------------------------------------


def test_the_loader_takes_the_flash_for_2_mib_until_it_is_told(
    simulated: SimulatedDevice,
) -> None:
    with connected(simulated) as device:
        simulated.history.clear()
        for work in (
            lambda: device.flash.write([(2 * MIB - 1, b"ab")]),
            lambda: device.flash.plan([(2 * MIB - 1, b"ab")]),
            lambda: device.flash.write(
                [(2 * MIB, b"a")], parameters=FlashParameters(size="detect")
            ),
            lambda: device.flash.erase_region(2 * MIB, 0x1000),
        ):
            with pytest.raises(PlanError, match="takes it for 0x200000 bytes"):
                work()
        assert not simulated.history.events
        device.flash.write([(2 * MIB - 1, b"a")])
    assert simulated.nor.read(2 * MIB - 1, 1) == b"a"


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_told_the_size_it_reaches_all_of_the_flash(chip: Chip) -> None:
    simulated = restricted(chip)
    end = 4 * MIB - 0x1000
    with connected(simulated) as device:
        device.flash.write([(end, b"new")], parameters=FlashParameters(size="4MB"))
        assert simulated.nor.read(end, 3) == b"new"
        device.flash.erase_region(end, 0x1000, flash_size="4MB")
        assert simulated.nor.read(end, 3) == b"\xff" * 3


def test_what_is_beyond_the_size_that_is_named_is_refused(simulated: SimulatedDevice) -> None:
    with connected(simulated) as device:
        with pytest.raises(PlanError, match="beyond the flash of 0x400000 bytes"):
            device.flash.write([(4 * MIB, b"x")], parameters=FlashParameters(size="4MB"))
        with pytest.raises(PlanError, match="beyond the flash of 0x100000 bytes"):
            device.flash.erase_region(MIB, 0x1000, flash_size="1MB")
        with pytest.raises(UnsupportedError, match="3MB"):
            device.flash.erase_region(MIB, 0x1000, flash_size="3MB")
    assert not simulated.erase_counts


def test_what_the_loader_does_not_reach_is_refused_whatever_is_said_of_the_size() -> None:
    simulated = restricted(ESP32_S3, flash_size=32 * MIB)
    with connected(simulated) as device:
        with pytest.raises(PlanError, match="reaches 0x1000000 bytes"):
            device.flash.write([(16 * MIB, b"x")], parameters=FlashParameters(size="32MB"))
        with pytest.raises(PlanError, match="reaches 0x1000000 bytes"):
            device.flash.erase_region(16 * MIB, 0x1000, flash_size="32MB")
    assert not simulated.erase_counts


def test_the_size_of_a_flash_that_tells_its_own_may_be_said_to_be_less() -> None:
    with connect(SimulatedDevice("esp32c3").open_transport(), stub=False) as device:
        device.flash.erase_region(MIB, 0x1000, flash_size="2MB")
        device.flash.erase_region(3 * MIB, 0x1000, flash_size="16MB")
        for size in ("1MB", "detect"):
            with pytest.raises(PlanError, match="beyond the flash"):
                device.flash.erase_region(
                    4 * MIB if size == "detect" else MIB, 0x1000, flash_size=size
                )


# The bootloader -------------------------------------------------------------------------


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_the_header_of_the_bootloader_stays_as_it_is(
    chip: Chip, caplog: pytest.LogCaptureFixture
) -> None:
    simulated = restricted(chip)
    image = small_image(chip)
    with connected(simulated) as device:
        parameters = FlashParameters(mode="dout", size="4MB")
        device.flash.write([(chip.bootloader_offset, image)], parameters=parameters)
        assert "not changed: the device is in Secure Download Mode" in caplog.text
        caplog.clear()
        device.flash.write([(APP_OFFSET, b"new")], parameters=parameters)
        assert "not changed" not in caplog.text
    assert simulated.nor.read(chip.bootloader_offset, len(image)) == image


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_a_bootloader_for_another_chip_is_refused(chip: Chip) -> None:
    simulated = restricted(chip)
    other = ESP32_S3 if chip is not ESP32_S3 else ESP32_C3
    with connected(simulated) as device, pytest.raises(PlanError, match="cannot run here"):
        device.flash.write([(chip.bootloader_offset, small_image(other))])
    assert not simulated.erase_counts


# Flash encryption -----------------------------------------------------------------------

KEY = {"key_purpose_0": 4, "key0": 0x1234}


def test_what_the_device_encrypts_is_taken_to_be_right_as_well() -> None:
    simulated = restricted(efuses={"flash_crypt_count": 1, **KEY})
    with connected(simulated) as device:
        (result,) = device.flash.write(encrypted_inputs=[(APP_OFFSET, b"secret" * 100)])
    assert not result.verified
    assert simulated.nor.read(APP_OFFSET, 6) not in (b"secret", b"\xff" * 6, OLD[:6])


def test_without_a_key_nothing_is_encrypted(simulated: SimulatedDevice) -> None:
    with connected(simulated) as device:
        with pytest.raises(PlanError, match="no flash encryption key"):
            device.flash.write(encrypted_inputs=[(APP_OFFSET, b"secret")])
        assert not simulated.erase_counts
        device.flash.write(
            encrypted_inputs=[(APP_OFFSET, b"secret")], ignore_encryption_efuses=True
        )
    assert simulated.nor.read(APP_OFFSET, 6) not in (b"secret", b"\xff" * 6, OLD[:6])


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_where_the_key_may_be_elsewhere_it_is_not_asked_for(chip: Chip) -> None:
    simulated = restricted(chip)
    is_asked_for = chip.fixed_flash_key is None and chip.flash_key_in_manager is None
    with connected(simulated) as device:
        inputs = [(APP_OFFSET, b"secret")]
        if is_asked_for:
            with pytest.raises(PlanError, match="no flash encryption key"):
                device.flash.plan(encrypted_inputs=inputs)
        else:
            device.flash.plan(encrypted_inputs=inputs)


# Trouble --------------------------------------------------------------------------------


def nth_answer_lost(simulated: SimulatedDevice, opcode: Opcode, number: int) -> None:
    """Have the answer to the n-th command of a kind get lost on the line."""
    seen: list[object] = []

    def lose(event: object) -> None:
        if getattr(event, "opcode", None) == opcode and type(event).__name__ == "SeenCommand":
            seen.append(event)
            is_the_one = len(seen) == number
            simulated.unheard_until = simulated.moment + 0.5 if is_the_one else float("-inf")

    simulated.history.listeners.append(lose)


@pytest.mark.parametrize("opcode", [Opcode.FLASH_BEGIN, Opcode.FLASH_DATA], ids=lambda op: op.name)
def test_a_download_of_which_an_answer_was_lost_begins_anew(
    opcode: Opcode, caplog: pytest.LogCaptureFixture
) -> None:
    simulated = restricted()
    image = noise(MAX_HIDDEN_PIECE_SIZE + 0x8000)
    events: list[ProgressEvent] = []
    with connected(simulated) as device:
        nth_answer_lost(simulated, opcode, 2)
        simulated.history.clear()
        (result,) = device.flash.write([(0, image)], on_progress=events.append)
    assert simulated.nor.read(0, len(image)) == image
    assert result.restarts == 1
    begins = [
        int.from_bytes(command.body[12:16], "little")
        for command in simulated.history.commands
        if command.opcode == Opcode.FLASH_BEGIN
    ]
    again = MAX_HIDDEN_PIECE_SIZE if opcode is Opcode.FLASH_BEGIN else 0
    assert begins == sorted([0, MAX_HIDDEN_PIECE_SIZE, again])
    assert [event.offset for event in events if isinstance(event, Restarted)] == [again]
    assert "trouble on the line, and what came of it cannot be seen" in caplog.text
    assert not result.verified


def test_a_loader_that_never_answers_a_block_is_given_up(simulated: SimulatedDevice) -> None:
    def lose(event: object) -> None:
        is_block = getattr(event, "opcode", None) == Opcode.FLASH_DATA
        simulated.unheard_until = float("inf") if is_block else float("-inf")

    with connected(simulated) as device:
        simulated.history.listeners.append(lose)
        with pytest.raises(FlashError) as caught:
            device.flash.write([(0x1000, noise(0x8000))])
    # Not a byte was seen to be right, whatever was answered.
    assert (caught.value.offset, caught.value.confirmed) == (0x1000, 0)


@pytest.mark.parametrize("fault", [Drop(rate=2e-5), Corrupt(rate=2e-5)], ids=["drops", "corrupts"])
@pytest.mark.parametrize("seed", range(3))
def test_a_bad_line_is_got_through(fault: Drop | Corrupt, seed: int) -> None:
    simulated = restricted()
    line = FaultyTransport(SimulatedTransport(simulated), (fault,), seed=seed)
    image = noise(0x2_0000)
    with connect(line) as device:
        (result,) = device.flash.write([(0, image)])
    assert simulated.nor.read(0, len(image)) == image
    assert result.restarts


def test_a_device_that_cannot_be_told_to_be_the_same_is_not_written_to(
    simulated: SimulatedDevice,
) -> None:
    other = restricted(efuses={"key_purpose_0": 9})

    def unplug(_: ProgressEvent) -> None:
        simulated.break_line()

    with connected(simulated) as device:
        device.link.reopen = other.open_transport
        with pytest.raises(WrongChipError, match="another device"):
            device.flash.write([(0, noise(0x8000))], on_progress=unplug)
    assert not other.erase_counts


def test_a_device_that_was_reset_meanwhile_is_written_to_from_the_beginning(
    simulated: SimulatedDevice,
) -> None:
    image = noise(0x8000)
    resets = iter([simulated.press_reset])

    def reset_once(event: ProgressEvent) -> None:
        if isinstance(event, Progress) and event.done == 0x3000:
            next(resets, int)()

    with connected(simulated) as device:
        (result,) = device.flash.write([(0, image)], on_progress=reset_once)
    assert simulated.nor.read(0, len(image)) == image
    assert result.restarts == 1


# Commands -------------------------------------------------------------------------------


class Lines(Silent):
    """Keeps what is printed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    @override
    def line(self, text: str = "") -> None:
        """Keep a line."""
        self.lines.append(text)


def run(device: Device, *words: str) -> tuple[str, list[str]]:
    """Run a command; return its JSON document and its lines."""
    printer = Lines()
    document = do_work(device, [*words], printer)
    return json.dumps(document), printer.lines


def test_the_commands_say_that_it_is_not_verified(
    simulated: SimulatedDevice, tmp_path: Path
) -> None:
    file = tmp_path / "new"
    file.write_bytes(b"new")
    with connected(simulated) as device:
        document, lines = run(device, "write-flash", "-fs", "4MB", "0x3ff000", str(file))
        assert any(line.startswith("Not verified: in Secure Download Mode") for line in lines)
        assert '"verified": false' in document
        assert simulated.nor.read(0x3F_F000, 3) == b"new"
        with pytest.raises(EsploaderError, match="how large the flash is"):
            run(device, "erase-region", "0x3ff000", "0x1000")
        run(device, "erase-region", "--flash-size", "4MB", "0x3ff000", "0x1000")
    assert simulated.nor.is_blank(0x3F_F000, 0x1000)
