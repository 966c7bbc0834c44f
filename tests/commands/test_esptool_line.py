"""Command lines for esptool are understood: order, spellings, options, values."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from esploader.cli import main
from esploader.commands.parser import command_parser, common_parser, parse
from esploader.commands.table import commands
from esploader.transport.ports import PortInfo, matching_ports
from made_up_ports import MadeUpPorts
from programs import served_chip
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.commands.command import Command

FLASH_SIZE = 4 << 20
SECTOR = 0x1000


@pytest.fixture(name="board")
def _board(tmp_path: Path) -> tuple[list[str], Path, Path]:
    """The options that reach a chip, its flash, and a file of one sector."""
    flash, image = tmp_path / "flash.bin", tmp_path / "image.bin"
    flash.write_bytes(old_content(FLASH_SIZE))
    image.write_bytes(bytes(range(256)) * 16)
    return ["--port", f"sim://esp32c3?file={flash}", "--no-stub"], flash, image


@pytest.mark.parametrize(
    "line",
    [
        "write_flash -z --flash_mode dio 0x0 a.bin --flash_freq 40m 0x8000 b.bin --flash_size 2MB",
        "write-flash 0x0 -fm dio a.bin -ff=40m -fs 2MB 0x8000 -z b.bin",
        "write-flash 0x0 a.bin 0x8000 b.bin -fs=2MB -z -fm dio -ff 40m",
        "-b 9600 write-flash -zb 115200 0x0 a.bin -fm dio 0x8000 b.bin -ff 40m -fs 2MB",
        "write-flash -fm dio -ff 40m -fs 2MB -z -- 0x0 a.bin 0x8000 b.bin",
    ],
)
def test_options_stand_anywhere_between_pairs(line: str) -> None:
    arguments = parse(shlex.split(line), {})[1]
    assert arguments.inputs == [(0, "a.bin"), (0x8000, "b.bin")]
    flash = (arguments.flash_mode, arguments.flash_freq, arguments.flash_size)
    assert (*flash, arguments.compress, arguments.baud) == ("dio", "40m", "2MB", True, 115200)


def test_what_takes_any_number_takes_no_more_than_to_the_next_option() -> None:
    line = "write-flash --encrypt-files 0x1000 c.bin 0x2000 d.bin -z 0x0 a.bin"
    arguments = parse(shlex.split(line), {})[1]
    assert arguments.encrypt_files == [(0x1000, "c.bin"), (0x2000, "d.bin")]
    assert arguments.inputs == [(0, "a.bin")]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4K", 4096),
        ("4k", 4096),
        ("4KB", 4096),
        ("0x10k", 0x4000),
        ("4M", 4 << 20),
        ("4MB", 4 << 20),
    ],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse(["read-flash", "0", text, "out.bin"], {})[1].size == size


@pytest.mark.parametrize("text", ["k", "4KK", "4GB", "4MiB", "5000MB", "-1k", "4 B"])
def test_what_is_no_size_is_blamed(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read-flash", "--", "0", text, "out.bin"]) == 2
    assert "error: argument SIZE: " in capsys.readouterr().err


@pytest.mark.parametrize("spelling", ["--diff-with", "--trust-flash-content", "--verify"])
def test_what_makes_no_difference_is_said_to_those_who_ask(
    spelling: str, board: tuple[list[str], Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    common, flash, image = board
    before = flash.read_bytes()
    option = [spelling, "skip"] if spelling == "--diff-with" else [spelling]
    words = ["write-flash", "0x1000", str(image), *option]
    assert main([*common, *words]) == 0
    assert not capsys.readouterr().err
    assert_untouched(before, flash.read_bytes(), [(0x1000, 0x2000)])
    assert flash.read_bytes()[0x1000:0x2000] == image.read_bytes()
    assert main([*common, "-v", *words]) == 0
    assert f"NOTE: {spelling} has no effect: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "write_flash --no-diff-verify 0 a.bin",
        "write_flash --no_diff_verify 0 a.bin",
        "write_flash --ignore_flash_encryption_efuse_setting 0 a.bin",
        "write_flash --spi_connection HSPI 0 a.bin",
        "--connect_attempts 3 --no_stub read_mac",
        "read_mac --connect_attempts=3",
        "write_flash_status --non_volatile 0",
        "read_flash_sfdp --flash_size keep 0 4",
        "-a no_reset_stub chip_id",
        "verify_flash --diff 0 a.bin",
        "verify_flash --diff yes 0 a.bin",
        "verify_flash -d no 0 a.bin",
    ],
)
def test_older_spellings_are_understood(line: str) -> None:
    found, arguments = parse(shlex.split(line), {})
    assert arguments.command == found.name
    if found.name == "verify-flash":
        assert arguments.diff == (" no " not in line)


@pytest.mark.parametrize(
    "line",
    [
        "write-flash --diff-with a.bin --skip-flashed 0 a.bin",
        "write-flash -fm spi 0 a.bin",
        "write-flash -ff 40 0 a.bin",
        "write-flash -fs 4 0 a.bin",
        "read-flash -fs large 0 all out.bin",
        "--silent --verbose read-mac",
        "-s -t read-mac",
        "--port-filter usb read-mac",
        "--port-filter vid=0x12345 read-mac",
        "--port-filter serial= read-mac",
    ],
)
def test_nonsense_is_refused_before_there_is_a_port(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "sim://esp32c3", *shlex.split(line)]) == 2
    captured = capsys.readouterr()
    assert "error: " in captured.err
    assert not captured.out


def _lost(found: Command) -> set[str]:
    """Return which options of all commands mean something else to this one."""
    return {
        name
        for action in common_parser()._actions  # noqa: SLF001 - argparse tells it nowhere else
        for name in action.option_strings
        if name not in {"-h", "--help", "--version"}
        and command_parser(found, found.name)._option_string_actions[name].dest != action.dest  # noqa: SLF001
    }


@pytest.mark.parametrize("found", commands(), ids=lambda found: found.name)
def test_common_options_mean_the_same_everywhere_but_where_esptool_has_it_otherwise(
    found: Command,
) -> None:
    if found.has_common_options:
        expected = {"write-flash": {"-p", "-s"}, "read-flash": {"-p"}, "merge-bin": {"-t"}}
        assert _lost(found) == expected.get(found.name, set())


def test_behind_write_flash_p_is_never_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["write-flash", "-p", "0", "a.bin"], {})[1].no_progress
    arguments = parse(["-p", "PORT", "write-flash", "0", "-p", "a.bin"], {})[1]
    assert (arguments.port, arguments.no_progress) == ("PORT", True)
    for line in ("write-flash -p /dev/ttyUSB0 0 a.bin", "read-flash -p COM3 0 1 out.bin"):
        assert main(shlex.split(line)) == 2
        assert "-p stands for --no-progress here, and not for --port" in capsys.readouterr().err


def test_silence(board: tuple[list[str], Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    common, flash, image = board
    before = flash.read_bytes()
    assert main([*common, "-s", "write-flash", "0x1000", str(image)]) == 0
    assert_untouched(before, flash.read_bytes(), [(0x1000, 0x2000)])
    assert main(["--port", "sim://esp32", "--silent", "chip-id"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert main([*common, "--silent", "verify-flash", "0", str(image)]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.startswith("\nA fatal error occurred: 4096 bytes of flash differ")
    assert main(["--port", "sim://esp32", "-s", "--json", "chip-id"]) == 0
    assert json.loads(capsys.readouterr().out)["chip_id"] is None


def test_all_of_the_flash_from_an_offset_on_is_erased(
    board: tuple[list[str], Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    common, flash, _ = board
    before = flash.read_bytes()
    start = FLASH_SIZE - 3 * SECTOR
    assert main([*common, "erase_region", hex(start), "ALL"]) == 0
    assert_untouched(before, flash.read_bytes(), [(start, FLASH_SIZE)])
    assert flash.read_bytes()[start:] == b"\xff" * 3 * SECTOR
    assert main([*common, "erase_region", "4MB", "all"]) == 2
    assert "0x400000 is beyond the flash of 4MB" in capsys.readouterr().err


def test_what_cannot_be_known_has_to_be_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash = tmp_path / "flash.bin"
    before = old_content(FLASH_SIZE)
    flash.write_bytes(before)
    port = ("--port", f"sim://esp32c3?efuses=secure_download:1&file={flash}")
    line = ("erase-region", "0x3ff000", "all")
    assert main([*port, *line]) == 2
    assert (
        "Secure Download Mode: give a size, or that of the flash by --flash-size"
        in capsys.readouterr().err
    )
    assert flash.read_bytes() == before
    assert main([*port, *line, "-fs", "4MB"]) == 0
    assert_untouched(before, flash.read_bytes(), [(0x3F_F000, FLASH_SIZE)])


def test_a_flash_is_as_large_as_it_says_itself(
    board: tuple[list[str], Path, Path], tmp_path: Path
) -> None:
    common, flash, _ = board
    out = tmp_path / "out.bin"
    assert main([*common, "read-flash", "-fs", "1MB", "0x3ff000", "all", str(out)]) == 0
    assert out.read_bytes() == flash.read_bytes()[0x3F_F000:]


def test_all_differences_are_listed_on_request(
    board: tuple[list[str], Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    common, flash, image = board
    content = bytearray(flash.read_bytes())
    content[:4096] = image.read_bytes()
    for start in range(0, 4096, 128):
        content[start] ^= 1
    flash.write_bytes(content)
    assert main([*common, "verify-flash", "0", str(image)]) == 2
    assert "  and 12 more ranges: --diff lists all\n" in capsys.readouterr().out
    assert main([*common, "verify-flash", "--diff", "0", str(image)]) == 2
    assert capsys.readouterr().out.count(": 1 bytes\n") == 32


@pytest.mark.parametrize("url", ["esp32c6", "esp8266", "esp32c3?efuses=secure_download:1"])
def test_lines_reset_what_a_watchdog_cannot(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--no-stub", "--after", "watchdog-reset"]
    words = ["get-security-info"] if "efuses" in url else ["read-mac"]
    assert main(["--port", f"sim://{url}", *options, *words]) == 0
    captured = capsys.readouterr()
    assert "Hard resetting via RTS pin..." in captured.out
    assert "NOTE: a watchdog reset" in captured.err
    assert "the lines reset the device instead" in captured.err


def test_without_lines_that_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with served_chip("esp32c6", "--pty") as urls:
        port = ["--port", urls["pty"], "--no-stub", "--connect-attempts", "1"]
        assert main([*port, "--after", "watchdog_reset", "read-mac"]) == 2
        captured = capsys.readouterr()
        assert "A fatal error occurred: a watchdog reset" in captured.err
        assert "resetting" not in captured.out


def test_a_stub_stays_by_both_names(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (
        ("no-reset-stub", "Staying in flasher stub."),
        ("no_reset", "Staying in bootloader."),
    ):
        line = ["--port", "sim://esp32c3?state=stub", "--before", "no-reset", "-a", name]
        assert main([*line, "read-mac"]) == 0
        assert words in capsys.readouterr().out
    assert main(["--port", "sim://esp32", "-a", "no-reset-stub", "read-mac"]) == 0
    assert "Staying in bootloader." in capsys.readouterr().out


BOARDS = (
    PortInfo(device="sim://esp32", vid=0x10C4, pid=0xEA60, serial_number="A1"),
    PortInfo(device="sim://esp32c3", vid=0x303A, pid=0x1001, serial_number="24:0A:C4"),
    PortInfo(device="sim://esp8266", vid=0x10C4, pid=0xEA60, serial_number=None),
    PortInfo(device="/dev/ttyS0"),
)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("vid=0x303a", [1]),
        ("vid=0x303A vid=0x10c4", [0, 1, 2]),
        ("vid=0x10c4 pid=60000", [0, 2]),
        ("vid=0x10c4 serial=a", [0]),
        ("name=ESP32", [0, 1]),
        ("name=ttys", [3]),
        ("vid=1", []),
    ],
)
def test_ports_are_filtered(filters: str, found: list[int]) -> None:
    for line in (
        f"--port-filter {filters} read-mac",
        f"read-mac --port-filter {filters}",
        " ".join(f"--port-filter={each}" for each in filters.split()) + " read_mac",
        f"--port_filter {filters} --no-stub read-mac",
    ):
        arguments = parse(line.split(), {})[1]
        assert arguments.command == "read-mac"
        ports = matching_ports(BOARDS, arguments.port_filter)
        assert ports == [BOARDS[index] for index in found]


def test_the_one_port_that_matches_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MadeUpPorts(monkeypatch, *BOARDS)
    line = ["--port-filter", "vid=0x10c4", "--port-filter", "serial=a1", "read-mac"]
    assert main(line) == 0
    assert "Serial port sim://esp32:" in capsys.readouterr().out
    for words, complaint in (
        (["vid=0x10c4"], "more than one port matches the filter: sim://esp32, sim://esp8266"),
        (["vid=1"], "no serial port matches the filter"),
    ):
        assert main(["--port-filter", *words, "read-mac"]) == 2
        assert complaint in capsys.readouterr().err
    assert main(["--port", "sim://esp32c3", *line]) == 0
    captured = capsys.readouterr()
    assert "Connected to ESP32-C3" in captured.out
    assert "NOTE: --port-filter is not heeded: a port is named" in captured.err
