"""A ``jobs.toml`` is understood as written, or refused with its file and key named."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import made_builds
from esploader import After, FlashParameters, connect
from esploader.chips.esp32c3 import ESP32_C3
from esploader.errors import ConfigError, EsploaderError, PlanError
from esploader.fleet import Again, Artefact, DeviceInput, Found, Job, StopRules, UsbIdentity
from esploader.fleet.config import MAX_FIELDS, MAX_PORTS, BedConfig, FleetConfig, read_fleet
from esploader.fleet.templates import Template
from fleets import Place, mac_of

if TYPE_CHECKING:
    from pathlib import Path

USUAL = Job(port="", artefact=Artefact.read(), baudrate=230400, attempts=3)
PORTS = '\n[[port]]\ndevice = "sim://esp32c3"\n'
SERIAL_INPUT = '\n[[device-input]]\noffset = 0x9000\ntext = "{serial}"\n'
INPUT = '\n[[input]]\noffset = 0x10000\nfile = "app.bin"\n'

EVERYTHING = """
chip = "esp32c3"
baud = 921600
before = "no-reset"
after = "soft-reset"
connect-attempts = 2
open-attempts = 5
stub = "stubs"
flash-mode = "dio"
flash-size = "4MB"
erase-all = true
skip = false
compress = false
force = true
partition-table-offset = 0x9000
retries = 2
time-limit = 60
workers = 4
record = "done.jsonl"
serials = "serials.csv"

[fields]
order = "4711"

[stop]
failures = 10
in-a-row = 3
share = 0.5
share-after = 20

[bed]
again = "write"
verdict = ["lamp", "--port"]
verdict-time = 2.5

[[input]]
offset = 0x10000
file = "app.bin"

[[input]]
offset = 0x20000
file = "secret.bin"
encrypt = true

[[input]]
offset = "part:www"
file = "www.bin"

[[device-input]]
offset = 0x30000
text = "{serial}"

[[device-input]]
offset = "part:nvs"
file = "{chip}/{mac}.bin"
encrypt = true

[[port]]
device = "/dev/ttyUSB0"
label = "bench-1"
baud = 460800

[[port]]
device = "rfc2217://192.0.2.1:2217"

[[port]]
usb = { vid = 0x303a, location = "1-2.3" }
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    for name in ("app", "secret", "www"):
        (tmp_path / f"{name}.bin").write_bytes(name.encode())
    (tmp_path / "serials.csv").write_text(f"mac,serial\n{mac_of(1)},SN-1\n", encoding="utf-8")
    return tmp_path


def read(folder: Path, text: str, *, dry_run: bool = False) -> FleetConfig:
    path = folder / "jobs.toml"
    path.write_text(text, encoding="utf-8")
    return read_fleet(path, USUAL, dry_run=dry_run)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(f"{folder / 'jobs.toml'}: ")


def found(number: int = 1, label: str = "bench-1") -> Found:
    with Place(number).open() as transport:
        device = connect(transport)
        return Found(port="x", label=label, chip=device.chip, identity=device.identity)


def test_everything_that_a_file_can_say(folder: Path) -> None:
    config = read(folder, EVERYTHING)
    assert (config.retries, config.time_limit, config.workers) == (2, 60.0, 4)
    assert config.record == folder / "done.jsonl"
    assert config.fields == {"order": "4711"}
    assert config.stop == StopRules(failures=10, in_a_row=3, share=0.5, share_after=20)
    assert config.bed == BedConfig(again=Again.WRITE, verdict=("lamp", "--port"), verdict_time=2.5)
    first, second, third = config.jobs
    assert (first.port, first.name, first.baudrate) == ("/dev/ttyUSB0", "bench-1", 460800)
    assert (second.name, second.baudrate) == ("rfc2217://192.0.2.1:2217", 921600)
    assert (third.port, third.name) == (
        UsbIdentity(vid=0x303A, location="1-2.3"),
        "usb:vid=303a,location=1-2.3",
    )
    assert first.artefact is second.artefact is third.artefact
    assert [(part.offset, part.encrypted) for part in first.artefact.inputs] == [
        (0x1_0000, False),
        (0x2_0000, True),
    ]
    for job in config.jobs:
        assert (job.chip, job.before, job.after) == ("esp32c3", "no-reset", After.SOFT_RESET)
        assert (job.attempts, job.open_attempts, job.stub) == (2, 5, folder / "stubs")
        assert job.parameters == FlashParameters(mode="dio", size="4MB")
        assert (job.erase_all, job.skip, job.compress, job.force) == (True, False, False, True)
        assert job.table_offset == 0x9000


