"""Every public operation of a device, and the loaders on which one byte of it is hit.

What is said once, here: what an operation does, what of the flash it may change, and what has
to be so afterwards. Whoever adds an operation to :class:`~esploader.device.device.Device` adds it
here, or says why nothing can be promised of it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import attrs

from esploader import connect
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.chips.esp32s2 import ESP32_S2
from esploader.chips.esp8266 import ESP8266
from esploader.flash.plan import SECTOR_SIZE
from esploader.loader.stub import StubImage
from esploader.simulator import SimulatedDevice, SimulatedTransport
from esploader.simulator.config import InitialState
from images import build_image, header_for, small_parts
from one_fault import OneFaultTransport
from snapshots import Snapshot
from stub_files import stub_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from esploader.chips.model.chip import Chip
    from esploader.device.device import Device
    from esploader.flash.erasure import EraseResult
    from esploader.flash.write_plan import RegionResult
    from esploader.loader.download_mode import Before

Act: TypeAlias = "Callable[[Device], object]"
Look: TypeAlias = "Callable[[SimulatedDevice], object]"

FLASH_SIZE = 0x4_0000
OFFSET = 0x1_0000
SIZE = 0x2000
END = OFFSET + SIZE
_ADDRESS_SIZE = 18
"""Bits of an offset in this flash."""

XTS_128 = {"key_purpose_0": 4, "key0": 0x0123_4567_89AB_CDEF}
ESP32_KEY = {"flash_crypt_config": 0xF, "flash_key": 0x0123_4567_89AB_CDEF}


def _noise(size: int, seed: str) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - data, not a secret


DATA = _noise(SIZE, "new")
COMPRESSIBLE = _noise(0x100, "text") * (SIZE // 0x100)
HALF_BLANK = DATA[:SECTOR_SIZE] + b"\xff" * SECTOR_SIZE
SOME = DATA[:0x400]
"""For a loader that reads 64 bytes at a time."""
FEW = DATA[:0x80]
"""For a loader through which every byte is read back by registers."""


def _flash() -> bytes:
    """Return a flash in which new data stand wherever one bit of their offset points.

    Whoever takes another place for the right one finds them there. Nearly nothing is blank.
    """
    flash = bytearray(_noise(FLASH_SIZE, "old"))
    for bit in range(SIZE.bit_length() - 1, _ADDRESS_SIZE):
        start = OFFSET ^ 1 << bit
        flash[start : start + SIZE] = DATA
    # There the second sector is blank.
    flash[0x8000:0x9000] = b"\xff" * SECTOR_SIZE
    return bytes(flash)


OLD = _flash()


@attrs.frozen
class Loader:
    """A loader, and a device in which it runs."""

    key: str
    chip: Chip
    is_stub: bool = False
    may_start_stub: bool = False
    """The ROM loader is there, and a stub is to be had."""
    state: InitialState = InitialState.APPLICATION
    efuses: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    flash: bytes = attrs.field(default=OLD, repr=False)
    flash_pins: int = 0
    """Where the flash is, as SPI_ATTACH has it."""

    @property
    def is_secure(self) -> bool:
        """It is in Secure Download Mode."""
        return "secure_download" in self.efuses

    def make(self) -> tuple[SimulatedDevice, OneFaultTransport]:
        """Return such a device, which nobody has talked to, and the line to it."""
        simulated = SimulatedDevice(
            self.chip,
            flash_size=FLASH_SIZE,
            flash=self.flash,
            flash_pins=self.flash_pins,
            efuses=self.efuses,
            state=self.state,
        )
        return simulated, OneFaultTransport(SimulatedTransport(simulated))

    def connected(self, stub: Path) -> Snapshot[Device]:
        """Return it with a client that is connected; ``stub`` is the file of a small one."""
        simulated, line = self.make()
        client = connect(line, stub=stub if self.is_stub or self.may_start_stub else False)
        if self.is_stub:
            client.flash.prepare()
        return Snapshot.of(simulated, client)

    def unconnected(self) -> Snapshot[OneFaultTransport]:
        """Return it with a line on which nothing has been said."""
        simulated, line = self.make()
        return Snapshot.of(simulated, line)


def small_stub(chip: Chip) -> bytes:
    """Return the content of the file of a stub that is soon uploaded."""
    code = next(region for region in chip.memory if region.name == "iram")
    data = next(region for region in chip.memory if region.name == "dram")
    return stub_file(
        bytes(range(256)),
        text_start=code.start,
        data_start=data.start + 0x8000,
        entry=code.start + 0x54,
    )


ESP8266_ROM = Loader("esp8266-rom", ESP8266)
ESP8266_STUB = Loader("esp8266-stub", ESP8266, is_stub=True)
ESP32_ROM = Loader("esp32-rom", ESP32, efuses=ESP32_KEY)
ESP32_STUB = Loader("esp32-stub", ESP32, is_stub=True, efuses=ESP32_KEY)
ESP32_S2_ROM = Loader("esp32s2-rom", ESP32_S2, efuses=XTS_128)
ESP32_C3_ROM = Loader("esp32c3-rom", ESP32_C3, efuses=XTS_128)
ESP32_C3_STUB = Loader("esp32c3-stub", ESP32_C3, is_stub=True, efuses=XTS_128)
STARTING = tuple(
    Loader(f"{loader.chip.key}-start", loader.chip, may_start_stub=True)
    for loader in (ESP8266_STUB, ESP32_STUB, ESP32_C3_STUB)
)
ESP32_C3_WAITING = Loader("esp32c3-stub", ESP32_C3, state=InitialState.STUB)
AT_HSPI = (
    Loader("esp32-rom", ESP32, flash_pins=1),
    Loader("esp32-start", ESP32, may_start_stub=True, flash_pins=1),
)
SECURE = Loader("esp32c3-secure", ESP32_C3, efuses={**XTS_128, "secure_download": 1})

STUBS = (ESP8266_STUB, ESP32_STUB, ESP32_C3_STUB)
ROMS = (ESP8266_ROM, ESP32_ROM, ESP32_S2_ROM, ESP32_C3_ROM)
HASHING_ROMS = (ESP32_ROM, ESP32_S2_ROM, ESP32_C3_ROM)
HASHING = (*HASHING_ROMS, *STUBS)
OPEN = (*ROMS, *STUBS)
"""All but the one of which nothing can be read."""
ONE_OF_EACH = (*ROMS, ESP32_C3_STUB)
"""One of each dialect, for what takes long."""


@attrs.frozen(kw_only=True)
class Operation:
    """Something a device does, and what is right then."""

    method: str
    """Of the public ones of :class:`~esploader.device.device.Device` and its parts."""
    variant: str = ""
    act: Act
    loaders: tuple[Loader, ...] = OPEN
    changes: tuple[tuple[int, int], ...] = ()
    """From where to where the flash may change."""
    erases_all: bool = False
    """All the rest is blank afterwards."""
    look: Look = lambda _: None
    """What else is compared afterwards."""
    frames: int = 5
    """How many requests, or answers, with one opcode are hit in any case. Of more a sample is:
    where data are moved by registers, or 64 bytes at a time, one is as good as another."""
    whole: int = 1
    """How many of them are hit at each byte in every way; each byte of the others is in one."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return f"{self.method}-{self.variant}" if self.variant else self.method


