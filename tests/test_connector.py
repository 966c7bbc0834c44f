"""Connecting reaches the loader of any chip, or says why it cannot."""

from __future__ import annotations

import random
from itertools import permutations
from typing import TYPE_CHECKING

import attrs
import pytest
from typing_extensions import override

import untouched
from covering import covering_parameters
from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.registry import CHIPS, registered
from esploader.errors import (
    CapabilityError,
    ConnectError,
    NoisyLineError,
    NoSyncError,
    SilentDeviceError,
    TransportClosedError,
    UnknownChipError,
    UnsupportedError,
    UrlError,
    WrongBootModeError,
    WrongChipError,
)
from esploader.loader.download_mode import diagnose
from esploader.loader.resetting import After
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.transport import reset
from esploader.transport.base import Capabilities
from esploader.transport.steps import ResetSequence, SetLines, Wait
from esploader.urls import open_transport
from stub_files import stub_directory
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip

every_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.key)
every_described_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


def unreliable(url: str) -> UnreliableTransport:
    return UnreliableTransport(open_transport(url))


def is_free(transport: UnreliableTransport) -> bool:
    """Tell whether the port has been closed."""
    try:
        transport.inner.discard_input()
    except TransportClosedError:
        return True
    return False


@every_chip
def test_every_chip_is_found_without_being_told(chip: Chip) -> None:
    transport = unreliable(f"sim://{chip.key}")
    with connect(transport) as device:
        assert device.chip is chip
        assert device.port == f"sim://{chip.key}"


@every_chip
def test_identity_is_that_of_the_device(chip: Chip) -> None:
    with connect(f"sim://{chip.key}?mac=24:0a:c4:12:34:56") as device:
        assert device.mac == "24:0a:c4:12:34:56"
        assert device.identity is not None
        assert device.identity.crystal_mhz in chip.crystal.choices_mhz
        assert (device.chip_id is None) == (chip.unique_id is None)


@every_described_chip
@pytest.mark.parametrize("size", ["512KB", "4MB", "16MB"])
def test_flash_id_tells_the_size(chip: Chip, size: str) -> None:
    with connect(f"sim://{chip.key}?flash={size}") as device:
        flash = device.flash.id()
        unit = {"KB": 1 << 10, "MB": 1 << 20}[size[-2:]]
        assert flash.size == int(size[:-2]) * unit
        assert flash.is_plausible


@every_described_chip
def test_flash_registers_are_put_back(chip: Chip) -> None:
    with connect(f"sim://{chip.key}") as device:
        register = chip.spi.base + chip.spi.usr2
        before = device.memory.read_register(register)
        device.flash.id()
        assert device.memory.read_register(register) == before


@pytest.mark.parametrize(
    ("asked", "answering"),
    covering_parameters(
        list(permutations(CHIPS, 2)),
        lambda asked, answering: (("asked", asked.key), ("answering", answering.key)),
    ),
    ids=lambda chip: chip.key,
)
def test_a_wrong_chip_is_refused_by_name_of_both(asked: Chip, answering: Chip) -> None:
    transport = unreliable(f"sim://{answering.key}")
    with pytest.raises(WrongChipError) as caught:
        connect(transport, chip=asked.key)
    assert (caught.value.expected, caught.value.found) == (asked.name, answering.name)
    assert asked.name in str(caught.value)
    assert answering.name in str(caught.value)
    # SYNC, and which chip: nothing that changes anything.
    assert len(transport.writes) == 2
    assert is_free(transport)


INVENTED = attrs.evolve(ESP32_C3, name="ESP32-X1", image_chip_id=77)


def test_a_chip_from_outside_is_found_among_all_others() -> None:
    chips = registered(*CHIPS, INVENTED)
    for chip in (INVENTED, ESP32_C3):
        with connect(SimulatedDevice(chip).open_transport(), chips=chips) as device:
            assert device.chip is chip
    with connect(SimulatedDevice(INVENTED).open_transport(), chips=chips, chip="esp32-x1") as one:
        assert one.chip is INVENTED


def test_a_chip_from_outside_is_known_to_nobody_else() -> None:
    with pytest.raises(UnknownChipError) as caught:
        connect(SimulatedDevice(INVENTED).open_transport())
    assert caught.value.chip_id == 77
    with pytest.raises(UnsupportedError, match="esp32-x1"):
        connect(SimulatedDevice(INVENTED).open_transport(), chip="esp32-x1")


def test_only_the_chips_that_are_named_may_answer() -> None:
    with pytest.raises(UnknownChipError):
        connect("sim://esp32c3", chips=[INVENTED])


