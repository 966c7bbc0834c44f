"""``run`` and a soft reset start the application, by the way that works, or say why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from described_chips import DESCRIBED
from esploader import connect
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.errors import UnsupportedError
from esploader.loader.resetting import After
from esploader.simulator import Runtime, SimulatedDevice, minimal_image
from silence import Silent, do_work
from stub_files import shared_stubs

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device

BY_ROM = ("ESP8266", "ESP32")
BY_WATCHDOG = (
    "ESP32-S2",
    "ESP32-S3",
    "ESP32-C2",
    "ESP32-C3",
    "ESP32-C5",
    "ESP32-C61",
    "ESP32-P4",
    "ESP32-S31",
)
RESTRICTED = [chip for chip in DESCRIBED if chip.secure_download is not None]

every_chip = pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)


class Bench:
    """A simulated device, and how often its application was started since it was connected to."""

    def __init__(self, chip: Chip, *, restricted: bool = False) -> None:
        self.starts = 0
        self.simulated = SimulatedDevice(
            chip,
            flash={chip.bootloader_offset: minimal_image(chip)},
            efuses={"secure_download": 1} if restricted else {},
            application=self._run,
        )
        self.content = self.simulated.flash

    def _run(self, _: Runtime) -> None:
        self.starts += 1

    def connect(self, *, stub: str = "") -> Device:
        device = connect(self.simulated.open_transport(), stub=stub or False)
        self.starts = 0
        return device

    def wait(self, device: Device) -> bytes:
        """Let a second pass; return what the device said."""
        device.session.transport.clock.sleep(1.0)
        assert self.simulated.flash == self.content
        return device.session.transport.discard_input()


def assert_starts(bench: Bench, device: Device, way: After) -> None:
    assert device.way_to_reset(After.SOFT_RESET) is way
    device.check_reset(After.SOFT_RESET)
    device.reset(After.SOFT_RESET)
    bench.wait(device)
    assert bench.starts == 1


def assert_refuses(bench: Bench, device: Device, *reasons: str) -> None:
    for refused in (device.check_reset, device.reset):
        with pytest.raises(UnsupportedError, match=r"^a soft reset: ") as caught:
            refused(After.SOFT_RESET)
        assert all(reason in str(caught.value) for reason in reasons)
    bench.wait(device)
    assert bench.starts == 0
    device.reset()
    bench.wait(device)
    assert bench.starts == 1, "the loader was still there to be reset"


@every_chip
def test_through_the_rom(chip: Chip) -> None:
    bench = Bench(chip)
    with bench.connect() as device:
        if chip.name in BY_ROM:
            assert_starts(bench, device, After.SOFT_RESET)
        elif chip.name in BY_WATCHDOG:
            assert_starts(bench, device, After.WATCHDOG_RESET)
        else:
            assert_refuses(bench, device, "is not known to start the application", "watchdog")


@every_chip
def test_through_a_stub(chip: Chip) -> None:
    bench = Bench(chip)
    with bench.connect(stub=str(shared_stubs())) as device:
        device.flash.prepare()
        if chip.name in BY_WATCHDOG:
            assert_starts(bench, device, After.WATCHDOG_RESET)
        else:
            assert_refuses(bench, device, "a stub runs", f"a watchdog reset of the {chip.name}")


@pytest.mark.parametrize("chip", RESTRICTED, ids=lambda chip: chip.key)
def test_in_secure_download_mode(chip: Chip) -> None:
    bench = Bench(chip, restricted=True)
    with bench.connect() as device:
        assert device.is_in_secure_download_mode
        if chip is ESP32:
            assert_starts(bench, device, After.SOFT_RESET)
        else:
            assert_refuses(bench, device, "the ROM of the", "keeps registers out of reach")


@every_chip
@pytest.mark.parametrize("has_stub", [False, True], ids=["rom", "stub"])
def test_the_command_says_which_way_it_was(chip: Chip, *, has_stub: bool) -> None:
    bench = Bench(chip)
    printer = Silent()
    with bench.connect(stub=str(shared_stubs()) if has_stub else "") as device:
        if has_stub:
            device.flash.prepare()
        try:
            document = do_work(device, ["run"], printer)
        except UnsupportedError:
            assert chip.name not in (*BY_WATCHDOG, *BY_ROM) or has_stub
            return
        bench.wait(device)
    by_watchdog = chip.name in BY_WATCHDOG
    assert document == {"way": "watchdog-reset" if by_watchdog else "soft-reset"}
    assert bench.starts == 1


@pytest.mark.parametrize(
    ("chip", "ran", "left"),
    [
        ("esp32", "The ROM loader has started the application.", "Soft resetting..."),
        ("esp32c3", "A watchdog has reset the chip", "Hard resetting with a watchdog..."),
    ],
)
def test_what_is_printed_is_what_was_done(
    chip: str, ran: str, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", f"sim://{chip}", "--no-stub", "run"]) == 0
    assert ran in capsys.readouterr().out
    options = ["--no-stub", "--after", "soft-reset"]
    assert main(["--port", f"sim://{chip}", *options, "flash-id"]) == 0
    assert left in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sim://esp32c6", "can leave the chip's own USB port dead"),
        ("sim://esp32h2", "is not known to start the application"),
        ("sim://esp32c3?efuses=secure_download:1", "hangs instead of starting the application"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    url: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash = tmp_path / "flash.bin"
    flash.write_bytes(b"\x5a" * 8192)
    port = f"{url}{'&' if '?' in url else '?'}file={flash}"
    options = ["--no-stub", "--after", "soft-reset"]
    assert main(["--port", port, *options, "erase-region", "0", "4096"]) == 2
    assert reason in capsys.readouterr().err
    assert flash.read_bytes()[:8192] == b"\x5a" * 8192
    assert main(["--port", port, "--no-stub", "run"]) == 2
    assert reason in capsys.readouterr().err


def test_the_watchdog_looks_at_the_straps_again() -> None:
    bench = Bench(ESP32_C3)
    with bench.connect() as device:
        bench.simulated.press_boot()
        device.reset(After.SOFT_RESET)
        bench.wait(device)
        assert bench.starts == 0
        assert bench.simulated.history.boots[-1].download


def test_what_a_stub_cannot_do_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--stub", str(shared_stubs()), "--after", "soft-reset"]
    assert main(["--port", "sim://esp32", *options, "erase-region", "0", "4096"]) == 2
    captured = capsys.readouterr()
    assert "erased successfully" in captured.out
    assert "resetting" not in captured.out
    assert "a soft reset: a stub runs" in captured.err
