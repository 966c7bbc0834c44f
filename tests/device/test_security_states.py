"""All chips, both loaders, all security states: what works, and why the rest is refused.

The usual run takes of the matrix what covers it; all of it is run under ``--full``.
What is to be expected comes from the tables here, not from the library.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final, Protocol

import attrs
import pytest
from typing_extensions import override

from covering import covering_parameters
from described_chips import DESCRIBED
from esploader.chips.esp32e22 import ESP32_E22
from esploader.chips.model.chip import Chip
from esploader.errors import CommandFailedError, FlashError, PlanError, UnsupportedError
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.history import Loader
from stub_files import shared_stubs
from untouched import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from esploader.device.device import Device
    from esploader.errors import EsploaderError
    from esploader.simulator.bench import HardwareOnBench


class Opened(Protocol):
    """Connects to a device, and closes it at the end."""

    def __call__(self, simulated: SimulatedDevice, *, wants_stub: bool) -> Device: ...


KIB: Final = 1 << 10
MIB: Final = 1 << 20

OFFSET: Final = 0x1_0000
SIZE: Final = 0x1000
OLD: Final = bytes(range(256)) * 16
NEW: Final = bytes(reversed(range(256))) * 16
BLANK: Final = b"\xff" * SIZE

WITHOUT_FLASH_ENCRYPTION: Final = {"esp8266"}
WITHOUT_SECURE_DOWNLOAD_MODE: Final = {"esp8266", "esp32"}
WITHOUT_SECURE_BOOT_V1: Final = {chip.key for chip in DESCRIBED} - {"esp32"}
NO_STUB_UNDER_SECURE_BOOT: Final = {"esp32c3"}
ROM_DOES_NOT_ENCRYPT: Final = {"esp8266", "esp32"}
KEY_MAY_BE_ELSEWHERE: Final = {"esp32c2", "esp32c5", "esp32h4", "esp32p4", "esp32s31"}
"""Than in a block that has that purpose: in one of its own, or with the key manager."""

BURNT_KEY: Final = {"key_purpose_0": 4, "key0": 0x1234}
BURNT_KEYS: Final[Mapping[str, Mapping[str, int]]] = {
    "esp32": {"flash_key": 0x1234, "flash_crypt_config": 0xF},
    "esp32c2": {"key0": 0x1234},
}
"""The eFuses of a key for flash encryption, where they are others than usual."""


@attrs.frozen(kw_only=True)
class State:
    """Which security features are on."""

    secure_download: bool = False
    secure_boot_v1: bool = False
    secure_boot_v2: bool = False
    encryption: bool = False
    """The key is burnt, and flash is decrypted as it is read."""
    release: bool = False
    """The loader may not encrypt what it writes."""

    @override
    def __str__(self) -> str:
        names = [name.replace("_", " ") for name, is_on in attrs.asdict(self).items() if is_on]
        return " and ".join(names) or "plain"

    def exists_on(self, chip: Chip) -> bool:
        missing = {
            "secure_download": WITHOUT_SECURE_DOWNLOAD_MODE,
            "secure_boot_v1": WITHOUT_SECURE_BOOT_V1,
            "secure_boot_v2": {"esp8266"},
            "encryption": WITHOUT_FLASH_ENCRYPTION,
        }
        return not any(getattr(self, name) and chip.key in keys for name, keys in missing.items())

    def efuses(self, chip: Chip) -> dict[str, int]:
        switches = {
            "secure_download": self.secure_download,
            "secure_boot_v1": self.secure_boot_v1,
            "secure_boot_v2": self.secure_boot_v2,
            "flash_crypt_count": self.encryption,
            "manual_encrypt_disabled": self.release,
        }
        key = BURNT_KEYS.get(chip.key, BURNT_KEY) if self.encryption else {}
        return {**{name: 1 for name, is_on in switches.items() if is_on}, **key}


STATES: Final = (
    State(),
    State(secure_download=True),
    State(secure_boot_v1=True),
    State(secure_boot_v2=True),
    State(encryption=True),
    State(encryption=True, release=True),
    State(secure_boot_v2=True, encryption=True, release=True),
    State(secure_download=True, secure_boot_v2=True),
    State(secure_download=True, encryption=True, release=True),
)


@attrs.frozen(kw_only=True)
class Situation:
    """One cell of the matrix, but for the operation."""

    chip: Chip
    wants_stub: bool
    state: State

    @override
    def __str__(self) -> str:
        return f"{self.chip.key}, {'stub' if self.wants_stub else 'ROM'}, {self.state}"

    @property
    def secure_boot(self) -> bool:
        return self.state.secure_boot_v1 or self.state.secure_boot_v2

    @property
    def has_stub(self) -> bool:
        """A stub is wanted, and can be had."""
        keeps_out = self.secure_boot and self.chip.key in NO_STUB_UNDER_SECURE_BOOT
        return self.wants_stub and not self.state.secure_download and not keeps_out


SITUATIONS: Final = [
    Situation(chip=chip, wants_stub=wants_stub, state=state)
    for chip in DESCRIBED
    for wants_stub in (False, True)
    for state in STATES
    if state.exists_on(chip)
]


@attrs.frozen
class Rule:
    """These operations are refused where that applies, with that error and reason."""

    operations: tuple[str, ...]
    applies: Callable[[Situation], bool]
    error: type[EsploaderError]
    reason: str


RULES: Final = (
    Rule(
        ("flash id", "verify", "read", "erase all"),
        lambda s: s.state.secure_download,
        UnsupportedError,
        "the device is in Secure Download Mode",
    ),
    Rule(
        ("erase", "erase all"),
        lambda s: s.secure_boot and s.state.encryption,
        PlanError,
        "secure boot and flash encryption are on",
    ),
    Rule(("erase", "erase all"), lambda s: s.secure_boot, PlanError, "secure boot is on"),
    Rule(
        ("erase", "erase all"),
        lambda s: s.state.encryption,
        PlanError,
        "flash encryption is on",
    ),
    Rule(("erase all",), lambda s: not s.has_stub, UnsupportedError, "a stub can"),
    Rule(
        ("write",),
        lambda s: s.state.encryption and s.state.secure_download,
        PlanError,
        "flash encryption is on and in Secure Download Mode nobody can tell",
    ),
    Rule(
        ("write",),
        lambda s: s.state.encryption and s.state.release,
        PlanError,
        "flash encryption is on and the loader may not encrypt",
    ),
    Rule(
        ("write encrypted",),
        lambda s: s.chip.key in WITHOUT_FLASH_ENCRYPTION,
        UnsupportedError,
        "has no flash encryption",
    ),
    Rule(
        ("write encrypted",),
        lambda s: not s.has_stub and s.chip.key in ROM_DOES_NOT_ENCRYPT,
        UnsupportedError,
        "a stub can",
    ),
    Rule(
        # In Secure Download Mode the eFuse cannot be read, and it is the ROM that refuses.
        ("write encrypted",),
        lambda s: s.state.release and s.state.secure_download,
        CommandFailedError,
        "FLASH_BEGIN failed",
    ),
    Rule(
        ("write encrypted",),
        lambda s: s.state.release,
        PlanError,
        "keeps its loader from encrypting",
    ),
    Rule(
        ("write encrypted",),
        lambda s: not s.state.encryption and s.chip.key == "esp32",
        PlanError,
        "FLASH_CRYPT_CONFIG is 0x0",
    ),
    Rule(
        ("write encrypted",),
        lambda s: (
            not s.state.encryption
            and not (s.state.secure_download and s.chip.key in KEY_MAY_BE_ELSEWHERE)
        ),
        PlanError,
        "no flash encryption key",
    ),
)
"""The first that applies counts; without any, the operation succeeds."""


def rule_for(operation: str, situation: Situation) -> Rule | None:
    return next(
        (rule for rule in RULES if operation in rule.operations and rule.applies(situation)), None
    )


@pytest.fixture(name="opened")
def _opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    # Where a stub cannot be started the ROM loader goes on: it is wanted, not demanded.
    monkeypatch.setenv("ESPLOADER_STUB_DIR", str(shared_stubs()))
    devices: list[Device] = []

    def opened(simulated: SimulatedDevice, *, wants_stub: bool) -> Device:
        device = connect(simulated.open_transport(), stub=wants_stub)
        devices.append(device)
        return device

    yield opened
    for device in devices:
        device.close()


# What each operation does, and how it shows that it did -----------------------------------


def identify(device: Device, situation: Situation) -> None:
    restricted = situation.state.secure_download
    assert device.chip is situation.chip
    assert device.is_in_secure_download_mode is restricted
    if restricted:
        assert device.identity is None
    else:
        assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", device.mac)
    info = device.security.info
    if info is not None:
        assert info.secure_boot is situation.secure_boot
        assert info.flash_encryption is situation.state.encryption
        assert info.secure_download_mode is restricted


def flash_id(device: Device, _: Situation) -> None:
    assert device.flash.id().size == 4 * MIB


def write(device: Device, situation: Situation) -> None:
    (result,) = device.flash.write([(OFFSET, NEW)])
    assert result.verified is not situation.state.secure_download
    assert content(device) == NEW


def write_encrypted(device: Device, _: Situation) -> None:
    (result,) = device.flash.write(encrypted_inputs=[(OFFSET, NEW)])
    assert not result.verified
    assert content(device) not in (OLD, NEW, BLANK)


def verify(device: Device, _: Situation) -> None:
    assert device.flash.verify([(OFFSET, OLD)]) == ()
    (difference,) = device.flash.verify([(OFFSET, OLD[:100] + b"!" + OLD[101:])])
    assert (difference.start, difference.end) == (OFFSET + 100, OFFSET + 101)


def read(device: Device, _: Situation) -> None:
    assert device.flash.read(OFFSET, SIZE) == OLD


def erase(device: Device, _: Situation) -> None:
    device.flash.erase_region(OFFSET, SIZE)
    assert content(device) == BLANK


def erase_all(device: Device, _: Situation) -> None:
    device.flash.erase()
    assert simulated_in(device).nor.is_blank(0, 4 * MIB)


OPERATIONS: Final[Mapping[str, Callable[[Device, Situation], None]]] = {
    "identify": identify,
    "flash id": flash_id,
    "write": write,
    "write encrypted": write_encrypted,
    "verify": verify,
    "read": read,
    "erase": erase,
    "erase all": erase_all,
}


def simulated_in(device: Device) -> HardwareOnBench:
    transport = device.session.transport
    assert isinstance(transport, SimulatedTransport)
    return transport.device


def content(device: Device) -> bytes:
    return simulated_in(device).nor.read(OFFSET, SIZE)


def aspects(situation: Situation, operation: str) -> Iterator[tuple[object, ...]]:
    """Return what the covering part of the matrix has to have at least once."""
    rule = rule_for(operation, situation)
    yield operation, rule and rule.reason, situation.has_stub
    yield situation.chip.key, operation, rule is None
    yield situation.chip.key, situation.state
    yield situation.state, situation.wants_stub, situation.has_stub, operation


CELLS: Final = list(itertools.product(SITUATIONS, OPERATIONS))


@pytest.mark.parametrize(("situation", "operation"), covering_parameters(CELLS, aspects), ids=str)
def test_every_cell_of_the_matrix(opened: Opened, situation: Situation, operation: str) -> None:
    simulated = SimulatedDevice(
        situation.chip, flash={OFFSET: OLD}, efuses=situation.state.efuses(situation.chip)
    )
    device = opened(simulated, wants_stub=situation.wants_stub)
    carry_out = OPERATIONS[operation]
    rule = rule_for(operation, situation)
    if rule is not None:
        simulated.history.clear()
        with pytest.raises(rule.error, match=re.escape(rule.reason)):
            carry_out(device, situation)
        assert content(device) == OLD
        assert not simulated.erase_counts
        if situation.state.secure_download and rule.error is not CommandFailedError:
            assert not simulated.history.events, "nothing was sent"
    else:
        carry_out(device, situation)
        written = {offset for offset in simulated.erase_counts if offset != OFFSET // SIZE}
        assert not written or operation == "erase all"
        if operation not in ("identify", "flash id"):
            assert (simulated.history.commands[-1].loader is Loader.STUB) is situation.has_stub


def test_the_matrix_has_all_of_it() -> None:
    assert len(DESCRIBED) == 14
    assert {situation.chip for situation in SITUATIONS} == set(DESCRIBED)
    states = {chip: {s.state for s in SITUATIONS if s.chip is chip} for chip in DESCRIBED}
    counts = {chip.key: len(found) for chip, found in states.items()}
    assert counts.pop("esp8266") == 1
    assert counts.pop("esp32") == 6
    assert set(counts.values()) == {8}
    refused = [(r.operations, r.reason) for r in RULES if not any_refused_by(r)]
    assert not refused, "a rule that never applies says nothing"


def test_the_usual_part_of_the_matrix_shows_all_that_it_has_to() -> None:
    usual = [cell for cell in covering_parameters(CELLS, aspects) if not cell.marks]
    assert len(usual) < len(CELLS) / 3
    chosen = [(cell.values[0], cell.values[1]) for cell in usual]
    shown = {each for cell in CELLS if cell in chosen for each in aspects(*cell)}
    assert shown == {each for cell in CELLS for each in aspects(*cell)}


def any_refused_by(rule: Rule) -> bool:
    return any(
        rule_for(operation, situation) is rule
        for operation in rule.operations
        for situation in SITUATIONS
    )


@pytest.mark.parametrize("chip", DESCRIBED, ids=lambda chip: chip.key)
def test_a_state_that_a_chip_does_not_have_cannot_be_simulated(chip: Chip) -> None:
    for state in STATES:
        efuses = state.efuses(chip)
        if state.exists_on(chip):
            SimulatedDevice(chip, efuses=efuses)
        else:
            with pytest.raises(ValueError, match="has no field"):
                SimulatedDevice(chip, efuses=efuses)


# What little is known of the ESP32-E22 ----------------------------------------------------


@pytest.mark.parametrize("wants_stub", [False, True], ids=["ROM", "stub"])
def test_an_esp32_e22_is_recognised_and_no_more(opened: Opened, *, wants_stub: bool) -> None:
    simulated = SimulatedDevice(ESP32_E22)
    device = opened(simulated, wants_stub=wants_stub)
    assert device.chip is ESP32_E22
    assert re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", device.mac)
    assert device.security.read().chip_id == 31
    simulated.history.clear()
    for work in (
        device.flash.id,
        lambda: device.flash.write([(OFFSET, NEW)]),
        lambda: device.flash.verify([(OFFSET, NEW)]),
        lambda: device.flash.read(OFFSET, SIZE),
        lambda: device.flash.erase_region(OFFSET, SIZE),
        device.flash.erase,
    ):
        with pytest.raises(UnsupportedError, match="of the ESP32-E22: it is not known yet"):
            work()
    assert not simulated.history.events


# Revisions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "has_stub"), [((0, 0), False), ((0, 4), False), ((1, 0), True), ((2, 0), True)]
)
def test_an_esp32_c2_runs_a_stub_from_revision_1_on(
    opened: Opened, revision: tuple[int, int], *, has_stub: bool
) -> None:
    simulated = SimulatedDevice("esp32c2", revision=revision)
    opened(simulated, wants_stub=True).flash.write([(OFFSET, NEW)])
    assert simulated.nor.read(OFFSET, SIZE) == NEW
    assert (simulated.history.commands[-1].loader is Loader.STUB) is has_stub


@pytest.mark.parametrize(
    ("revision", "has_effect"), [((0, 0), False), ((1, 1), False), ((3, 0), True), ((3, 1), True)]
)
def test_an_esp32_insists_on_secure_boot_v2_from_revision_3_on(
    opened: Opened, revision: tuple[int, int], *, has_effect: bool
) -> None:
    simulated = SimulatedDevice(
        "esp32", revision=revision, efuses={"secure_boot_v2": 1}, flash={OFFSET: OLD}
    )
    device = opened(simulated, wants_stub=False)
    if has_effect:
        with pytest.raises(PlanError, match="secure boot is on"):
            device.flash.erase_region(OFFSET, SIZE)
    else:
        device.flash.erase_region(OFFSET, SIZE)
    assert bool(simulated.erase_counts) is not has_effect


# The flash --------------------------------------------------------------------------------

REACH_OF_ROM: Final = 16 * MIB
REACHES_BEYOND: Final = {
    "esp32s3", "esp32c5", "esp32c61", "esp32p4", "esp32h4", "esp32s31",
}  # fmt: skip
"""The chips whose stub knows addresses of four bytes."""


@pytest.mark.parametrize(
    ("chip", "wants_stub", "flash_size"),
    covering_parameters(
        list(
            itertools.product(DESCRIBED, (False, True), [256 * KIB << power for power in range(10)])
        ),
        lambda chip, wants_stub, flash_size: (
            (chip.key, wants_stub),
            (chip.key, flash_size > REACH_OF_ROM),
            (wants_stub, flash_size),
            (wants_stub and chip.key in REACHES_BEYOND, chip.key, flash_size > REACH_OF_ROM),
        ),
    ),
    ids=lambda value: value.key if isinstance(value, Chip) else None,
)
def test_a_flash_of_any_size_is_written_up_to_its_end(
    opened: Opened, chip: Chip, flash_size: int, *, wants_stub: bool
) -> None:
    simulated = SimulatedDevice(chip, flash_size=flash_size)
    device = opened(simulated, wants_stub=wants_stub)
    assert device.flash.id().size == flash_size
    is_far = wants_stub and chip.key in REACHES_BEYOND
    end = flash_size if is_far else min(flash_size, REACH_OF_ROM)
    device.flash.write([(end - 4, b"last")])
    assert simulated.nor.read(end - 4, 4) == b"last"
    simulated.nor.erase_counts.clear()
    reasons = {"beyond the flash of": end == flash_size, "reaches 0x1000000 bytes": not is_far}
    reason = "|".join(reason for reason, applies in reasons.items() if applies)
    with pytest.raises(PlanError, match=reason):
        device.flash.write([(end - 4, b"last!")])
    with pytest.raises(PlanError, match=reason):
        device.flash.read(end - 4, 5)
    assert not simulated.erase_counts


@pytest.mark.parametrize(
    ("presence", "wants_stub", "chip"),
    covering_parameters(
        list(itertools.product(["none", "silent"], [False, True], DESCRIBED)),
        lambda presence, wants_stub, chip: (chip.key, (presence, wants_stub)),
    ),
    ids=lambda value: value.key if isinstance(value, Chip) else None,
)
def test_without_a_flash_that_answers_nothing_is_begun(
    opened: Opened, chip: Chip, presence: str, *, wants_stub: bool
) -> None:
    simulated = SimulatedDevice(chip, flash_presence=presence)
    device = opened(simulated, wants_stub=wants_stub)
    assert device.mac
    flash = device.flash.id()
    assert flash.size is None
    assert not flash.is_plausible
    reading = {"none": "ffffff", "silent": "000000"}[presence]
    works: list[Callable[[], object]] = [
        lambda: device.flash.write([(OFFSET, NEW)]),
        lambda: device.flash.plan([(OFFSET, NEW)]),
        lambda: device.flash.verify([(OFFSET, NEW)]),
        lambda: device.flash.read(OFFSET, SIZE),
        lambda: device.flash.md5(OFFSET, SIZE),
        lambda: device.flash.erase_region(OFFSET, SIZE),
        device.flash.status,
        lambda: device.flash.write_status(0),
        lambda: device.flash.sfdp(0, 4),
    ]
    if wants_stub:
        works.append(device.flash.erase)
    simulated.history.clear()
    for work in works:
        with pytest.raises(PlanError, match=f"^no flash answers: its id reads as {reading}"):
            work()
    sent = {command.opcode for command in simulated.history.commands}
    assert not sent & {Opcode.FLASH_DATA, Opcode.FLASH_DEFL_DATA, Opcode.ERASE_REGION}


@pytest.mark.parametrize(("presence", "reason"), [("none", "no response"), ("silent", "0x08")])
def test_in_secure_download_mode_a_missing_flash_is_noticed_by_its_silence(
    opened: Opened, presence: str, reason: str
) -> None:
    simulated = SimulatedDevice("esp32c3", flash_presence=presence, efuses={"secure_download": 1})
    with pytest.raises(FlashError, match=reason) as caught:
        # The ROM compares what it reads back by an XOR of all bytes, which is not that of zeros.
        opened(simulated, wants_stub=False).flash.write([(OFFSET, b"new" + NEW)])
    assert caught.value.confirmed == 0