@pytest.mark.parametrize(
    ("word", "program"),
    [
        ("lamp", "lamp"),
        ("./lamp", "{folder}/lamp"),
        ("bin/lamp", "{folder}/bin/lamp"),
        ("/l", "/l"),
    ],
)
def test_a_program_is_found_where_the_file_is(word: str, program: str, folder: Path) -> None:
    config = read(folder, INPUT + PORTS + f'[bed]\nverdict = ["{word}", "./3"]\n')
    assert config.bed.verdict == (program.format(folder=folder), "./3")


def test_each_board_gets_what_is_named_after_it(folder: Path) -> None:
    job = read(folder, EVERYTHING).jobs[0]
    assert job.device_inputs is not None
    www, serial, nvs = (DeviceInput(*each) for each in job.device_inputs(found(1)))
    assert (www.where, www.encrypted) == ("www", False)
    assert (serial.where, serial.source, serial.encrypted) == (0x3_0000, b"SN-1", False)
    mac = mac_of(1).replace(":", "")
    assert (nvs.where, nvs.source, nvs.encrypted) == (
        "nvs",
        folder / f"esp32c3/{mac}.bin",
        True,
    )
    with pytest.raises(PlanError, match=f"there is no serial number for the MAC {mac_of(2)}"):
        list(job.device_inputs(found(2)))


def test_boards_that_have_no_serial_number_get_the_next_one(folder: Path) -> None:
    path = folder / "serials.csv"
    before = path.read_text(encoding="utf-8")
    text = 'serials = "serials.csv"\nfirst-serial = "SN-1"\n' + SERIAL_INPUT + PORTS
    for dry_run in (True, False):
        job = read(folder, text, dry_run=dry_run).jobs[0]
        assert job.device_inputs is not None
        for number in (1, 2, 2):
            (serial,) = (DeviceInput(*each) for each in job.device_inputs(found(number)))
            assert serial.source == f"SN-{number}".encode()
        after = before if dry_run else f"{before}{mac_of(2)},SN-2\n"
        assert path.read_text(encoding="utf-8") == after


def test_what_the_file_does_not_say_is_as_usual(folder: Path) -> None:
    config = read(folder, INPUT + PORTS)
    (job,) = config.jobs
    usual = attrs.evolve(USUAL, port="sim://esp32c3", artefact=job.artefact)
    assert job == usual
    assert config == FleetConfig(jobs=(job,))
    assert read(folder, "use-stub = false\n" + INPUT + PORTS).jobs[0].stub is False