@pytest.mark.parametrize(
    "chip", [chip for chip in DESCRIBED if chip.secure_download], ids=lambda chip: chip.key
)
def test_secure_download_mode_is_recognised_and_respected(chip: Chip) -> None:
    transport = UnreliableTransport(
        SimulatedTransport(SimulatedDevice(chip, efuses={"secure_download": 1}))
    )
    with connect(transport) as device:
        assert device.chip is chip
        assert device.is_in_secure_download_mode
        sent = len(transport.writes)
        for forbidden in (device.flash.id, lambda: device.mac, lambda: device.revision):
            with pytest.raises(UnsupportedError):
                forbidden()
        assert len(transport.writes) == sent


@pytest.mark.parametrize("baudrate", [0, -5, 1 << 40, None, "115200", 1e6, float("nan")])
def test_a_baud_rate_that_makes_no_sense(baudrate: object) -> None:
    transport = unreliable("sim://esp32c3")
    with pytest.raises(UnsupportedError, match="baud: a rate is a whole number up to 20000000"):
        connect(transport, baudrate=baudrate)  # type: ignore[arg-type]
    assert is_free(transport)


@pytest.mark.parametrize("options", [{"attempts": None}, {"open_attempts": "3"}])
def test_a_number_of_attempts_that_is_none(options: dict[str, object]) -> None:
    transport = unreliable("sim://esp32c3")
    with pytest.raises(UnsupportedError, match="attempts: it is a whole number"):
        connect(transport, **options)  # type: ignore[arg-type]
    assert is_free(transport)


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": -1},
        {"open_attempts": -1},
        {"before": "tomorrow"},
        {"reset_sequence": "D0|R1"},
        {"hard_reset_sequence": "D0|R1"},
        {"reset_delay": -0.1},
        {"reset_delay": 61},
        {"reset_delay": float("nan")},
    ],
    ids=str,
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError):
        connect("sim://esp32c3", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("port", [None, 5, b"/dev/ttyUSB0"])
def test_what_is_no_port_at_all(port: object) -> None:
    with pytest.raises(UrlError):
        connect(port)  # type: ignore[arg-type]


def test_a_transport_is_released_when_the_chip_is_a_typing_error() -> None:
    transport = unreliable("sim://esp32c3")
    with pytest.raises(UnsupportedError):
        connect(transport, chip="esp33")
    assert is_free(transport)


def test_words_that_are_none_are_refused() -> None:
    with connect("sim://esp32c3") as device:
        for call in (
            lambda: device.memory.read_register(3 << 40),
            lambda: device.memory.write_register(0, -1),
            lambda: device.flash.status(4),
        ):
            with pytest.raises(UnsupportedError):
                call()


def test_the_rate_goes_back_when_the_loader_stays() -> None:
    transport = unreliable("sim://esp32c3")
    with connect(transport, baudrate=921600, stub=False) as device:
        device.reset(After.NO_RESET)
        assert transport.baudrate == 115200
        assert device.flash.id().size == 4 << 20


def test_a_chip_that_does_not_exist_is_refused_before_the_port_is_opened() -> None:
    with pytest.raises(UnsupportedError):
        connect("/dev/does-not-exist", chip="esp33")


FLIGHTS = {"esp8266": 31, "esp32": 5}
"""To a chip that takes no bursts, or smaller ones than all others: docs/round-trips.md."""


@pytest.mark.parametrize(
    ("chip", "flights"),
    [(chip.key, FLIGHTS.get(chip.key, 4)) for chip in DESCRIBED],
)
def test_identifying_chip_and_flash_takes_few_turnarounds(chip: str, flights: int) -> None:
    transport = unreliable(f"sim://{chip}")
    with connect(transport) as device:
        device.flash.id()
        # SYNC, which chip, which device, which flash.
        assert len(transport.writes) == flights


@every_described_chip
def test_the_lines_decide_what_the_chip_does(chip: Chip) -> None:
    transport = unreliable(f"sim://{chip.key}?state=download")
    with pytest.raises(ConnectError) as caught:
        connect(transport, reset_sequence=reset.HARD_RESET, attempts=2)
    assert isinstance(caught.value, WrongBootModeError | NoisyLineError)
    assert is_free(transport)


def test_an_application_is_recognised_by_its_boot_log() -> None:
    with pytest.raises(WrongBootModeError) as caught:
        connect("sim://esp32c3", reset_sequence=reset.HARD_RESET, attempts=1)
    assert caught.value.boot_mode == 0xD


def test_no_reset_finds_a_loader_that_waits_already() -> None:
    transport = unreliable("sim://esp32s3?state=download")
    transport.set_lines = refuse_lines  # type: ignore[method-assign]
    with connect(transport, before="no-reset") as device:
        assert device.chip.key == "esp32s3"


def refuse_lines(**_: bool | None) -> None:
    raise AssertionError("no line may be moved")


def test_no_reset_does_not_disturb_a_silent_application() -> None:
    with pytest.raises(SilentDeviceError):
        connect("sim://esp32c3?state=app", before="no-reset", attempts=2)


def test_download_mode_without_sync_is_told() -> None:
    transport = unreliable("sim://esp32c3")
    transport.garble_output = lambda _: b""
    with pytest.raises(NoSyncError) as caught:
        connect(transport, attempts=2)
    assert b"waiting for download" in caught.value.received
    assert is_free(transport)


def test_a_dead_line_is_told() -> None:
    transport = unreliable("sim://esp32c3")
    transport.garble_input = lambda _: b""
    with pytest.raises(SilentDeviceError):
        connect(transport, attempts=3)
    assert is_free(transport)


def test_noise_for_ever_is_told() -> None:
    transport = unreliable("sim://esp32c3")
    source = random.Random(0)  # noqa: S311 - data, not a secret

    def babble(_: bytes) -> bytes:
        transport.clock.sleep(0.002)
        return source.randbytes(200)

    transport.garble_input = babble
    with pytest.raises(NoisyLineError):
        connect(transport, attempts=2)
    assert is_free(transport)


@pytest.mark.parametrize(
    ("received", "error"),
    [
        (b"", SilentDeviceError),
        (b"rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)\r\n", WrongBootModeError),
        (b"rst:0x1 (POWERON),boot:0x5 (DOWNLOAD(USB/UART0))\r\nwaiting for download", NoSyncError),
        (
            b"boot:0x5 (DOWNLOAD)\r\nwaiting for download\r\nboot:0xd (SPI_FAST_FLASH_BOOT)\r\n",
            WrongBootModeError,
        ),
        (b"temperature 21.5\r\ntemperature 21.6\r\n", WrongBootModeError),
        (bytes(range(128, 255)), NoisyLineError),
    ],
    ids=["nothing", "application", "download", "the latest counts", "output", "wrong baud rate"],
)
def test_what_was_received_tells_the_reason(received: bytes, error: type[ConnectError]) -> None:
    assert type(diagnose("port", 1, received)) is error


@attrs.define
class LineLog(UnreliableTransport):
    """Notes every change of a line."""

    changes: list[SetLines] = attrs.field(factory=list, init=False)
    at_once: bool = True

    @property
    @override
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self.inner.capabilities, set_lines_at_once=self.at_once)

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.changes.append(SetLines(dtr, rts))
        super().set_lines(dtr=dtr, rts=rts)


