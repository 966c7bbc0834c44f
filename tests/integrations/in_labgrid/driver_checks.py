"""The drivers for labgrid, where labgrid is: test_labgrid_driver.py has this run there.

``LAB_FILES`` names the folder with what is loaded; it is made where the rest of the tests are.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import attrs
import pytest
from labgrid import Environment, Target
from labgrid.binding import BindingError, BindingState, StateError
from labgrid.driver import Driver, SerialDriver
from labgrid.exceptions import InvalidConfigError
from labgrid.factory import target_factory
from labgrid.protocol import DigitalOutputProtocol
from labgrid.resource import NetworkSerialPort, RawSerialPort

import esploader.integrations.labgrid as registered
from esploader.errors import (
    CapabilityError,
    PlanError,
    UnsupportedError,
    WrongChipError,
)
from esploader.integrations.labgrid import EspLoaderDriver, EspLoaderOutputsDriver
from eventually import PATIENCE, eventually
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from esploader.simulator import SimulatedDevice

FILES = Path(os.environ["LAB_FILES"])
SIZE = 4 * 1024 * 1024
TABLE_OFFSET = 0x8000
APP_OFFSET = 0x1_0000

DriverT = TypeVar("DriverT")


@target_factory.reg_driver
@attrs.define(eq=False, slots=False)
class Console(Driver):
    """What has the port while nobody loads."""

    bindings: ClassVar = {"port": {"SerialPort", "NetworkSerialPort"}}
    history: list[str] = attrs.field(factory=list)
    fails: bool = False

    def on_activate(self) -> None:
        if self.fails:
            raise RuntimeError("the console is broken")
        self.history.append("on")

    def on_deactivate(self) -> None:
        self.history.append("off")


@target_factory.reg_driver
@attrs.define(eq=False, slots=False)
class Shell(Driver):
    """What is built on a console."""

    bindings: ClassVar = {"console": "Console"}


@target_factory.reg_driver
@attrs.define(eq=False, slots=False)
class Button(Driver, DigitalOutputProtocol):
    """An output, and what it is wired to."""

    bindings: ClassVar[dict[str, object]] = {}
    history: list[bool] = attrs.field(factory=list)
    act: object = None

    def get(self) -> bool:
        return self.history[-1]

    def set(self, status: bool) -> None:  # noqa: FBT001 - as labgrid has it
        self.history.append(status)
        if callable(self.act):
            self.act(status)


@target_factory.reg_driver
@attrs.define(eq=False, slots=False)
class LineOfConsole(Driver, DigitalOutputProtocol):
    """A line of the console's own port."""

    bindings: ClassVar = {"console": "Console"}

    def get(self) -> bool:
        return False

    def set(self, status: bool) -> None:  # noqa: FBT001 - as labgrid has it
        raise AssertionError(status)


def make(
    target: Target, kind: type[DriverT], name: str | None = None, /, **options: object
) -> DriverT:
    """Return a driver as an environment has it made."""
    made: DriverT = target_factory.make_driver(target, kind.__name__, name, options)
    return made


@attrs.define
class Place:
    """A target with a device at a port."""

    target: Target
    flash: Path
    before: bytes

    def driver(self, **options: object) -> EspLoaderDriver:
        driver = make(self.target, EspLoaderDriver, **{"chip": "esp32c3", "stub": False} | options)
        self.target.activate(driver)
        return driver

    def console(self) -> Console:
        console = make(self.target, Console)
        self.target.activate(console)
        return console

    def assert_holds(self, *parts: tuple[int, bytes]) -> None:
        """Compare these, and that nothing else has changed."""
        after = self.flash.read_bytes()
        for offset, data in parts:
            assert after[offset : offset + len(data)] == data
        assert_untouched(
            self.before, after, [(offset, offset + len(data)) for offset, data in parts]
        )


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    """A device whose flash holds something everywhere, and a partition table."""
    merged = (FILES / "merged.bin").read_bytes()
    content = bytearray(old_content(SIZE))
    content[TABLE_OFFSET : TABLE_OFFSET + 0xC00] = merged[TABLE_OFFSET : TABLE_OFFSET + 0xC00]
    # Blank: the first application boots.
    content[0xE000:0x1_0000] = b"\xff" * 0x2000
    flash = tmp_path / "flash.bin"
    flash.write_bytes(content)
    target = Target("main")
    RawSerialPort(target, None, port=f"sim://esp32c3?file={flash}")
    return Place(target, flash, bytes(content))


