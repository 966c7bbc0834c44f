"""A dry run says what the run does, and refuses what the run refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

import pytest

from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.errors import EsploaderError, StubError
from esploader.flash.parameters import FlashParameters
from esploader.flash.plan import HeaderChange, WritePlan
from esploader.protocol.dialect import STUB
from esploader.simulator import SimulatedDevice, SimulatedTransport
from images import small_image
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device

Connect: TypeAlias = "Callable[..., Device]"

APP_OFFSET = 0x1_0000
MIB = 1 << 20


@pytest.fixture(name="connect_to")
def _connect_to() -> Iterator[Connect]:
    devices: list[Device] = []

    def connect_to(
        chip: Chip,
        *,
        stub: bool | Path = False,
        efuses: dict[str, int] | None = None,
        flash_size: int = 4 * MIB,
    ) -> Device:
        device = connect(
            SimulatedTransport(SimulatedDevice(chip, efuses=efuses or {}, flash_size=flash_size)),
            stub=stub,
        )
        devices.append(device)
        return device

    yield connect_to
    for device in devices:
        device.close()


@pytest.fixture(name="no_stubs")
def _no_stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No stub is to be had, unless one is named; return a directory without any."""
    directory = tmp_path / "no stubs"
    directory.mkdir()
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(directory))
    return directory


def erase_counts(device: Device) -> object:
    transport = device.session.transport
    assert isinstance(transport, SimulatedTransport)
    return transport.device.nor.erase_counts


def refusal(write: Callable[[], object]) -> tuple[type[EsploaderError], str]:
    with pytest.raises(EsploaderError) as caught:
        write()
    return type(caught.value), str(caught.value)


SECURE_BOOT = {"secure_boot_v2": 1}
KEY = {"key_purpose_0": 4, "key0": 0x1234}

REFUSED = [
    pytest.param(
        ESP32_C3,
        {"secure_download": 1},
        {"inputs": [(2 * MIB, b"x")]},
        id="beyond what is assumed in Secure Download Mode",
    ),
    pytest.param(
        ESP32_C3, {"secure_download": 1}, {"erase_all": True}, id="erase all, Secure Download Mode"
    ),
    pytest.param(
        ESP32_C3,
        {"secure_download": 1, "flash_crypt_count": 1},
        {},
        id="plain data, Secure Download Mode",
    ),
    pytest.param(
        ESP32_C3,
        {"secure_download": 1},
        {"inputs": (), "encrypted_inputs": [(APP_OFFSET, b"x")]},
        id="no key, Secure Download Mode",
    ),
    pytest.param(ESP32_C3, {}, {"erase_all": True}, id="erase all, no stub"),
    pytest.param(ESP8266, {}, {"erase_all": True}, id="erase all, ESP8266, no stub"),
    pytest.param(
        ESP32_C3,
        SECURE_BOOT,
        {"erase_all": True, "force": True},
        id="erase all, secure boot lets no stub start",
    ),
    pytest.param(ESP32_C3, SECURE_BOOT, {"erase_all": True}, id="erase all, secure boot"),
    pytest.param(
        ESP32, {}, {"inputs": (), "encrypted_inputs": [(APP_OFFSET, b"x")]}, id="encrypt, no stub"
    ),
    pytest.param(
        ESP32_C3, {}, {"inputs": (), "encrypted_inputs": [(APP_OFFSET, b"x")]}, id="no key"
    ),
    pytest.param(
        ESP32_C3, KEY, {"inputs": (), "encrypted_inputs": [(1, b"x")]}, id="encrypt, misaligned"
    ),
    pytest.param(ESP32_C3, {}, {"inputs": [(16 * MIB, b"x")]}, id="beyond the reach"),
    pytest.param(ESP32_C3, {}, {"inputs": [(32 * MIB, b"x")]}, id="beyond the flash"),
    pytest.param(ESP32_C3, {}, {"inputs": [(0, b"ab"), (1, b"c")]}, id="overlap"),
    pytest.param(ESP32_C3, {}, {"parameters": FlashParameters(mode="fast")}, id="no such mode"),
    pytest.param(
        ESP32_C3, {"flash_crypt_count": 1, "manual_encrypt_disabled": 1}, {}, id="plain data"
    ),
    pytest.param(ESP32_C3, {}, {"inputs": [(0, small_image(ESP32))]}, id="other chip"),
]
"""Chip, eFuses, and the arguments that differ from the usual ones."""


@pytest.mark.parametrize("may_use_stub", [False, True], ids=["--no-stub", "no stub to be had"])
@pytest.mark.parametrize(("chip", "efuses", "arguments"), REFUSED)
@pytest.mark.usefixtures("no_stubs")
def test_what_the_run_refuses_the_dry_run_refuses_in_the_same_words(
    connect_to: Connect,
    chip: Chip,
    efuses: dict[str, int],
    arguments: dict[str, object],
    *,
    may_use_stub: bool,
) -> None:
    device = connect_to(chip, efuses=efuses, flash_size=32 * MIB, stub=may_use_stub)
    arguments = {"inputs": [(APP_OFFSET, b"data")], **arguments}
    planned = refusal(lambda: device.flash.plan(**arguments))  # type: ignore[arg-type]
    assert planned == refusal(lambda: device.flash.write(**arguments))  # type: ignore[arg-type]
    assert not erase_counts(device)