def line_changes(*sequences: ResetSequence) -> list[SetLines]:
    return [step for steps in sequences for step in steps if isinstance(step, SetLines)]


@pytest.mark.parametrize(
    ("at_once", "sequences"),
    [
        (
            True,
            [reset.tight(0.05), reset.tight(0.55), reset.classic(0.05), reset.classic(0.55)],
        ),
        (False, [reset.classic(0.05), reset.classic(0.55)]),
    ],
    ids=["both lines at once", "one line at a time"],
)
def test_attempts_rotate_the_ways_into_download_mode(
    at_once: bool,  # noqa: FBT001 - a parameter of the test
    sequences: list[ResetSequence],
) -> None:
    transport = LineLog(open_transport("sim://esp32c3"), at_once=at_once)
    transport.garble_output = lambda _: b""
    with pytest.raises(ConnectError):
        connect(transport, attempts=len(sequences) + 1)
    assert transport.changes == line_changes(*sequences, sequences[0])


def test_the_chips_own_usb_port_gets_its_own_sequence() -> None:
    transport = LineLog(open_transport("sim://esp32c3"))
    transport.garble_output = lambda _: b""
    with pytest.raises(ConnectError):
        connect(transport, before="usb-reset", attempts=2)
    assert transport.changes == line_changes(reset.USB_SERIAL_JTAG, reset.USB_SERIAL_JTAG)


def test_a_custom_sequence_replaces_the_usual_ones() -> None:
    custom = (SetLines(dtr=True), Wait(0.01), SetLines(dtr=False))
    transport = LineLog(open_transport("sim://esp32c3?state=app"))
    with pytest.raises(ConnectError):
        connect(transport, reset_sequence=custom, attempts=2)
    assert transport.changes == line_changes(custom, custom)


def test_a_delay_replaces_the_two_usual_ones() -> None:
    transport = LineLog(open_transport("sim://esp32c3?state=app"))
    transport.garble_output = lambda _: b""
    before = transport.clock.now()
    with pytest.raises(ConnectError):
        connect(transport, reset_delay=40.0, attempts=4)
    assert transport.clock.now() - before > 4 * 40.0


