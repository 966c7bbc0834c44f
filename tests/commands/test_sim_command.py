"""The commands of ``sim``, each as a program of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest

import esploader
from esploader.cli import main
from esploader.commands.port_file import port_file
from esploader.protocol.slip import encode
from esploader.transport.serial_port import SerialPortTransport
from loaded_commands import esploader as loaded
from programs import PATIENCE, Completed, environment, read_line, run, running, served_chip
from programs import esploader as command
from recordings import VECTORS
from served import lent_chip, tcp_port

if TYPE_CHECKING:
    from pathlib import Path

READ_MAGIC = bytes.fromhex("c0000a04000000000000100040c0")


def devices_of(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Return what ``sim serve --json`` says that it serves."""
    text = ""
    while not text.endswith("\n}\n"):
        line = read_line(process)
        assert line, f"sim serve ended with exit code {process.wait()}"
        text += line
    return cast("list[dict[str, object]]", json.loads(text)["devices"])


def sim_run(*arguments: str) -> Completed:
    return run(*loaded("sim", "run", *arguments))


# Serving -------------------------------------------------------------------------------


def test_several_devices_each_with_all_front_ends(tmp_path: Path) -> None:
    ports = tmp_path / "ports.txt"
    options = ("--pty", "--tcp", "0", "--rfc2217", "0", "--port-file", str(ports), "--json")
    sources = ("sim://esp32?mac=02:00:00:00:00:01", "esp8266")
    with running(*loaded("sim", "serve", "-c", "esp32c3", *options, *sources)) as process:
        devices = devices_of(process)
        assert [device["chip"] for device in devices] == ["ESP32-C3", "ESP32", "ESP8266"]
        served = [line.split() for line in ports.read_text(encoding="utf-8").splitlines()]
        assert served == [
            [url, device["name"]]
            for device in devices
            for url in cast("dict[str, str]", device["urls"]).values()
        ]
        urls = [url for url, _ in served]
        assert [re.sub(r"[/:].*", "", url) for url in urls] == ["", "socket", "rfc2217"] * 3
        for url, device in zip(urls[2::3], devices, strict=True):
            with esploader.connect(url) as found:
                assert found.chip.name == device["chip"]
        with esploader.connect(urls[5]) as found:
            assert found.identity is not None
            assert found.identity.mac == "02:00:00:00:00:01"


def test_tcp_ports_follow_the_first_one(capsys: pytest.CaptureFixture[str]) -> None:
    said, taken = "", 0
    for _ in range(5):
        with lent_chip("esp32") as url:
            taken = tcp_port(url)
            assert main(["sim", "serve", "esp32", "esp32c3", "--tcp", str(taken - 1)]) == 2
        said = capsys.readouterr().err
        # Somebody may have the one before it, too.
        if f":{taken - 1}: " not in said:
            break
    assert f"cannot listen on 127.0.0.1:{taken}: " in said


def test_a_pseudo_terminal_has_the_rate_that_its_client_sets() -> None:
    def answer(timeout: float) -> bytes:
        port.write(READ_MAGIC)
        return port.read(port.clock.now() + timeout)

    with served_chip("esp32c3", "--pty") as urls, SerialPortTransport.open(urls["pty"]) as port:
        # The loader finds out the first rate by itself, which costs it a request, and keeps it.
        port.set_baudrate(57600)
        assert answer(0.3) == b""
        assert answer(PATIENCE).startswith(b"\xc0\x01\x0a\x04")
        port.set_baudrate(230400)
        assert answer(0.3) == b""