def test_a_stub_that_was_asked_for_and_cannot_be_had_is_refused_in_both(
    connect_to: Connect, no_stubs: Path
) -> None:
    device = connect_to(ESP32_C3, stub=no_stubs)
    inputs = [(APP_OFFSET, b"data")]
    planned = refusal(lambda: device.flash.plan(inputs))
    assert planned == refusal(lambda: device.flash.write(inputs))
    assert planned[0] is StubError


def test_a_stub_that_was_asked_for_and_secure_boot_keeps_out_is_refused_in_both(
    connect_to: Connect,
) -> None:
    device = connect_to(ESP32_C3, efuses=SECURE_BOOT, stub=shared_stubs())
    inputs = [(APP_OFFSET, b"data")]
    planned = refusal(lambda: device.flash.plan(inputs))
    assert planned == refusal(lambda: device.flash.write(inputs))
    assert planned == (StubError, "stub: secure boot keeps this chip from starting it")


def test_what_a_stub_can_do_is_planned_before_it_runs_and_it_is_not_started(
    connect_to: Connect,
) -> None:
    device = connect_to(ESP32_C3, stub=shared_stubs(), flash_size=32 * MIB)
    plan = device.flash.plan([(APP_OFFSET, b"data")], erase_all=True)
    assert plan.starts_stub
    assert plan.erase_all
    assert device.session.dialect is not STUB
    assert str(plan).splitlines() == [
        "start a stub: whether it does start is not known yet",
        "erase the whole flash",
        "0x00010000 to 0x00011000: 4096 bytes",
    ]
    device.flash.prepare()
    assert not device.flash.plan([(APP_OFFSET, b"data")]).starts_stub


@pytest.mark.parametrize(
    ("chip", "compress", "planned"),
    [
        (ESP32_C3, None, None),
        (ESP32_C3, True, True),
        (ESP32_C3, False, False),
        (ESP8266, None, False),
        (ESP8266, True, False),
        (ESP32, None, False),
        (ESP32, True, False),
    ],
    ids=str,
)
def test_the_plan_says_what_is_decided_about_compression(
    connect_to: Connect, chip: Chip, *, compress: bool | None, planned: bool | None
) -> None:
    plan = connect_to(chip).flash.plan([(APP_OFFSET, b"data")], compress=compress)
    assert plan.compress is planned
    assert ("compressed" in str(plan)) is (planned is not None)


def test_the_plan_says_what_the_header_of_the_bootloader_gets(connect_to: Connect) -> None:
    device = connect_to(ESP32, flash_size=8 * MIB)
    parameters = FlashParameters(mode="dio", size="detect")
    inputs = [(0x1000, small_image(ESP32)), (APP_OFFSET, small_image(ESP32))]
    plan = device.flash.plan(inputs, parameters=parameters)
    assert plan.header == HeaderChange(
        offset=0x1000,
        mode="dio",
        frequency=None,
        size="8MB",
        word=0x0230 | small_image(ESP32)[3] & 0xF,
        is_new=True,
        digest_renewed=True,
    )
    assert plan.flash_size == 8 * MIB
    assert "0x00001000: the header gets flash mode dio, size 8MB" in str(plan).splitlines()
    assert device.flash.plan(inputs).header is None
    assert device.flash.plan(inputs[1:], parameters=parameters).header is None
    blank = device.flash.plan([(0, bytes(0x2000))], parameters=parameters)
    assert blank.header is None


def test_the_command_shows_all_of_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "bootloader.bin"
    image.write_bytes(small_image(ESP32_C3))
    stubs = str(shared_stubs())
    options = ["--dry-run", "--erase-all", "-u", "-fm", "dio", "-fs", "detect"]
    command = ["--port", "sim://esp32c3", "--stub", stubs, "write-flash", *options, "0", str(image)]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert (
        "Would write:\n"
        "start a stub: whether it does start is not known yet\n"
        "erase the whole flash\n"
        "0x00000000 to 0x00001000: 4096 bytes\n"
        "0x00000000: the header gets flash mode dio, size 4MB\n"
        "not compressed\n"
    ) in output
    assert main(["--json", *command]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["plan"] == [{"offset": 0, "size": 0x1000, "encrypted": False}]
    assert document["header"] == {
        "offset": 0,
        "mode": "dio",
        "frequency": None,
        "size": "4MB",
        "changed": True,
        "digest_renewed": True,
    }
    assert (document["starts_stub"], document["erase_all"], document["compress"]) == (
        True,
        True,
        False,
    )


def test_the_plan_of_a_write_can_be_looked_at_and_refused(connect_to: Connect) -> None:
    class RefusedError(Exception):
        """Somebody has looked at the plan."""

    def refuse(plan: WritePlan) -> None:
        seen.append(plan)
        raise RefusedError

    seen: list[WritePlan] = []
    device = connect_to(ESP32_C3)
    inputs = [(APP_OFFSET, b"data")]
    with pytest.raises(RefusedError):
        device.flash.write(inputs, on_plan=refuse)
    assert seen == [device.flash.plan(inputs)]
    assert device.flash.read(APP_OFFSET, 4) != b"data"
    (result,) = device.flash.write(inputs, on_plan=seen.append)
    assert seen[1] == seen[0]
    assert [str(part) for part in result.inputs] == ["4 bytes at 0x00010000"]