def test_a_build_is_written_with_its_parameters_and_for_its_chip(folder: Path) -> None:
    made_builds.arduino(folder / "build", ESP32_C3)
    (job,) = read(folder, 'build = "build"\n' + PORTS).jobs
    assert job.chip == "esp32c3"
    assert job.artefact.size
    assert job.check is not None
    (forced,) = read(folder, 'build = "build"\nencrypt = true\nflash-mode = "dout"\n' + PORTS).jobs
    assert forced.check is None
    assert forced.parameters == FlashParameters(mode="dout")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("chips = 1" + INPUT + PORTS, "chips: there is no such key, perhaps chip is meant; known"),
        ('chip = "esp33"' + INPUT + PORTS, "chip: chip 'esp33': it is not known"),
        ("baud = 0" + INPUT + PORTS, "baud: 0 is not between 1 and 20000000"),
        ('before = "now"' + INPUT + PORTS, "before: 'now' is none of default-reset, usb-reset"),
        ('after = "now"' + INPUT + PORTS, "after: 'now' is none of hard-reset"),
        ("skip = 1" + INPUT + PORTS, "skip: 1 is neither true nor false"),
        ("compress = 1" + INPUT + PORTS, "compress: 1 is neither true nor false"),
        ("time-limit = 0" + INPUT + PORTS, "time-limit: 0 is not between 0 and 86400"),
        ("workers = 0" + INPUT + PORTS, "workers: 0 is not between 1 and 1024"),
        ("encrypt = true" + INPUT + PORTS, "encrypt: it is for a build"),
        (INPUT, "there is no [[port]]"),
        (PORTS, "there is nothing to write: no build and no [[input]]"),
        ('port = "x"' + INPUT, "port: ports are written [[port]]"),
        (INPUT + PORTS + PORTS, "sim://esp32c3: its port is that of sim://esp32c3, too"),
        (INPUT + "[[port]]", "port 1: it needs device or usb"),
        (INPUT + PORTS + "usb = {vid = 1}", "port 1: it takes device or usb, not both"),
        (INPUT + "[[port]]\nusb = {vid = 65536}", "port 1: usb: vid: 65536 is not between 0 and"),
        (INPUT + "[[port]]\nusb = {}", "port 1: usb: it needs vid, pid, serial or location"),
        (INPUT + "[[port]]\nusb = 1", "port 1: usb: 1 is not a table"),
        (INPUT + '[[port]]\ndevice = "sim://esp33"', "port 1: device: cannot use"),
        (INPUT + PORTS + 'label = "a\\u001b"', "port 1: label: 'a\\x1b' cannot be printed"),
        (INPUT + '[[port]]\ndevice = "a\\u001b"', "port 1: device: 'a\\x1b' cannot be printed"),
        (INPUT + PORTS + "speed = 1", "port 1: speed: there is no such key"),
        ('[[input]]\nfile = "app.bin"' + PORTS, "input 1: offset: it is missing"),
        ("[[input]]\noffset = 0" + PORTS, "input 1: file: it is missing"),
        ('[[input]]\noffset = -1\nfile = "a"' + PORTS, "input 1: offset: -1 is not between 0"),
        ('[[input]]\noffset = "nvs"\nfile = "a"' + PORTS, "input 1: offset: 'nvs' is neither"),
        ('[[input]]\noffset = "part:"\nfile = "a"' + PORTS, "input 1: offset: 'part:' is neither"),
        ('[[input]]\noffset = true\nfile = "a"' + PORTS, "input 1: offset: True is not a whole"),
        ('[[input]]\noffset = 0\nfile = "no"' + PORTS, "input 1: file: an input cannot be read"),
        ("[[device-input]]\noffset = 0" + PORTS, "device-input 1: it takes file or text"),
        (
            '[[device-input]]\noffset = 0\nfile = "{name}"' + PORTS,
            "device-input 1: file: {name} is none of {mac}, {chip}, {label}, {serial}",
        ),
        (
            '[[device-input]]\noffset = 0\ntext = "{serial}"' + PORTS,
            "serials: {serial} is used, and it is missing",
        ),
        ('first-serial = "1"' + INPUT + PORTS, "serials: first-serial needs a file to keep them"),
        ('first-serial = "SN"' + INPUT + PORTS, "first-serial: 'SN' does not end with a digit"),
        ('first-serial = "a/1"' + INPUT + PORTS, "first-serial: 'a/1' cannot be in the name of"),
        ("[stop]\nshare = 2" + INPUT + PORTS, "stop: share: 2 is not between 0 and 1"),
        ("[fields]\norder = 1" + INPUT + PORTS, "fields: order: 1 is not a text"),
        ('[bed]\nagain = "no"' + INPUT + PORTS, "bed: again: 'no' is none of skip, write"),
        ("[bed]\nverdict = []" + INPUT + PORTS, "bed: verdict: it is not a list of texts"),
        ("a = ", "it is no TOML: "),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(text: str, complaint: str, folder: Path) -> None:
    assert refusal(folder, text).startswith(complaint)


