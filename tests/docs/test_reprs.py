"""What callers get from the front doors is short in a log, whatever is in it."""

from __future__ import annotations

import enum
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Union, get_args, get_origin, get_type_hints

from elf_programs import app_descriptor
from elf_writer import Section, elf_for
from esploader import Artefact, Chip, FlashParameters, Restarted, connect, open_transport
from esploader.chips import CHIPS
from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import EsploaderError
from esploader.fleet import (
    DeviceInput,
    Failed,
    Identified,
    Job,
    Patience,
    Record,
    RecordEntry,
    SeenAgain,
    StopRules,
    UsbIdentity,
    VerdictLost,
    Waiting,
    Warned,
    flash_many,
)
from esploader.image import ImageOptions, Signature, build_image, find_images, parse_elf
from esploader.image.merge import Run, merge
from esploader.image.partitions import parse_csv
from esploader.server import Server
from esploader.simulator import (
    UNPACED,
    BaudMismatch,
    Corrupt,
    Cut,
    Delay,
    DeviceConfig,
    Drop,
    Duplicate,
    FaultyTransport,
    Jitter,
    Overflow,
    RealTimeTransport,
    RecordingTransport,
    ReplayTransport,
    Runtime,
    SimulatedDevice,
    Split,
    Stall,
    Timings,
    check_recording,
    minimal_image,
)
from esploader.transport import (
    FoundServer,
    Lent,
    Offered,
    PortInfo,
    RealClock,
    RemotePort,
    SetLines,
    Wait,
)
from front_doors import public_classes
from images import small_image
from simulated import incompressible

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SIZE = 200
"""Characters: two lines of a terminal, and some more."""

SAMPLES: dict[object, object] = {
    str: "something that happened",
    int: 0x1234_5678,
    float: 12.345,
    bool: True,
    bytes: bytes(10_000),
    tuple: tuple((offset, offset + 1) for offset in range(1000)),
}


def error_of(cls: type[EsploaderError]) -> EsploaderError:
    """Return such an error, with much in it."""
    hints = get_type_hints(cls)
    values = [SAMPLES[first_of(hints[name])] for name in cls.fields]
    return cls(*values)


def first_of(hint: object) -> object:
    """Return the type, the first one where there are several, that stands for a field."""
    origin = get_origin(hint)
    return first_of(get_args(hint)[0]) if origin in (UnionType, Union) else origin or hint


def parts_of(root: object) -> Iterator[object]:
    """Yield all that the public fields of one of our objects lead to."""
    if isinstance(root, list | tuple | set | frozenset):
        for value in root:
            yield from parts_of(value)
        return
    yield root
    for name in getattr(type(root), "__annotations__", {}):
        is_known = not isinstance(root, Chip) or root.knows(name)
        if type(root).__module__.startswith("esploader.") and is_known and name[0] != "_":
            yield from parts_of(getattr(root, name))


def of_a_device() -> Iterator[object]:
    """Yield a device that was worked with, its parts, and what they returned."""
    simulated = SimulatedDevice(ESP32_C3, flash=incompressible(100_000))
    transport = RecordingTransport(simulated.open_transport())
    events: list[object] = []
    with connect(transport, stub=False) as device:
        inputs: list[tuple[int, bytes]] = [(0, small_image(ESP32_C3))]
        inputs += [(number * 0x1_0000, b"more") for number in range(2, 20)]
        yield device.flash.plan(inputs)
        yield from device.flash.write(inputs, on_progress=events.append)
        yield from device.flash.verify([(0x1_0000, bytes(0x100))])
        yield device.flash.erase_region(0x1_0000, 0x1000)
        yield from (
            events[0],
            device.flash.id(),
            device.identity,
            device.revision,
            device.efuses.read(),
        )
        yield from (device, device.flash, device.memory, device.efuses, device.security)
        yield device.partitions
        yield from (device.link, device.session, transport, simulated, simulated.open_transport())
        yield from (simulated.history, simulated.clock, *simulated.history.events)
    with connect("sim://esp32c3?efuses=secure_download:1") as secured:
        yield secured.security.info
        yield secured
    recording = transport.recording(ESP32_C3)
    yield from (recording, ReplayTransport(recording), *check_recording(recording))


def of_the_simulator() -> Iterator[object]:
    """Yield what else it is made of, with as much in it as there can be."""
    started: list[Runtime] = []
    booting = SimulatedDevice(ESP32_C3, flash=minimal_image(ESP32_C3), application=started.append)
    booting.press_reset()
    booting.advance(booting.clock.now() + 10)
    yield started[0]
    many = range(1000)
    faults = (Corrupt, Drop, Duplicate, Overflow, Split)
    yield from (fault(positions=many) for fault in faults)
    yield from (BaudMismatch(factor=1.1), Cut(positions=[5]), Delay(seconds=0.1))
    yield from (Jitter(seconds=0.1), Stall(seconds=0.1))
    yield FaultyTransport(booting.open_transport(), [Drop(rate=0.1)] * 20)
    yield DeviceConfig(
        chip=ESP32_C3, flash_content=bytes(100_000), efuses={"secure_download": 1}, mac=bytes(6)
    )
    clock = RealClock()
    with RealTimeTransport(SimulatedDevice(ESP32_C3, clock=clock)) as transport:
        yield from (clock, transport, Server(transport), Timings(), UNPACED)