def test_a_device_with_a_hard_reset_of_its_own_is_left_by_it() -> None:
    own = (SetLines(dtr=True), Wait(0.01), SetLines(dtr=False))
    # Its watchdog would do it otherwise.
    simulated = SimulatedDevice("esp32s2", port="usb-otg", state="download")
    transport = LineLog(simulated.open_transport())
    with connect(transport, before="no-reset", hard_reset_sequence=own) as device:
        changes = len(transport.changes)
        device.reset()
    assert transport.changes[changes:] == line_changes(own)


def test_attempts_without_end_go_on_until_the_caller_stops_them() -> None:
    transport = unreliable("sim://esp32c3?state=app")
    transport.garble_output = lambda _: b""
    seen: list[int] = []

    def stop_at_twenty(attempt: int) -> None:
        seen.append(attempt)
        if attempt == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connect(transport, attempts=0, on_attempt=stop_at_twenty)
    assert seen == list(range(1, 21))
    assert is_free(transport)


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3", "esp32c3"])
@pytest.mark.parametrize("baudrate", [230400, 921600])
def test_a_higher_baud_rate_is_used_after_identification(chip: str, baudrate: int) -> None:
    with connect(f"sim://{chip}", baudrate=baudrate, stub=False) as device:
        assert device.session.transport.baudrate == baudrate
        assert device.flash.id().size == 4 << 20


def test_a_rate_that_the_stub_would_forget_waits_for_the_stub(tmp_path: Path) -> None:
    with connect("sim://esp32", baudrate=921600, stub=stub_directory(tmp_path)) as device:
        assert device.session.transport.baudrate == 115200
        device.flash.prepare()
        assert device.session.transport.baudrate == 921600
        assert device.flash.id().size == 4 << 20


def test_a_loader_that_cannot_change_its_rate_stays_at_it_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with untouched.connect("sim://esp8266", baudrate=460800, stub=False) as device:
        device.flash.write([(0x10000, b"data")])
        device.link.revive(slower=False)
        assert device.session.transport.baudrate == 115200
        assert device.flash.read(0x10000, 4) == b"data"
    warnings = [record.message for record in caplog.records if "baud rate" in record.message]
    assert warnings == ["the ESP8266 ROM loader cannot change its baud rate: it stays at 115200"]


def test_a_loader_whose_stub_is_missing_stays_at_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(tmp_path))
    with untouched.connect("sim://esp8266", baudrate=921600) as device:
        device.flash.write([(0x10000, b"data")])
        assert device.session.transport.baudrate == 115200


def test_a_low_rate_is_kept_after_a_reset() -> None:
    with connect("sim://esp8266?state=download", baudrate=9600, stub=False) as device:
        device.session.transport.set_baudrate(115200)
        device.link.revive(slower=False)
        assert device.session.transport.baudrate == 9600


def test_a_hard_reset_starts_the_application() -> None:
    transport = unreliable("sim://esp32c3")
    with connect(transport) as device:
        device.reset()
        transport.clock.sleep(0.5)
        assert b"SPI_FAST_FLASH_BOOT" in transport.discard_input()


def test_a_soft_reset_needs_no_line() -> None:
    transport = unreliable("sim://esp32c3")
    with connect(transport) as device:
        transport.set_lines = refuse_lines  # type: ignore[method-assign]
        device.reset(After.SOFT_RESET)


def test_leaving_the_block_only_closes_the_port() -> None:
    transport = LineLog(open_transport("sim://esp32c3"))
    with connect(transport) as device:
        transport.changes.clear()
        device.flash.id()
    assert not transport.changes
    assert is_free(transport)


class LinelessTransport(UnreliableTransport):
    """A port like ``socket://``: bytes, and nothing else."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(
            set_lines=False, set_lines_at_once=False, set_baudrate=False, remote=True
        )

    @override
    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        self.require_lines()


def test_without_lines_it_waits_for_a_chip_that_is_reset_by_hand(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = open_transport("sim://esp32c3")
    attempts: list[int] = []

    def hand(attempt: int) -> None:
        attempts.append(attempt)
        if attempt == 5:
            reset.play(reset.classic(), board)

    transport = LinelessTransport(board)
    with connect(transport, attempts=0, on_attempt=hand) as device:
        assert device.chip.name == "ESP32-C3"
    assert attempts == [1, 2, 3, 4, 5]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "cannot reset the device, and its baud rate is set at the other end alone" in said
    assert "hold BOOT, press RESET, release BOOT" in said


def test_who_says_that_there_is_no_reset_is_told_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = LinelessTransport(open_transport("sim://esp32c3?state=download"))
    with connect(transport, before="no-reset"):
        pass
    assert not caplog.records


def test_a_rate_is_refused_where_none_can_be_set() -> None:
    transport = LinelessTransport(open_transport("sim://esp32c3?state=download"))
    with pytest.raises(CapabilityError, match="cannot set the baud rate"):
        connect(transport, baudrate=460800)