def test_what_is_there_too_often_is_refused(folder: Path) -> None:
    ports = [f'[[port]]\ndevice = "/dev/ttyUSB{number}"\n' for number in range(MAX_PORTS + 1)]
    assert refusal(folder, INPUT + "".join(ports)) == "there are more than 1024 ports"
    fields = [f'field-{number} = "x"\n' for number in range(MAX_FIELDS + 1)]
    text = INPUT + ports[0] + "[fields]\n"
    assert len(read(folder, text + "".join(fields[1:])).fields) == MAX_FIELDS
    assert refusal(folder, text + "".join(fields)) == "fields: there are more than 64"


def test_of_a_build_for_several_chips_one_is_to_be_named(folder: Path) -> None:
    made_builds.web_tools(folder / "build", ESP32_C3)
    text = 'build = "build"\n' + PORTS
    assert refusal(folder, text) == "build: it does not say for which chip it is: name it by chip"
    (job,) = read(folder, 'chip = "esp32c3"\n' + text).jobs
    assert job.chip == "esp32c3"


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be read: No such file or directory"):
        read_fleet(tmp_path / "missing", USUAL)


def test_a_label_that_leads_elsewhere_is_in_no_name() -> None:
    template = Template.parse("{label}.bin", "here")
    assert template.filled(found(1, "bench-1"), None) == "bench-1.bin"
    with pytest.raises(PlanError, match=r"'\.\./up' cannot be in the name of a file"):
        template.filled(found(1, "../up"), None)


def test_without_a_list_there_is_no_serial_number_to_be_named_after() -> None:
    template = Template.parse("{serial}.bin", "here")
    assert template.filled(found(), lambda mac: mac[-2:]) == f"{mac_of(1)[-2:]}.bin"
    with pytest.raises(PlanError, match="there is no list of serial numbers"):
        template.filled(found(), None)


def test_a_device_that_tells_no_mac_gets_nothing_that_is_named_after_it() -> None:
    secretive = attrs.evolve(found(), identity=None)
    with pytest.raises(PlanError, match="in Secure Download Mode a device does not tell its MAC"):
        Template.parse("{mac}", "here").filled(secretive, None)


NAMES = st.sampled_from(
    [
        *("chip", "baud", "before", "after", "stub", "use-stub", "build", "encrypt", "force"),
        *(
            "retries",
            "time-limit",
            "workers",
            "record",
            "serials",
            "first-serial",
            "fields",
            "stop",
            "bed",
        ),
        *("compress", "usb", "vid", "serial", "location"),
        *("input", "device-input", "port", "device", "label", "offset", "file", "text", "share"),
    ]
)
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.sampled_from(["", "app.bin", "sim://esp32c3", "part:nvs", "{mac}", "{", "..", "\0"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def toml_of(value: object) -> str:
    """Return a value as TOML has it, in a line."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return repr(value)
        case str():
            return '"' + "".join(f"\\U{ord(each):08x}" for each in value) + '"'
        case list():
            return f"[{', '.join(map(toml_of, value))}]"
        case dict():
            return f"{{{', '.join(f'{key} = {toml_of(each)}' for key, each in value.items())}}}"
        case _:
            raise TypeError(value)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_document_is_understood_or_refused(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "app.bin").write_bytes(b"app")
    path = folder / "any.toml"
    lines = "".join(f"{key} = {toml_of(value)}\n" for key, value in document.items())
    path.write_text(lines, encoding="ascii")
    with contextlib.suppress(EsploaderError):
        assert read_fleet(path, USUAL).jobs