def wait_for_boot(device: SimulatedDevice, *, download: bool = False) -> None:
    """Wait until the last boot was into the application, or else into download mode."""

    def look() -> None:
        assert [boot.download for boot in device.history.boots[-1:]] == [download]

    eventually(look, AssertionError)


# What is loaded --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app.bin", "app.elf"])
def test_an_application_goes_where_the_one_is_that_boots(place: Place, name: str) -> None:
    (result,) = place.driver().load(str(FILES / name))
    assert result.verified
    place.assert_holds((APP_OFFSET, (FILES / "app.bin").read_bytes()))


def test_a_merged_image_is_all_of_the_flash_from_the_beginning(place: Place) -> None:
    place.driver().load(str(FILES / "merged.bin"))
    place.assert_holds((0, (FILES / "merged.bin").read_bytes()))


def test_a_file_with_offsets_of_its_own_goes_there(place: Place) -> None:
    place.driver().load(str(FILES / "app.hex"))
    place.assert_holds((APP_OFFSET, (FILES / "app.bin").read_bytes()[:64]))


@pytest.mark.parametrize("name", ["build", "build/flasher_args.json"])
def test_a_build_is_loaded_whole(place: Place, name: str) -> None:
    place.driver().load(str(FILES / name))
    parts = json.loads((FILES / "parts.json").read_text(encoding="utf-8"))
    (at, bootloader), *others = [(offset, bytes.fromhex(data)) for offset, data in parts]
    # The settings of the flash go into its header.
    written = place.flash.read_bytes()[at : at + len(bootloader)]
    assert written[4:24] == bootloader[4:24]
    place.assert_holds((at, written), *others)


def test_an_offset_that_is_set_is_where_a_file_goes(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"whatever it is")
    place.driver(offset=0x2_0000).load(str(path))
    place.assert_holds((0x2_0000, b"whatever it is"))