def _ram(device: Device) -> int:
    region = next(region for region in device.chip.memory if region.name == "dram")
    return region.start + 0x4000


def _ram_of(simulated: SimulatedDevice) -> int:
    region = next(region for region in simulated.chip.memory if region.name == "dram")
    return region.start + 0x4000


@attrs.frozen
class Told:
    """What a result says; how it came to that is nothing to compare."""

    offset: int
    size: int | None
    verified: bool
    restarts: int = attrs.field(eq=False)
    warnings: tuple[str, ...] = attrs.field(eq=False)

    @classmethod
    def by(cls, *results: RegionResult | EraseResult) -> tuple[Told, ...]:
        """Return what results say."""
        return tuple(
            cls(result.offset, result.size, result.verified, result.restarts, result.warnings)
            for result in results
        )


def _written(data: bytes, **options: object) -> Act:
    def act(device: Device) -> object:
        return Told.by(*device.flash.write([(OFFSET, data)], **options))  # type: ignore[arg-type]

    return act


def _encrypted(device: Device) -> object:
    return Told.by(*device.flash.write(encrypted_inputs=[(OFFSET, DATA)]))


def _prepared(device: Device) -> object:
    device.flash.prepare()
    return device.session.dialect.name


def _elsewhere(device: Device) -> object:
    device.flash.use_pins("HSPI")
    device.flash.prepare()
    return device.flash.id()


def _stub_in_place(simulated: SimulatedDevice) -> object:
    stub = StubImage.parse(small_stub(simulated.chip), "stub")
    return [simulated.memory.read(part.address, len(part.data)) for part in stub.segments]


def _program(device: Device) -> bytes:
    parts = small_parts(device.chip)
    return build_image(header_for(device.chip, parts), parts)


def _there(simulated: SimulatedDevice) -> object:
    return simulated.read_register(_ram_of(simulated))


_ONE = ((OFFSET, END),)
_FEW = ((OFFSET, OFFSET + SECTOR_SIZE),)
_ALL = ((0, FLASH_SIZE),)
_BLIND = (ESP8266_ROM,)

