"""What was to be erased is seen to be blank, or it is no success; nothing beside it is touched."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import attrs
import pytest

import untouched
from covering import covering_parameters, usual_parameters
from esploader import connect
from esploader.chips.esp8266 import ESP8266
from esploader.cli import main
from esploader.errors import CommandFailedError, FlashError
from esploader.flash.plan import SECTOR_SIZE
from esploader.flash.progress import Phase, Progress, ProgressEvent
from esploader.protocol import slip
from esploader.protocol.opcodes import Opcode
from esploader.simulator import SimulatedDevice
from esploader.simulator.flash.timings import UNPACED
from simulated import incompressible
from stub_files import shared_stubs
from unreliable_transport import UnreliableTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from esploader.device.device import Device

MIB = 1024 * 1024
FLASH_SIZE = MIB
FULL = incompressible(FLASH_SIZE)
OFFSET, SIZE = 0x2_1000, 0x1_3000
ELSEWHERE = "something else in the flash may have been erased"

BODY_AT = 8
LOADERS = ["stub", "rom", "esp8266"]


@attrs.define
class Damage:
    """Changes requests of one kind, so many times."""

    opcodes: frozenset[Opcode]
    change: Callable[[bytearray], bytes]
    count: int = 1

    def __call__(self, data: bytes) -> bytes:
        result = b""
        for event in slip.SlipDecoder().feed(data):
            if not isinstance(event, slip.Frame):
                return data  # An END to straighten out the framing.
            packet = bytearray(event.payload)
            is_empty_begin = packet[1] == Opcode.FLASH_BEGIN and not any(packet[8:12])
            if self.count and packet[1] in self.opcodes and not is_empty_begin:
                self.count -= 1
                result += self.change(packet)
            else:
                result += slip.encode(event.payload)
        return result


def flipped(position: int, bits: int) -> Callable[[bytearray], bytes]:
    def flip(packet: bytearray) -> bytes:
        packet[position] ^= bits
        return slip.encode(bytes(packet))

    return flip


def lost(_: bytearray) -> bytes:
    return b""


@attrs.define
class Bench:
    """A device with a full flash, and a line to it."""

    simulated: SimulatedDevice
    transport: UnreliableTransport
    device: Device

    def damage(
        self, opcodes: set[Opcode], change: Callable[[bytearray], bytes], count: int = 1
    ) -> Damage:
        """Have requests damaged from now on."""
        damage = Damage(frozenset(opcodes), change, count)
        self.transport.garble_output = damage
        return damage

    @property
    def content(self) -> bytes:
        """All of the flash."""
        return bytes(self.simulated.nor.read(0, FLASH_SIZE))

    @property
    def size(self) -> int:
        """How much is erased, an odd number of sectors: few where it is read back by registers."""
        return 3 * SECTOR_SIZE if self.simulated.chip is ESP8266 else SIZE

    @property
    def erased(self) -> bytes:
        """All of the flash when that is erased."""
        return erased(self.size)


def erased(size: int) -> bytes:
    return FULL[:OFFSET] + b"\xff" * size + FULL[OFFSET + size :]


ERASED = erased(SIZE)
ERASING = {Opcode.ERASE_REGION, Opcode.FLASH_BEGIN}


@pytest.fixture(name="bench", params=usual_parameters(LOADERS, ("stub", "rom")))
def _bench(request: pytest.FixtureRequest) -> Bench:
    return make_bench(request.param)


every_loader = pytest.mark.parametrize("bench", LOADERS, indirect=True)
"""Of the ESP8266's, which is read back by registers, the rest is slow."""


def make_bench(loader: str, *, timings: bool = True) -> Bench:
    chip = "esp8266" if loader == "esp8266" else "esp32c3"
    simulated = SimulatedDevice(chip, flash_size=FLASH_SIZE, timings=None if timings else UNPACED)
    simulated.nor.program(0, FULL)
    transport = UnreliableTransport(simulated.open_transport())
    stub = shared_stubs() if loader == "stub" else False
    device = connect(transport, baudrate=921600 if loader != "esp8266" else 115200, stub=stub)
    device.flash.prepare()
    return Bench(simulated, transport, device)


def offset_at(opcode: int) -> int:
    return BODY_AT + (0 if opcode == Opcode.ERASE_REGION else 12)