def of_images() -> Iterator[object]:
    """Yield what is made of a program whose descriptors have texts of any bytes."""
    application = app_descriptor()[:16] + b"\x01" * 64 + app_descriptor()[80:]
    sections = [
        Section(".dram0.bootdesc", 0x3FC9_0000, b"\x50" + b"\0\0\0" + b"\x01" * 76),
        Section(".flash.appdesc", 0x3C00_0020, application),
    ]
    for chosen in (sections, sections[:1]):
        elf = elf_for(ESP32_C3, chosen).build()
        options = ImageOptions(signature=Signature.V2, flash_size="4MB", flash_mode="dio")
        built = build_image(elf, ESP32_C3, options)
        file, (report,) = parse_elf(elf), find_images(built.data)
        yield from (options, built, file, *file.sections, report)
        yield from filter(None, (report.application, report.bootloader))
    merged = merge([Run(8 * number, bytes(4)) for number in range(1000)])
    yield from (merged, Run(0, bytes(1000)))


def of_fleets() -> Iterator[object]:
    """Yield what many boards leave, and what happens to them."""
    many = "x" * 40
    events: list[object] = []
    bench = [
        Job(
            port=f"sim://esp32c3?mac=24:0a:c4:00:00:{n:02x}",
            label=f"bench-{n}-{many}",
            artefact=Artefact.read([(0x1000 * offset, b"data") for offset in range(20, 40)]),
            chip="esp32" if n else None,
            stub=False,
        )
        for n in range(2)
    ]
    result = flash_many(bench, on_event=events.append)
    good = result.boards[0]
    yield from (bench[0], result, good, good.found, *events)
    (event,) = (each for each in events if isinstance(each, Identified))
    yield RecordEntry.of(good, {"order": many * 20})
    yield from (bench[0].artefact, DeviceInput(0x9000, b"own"), DeviceInput("nvs", "nvs.bin"))
    yield from (Patience(), StopRules(failures=1), Record(Path("/var") / many / many))
    yield UsbIdentity(vid=0x303A, pid=0x1001, serial_number="24:0A:C4:00:00:01", location="1-2.3")
    label = event.label
    yield Failed(label=label, attempt=1, error=EsploaderError())
    yield Warned(label=label, text="something that may be as long as a line")
    yield Waiting(label=label, for_removal=True)
    yield SeenAgain(label=label, result=good)
    yield VerdictLost(label=label, result=good, reason="no lamp")


def instances() -> Iterator[object]:
    """Yield something of each kind that callers can get."""
    yield from of_a_device()
    yield from of_the_simulator()
    for chip in CHIPS:
        yield from parts_of(chip)
    yield from of_images()
    yield from of_fleets()
    rows = [f"a_long_name_{number},data,0x40,,4K,encrypted:readonly" for number in range(90)]
    table = parse_csv("\n".join(rows))
    yield from (table, *table, *table.gaps(4 << 20))
    yield Artefact.read([(0x1000 * number, bytes(100)) for number in range(1000)])
    yield from (FlashParameters(size="detect"), Restarted(offset=0x1000, reason="no response"))
    yield from (
        SetLines(dtr=True),
        Wait(0.1),
        PortInfo(device="/dev/ttyUSB0", description="USB Serial", vid=0x10C4, pid=0xEA60),
        Lent("10.0.0.7:41234 (ana@bench)"),
        Offered(1),
    )
    remote = RemotePort(
        name="bench 1",
        url="rfc2217://192.0.2.7/bench%201",
        tcp_port=4001,
        watch_url="socket://192.0.2.7:4101",
        device="/dev/ttyUSB0",
        missing=None,
        holder="192.0.2.8:40001 (ana)",
    )
    found = FoundServer(
        name="esploader on lab",
        url="rfc2217://192.0.2.7:22217",
        version="0.1.0",
        has_tls=False,
        ports=(remote,) * 100,
        failure=None,
    )
    yield from (remote, found)
    with open_transport("sim://esp32c3") as transport:
        yield transport.capabilities


def longest() -> dict[type, str]:
    """Return the longest of what instances of each class, those of its children included, say."""
    found: dict[type, str] = {}
    for instance in instances():
        for cls in type(instance).__mro__:
            found[cls] = max(found.get(cls, ""), repr(instance), key=len)
    return found


CLASSES = [cls for cls in public_classes() if not issubclass(cls, enum.Enum)]


def test_every_public_object_is_short_in_a_log() -> None:
    objects = longest()
    for cls in CLASSES:
        said = repr(error_of(cls)) if issubclass(cls, EsploaderError) else objects[cls]
        assert 0 < len(said) <= MAX_SIZE, f"{cls}: {said}"
        assert "\n" not in said, f"{cls}: {said}"