OPERATIONS = (
    Operation(method="flash.id", act=lambda device: device.flash.id()),
    Operation(method="flash.sfdp", act=lambda device: device.flash.sfdp(0, 20)),
    Operation(
        method="flash.wiring",
        act=lambda device: device.flash.wiring(),
        loaders=(ESP32_ROM, ESP32_S2_ROM, ESP32_STUB),
    ),
    Operation(method="flash.status", act=lambda device: device.flash.status(2)),
    Operation(
        method="flash.write_status",
        act=lambda device: device.flash.write_status(0x0200, 2),
        loaders=ONE_OF_EACH,
        look=lambda simulated: bytes(simulated.flash_chip.status),
    ),
    Operation(
        method="memory.read_register",
        act=lambda device: device.memory.read_register(device.chip.mac.addresses[0]),
    ),
    Operation(
        method="memory.write_register",
        act=lambda device: device.memory.write_register(_ram(device), 0x1234_5678, 0x00FF_FFFF),
        look=_there,
    ),
    Operation(method="memory.read", act=lambda device: device.memory.read(_ram(device) + 2, 40)),
    Operation(method="efuses.read", act=lambda device: device.efuses.read(), loaders=ONE_OF_EACH),
    Operation(
        method="security.read",
        act=lambda device: device.security.read(),
        loaders=(ESP32_S2_ROM, ESP32_C3_ROM, ESP32_C3_STUB, SECURE),
    ),
    Operation(
        method="security.state",
        act=lambda device: device.security.state(),
        # In Secure Download Mode it is known since connecting.
        loaders=(*HASHING_ROMS, ESP32_C3_STUB),
    ),
    Operation(
        method="flash.read",
        act=lambda device: device.flash.read(OFFSET, SIZE),
        loaders=STUBS,
    ),
    Operation(
        method="flash.read",
        variant="slow",
        act=lambda device: device.flash.read(OFFSET, len(SOME)),
        loaders=HASHING_ROMS,
    ),
    Operation(
        method="flash.read",
        variant="blind",
        act=lambda device: device.flash.read(OFFSET, len(FEW)),
        loaders=_BLIND,
    ),
    Operation(
        method="flash.md5", act=lambda device: device.flash.md5(OFFSET, SIZE), loaders=HASHING
    ),
    Operation(
        method="flash.md5",
        variant="blind",
        act=lambda device: device.flash.md5(OFFSET, len(FEW)),
        loaders=_BLIND,
    ),
    Operation(
        method="flash.verify",
        variant="equal",
        act=lambda device: device.flash.verify([(OFFSET, OLD[OFFSET:END])]),
        loaders=HASHING,
    ),
    Operation(
        method="flash.verify",
        variant="different",
        act=lambda device: device.flash.verify([(OFFSET, DATA)]),
        loaders=STUBS,
    ),
    Operation(
        method="flash.verify",
        variant="different-slow",
        act=lambda device: device.flash.verify([(OFFSET, SOME)]),
        loaders=HASHING_ROMS,
    ),
    Operation(
        method="flash.verify",
        variant="blind",
        act=lambda device: device.flash.verify([(OFFSET, FEW)]),
        loaders=_BLIND,
    ),
    Operation(
        method="flash.write",
        variant="plain",
        act=_written(DATA, compress=False),
        loaders=(*HASHING, SECURE),
        changes=_ONE,
    ),
    Operation(
        method="flash.write",
        variant="compressed",
        act=_written(COMPRESSIBLE, compress=True),
        loaders=(*HASHING, SECURE),
        changes=_ONE,
    ),
    Operation(
        method="flash.write",
        variant="half-in-place",
        act=_written(OLD[OFFSET : OFFSET + SECTOR_SIZE] + DATA[SECTOR_SIZE:]),
        loaders=(ESP32_ROM, ESP32_C3_ROM, *STUBS),
        changes=_ONE,
    ),
    Operation(
        method="flash.write",
        variant="in-place",
        act=_written(OLD[OFFSET:END]),
        loaders=HASHING,
    ),
    Operation(
        method="flash.write",
        variant="half-blank",
        act=_written(HALF_BLANK),
        loaders=(ESP32_ROM, ESP32_C3_ROM, *STUBS),
        changes=_ONE,
    ),
    Operation(
        method="flash.write",
        variant="erase-all",
        act=_written(DATA, erase_all=True),
        loaders=STUBS,
        changes=_ONE,
        erases_all=True,
    ),
    Operation(
        method="flash.write",
        variant="blind",
        act=_written(FEW),
        loaders=_BLIND,
        changes=_FEW,
        whole=0,
    ),
    Operation(
        method="flash.write",
        variant="encrypted",
        act=_encrypted,
        loaders=(ESP32_STUB, ESP32_S2_ROM, ESP32_C3_ROM, ESP32_C3_STUB, SECURE),
        changes=_ONE,
    ),
    Operation(
        method="flash.erase",
        act=lambda device: Told.by(device.flash.erase()),
        loaders=STUBS,
        changes=_ALL,
    ),
    Operation(
        method="flash.erase_region",
        act=lambda device: Told.by(device.flash.erase_region(OFFSET, SIZE)),
        loaders=(*HASHING, SECURE),
        changes=_ONE,
    ),
    Operation(
        method="flash.erase_region",
        variant="blind",
        act=lambda device: Told.by(device.flash.erase_region(OFFSET, SECTOR_SIZE)),
        loaders=_BLIND,
        changes=_FEW,
        whole=0,
    ),
    Operation(
        method="flash.plan",
        act=lambda device: device.flash.plan([(OFFSET, DATA)]),
    ),
    Operation(method="flash.prepare", act=_prepared, loaders=(*ROMS, SECURE)),
    Operation(
        method="flash.prepare",
        variant="stub",
        act=_prepared,
        loaders=STARTING,
        look=_stub_in_place,
    ),
    Operation(method="flash.use_pins", act=_elsewhere, loaders=AT_HSPI),
    Operation(
        method="memory.load",
        act=lambda device: device.memory.load(_program(device)),
        look=lambda simulated: [
            simulated.memory.read(address, len(data))
            for address, data in small_parts(simulated.chip)
        ],
    ),
)