def test_what_was_written_is_in_the_file_when_the_server_is_killed(tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    options = ("--chip", "esp32c3", "--flash", str(flash), "--json")
    with running(*command("sim", "serve", *options)) as process:
        (device,) = devices_of(process)
        url = cast("dict[str, str]", device["urls"])["rfc2217"]
        with esploader.connect(url, stub=False) as found:
            found.flash.write([(0x1_0000, b"survivor")])
            process.kill()
            process.wait()
    assert flash.read_bytes()[0x1_0000:0x1_0009] == b"survivor\xff"

    with esploader.connect(f"sim://esp32c3?file={flash}", stub=False) as again:
        assert again.flash.read(0x1_0000, 8) == b"survivor"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 0),
        # With one device: test_cli.py.
        pytest.param(signal.SIGINT, -signal.SIGINT, marks=pytest.mark.slow),
    ],
    ids=["SIGTERM", "Ctrl-C"],
)
def test_several_devices_end_cleanly(number: signal.Signals, code: int, tmp_path: Path) -> None:
    trace, ports = tmp_path / "trace.txt", tmp_path / "ports.txt"
    files = ("--trace", str(trace), "--port-file", str(ports))
    options = ("--json", *files, "esp32", "esp32s2", "esp8266")
    with running(*command("sim", "serve", *options), stderr=subprocess.PIPE) as process:
        devices = devices_of(process)
        assert ports.exists()
        url = cast("dict[str, str]", devices[2]["urls"])["rfc2217"]
        with esploader.connect(url, stub=False):
            process.send_signal(number)
            _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert not ports.exists()
    assert "sim://esp8266 > READ_REG" in trace.read_text(encoding="utf-8")


def test_nobody_finds_the_ports_of_a_server_before(tmp_path: Path) -> None:
    ports = tmp_path / "ports.txt"
    ports.write_text("rfc2217://gone:1 old\n", encoding="utf-8")
    with port_file(str(ports)) as write:
        assert not ports.exists()
        write([("socket://here:2", "new")])
        assert ports.read_text(encoding="utf-8") == "socket://here:2 new\n"
    assert not ports.exists()


def test_a_full_disk_ends_the_trace_alone() -> None:
    done = sim_run("--trace", "/dev/full", "--", *loaded("--no-stub", "chip-id"))
    assert done.exit_code == 0
    assert "/dev/full ends early: No space left on device" in done.stderr


