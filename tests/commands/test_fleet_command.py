"""The command for many boards: what people, logs and programs see of it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import jsonschema
import pytest
from typing_extensions import override

from esploader import connect
from esploader.cli import DONE, FAILED, main
from esploader.commands.fleet_display import FleetLines, FleetTable
from esploader.commands.output import Output
from esploader.commands.parser import parse
from esploader.commands.progress_display import console_on
from esploader.errors import PlanError
from esploader.flash.progress import Phase, Progress
from esploader.fleet import (
    Began,
    BoardResult,
    Ended,
    Failed,
    Identified,
    Progressed,
    SeenAgain,
    Status,
    Waiting,
    Warned,
    flash_many,
    read_record,
)
from fleets import DATA, OFFSET, Place, mac_of
from full_disk import files_of_at_most
from json_schemas import schemas
from programs import PATIENCE, environment, esploader, run, served_chip
from screen import lines_on_screen

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.fleet import FleetEvent

BEFORE = Place(0).before


def write_jobs(folder: Path, *boards: str, top: str = "", rest: str = "") -> Path:
    """Write a file of jobs for boards whose flash is in files, with one input."""
    (folder / "app.bin").write_bytes(DATA)
    ports = ""
    for number, url in enumerate(boards, 1):
        ports += f'[[port]]\nlabel = "bench-{number}"\ndevice = "{url}"\n'
    path = folder / "jobs.toml"
    path.write_text(
        f'use-stub = false\nskip = false\n{top}\n[[input]]\noffset = {OFFSET}\nfile = "app.bin"\n'
        f"{rest}\n{ports}",
        encoding="utf-8",
    )
    return path


def board(folder: Path, number: int) -> str:
    """Return the URL of a board whose flash, with something everywhere, is in a file."""
    flash = folder / f"flash-{number}.bin"
    flash.write_bytes(BEFORE)
    return f"sim://esp32c3?flash=1MB&file={flash}&mac={mac_of(number)}"


def assert_written(folder: Path, number: int) -> None:
    end = OFFSET + len(DATA)
    assert (folder / f"flash-{number}.bin").read_bytes() == BEFORE[:OFFSET] + DATA + BEFORE[end:]


def assert_as_before(folder: Path, number: int) -> None:
    assert (folder / f"flash-{number}.bin").read_bytes() == BEFORE


def test_all_boards_are_written_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1), board(tmp_path, 2))
    assert main(["fleet", str(path)]) == DONE
    out = capsys.readouterr().out
    for number in (1, 2):
        assert_written(tmp_path, number)
        assert re.search(
            rf"^\[bench-{number}\] ESP32-C3 {mac_of(number)}: done, 32768 bytes written in "
            r".* seconds \(.* kbit/s\), verified$",
            out,
            re.MULTILINE,
        )
        assert f"[bench-{number}] writing 0x00010000 100 %" in out
    assert out.endswith("2 of 2 boards done.\n")


def test_one_that_fails_is_said_and_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1), "sim://esp32", top='chip = "esp32c3"')
    assert main(["fleet", "--quiet", str(path)]) == FAILED
    out = capsys.readouterr().out
    assert "[bench-2] failed: this chip is ESP32, not ESP32-C3\n" in out
    assert out.endswith("1 of 2 boards done.\n")
    assert "writing" not in out
    assert_written(tmp_path, 1)


@pytest.mark.parametrize(
    ("boards", "code"),
    [
        (["sim://esp32", "sim://esp32s3"], 31),
        (["sim://esp32", "socket://127.0.0.1:9"], FAILED),
        (["sim://esp32c3"], DONE),
    ],
    ids=["the same", "different", "none"],
)
def test_a_detailed_exit_code_is_that_of_all_boards_that_failed(
    boards: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1), *boards, top='chip = "esp32c3"')
    assert main(["fleet", "--exit-codes", "detailed", str(path)]) == code
    err = capsys.readouterr().err
    hint = "HINT: Leave out --chip, or connect the other device.\n"
    assert err.count(hint) == ("sim://esp32" in boards)
    assert_written(tmp_path, 1)


def test_programs_get_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1), "sim://esp32", top='chip = "esp32c3"')
    words = ["fleet", "--json", "--field", "order=4711", str(path)]
    for extra in ([], ["--dry-run"]):
        assert main([*words, *extra]) == FAILED
        document = json.loads(capsys.readouterr().out)
        jsonschema.validate(document, schemas()["fleet"])
        good, bad = document["boards"]
        assert (good["result"], bad["result"]) == ("done", "failed")
        assert bad["error_class"] == "WrongChipError"
        assert good["fields"] == {"order": "4711"}
        assert ("plan" in good) is bool(extra)
    assert_written(tmp_path, 1)


def test_a_dry_run_writes_and_records_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1), top='record = "done.jsonl"')
    assert main(["fleet", "--dry-run", str(path)]) == DONE
    out = capsys.readouterr().out
    assert "[bench-1] Would write:\n0x00010000 to 0x00018000: 32768 bytes\n" in out
    assert out.endswith("1 of 1 boards planned.\n")
    assert_as_before(tmp_path, 1)
    assert not (tmp_path / "done.jsonl").exists()


def test_the_record_is_where_the_file_or_the_option_says(tmp_path: Path) -> None:
    path = write_jobs(
        tmp_path,
        board(tmp_path, 1),
        top='record = "done.jsonl"',
        rest='[fields]\norder = "1"\nline = "2"\n',
    )
    other = tmp_path / "other.jsonl"
    assert main(["fleet", str(path)]) == DONE
    assert main(["fleet", "--record", str(other), "--field", "line=3", str(path)]) == DONE
    for record, fields in (
        (tmp_path / "done.jsonl", {"order": "1", "line": "2"}),
        (other, {"order": "1", "line": "3"}),
    ):
        (entry,) = read_record(record)
        assert (entry.mac, entry.fields) == (mac_of(1), fields)
    assert_written(tmp_path, 1)


def test_boards_without_a_record_are_not_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards = (board(tmp_path, 1), "sim://esp32")
    top = 'chip = "esp32c3"\nrecord = "done.jsonl"\nworkers = 1'
    path = write_jobs(tmp_path, *boards, top=top)
    # The flash of the boards is in files, too, which are larger.
    (tmp_path / "done.jsonl").write_bytes(b"\n" * 0x10_0000)
    with files_of_at_most(0x10_0000):
        assert main(["fleet", "--quiet", str(path)]) == FAILED
    out, err = capsys.readouterr()
    assert f"written, and not recorded: {tmp_path / 'done.jsonl'}: " in out
    assert out.endswith("0 of 2 boards done.\n")
    assert "WARNING: no more boards were begun: what is done cannot be recorded: " in err
    assert_written(tmp_path, 1)


def test_warnings_name_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1))
    (tmp_path / "app.bin").write_bytes(b"short")
    assert main(["fleet", str(path)]) == DONE
    err = capsys.readouterr().err
    assert err.count("is lost with its sector") == 1
    assert err.startswith("WARNING: [bench-1] what is at 0x10005")
    after = (tmp_path / "flash-1.bin").read_bytes()
    assert after[: OFFSET + 5] == BEFORE[:OFFSET] + b"short"
    assert after[OFFSET + 0x1000 :] == BEFORE[OFFSET + 0x1000 :]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing.toml"], "missing.toml: it cannot be read: No such file or directory"),
        (["--limit", "2", "jobs.toml"], "--limit: it is for --bed"),
        (["--bed", "--limit", "0", "jobs.toml"], "limit: 0 is less than 1"),
        (["--field", "order", "jobs.toml"], "'order' is not NAME=TEXT"),
        (["--bed", "--dry-run", "jobs.toml"], "not allowed with argument --bed"),
        ([], "the following arguments are required: JOBS"),
        (["--record", "no/where.jsonl", "jobs.toml"], "no/where.jsonl: No such file or directory"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_jobs(tmp_path, board(tmp_path, 1))
    assert main(["fleet", *words]) == FAILED
    assert complaint in capsys.readouterr().err
    assert_as_before(tmp_path, 1)


def test_a_port_on_the_command_line_is_not_heeded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1))
    monkeypatch.setenv("ESPTOOL_PORT", "sim://esp32")
    monkeypatch.setenv("ESPTOOL_CHIP", "esp32c3")
    assert main(["fleet", str(path)]) == DONE
    assert "NOTE: --port is not heeded: the file names the ports" in capsys.readouterr().err
    assert_written(tmp_path, 1)


LAMP = """
import json, os, sys
entry = json.load(sys.stdin)
names = ("VERDICT", "RESULT", "LABEL", "CHIP", "MAC")
with open(sys.argv[1], "a") as file:
    print(*(os.environ[f"ESPLOADER_{name}"] for name in names), entry["result"], file=file)
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{python}", "lamp.py", "{lamp}", "0"], None),
        (["{python}", "lamp.py", "{lamp}", "3"], "failed with exit code 3"),
        (["{python}", "-c", "import time; time.sleep(60)"], "takes longer than 0.2 s"),
        (["missing/{name}"], "cannot be run"),
    ],
    ids=["good", "failing", "slow", "missing"],
)
def test_a_bed_has_its_verdict_told(
    words: list[str],
    reason: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lamp.py").write_text(LAMP, encoding="utf-8")
    lamp = tmp_path / "lamp"
    name = os.path.basename(sys.executable)  # noqa: PTH119 - it is a text
    values = {"python": sys.executable, "lamp": str(lamp), "name": name}
    verdict = json.dumps([word.format(**values) for word in words])
    seconds = "0.2" if "time.sleep" in verdict else "60"
    bed = f"[bed]\nverdict = {verdict}\nverdict-time = {seconds}\n"
    path = write_jobs(tmp_path, board(tmp_path, 1), rest=bed)
    assert main(["fleet", "--bed", "--limit", "1", str(path)]) == DONE
    out, err = capsys.readouterr()
    assert "[bench-1] waiting for a device\n" in out
    assert out.endswith("1 of 1 boards done.\n")
    assert_written(tmp_path, 1)
    if reason is None:
        assert "verdict" not in err
    else:
        assert re.search(rf"^WARNING: \[bench-1\] the verdict was not heard: \S+ {reason}", err)
    if "lamp.py" in words:
        assert lamp.read_text() == f"good done bench-1 ESP32-C3 {mac_of(1)} done\n"


def ended_by(number: int, moment: str, *command: str) -> tuple[str, str]:
    """Send a program a signal as it prints ``moment``; return what it printed from then on."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        giving_up = threading.Timer(PATIENCE, process.kill)
        giving_up.start()
        assert process.stdout is not None
        while moment not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate()
        giving_up.cancel()
    assert process.returncode == -number, err
    return out, err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_a_bed_with_all_ports_released(number: int, tmp_path: Path) -> None:
    path = write_jobs(tmp_path, "socket://127.0.0.1:9", "socket://127.0.0.1:10")
    command = esploader("fleet", "--bed", str(path))
    _, err = ended_by(number, "waiting for a device", *command)
    assert "Interrupted" in err
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_ctrl_c_in_mid_write_leaves_the_devices_to_be_found_again(tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    flash.write_bytes(BEFORE)
    record = tmp_path / "done.jsonl"
    chip = f"sim://esp32c3?flash=1MB&file={flash}"
    with served_chip(chip, "--realtime", "--rfc2217", "0") as urls:
        path = write_jobs(tmp_path, urls["rfc2217"], top=f'record = "{record.name}"')
        command = esploader("fleet", str(path))
        out, err = ended_by(signal.SIGINT, "writing", *command)
        assert "[bench-1] ESP32-C3 24:0a:c4:00:00:01: cancelled\n" in out
        assert err.endswith("Interrupted.\n")
        (entry,) = read_record(record)
        assert (entry.status, entry.regions) == (Status.CANCELLED, ())
        now = flash.read_bytes()
        end = OFFSET + len(DATA)
        assert (now[:OFFSET], now[end:]) == (BEFORE[:OFFSET], BEFORE[end:])
        with connect(urls["rfc2217"], stub=False, baudrate=921600) as device:
            device.flash.write([(OFFSET, DATA)])
    assert flash.read_bytes() == BEFORE[:OFFSET] + DATA + BEFORE[end:]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


def drawn(events: list[FleetEvent], columns: int, labels: int) -> list[str]:
    """Return what a table looks like on a terminal."""
    terminal = Terminal()
    console = console_on(terminal)
    assert console is not None
    moments = iter(range(1000))
    names = [f"bench-{number}" for number in range(labels)]
    table = FleetTable(console, names, Nobody(), lambda: float(next(moments)))
    for event in events:
        table.show(event)
    table.end()
    return lines_on_screen(terminal.getvalue().replace("\n", "\r\n"), columns=columns)


class Nobody:
    """Shows nothing."""

    def show(self, event: FleetEvent, /) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


def events_of(count: int) -> list[FleetEvent]:
    """Return what happens to boards of which the first is written and the second has failed."""
    found = [identified(number) for number in range(count)]
    step = Progress(phase=Phase.WRITE, offset=OFFSET, done=0, total=100_000, wire_bytes=0)
    half = Progress(phase=Phase.WRITE, offset=OFFSET, done=50_000, total=100_000, wire_bytes=9)
    failed = BoardResult(
        label="bench-1",
        port="x",
        status=Status.FAILED,
        error=PlanError("it is [red]wrong[/red], in a sentence that is much too long for it all"),
    )
    return [
        *(Began(label=event.label, attempt=1) for event in found),
        *found,
        Progressed(label="bench-0", progress=step),
        Ended(label="bench-1", result=failed),
        Progressed(label="bench-0", progress=half),
    ]


def identified(number: int) -> Identified:
    place = Place(number)
    events: list[FleetEvent] = []

    flash_many([place.job()], dry_run=True, on_event=events.append)
    (found,) = [event for event in events if isinstance(event, Identified)]
    return found


@pytest.mark.parametrize("columns", [20, 30, 60, 80, 100, 200])
def test_the_table_fits_into_any_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "30")
    lines = [line for line in drawn(events_of(3), columns, 3) if line]
    assert len(lines) == 4
    assert all(len(line) <= max(columns - 8, 20) for line in lines)
    assert [line[:3] for line in lines[:3]] == ["ben"] * 3
    if columns >= 80:
        assert f"bench-0  ESP32-C3 {mac_of(0)}  writing" in lines[0]
        assert " 50% " in lines[0]
        assert " kB/s" in lines[0]
        assert "failed" in lines[1]
        assert "it is [red]wrong" in lines[1] or columns == 80
        assert lines[3] == "0 done, 1 not done, 2 to go"
    if columns >= 120:
        assert "######......" in lines[0]


def test_of_more_boards_than_lines_the_busy_ones_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "7")
    events: list[FleetEvent] = [Began(label=f"bench-{n}", attempt=1) for n in (3, 17)]
    lines = [line for line in drawn(events, 100, 20) if line]
    assert len(lines) == 4
    assert [line.split()[0] for line in lines if "connecting" in line] == ["bench-3", "bench-17"]
    assert lines[-1] == "0 done, 0 not done, 20 to go"


def test_a_row_follows_what_becomes_of_its_board_and_of_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "30")
    name = "bench-0"
    board = identified(0)
    done = BoardResult(label=name, port="x", status=Status.DONE, found=board.found)
    step = Progress(phase=Phase.WRITE, offset=OFFSET, done=50, total=100, wire_bytes=0)
    who = f"{name} ESP32-C3 {mac_of(0)}"
    events: list[FleetEvent] = []
    steps: list[tuple[FleetEvent, str, int]] = [
        # What comes, what is in the row then, and how many boards are done.
        (Began(label=name, attempt=1), f"{name} connecting", 0),
        (board, f"{who} connecting", 0),
        (Progressed(label=name, progress=step), f"{who} writing 50%", 0),
        (Failed(label=name, attempt=1, error=PlanError("no answer")), f"{who} waiting", 0),
        (Warned(label=name, text="slow"), f"{who} waiting", 0),
        (Ended(label=name, result=done), f"{who} done", 1),
        (Waiting(label=name, for_removal=True), f"{who} done", 1),
        (Waiting(label=name, for_removal=False), f"{name} waiting", 0),
        (Waiting(label=name, for_removal=False, trouble=PlanError("busy")), f"{name} busy", 0),
        (SeenAgain(label=name, result=done), f"{name} busy", 1),
    ]
    for event, row, count in steps:
        events.append(event)
        first, last = [line for line in drawn(events, 90, 1) if line]
        assert (" ".join(first.split()), last) == (
            row,
            f"{count} done, 0 not done, {1 - count} to go",
        )


def test_what_happens_to_boards_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    _, arguments = parse(["read-mac"], {})
    lines = FleetLines(Output(arguments), with_progress=True)
    found = identified(0).found
    done = BoardResult(label="bench-0", port="x", status=Status.DONE, found=found)
    idle = BoardResult(label="bench-1", port="y", status=Status.NOT_BEGUN)
    events: list[FleetEvent] = [
        Waiting(label="bench-0", for_removal=False),
        Waiting(label="bench-0", for_removal=False, trouble=PlanError("it is busy")),
        Failed(label="bench-0", attempt=2, error=PlanError("no answer")),
        SeenAgain(label="bench-0", result=done),
        Waiting(label="bench-0", for_removal=True),
        Ended(label="bench-1", result=idle),
    ]
    for event in events:
        lines.show(event)
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "[bench-0] waiting for a device",
        f"[bench-0] {mac_of(0)} was done a short while ago, and is left alone",
        "[bench-0] take it out",
        f"[bench-1] {Status.NOT_BEGUN.value}",
    ]
    assert said.err.splitlines() == [
        "WARNING: [bench-0] it is busy",
        "WARNING: [bench-0] attempt 2 failed: no answer",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal_there_is_a_table_and_the_results_below_it(tmp_path: Path) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1), board(tmp_path, 2))
    master, slave = os.openpty()
    done = subprocess.Popen(
        esploader("fleet", str(path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**environment(), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        text=True,
    )
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:
        # The other end is closed.
        pass
    finally:
        os.close(master)
    out, _ = done.communicate(timeout=PATIENCE)
    assert done.returncode == DONE
    table = [line for line in lines_on_screen(shown.decode(), columns=100) if line]
    assert [line.split()[:4] for line in table[:2]] == [
        [f"bench-{number}", "ESP32-C3", mac_of(number), "done"] for number in (1, 2)
    ]
    assert table[2] == "2 done, 0 not done, 0 to go"
    assert out.count(": done, ") == 2
    assert "writing" not in out
    for number in (1, 2):
        assert_written(tmp_path, number)


def test_without_rich_there_are_lines(tmp_path: Path) -> None:
    path = write_jobs(tmp_path, board(tmp_path, 1))
    hidden = (
        "import sys; sys.modules['rich'] = None; "
        "from esploader.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = run(sys.executable, "-c", hidden, "fleet", str(path))
    assert (done.exit_code, done.stderr) == (DONE, "")
    assert "[bench-1] writing 0x00010000 100 %" in done.stdout
    assert_written(tmp_path, 1)