def size_at(opcode: int) -> int:
    return BODY_AT + (4 if opcode == Opcode.ERASE_REGION else 0)


@every_loader
def test_on_a_clean_line_it_is_seen_and_there_is_no_warning(bench: Bench) -> None:
    result = bench.device.flash.erase_region(OFFSET, bench.size)
    assert (result.offset, result.size) == (OFFSET, bench.size)
    assert result.verified
    assert result.restarts == 0
    assert result.warnings == ()
    assert bench.content == bench.erased


def test_the_hash_is_asked_for_twice_and_no_more() -> None:
    bench = make_bench("stub")
    bench.simulated.history.clear()
    bench.device.flash.erase_region(OFFSET, SIZE)
    sent = [command.opcode for command in bench.simulated.history.commands]
    start = sent.index(Opcode.ERASE_REGION)
    assert sent[start:] == [Opcode.ERASE_REGION, Opcode.SPI_FLASH_MD5, Opcode.SPI_FLASH_MD5]


@every_loader
def test_what_was_erased_elsewhere_is_repaired_and_told(bench: Bench) -> None:
    elsewhere = 0x8_0000

    def divert(packet: bytearray) -> bytes:
        packet[offset_at(packet[1]) + 2] ^= elsewhere >> 16
        return slip.encode(bytes(packet))

    bench.damage(ERASING, divert)
    result = bench.device.flash.erase_region(OFFSET, bench.size)
    assert result.verified
    assert result.restarts == 1
    assert any(ELSEWHERE in warning for warning in result.warnings)
    content = bench.content
    assert content[OFFSET : OFFSET + bench.size] == b"\xff" * bench.size
    wrong = {n for n in range(FLASH_SIZE // SECTOR_SIZE) if _differs(content, bench.erased, n)}
    assert wrong, "which is what the warning is for"
    assert min(wrong) >= (OFFSET ^ elsewhere) // SECTOR_SIZE


def _differs(content: bytes, expected: bytes, sector: int) -> bool:
    part = slice(sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE)
    return content[part] != expected[part]


def test_what_was_erased_in_part_is_erased_altogether() -> None:
    for loader in ("stub", "rom"):
        bench = make_bench(loader)

        def shorten(packet: bytearray) -> bytes:
            packet[size_at(packet[1]) + 2] ^= SIZE >> 16
            return slip.encode(bytes(packet))

        bench.damage(ERASING, shorten)
        result = bench.device.flash.erase_region(OFFSET, SIZE)
        assert result.verified
        assert result.restarts == 1
        assert len(result.warnings) == 1
        assert bench.content == ERASED


def test_a_request_that_is_lost_is_sent_again(bench: Bench) -> None:
    bench.damage(ERASING, lost)
    result = bench.device.flash.erase_region(OFFSET, bench.size)
    assert result.verified
    assert result.restarts == 1
    assert any("no answer" in warning for warning in result.warnings)
    assert bench.content == bench.erased


def test_what_is_blank_although_the_answer_was_lost_is_not_erased_again() -> None:
    bench = make_bench("stub")
    left = [1]

    def lose(data: bytes) -> bytes:
        if left and bytes((0xC0, 1, Opcode.ERASE_REGION)) in data:
            left.clear()
            return b""
        return data

    bench.transport.garble_input = lose
    result = bench.device.flash.erase_region(OFFSET, SIZE)
    assert result.verified
    assert len(result.warnings) == 1
    assert bench.content == ERASED
    assert set(bench.simulated.erase_counts.values()) == {1}


def test_a_refusal_that_one_bit_explains_is_no_reason_to_give_up(bench: Bench) -> None:
    def make_odd(packet: bytearray) -> bytes:
        packet[offset_at(packet[1])] ^= 0x04
        return slip.encode(bytes(packet))

    bench.damage(ERASING, make_odd)
    result = bench.device.flash.erase_region(OFFSET, bench.size)
    assert result.verified
    assert bench.content == bench.erased


def test_what_is_refused_twice_is_refused() -> None:
    bench = make_bench("rom")
    highest_byte = flipped(BODY_AT + 12 + 3, 0x40)
    damage = bench.damage({Opcode.FLASH_BEGIN}, highest_byte, count=100)
    with pytest.raises(CommandFailedError):
        bench.device.flash.erase_region(OFFSET, SIZE)
    assert damage.count == 98
    assert bench.content == FULL


def test_sectors_that_do_not_erase_are_no_success(bench: Bench) -> None:
    bench.simulated.nor.wear_out(OFFSET)
    size = SECTOR_SIZE
    with pytest.raises(FlashError) as failed:
        bench.device.flash.erase_region(OFFSET, size)
    assert failed.value.total == size
    content = bench.content
    assert content[:OFFSET] == FULL[:OFFSET]
    assert content[OFFSET + size :] == FULL[OFFSET + size :]


def test_the_whole_flash_is_erased_again_where_it_is_not_blank() -> None:
    bench = make_bench("stub")
    events: list[ProgressEvent] = []
    # ERASE_REGION without its sizes is refused; SPI_FLASH_MD5 without them says nothing.
    bench.damage({Opcode.ERASE_FLASH}, flipped(1, Opcode.ERASE_FLASH ^ Opcode.GET_SECURITY_INFO))
    result = bench.device.flash.erase(on_progress=events.append)
    assert result.verified
    assert result.restarts == 1
    assert result.warnings == (), "there is nothing else"
    assert (result.offset, result.size) == (0, FLASH_SIZE)
    assert bench.content == b"\xff" * FLASH_SIZE
    for phase in (Phase.ERASE, Phase.VERIFY):
        done = [
            event.done for event in events if isinstance(event, Progress) and event.phase is phase
        ]
        assert done == sorted(set(done))
        assert (done[0], done[-1]) == (0, FLASH_SIZE)


def test_everything_is_erased_before_a_write_although_the_request_was_lost() -> None:
    bench = make_bench("stub")
    bench.damage({Opcode.ERASE_FLASH}, lost)
    (result,) = bench.device.flash.write([(0x1_0000, b"data")], erase_all=True)
    assert result.verified
    blank = b"\xff" * FLASH_SIZE
    assert bench.content == blank[:0x1_0000] + b"data" + blank[0x1_0004:]


@pytest.mark.parametrize("timings", [True, False], ids=["takes its time", "at once"])
def test_a_request_that_became_one_to_erase_everything_is_told(
    timings: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    bench = make_bench("stub", timings=timings)
    bench.damage({Opcode.ERASE_REGION}, flipped(1, Opcode.ERASE_REGION ^ Opcode.ERASE_FLASH))
    result = bench.device.flash.erase_region(OFFSET, SIZE)
    assert result.verified
    assert any(ELSEWHERE in warning for warning in result.warnings)
    assert bench.content[OFFSET : OFFSET + SIZE] == b"\xff" * SIZE
    assert bench.content != ERASED


@pytest.mark.parametrize(
    ("loader", "bit"),
    covering_parameters(
        list(itertools.product(("stub", "rom"), range(64))),
        # Every bit, of one of them; every byte, of both.
        lambda loader, bit: (bit, (loader, bit // 8)),
    ),
)
def test_of_every_bit_of_offset_and_size_only_a_size_that_grew_stays_unseen(
    loader: str, bit: int
) -> None:
    bench = make_bench(loader)
    fields = [size_at, offset_at]
    opcode = Opcode.ERASE_REGION if loader == "stub" else Opcode.FLASH_BEGIN
    position = fields[bit // 32](opcode) + bit % 32 // 8
    bench.damage({opcode}, flipped(position, 1 << bit % 8))
    result = bench.device.flash.erase_region(OFFSET, SIZE)
    content = bench.content
    assert content[OFFSET : OFFSET + SIZE] == b"\xff" * SIZE
    if content != ERASED and not result.warnings:
        assert bit < 32
        assert SIZE ^ 1 << bit > SIZE
        assert content[:OFFSET] == FULL[:OFFSET]


@pytest.mark.parametrize("size", [SECTOR_SIZE, 5 * MIB])
def test_large_regions_are_looked_at_in_parts(size: int) -> None:
    simulated = SimulatedDevice("esp32c3", flash_size=8 * MIB)
    untouched.fill(simulated)
    before = simulated.nor.read(0, 8 * MIB)
    with connect(simulated.open_transport(), stub=shared_stubs()) as device:
        result = device.flash.erase_region(MIB, size)
    assert result.verified
    after = simulated.nor.read(0, 8 * MIB)
    assert after == before[:MIB] + b"\xff" * size + before[MIB + size :]


def test_beyond_the_reach_of_the_loader_nothing_is_said_to_be_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    simulated = SimulatedDevice("esp32", flash_size=32 * MIB)
    with connect(simulated.open_transport(), stub=shared_stubs()) as device:
        result = device.flash.erase()
    assert not result.verified
    assert result.size == 32 * MIB
    assert "beyond 0x1000000" in caplog.text


# Secure Download Mode -------------------------------------------------------------------


def secured() -> tuple[SimulatedDevice, UnreliableTransport]:
    simulated = SimulatedDevice("esp32c3", flash_size=FLASH_SIZE, efuses={"secure_download": 1})
    simulated.nor.program(0, FULL)
    return simulated, UnreliableTransport(simulated.open_transport())


def test_in_secure_download_mode_nobody_sees_it(caplog: pytest.LogCaptureFixture) -> None:
    simulated, transport = secured()
    events: list[ProgressEvent] = []
    with connect(transport) as device:
        result = device.flash.erase_region(OFFSET, SIZE, on_progress=events.append)
    assert not result.verified
    assert result.warnings == ()
    assert "what is erased is not verified" in caplog.text
    assert bytes(simulated.nor.read(0, FLASH_SIZE)) == ERASED
    assert {event.phase for event in events if isinstance(event, Progress)} == {Phase.ERASE}


def test_trouble_in_secure_download_mode_is_told() -> None:
    simulated, transport = secured()
    with connect(transport) as device:
        device.flash.prepare()
        transport.garble_output = Damage(frozenset(ERASING), lost)
        result = device.flash.erase_region(OFFSET, SIZE)
        assert result.restarts == 1
        assert len(result.warnings) == 1
        transport.garble_output = Damage(frozenset({Opcode.FLASH_DATA}), lost)
        (written,) = device.flash.write([(OFFSET, bytes(SIZE))])
    assert len(written.warnings) == 1
    assert (
        bytes(simulated.nor.read(0, FLASH_SIZE))
        == FULL[:OFFSET] + bytes(SIZE) + FULL[OFFSET + SIZE :]
    )


# The commands ---------------------------------------------------------------------------

PORT = ["--port", "sim://esp32c3?flash=1MB", "--no-stub"]


def test_the_command_says_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PORT, "erase-region", "0x1000", "0x2000"]) == 0
    output = capsys.readouterr()
    assert "Flash memory region erased successfully in " in output.out
    assert "verified" not in output.out + output.err
    assert main(["--json", *PORT, "erase-region", "0x1000", "0x2000"]) == 0
    erased = json.loads(capsys.readouterr().out)["erased"]
    assert erased.pop("seconds") >= 0
    assert erased == {
        "offset": 0x1000,
        "size": 0x2000,
        "restarts": 0,
        "verified": True,
        "warnings": [],
    }


def test_the_command_for_everything_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    port = ["--port", "sim://esp32c3?flash=1MB", "--stub", str(shared_stubs())]
    assert main([*port, "erase-flash"]) == 0
    assert "Flash memory erased successfully in " in capsys.readouterr().out
    assert main(["--json", *port, "erase-flash"]) == 0
    erased = json.loads(capsys.readouterr().out)["erased"]
    assert erased["verified"]
    assert (erased["offset"], erased["size"]) == (0, MIB)


def test_the_command_says_that_nobody_can_see_it(capsys: pytest.CaptureFixture[str]) -> None:
    port = ["--port", "sim://esp32c3?efuses=secure_download:1"]
    assert main([*port, "erase-region", "0x1000", "0x2000"]) == 0
    output = capsys.readouterr()
    assert "Flash memory region erased successfully in " in output.out
    assert "Not verified: in Secure Download Mode nobody can see" in output.out


def test_a_large_region_is_erased_and_reported_in_steps() -> None:
    events: list[ProgressEvent] = []
    with untouched.connect("sim://esp32c3", stub=False) as device:
        device.flash.erase_region(0x1_0000, 0x12_0000, on_progress=events.append)
    assert [
        event.done for event in events if isinstance(event, Progress) and event.phase is Phase.ERASE
    ] == [0, 0x7_0000, 0xF_0000, 0x12_0000]