def test_each_line_of_the_trace_is_there_at_once(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    with served_chip("esp32c3", "--trace", str(trace)) as urls:
        device = esploader.connect(urls["rfc2217"], stub=False)
        with device:
            text = trace.read_text(encoding="utf-8")
    assert re.search(
        r"^ +\d+\.\d{6} sim://esp32c3 > READ_REG address=0x40001000$", text, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["esp33"], "esp33"),
        (["sim://esp33"], "no chip is called"),
        (["/dev/ttyUSB0"], "/dev/ttyUSB0"),
        (["esp32", "esp32c3", "--flash", "f.bin"], "--flash: whose?"),
        (["--flash", "no/such/folder/f.bin"], "there is no such directory"),
        (["--trace", "no/such/folder/t.txt"], "no/such/folder/t.txt: it cannot be written"),
        (["--port-file", "no/such/folder/p.txt"], "no/such/folder/p.txt: it cannot be written"),
        (["--tcp", "65535", "esp32", "esp32c3"], "there is no TCP port 65536"),
        (["--replay", "missing.json"], "missing.json: it cannot be read"),
        (["--replay", str(VECTORS / "rom-esp32.json"), "esp32"], "--replay: the recording says"),
        (["--replay", str(VECTORS / "rom-esp32.json"), "--trace", "t"], "--trace: a recording"),
        (["--replay", str(VECTORS / "rom-esp32.json"), "--flash", "f"], "--flash: a recording"),
        (
            ["--replay", str(VECTORS / "rom-esp32.json"), "--state", "stub"],
            "--state: the recording",
        ),
        (["--replay", str(VECTORS / "rom-esp32.json"), "--realtime"], "--realtime: a recording"),
        (["--replay", str(VECTORS / "rom-esp32.json"), "--boot-loop"], "--boot-loop: a recording"),
        (["--flash", ""], "--flash: the name of the file is missing"),
        (["--flash", "f.bin", "sim://esp32?file=g.bin"], "--flash: sim://esp32?file=g.bin names"),
        (["--state", "app", "sim://esp32?state=stub"], "--state: sim://esp32?state=stub says"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_makes_no_sense(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", "serve", *options]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="nobody is kept away there")
def test_two_devices_with_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = [f"sim://esp32?file={tmp_path}/f.bin", f"sim://esp32c3?file={tmp_path}/./f.bin"]
    assert main(["sim", "serve", *sources]) == 2
    assert "another simulated device has it" in capsys.readouterr().err


# Running -------------------------------------------------------------------------------


def test_a_program_finds_its_port_in_two_places(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import os, sys; print(os.environ['ESPTOOL_PORT'], *sys.argv[1:])"
    program = (sys.executable, "-c", code, "--port={port}", "{port1}", "{port2}", "{other}")
    words = ("--tcp", "0", "-c", "esp32", "-c", "esp32c3", "--", *program)
    assert main(["sim", "run", *words]) == 0
    first, option, again, second, other = capfd.readouterr().out.split()
    assert first.startswith("socket://127.0.0.1:")
    assert (option, again, other) == (f"--port={first}", first, "{other}")
    assert second.startswith("socket://127.0.0.1:")
    assert second != first


@pytest.mark.parametrize(
    "options",
    # As without options it is where the trace goes to a full disk.
    [pytest.param([], marks=pytest.mark.slow), ["--tcp", "0"], ["--pty"]],
    ids=" ".join,
)
def test_a_program_talks_to_the_device(options: list[str]) -> None:
    done = sim_run(*options, "--chip", "esp32s3", "--", *loaded("--no-stub", "flash-id"))
    assert done.exit_code == 0, done.stderr
    assert "Detected flash size: 4MB" in done.stdout


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -9 $$", 137)], ids=["7", "killed"]
)
def test_it_ends_with_the_exit_code_of_the_program(
    script: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", "run", "--", "sh", "-c", script]) == code
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("program", "code", "complaint"),
    [
        ("no-such-program", 127, "cannot run no-such-program: No such file or directory"),
        ("/", 126, "cannot run /: Permission denied"),
    ],
    ids=["missing", "no program"],
)
def test_it_says_what_is_wrong_with_a_program_that_cannot_be_run(
    program: str, code: int, complaint: str
) -> None:
    done = sim_run("--", program)
    assert done.exit_code == code
    assert complaint in done.stderr


def test_the_port_is_gone_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "run", "--tcp", "0", "--", "sh", "-c", "echo {port}"]) == 0
    with pytest.raises(esploader.errors.HostUnreachableError):
        esploader.connect(capfd.readouterr().out.strip(), before="no-reset")


@pytest.mark.parametrize(
    "name",
    [
        "SIGTERM",
        pytest.param("SIGINT", marks=pytest.mark.slow),
        pytest.param("SIGHUP", marks=pytest.mark.slow),
    ],
)
def test_signals_reach_the_program(name: str) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal(signal.{name}, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        command("sim", "run", "--", sys.executable, "-c", code),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(signal.Signals[name])
        assert process.wait(PATIENCE) == 5


def test_a_program_without_options_of_its_own_needs_no_hyphens() -> None:
    assert sim_run("echo", "{port}").stdout.startswith("rfc2217://127.0.0.1:")


# Recordings ----------------------------------------------------------------------------


def test_what_was_recorded_answers_like_the_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "recording.json")
    flash_id = ("--no-stub", "flash-id")
    assert main(["--port", "sim://esp32?flash=8MB", "--record", file, *flash_id]) == 0
    recorded = capsys.readouterr().out
    assert "Detected flash size: 8MB" in recorded

    replayed = sim_run("--replay", file, "--", *loaded(*flash_id))
    assert replayed.exit_code == 0, replayed.stderr
    ours, theirs = (text.partition("Chip type")[2] for text in (replayed.stdout, recorded))
    assert ours == theirs


def test_recordings_that_agree(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(map(str, VECTORS.glob("*.json")))
    assert main(["sim", "check", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines[1:]] == files
    assert all(re.search(r"(\d+) of \1 rows agree", line) for line in lines[1:])


def test_a_recording_of_nothing_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nothing.json"
    path.write_text('{"chip": "esp32", "loader": "rom", "rows": []}', encoding="utf-8")
    assert main(["sim", "check", str(path)]) == 0
    assert "0 of 0 rows agree" in capsys.readouterr().out


def test_rows_that_differ_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((VECTORS / "rom-esp32.json").read_text(encoding="utf-8"))
    document["rows"][0]["recv"] += "00"
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    assert main(["sim", "check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{path}: {len(document['rows']) - 1} of {len(document['rows'])} rows agree"
    assert lines[2].startswith("  row 0, ")
    assert len(lines) == 5

    assert main(["sim", "check", "--json", str(path)]) == 1
    (checked,) = json.loads(capsys.readouterr().out)
    assert checked["rows"] == len(document["rows"])
    (difference,) = checked["differences"]
    assert difference["recorded"] == f"{difference['simulated']}00"


def test_rows_that_cannot_be_read_are_named_and_the_others_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((VECTORS / "rom-esp32.json").read_text(encoding="utf-8"))
    rows = document["rows"]
    rows[2]["recv"] = rows[2]["recv"][:8] + "... (14 bytes)"
    rows[5]["send"] = "c0 what?"
    rows[6] = "no row"
    content = "bytes 0..255 repeated"
    rows[9]["needs"] = {"flash": {"offset": 0x40_0000, "size": 4096, "content": content}}
    path = tmp_path / "abbreviated.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    assert main(["sim", "check", str(path), str(VECTORS / "rom-esp32c3.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        f"{path}: {len(rows) - 4} of {len(rows)} rows agree",
        f"  row 2, {rows[2]['name']}",
        "    not checked: row 2: recv is abbreviated",
        f"  row 5, {rows[5]['name']}",
        "    not checked: row 5: send is not hexadecimal",
        "  row 6, without a name",
        "    not checked: row 6 is no object",
        f"  row 9, {rows[9]['name']}",
        "    not checked: its flash is larger than the simulated one",
        lines[-1],
    ]
    assert re.search(r"(\d+) of \1 rows agree", lines[-1])
    # To answer in place of a device it has to be whole.
    assert main(["sim", "serve", "--replay", str(path)]) == 2
    assert "row 2: recv is abbreviated" in capsys.readouterr().err


def test_a_flash_may_need_no_attaching(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    erase = encode(bytes((0, 2, 20, 0, 0, 0, 0, 0)) + bytes((0, 16, *(0,) * 7, 4, *(0,) * 10)))
    rows = [{"name": "erase", "send": erase.hex(), "recv": "c0010204000000000000000000c0"}]
    path = tmp_path / "attached.json"
    document = {"chip": "esp32c3", "loader": "rom", "rows": rows}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert main(["sim", "check", str(path)]) == 1
    assert "simulated: nothing" in capsys.readouterr().out
    assert main(["sim", "check", "--flash-attached", str(path)]) == 0
    path.write_text(json.dumps({**document, "flash_attached": True}), encoding="utf-8")
    assert main(["sim", "check", str(path)]) == 0


def test_a_file_that_is_no_recording(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--exit-codes", "detailed", "sim", "check", str(VECTORS / "README.md")]
    assert main(arguments) == 51
    assert "README.md: it is no JSON" in capsys.readouterr().err


def test_a_recording_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "missing" / "recording.json")
    assert main(["--port", "sim://esp32", "--record", file, "flash-id"]) == 2
    captured = capsys.readouterr()
    assert f"{file} cannot be written" in captured.err
    assert "Detecting" not in captured.out


def test_without_a_chip_nothing_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recording.json"
    arguments = ["--port", "sim://esp32", "--before", "no-reset", "--connect-attempts", "1"]
    assert main([*arguments, "--record", str(path), "flash-id"]) == 2
    assert "it is not known which chip" in capsys.readouterr().err
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_fails_is_recorded_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    arguments = ["--port", "sim://esp32", "--no-stub", "--record", str(path)]
    assert main([*arguments, "erase-flash"]) == 2
    assert main(["sim", "check", str(path)]) == 0


def test_the_version_loads_no_simulator() -> None:
    code = (
        "import sys; from esploader.cli import main; main(['version']);"
        "print([name for name in sys.modules if 'simulator' in name or name == 'sim_command'])"
    )
    assert run(sys.executable, "-c", code).stdout.splitlines()[-1] == "[]"


def test_each_recording_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [str(tmp_path / name) for name in ("one.json", "another.json")]
    whole = str(VECTORS / "rom-esp32c3.json")
    assert main(["sim", "check", missing[0], whole, missing[1]]) == 2
    printed = capsys.readouterr()
    assert "rows agree" in printed.out
    for name in missing:
        assert printed.err.count(name) == 1