@attrs.frozen(kw_only=True)
class Connecting:
    """A way to connect, and what is right then."""

    variant: str = ""
    loaders: tuple[Loader, ...]
    baudrate: int = 115200
    before: Before = "default-reset"

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return f"connect-{self.variant}" if self.variant else "connect"

    def act(self, line: OneFaultTransport) -> object:
        """Connect; return what the device is then known to be."""
        device = connect(line, baudrate=self.baudrate, before=self.before, stub=False)
        return device.chip.key, device.identity, device.security.info, device.session.dialect.name


CONNECTIONS = (
    Connecting(loaders=(*ROMS, SECURE)),
    Connecting(variant="faster", loaders=(ESP32_ROM, ESP32_C3_ROM), baudrate=460800),
    Connecting(variant="to-stub", loaders=(ESP32_C3_WAITING,), before="no-reset"),
)

SILENT = {
    "chip": "known since connecting",
    "chip_id": "known since connecting",
    "mac": "known since connecting",
    "eui64": "known since connecting",
    "revision": "known since connecting",
    "identity": "known since connecting",
    "security.info": "known since connecting",
    "security.is_secure_boot_on": "known since connecting",
    "is_in_secure_download_mode": "known since connecting",
    "link": "an object",
    "session": "an object",
    "port": "a name",
    "partitions.table_offset": "said by the caller",
    "efuses.forget": "has them read anew the next time",
    "check_reset": "says what reset would refuse, and asks nothing",
}
"""What says nothing to the device."""

NOTHING_IS_PROMISED = {
    "reset": "whether the application runs nobody sees; the loader, if it is there still, is "
    "found by whoever comes next",
    "way_to_reset": "tells how reset would do it",
    "close": "puts registers back, if it can; nobody waits for that",
}
"""Of which no value comes, and why."""

MADE_OF = {
    "flash_build": "flash.write",
    "partitions.table": "flash.read",
    "partitions.raw_table": "flash.read",
    "partitions.otadata": "flash.read",
    "partitions.select": "flash.read",
    "partitions.booting": "flash.read",
    "partitions.next_ota_slot": "flash.read",
    "partitions.boot": "flash.write",
}
"""What says nothing to the device but by another one, which is played."""

UNSEEN = {
    "memory.read": "of the registers of peripherals, which reading may change: these are read once",
    "memory.write_register": "of a peripheral, which may hold something else than was written, as "
    "of a bit that clears itself; and where a request went whose address was hit",
    "memory.load": "where MEM_END jumps to: nothing answers afterwards but the program",
    "flash.prepare": "what SPI_SET_PARAMS says, and in Secure Download Mode SPI_ATTACH: no "
    "command reads it back",
    "flash.write_status": "what else a request to write registers wrote whose address was hit",
    "flash.write": "in Secure Download Mode, what came of a request to erase that was hit, or of a "
    "block, whose checksum of eight bits may be right all the same; and of a block that the device "
    "encrypts",
    "flash.erase_region": "in Secure Download Mode, the same",
}
"""Parts of what is played of which the right value cannot be seen, and why."""

IN_PART = (ESP8266_STUB, ESP32_STUB, ESP32_S2_ROM)
"""They speak like the ESP32-C3's, from which the last one's dialect differs in the size of what it
keeps while it works and in the blocks for RAM. They are left to the part that always runs."""