def test_a_partition_that_is_set_is_where_a_file_goes(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "nvs.bin"
    path.write_bytes(b"settings")
    place.driver(offset="part:nvs").load(str(path))
    place.assert_holds((0x9000, b"settings"))


def test_without_a_name_the_image_of_the_environment_is_loaded(
    place: Place, tmp_path: Path
) -> None:
    environment = tmp_path / "env.yaml"
    environment.write_text(
        f"targets: {{main: {{resources: {{RawSerialPort: {{port: 'sim://esp32c3?file={place.flash}'"
        "}}, drivers: {EspLoaderDriver: {image: app, stub: false}}}}\n"
        f"images: {{app: '{FILES / 'app.bin'}'}}\n"
        f"imports: [{registered.__name__}]\n"
    )
    target = Environment(str(environment)).get_target("main")
    assert target is not None
    target.get_driver("BootstrapProtocol").load()
    place.assert_holds((APP_OFFSET, (FILES / "app.bin").read_bytes()))


@pytest.mark.parametrize(
    ("options", "name", "reason"),
    [
        ({}, None, "the driver has no image"),
        ({"image": "app"}, None, "looked up in an environment"),
        ({}, "no/such/file", "No such file"),
        ({}, "no/such/manifest.json", "there is no build at"),
        ({}, str(FILES / "parts.json"), "parts.json"),
        ({}, str(FILES / "garbage.bin"), "say at what offset"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_anybody_loses_the_port(
    place: Place, options: dict[str, str], name: str | None, reason: str
) -> None:
    console = place.console()
    driver = place.driver(**options)
    with pytest.raises(PlanError, match=reason):
        driver.load(name)
    assert console.history == ["on"]
    place.assert_holds()


# What else there is ----------------------------------------------------------------------------


def test_flash_is_written_read_and_erased(place: Place) -> None:
    driver = place.driver()
    driver.write_flash([(0x3_0000, b"one"), ("part:nvs", b"two")])
    assert driver.read_flash(0x3_0000, 3) == b"one"
    assert driver.erase_region(0x3_0000, 0x1000).verified
    place.assert_holds((0x3_0000, b"\xff" * 0x1000), (0x9000, b"two"))


def test_what_is_no_place_is_refused(place: Place) -> None:
    console = place.console()
    driver = place.driver()
    with pytest.raises(PlanError, match="'nvs' is neither an offset nor part:NAME"):
        driver.write_flash([(0x3_0000, b"one"), ("nvs", b"two")])
    assert console.history == ["on"]
    place.assert_holds()


def test_the_whole_flash_is_erased_where_a_stub_may_run(place: Place) -> None:
    driver = place.driver()
    with pytest.raises(UnsupportedError):
        driver.erase()
    place.assert_holds()


def test_a_device_says_what_it_is(place: Place) -> None:
    assert place.driver().chip_info() == {
        "chip": "ESP32-C3",
        "mac": "24:0a:c4:00:00:01",
        "revision": "v0.4",
        "flash_id": "1640c8",
        "flash_size": SIZE,
    }


def test_in_secure_download_mode_it_says_its_chip_alone() -> None:
    target = Target("main")
    RawSerialPort(target, None, port="sim://esp32s3?efuses=secure_download:1")
    driver = make(target, EspLoaderDriver)
    target.activate(driver)
    assert driver.chip_info() == {"chip": "ESP32-S3"}


def test_another_chip_than_is_asked_for_is_refused(place: Place) -> None:
    console = place.console()
    with pytest.raises(WrongChipError):
        place.driver(chip="esp32").erase_region(0, 0x1000)
    assert console.state is BindingState.active
    place.assert_holds()


def test_nothing_is_done_unless_the_driver_is_active(place: Place) -> None:
    driver = place.driver()
    place.target.deactivate(driver)
    for action in (driver.reset, driver.erase, driver.chip_info, driver.load, driver.device):
        with pytest.raises(StateError):
            action()
    place.assert_holds()


def test_other_programs_are_told_how_to_do_the_same(place: Place) -> None:
    driver = place.driver(baudrate=460800)
    place.target.deactivate(driver)
    assert driver.get_export_vars() == {
        "url": f"sim://esp32c3?file={place.flash}",
        "baudrate": "460800",
        "chip": "esp32c3",
    }


@pytest.mark.parametrize(
    "options",
    [
        {"chip": "esp33"},
        {"chip": 32},
        {"baudrate": "fast"},
        {"offset": -1},
        {"offset": "nvs"},
        {"image": 1},
        {"stub": 1},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(place: Place, options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(InvalidConfigError, match=name):
        make(place.target, EspLoaderDriver, **options)


# Who has the port ------------------------------------------------------------------------------


def test_who_had_the_port_has_it_again(place: Place) -> None:
    console = place.console()
    shell = make(place.target, Shell)
    place.target.activate(shell)
    with place.driver().device():
        assert console.state is BindingState.bound
        assert shell.state is BindingState.bound
    assert console.state is BindingState.active
    assert shell.state is BindingState.active
    assert console.history == ["on", "off", "on"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_so_has_he_after_trouble(place: Place, error: type[BaseException]) -> None:
    console, driver = place.console(), place.driver()

    def fail() -> None:
        with driver.device():
            raise error

    with pytest.raises(error):
        fail()
    assert console.state is BindingState.active


def test_a_console_that_was_not_active_is_left_alone(place: Place) -> None:
    console = make(place.target, Console)
    place.driver().chip_info()
    assert console.history == []


def test_that_a_console_does_not_come_back_is_said(place: Place) -> None:
    console, driver = place.console(), place.driver()
    console.fails = True
    with pytest.raises(RuntimeError, match="the console is broken"):
        driver.write_flash([(0x3_0000, b"written all the same")])
    place.assert_holds((0x3_0000, b"written all the same"))


def test_what_went_wrong_first_counts(place: Place) -> None:
    console, driver = place.console(), place.driver(chip="esp32")
    console.fails = True
    with pytest.raises(WrongChipError):
        driver.chip_info()


# Remote ports ----------------------------------------------------------------------------------


def remote(port: NetworkSerialPort) -> EspLoaderDriver:
    driver = make(port.target, EspLoaderDriver, stub=False)
    port.target.activate(driver)
    return driver


def port_of(url: str, protocol: str = "rfc2217") -> NetworkSerialPort:
    host, _, number = url.partition("://")[2].rpartition(":")
    return NetworkSerialPort(Target("main"), None, host=host, port=int(number), protocol=protocol)


@pytest.mark.parametrize(
    ("host", "protocol", "url"),
    [
        ("board.example", "rfc2217", "rfc2217://board.example:4000?ign_set_control"),
        ("board.example", "raw", "socket://board.example:4000"),
        ("[fe80::1]", "rfc2217", "rfc2217://[fe80::1]:4000?ign_set_control"),
    ],
)
def test_the_url_of_a_remote_port(host: str, protocol: str, url: str) -> None:
    port = NetworkSerialPort(Target("main"), None, host=host, port=4000, protocol=protocol)
    assert remote(port).url == url


def test_a_protocol_that_nobody_speaks_is_refused() -> None:
    driver = remote(port_of("x://127.0.0.1:1", "carrier pigeon"))
    with pytest.raises(UnsupportedError, match="carrier pigeon"):
        driver.reset()


def test_the_device_runs_its_application_afterwards(
    simulated_device: SimulatedDevice, esploader_url: str
) -> None:
    driver = remote(port_of(esploader_url))
    driver.write_flash([(0x3_0000, b"some")])
    assert simulated_device.nor.read(0x3_0000, 4) == b"some"
    wait_for_boot(simulated_device)


def test_so_it_does_after_trouble(simulated_device: SimulatedDevice, esploader_url: str) -> None:
    driver = remote(port_of(esploader_url))

    def fail() -> None:
        with driver.device():
            wait_for_boot(simulated_device, download=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    wait_for_boot(simulated_device)


def test_a_reset_asks_no_loader(simulated_device: SimulatedDevice, esploader_url: str) -> None:
    simulated_device.press_boot()
    simulated_device.press_reset()
    simulated_device.release_boot()
    remote(port_of(esploader_url)).reset()
    wait_for_boot(simulated_device)


@pytest.mark.esploader_url("tcp")
def test_a_port_without_lines_leaves_the_device_in_its_loader(
    simulated_device: SimulatedDevice, esploader_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    driver = remote(port_of(esploader_url, "raw"))
    assert driver.chip_info()["chip"] == simulated_device.chip.name
    assert "has no DTR and RTS: the device stays in its loader" in caplog.text
    with pytest.raises(CapabilityError):
        driver.reset()


# Outputs in place of lines ---------------------------------------------------------------------


@attrs.define
class Wired:
    """A device at a port without lines, whose pins have an output each."""

    port: NetworkSerialPort
    en: Button
    boot: Button

    def driver(self, **options: object) -> EspLoaderOutputsDriver:
        self.port.target.set_binding_map({"en": "en", "boot": "boot"})
        driver = make(self.port.target, EspLoaderOutputsDriver, stub=False, **options)
        self.port.target.activate(driver)
        return driver


@pytest.fixture(name="wired")
def _wired(simulated_device: SimulatedDevice, esploader_url: str) -> Wired:
    port = port_of(esploader_url, "raw")
    wired = Wired(port, make(port.target, Button, "en"), make(port.target, Button, "boot"))

    def pull_en(status: bool) -> None:  # noqa: FBT001 - as labgrid has it
        if not status and True in wired.en.history:
            simulated_device.press_reset(0.001)

    def pull_boot(status: bool) -> None:  # noqa: FBT001 - ditto
        if status:
            simulated_device.press_boot()
        else:
            simulated_device.release_boot()

    wired.en.act, wired.boot.act = pull_en, pull_boot
    return wired


@pytest.mark.esploader_url("tcp")
@pytest.mark.esploader_chip("esp32c3", state="app")
def test_outputs_bring_the_device_into_its_loader_and_out_of_it(
    simulated_device: SimulatedDevice, wired: Wired
) -> None:
    wired.driver().write_flash([(0x3_0000, b"some")])
    assert simulated_device.nor.read(0x3_0000, 4) == b"some"
    wait_for_boot(simulated_device)
    assert (wired.en.get(), wired.boot.get()) == (False, False)


@pytest.mark.esploader_url("tcp")
def test_a_console_sees_all_that_follows_a_reset_by_outputs(wired: Wired) -> None:
    console = make(wired.port.target, SerialDriver)
    wired.port.target.activate(console)
    wired.driver().reset()
    # The server of a simulated device looks at it when somebody writes to it.
    console.sendline("")
    console.expect("SPI_FAST_FLASH_BOOT", timeout=PATIENCE)
    wired.port.target.deactivate(console)


def test_inverted_outputs_are_off_where_others_are_on() -> None:
    port = port_of("x://127.0.0.1:1", "raw")
    wired = Wired(port, make(port.target, Button, "en"), make(port.target, Button, "boot"))
    wired.driver(invert_en=True).reset()
    assert wired.en.history == [False, True]
    assert wired.boot.history == [False, False]


def test_a_relay_for_something_else_is_never_taken_for_one(place: Place) -> None:
    make(place.target, Button, "power")
    with pytest.raises(BindingError, match="requires an explicit name"):
        make(place.target, EspLoaderOutputsDriver)


def test_a_line_of_the_port_itself_is_no_output(place: Place) -> None:
    make(place.target, Console)
    make(place.target, LineOfConsole, "rts")
    make(place.target, Button, "boot")
    place.target.set_binding_map({"en": "rts", "boot": "boot"})
    driver = make(place.target, EspLoaderOutputsDriver)
    with pytest.raises(InvalidConfigError, match=r"^en of .* is a line of the port itself"):
        place.target.activate(driver)
