"""The command line: what it prints where, what it accepts, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from esploader import connect, errors
from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS, explain
from esploader.commands.parser import parse
from esploader.version import __version__
from images import small_image
from served import lent_chip
from stub_files import stub_directory
from untouched import assert_untouched, old_content

C3 = ("--port", "sim://esp32c3")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ESPTOOL_PORT", "ESPTOOL_BAUD", "ESPTOOL_CHIP"):
        monkeypatch.delenv(name, raising=False)


def test_flash_id_prints_what_tools_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "flash_id"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for expected in (
        f"esploader v{__version__}",
        "Serial port sim://esp32c3:",
        "Connecting...",
        "Detecting chip type... ESP32-C3",
        "Connected to ESP32-C3 on sim://esp32c3:",
        "Chip type:          ESP32-C3 (QFN32) (revision v0.4)",
        "Crystal frequency:  40MHz",
        "MAC:                24:0a:c4:00:00:01",
        "Manufacturer: c8",
        "Device: 4016",
        "Detected flash size: 4MB",
        "Hard resetting via RTS pin...",
    ):
        assert expected in lines


def test_flash_of_unknown_size_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "sim://esp32c3?flash=512KB", "flash_id"]) == 0
    assert "Detected flash size: 512KB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("chip", "expected"),
    [("esp8266", "Chip ID: 0x00000001"), ("esp32s3", "MAC:                24:0a:c4:00:00:01")],
)
def test_chip_id(chip: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", f"sim://{chip}", "chip_id"]) == 0
    assert expected in capsys.readouterr().out.splitlines()


def test_read_mac(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "sim://esp32?mac=24:0a:c4:aa:bb:cc", "read_mac"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("MAC:                24:0a:c4:aa:bb:cc") == 2


def test_get_security_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "get_security_info"]) == 0
    output = capsys.readouterr().out
    for expected in ("Flags: 0x00000000", "Chip ID: 5", "Secure Boot: Disabled"):
        assert expected in output


def test_a_chip_without_security_info_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "sim://esp32", "get_security_info"]) == 2
    assert "GET_SECURITY_INFO" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["flash_id", "chip_id", "read_mac", "get_security_info"])
def test_with_json_stdout_is_one_document(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "--json", command]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chip"] == "ESP32-C3"
    assert document["mac"] == "24:0a:c4:00:00:01"


def test_with_json_an_error_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "--json", "--chip", "esp32", "flash_id"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["class"] == "WrongChipError"
    assert "this chip is ESP32-C3, not ESP32" in captured.err


@pytest.mark.parametrize("spelling", ["flash_id", "flash-id"])
def test_commands_have_two_spellings(spelling: str) -> None:
    assert main([*C3, spelling]) == 0


@pytest.mark.parametrize(
    "arguments",
    [["-p", "A", "flash_id"], ["flash_id", "-p", "A"], ["-p", "B", "flash-id", "--port", "A"]],
    ids=["before", "after", "the later one counts"],
)
def test_global_options_stand_before_or_after_the_command(arguments: list[str]) -> None:
    parsed = parse(arguments, {})[1]
    assert (parsed.port, parsed.command, parsed.baud) == ("A", "flash-id", 115200)


def test_option_values_have_two_spellings() -> None:
    parsed = parse(["--before", "no_reset", "--after=no_reset", "flash_id"], {})[1]
    assert (parsed.before, parsed.after) == ("no-reset", "no-reset")


def test_the_environment_gives_defaults() -> None:
    environment = {"ESPTOOL_PORT": "P", "ESPTOOL_BAUD": "460800", "ESPTOOL_CHIP": "esp32"}
    parsed = parse(["flash_id"], environment)[1]
    assert (parsed.port, parsed.baud, parsed.chip) == ("P", 460800, "esp32")
    parsed = parse(["flash_id", "-p", "Q", "-b", "9600"], environment)[1]
    assert (parsed.port, parsed.baud, parsed.chip) == ("Q", 9600, "esp32")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["flash"],
        ["--por", "sim://esp32c3", "flash_id"],
        ["flash_id", "--js"],
        ["--before", "tomorrow", "flash_id"],
        ["--connect-attempts", "many", "flash_id"],
        ["sim"],
        ["sim", "serve", "--tcp", "65536"],
    ],
    ids=" ".join,
)
def test_usage_errors_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "usage: esploader" in captured.err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "flash-id" in capsys.readouterr().out


@pytest.mark.parametrize("baud", ["fast", "0", "-9600", "99999999"])
def test_a_baud_rate_that_makes_no_sense(baud: str, capsys: pytest.CaptureFixture[str]) -> None:
    # The port comes later.
    assert main([f"--baud={baud}", "flash_id", "--port", "/dev/no-such-port"]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "argument -b/--baud: " in captured.err


def test_a_higher_baud_rate() -> None:
    assert main([*C3, "--baud", "460800", "flash_id"]) == 0


def test_staying_in_download_mode(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "--after", "no-reset", "flash_id"]) == 0
    assert "Staying in bootloader." in capsys.readouterr().out


def test_a_device_is_left_as_asked_when_the_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    for options, words in (
        ([], "Hard resetting via RTS pin..."),
        (["--after", "no-reset"], "Staying in bootloader."),
    ):
        assert main([*C3, "--no-stub", *options, "read-flash", "0x400000", "1", "out.bin"]) == 2
        assert words in capsys.readouterr().out


def test_a_port_without_lines_needs_no_other_options_after_a_higher_rate() -> None:
    with lent_chip("esp32c3", "pty") as url:
        port = ("--port", url, "--connect-attempts", "1")
        for options in (["--baud", "921600"], [], ["--baud", "460800"], []):
            assert main([*port, *options, "flash-id"]) == 0
        # Also when the work fails.
        assert main([*port, "--baud", "921600", "--no-stub", "erase-flash"]) == 2
        assert main([*port, "flash-id"]) == 0


def test_a_rom_loader_left_at_a_higher_rate_is_found_there() -> None:
    with lent_chip("esp32c3", "pty") as url:
        port = ("--port", url, "--connect-attempts", "1")
        # Closed without more, as the port of a program that is killed.
        connect(url, baudrate=921600).close()
        assert main([*port, "flash-id"]) == 2
        there = ("--before", "no-reset-no-sync", "--baud", "921600")
        assert main([*port, *there, "flash-id"]) == 0
        assert main([*port, "flash-id"]) == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sim://esp32c6", "can leave the chip's own USB port dead"),
        ("sim://esp32c3?efuses=secure_download:1", "keeps registers out of reach"),
    ],
)
def test_a_reset_that_cannot_be_is_refused_before_the_work(
    url: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flash = tmp_path / "flash.bin"
    flash.write_bytes(bytes(4096))
    port = f"{url}{'&' if '?' in url else '?'}file={flash}"
    options = ["--no-stub", "--after", "soft-reset"]
    assert main(["--port", port, *options, "erase-region", "0", "4096"]) == 2
    assert reason in capsys.readouterr().err
    assert flash.read_bytes()[:4096] == bytes(4096)


def test_trace_shows_the_wire_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "--trace", "read_mac"]) == 0
    captured = capsys.readouterr()
    assert "ReadReg(address=0x40001000)" in captured.err
    assert "c0 00 08 24" in captured.err
    assert "TRACE" not in captured.out


def test_the_library_logs_nothing_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "read_mac"]) == 0
    assert not capsys.readouterr().err


@pytest.fixture(name="chip_with_file")
def _chip_with_file(tmp_path: Path) -> tuple[str, Path]:
    """A URL of a chip that keeps its flash in a file, and that file."""
    flash = tmp_path / "flash.bin"
    return f"sim://esp32c3?file={flash}", flash


@pytest.mark.parametrize("loader", ["--no-stub", "--stub"])
def test_write_verify_and_read_back(
    loader: str,
    chip_with_file: tuple[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, flash = chip_with_file
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(range(256)) * 100)
    options = ["--no-stub"] if loader == "--no-stub" else ["--stub", str(stub_directory(tmp_path))]
    common = ["--port", url, *options]
    before = old_content(4 << 20)
    flash.write_bytes(before)
    assert main([*common, "write_flash", "0x10000", str(image)]) == 0
    output = capsys.readouterr().out
    assert "Writing at 0x00017000... (100 %)" in output
    assert "Wrote 28672 bytes (" in output
    assert "Hash of data verified." in output
    assert flash.read_bytes()[0x10000:][: 256 * 100] == image.read_bytes()
    assert_untouched(before, flash.read_bytes(), [(0x10000, 0x10000 + 256 * 100)])

    assert main([*common, "verify_flash", "0x10000", str(image)]) == 0
    assert "Verification successful (digest matched)." in capsys.readouterr().out

    copy = tmp_path / "copy.bin"
    assert main([*common, "read_flash", "64k", "25600", str(copy)]) == 0
    assert copy.read_bytes() == image.read_bytes()

    assert main([*common, "write_flash", "0x10000", str(image)]) == 0
    assert "already in flash, skipping write." in capsys.readouterr().out

    before = flash.read_bytes()
    assert main([*common, "erase_region", "0x10000", "0x1000"]) == 0
    assert_untouched(before, flash.read_bytes(), [(0x10000, 0x11000)])
    assert flash.read_bytes()[0x10000:0x11000] == b"\xff" * 0x1000


def test_a_failed_verification_names_the_ranges(
    chip_with_file: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = chip_with_file
    image = tmp_path / "image.bin"
    image.write_bytes(b"\xff" * 100 + b"abc" + b"\xff" * 100)
    arguments = ["--port", url, "--no-stub", "--exit-codes", "detailed"]
    assert main([*arguments, "verify_flash", "0", str(image)]) == (
        EXPLANATIONS[errors.VerifyError].code
    )
    captured = capsys.readouterr()
    assert "0x00000064 to 0x00000067: 3 bytes" in captured.out
    assert "3 bytes of flash differ, the first at 0x64" in captured.err


def test_with_json_a_failed_verification_lists_all_ranges(
    chip_with_file: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = chip_with_file
    image = tmp_path / "image.bin"
    image.write_bytes(b"a\xff\xff" * 30)
    command = ["--port", url, "--no-stub", "--json", "verify_flash", "0", str(image)]
    assert main(command) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["class"] == "VerifyError"
    assert document["differences"] == [
        {"start": start, "end": start + 1} for start in range(0, 90, 3)
    ]
    image.write_bytes(b"\xff")
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


def test_a_bootloader_whose_header_was_changed_is_verified_from_its_file(
    chip_with_file: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = chip_with_file
    image = tmp_path / "bootloader.bin"
    image.write_bytes(small_image(ESP32_C3))
    common = ["--port", url, "--no-stub"]
    parameters = ["-fm", "dio", "-ff", "80m", "-fs", "detect"]
    assert main([*common, "write-flash", *parameters, "0", str(image)]) == 0
    assert main([*common, "verify-flash", *parameters, "0", str(image)]) == 0
    assert "Verification successful (digest matched)." in capsys.readouterr().out
    # Two bytes of the header, and the digest.
    assert main([*common, "verify-flash", "0", str(image)]) == 2
    assert "0x00000002 to 0x00000004: 2 bytes" in capsys.readouterr().out
    assert main([*common, "verify-flash", "-fm", "qio", "0", str(image)]) == 2
    assert main([*common, "verify-flash", "-fm", "fast", "0", str(image)]) == 2
    assert "'fast' is none of keep, qio, " in capsys.readouterr().err


def test_what_was_not_written_is_not_said_to_be(
    chip_with_file: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = chip_with_file
    image = tmp_path / "image.bin"
    data = bytes(range(256)) * 1024
    image.write_bytes(data)
    command = ["--port", url, "--no-stub", "write_flash", "-u", "0x10000", str(image)]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "Wrote 262144 bytes (262144 sent) at 0x00010000 in " in output
    assert "already" not in output
    image.write_bytes(b"!" + data[1:])
    assert main(command) == 0
    output = capsys.readouterr().out
    wrote = re.search(
        r"Wrote (\d+) bytes \(\d+ (?:sent|compressed)\) at 0x00010000 "
        r"in ([\d.]+) seconds \(([\d.]+) kbit/s\)\.\n"
        r"The other (\d+) of 262144 bytes were in flash already\.\n"
        r"Hash of data verified\.",
        output,
    )
    assert wrote is not None
    written, seconds, rate, right = (float(number) for number in wrote.groups())
    assert 0 < written <= 0x10000
    assert written + right == 262144
    assert rate == pytest.approx(written * 8 / 1000 / seconds, rel=0.05 / seconds)


def test_a_dry_run_changes_nothing(
    chip_with_file: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, flash = chip_with_file
    image = tmp_path / "image.bin"
    image.write_bytes(b"x" * 5000)
    arguments = ["--port", url, "--json", "write_flash", "--dry-run", "0x1000", str(image)]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["plan"] == [
        {"offset": 0x1000, "size": 0x2000, "encrypted": False}
    ]
    assert set(flash.read_bytes()) == {0xFF}


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        (["0x1000"], "come in pairs"),
        (["here", "image.bin"], "not a number"),
        (["-1", "image.bin"], "not between"),
        (["0x1000", "missing.bin"], "missing.bin"),
        (["0x400000", "image.bin"], "beyond the flash"),
        (["0", "image.bin", "1", "image.bin"], "overlaps"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_written(
    inputs: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"some bytes")
    words = [str(tmp_path / word) if word.endswith(".bin") else word for word in inputs]
    assert main([*C3, "--no-stub", "write_flash", *words]) == 2
    assert complaint in capsys.readouterr().err


READY_TO_ENCRYPT = "sim://esp32c3?efuses=key_purpose_0:4,key0:0x1234"


@pytest.mark.parametrize("options", [["--encrypt", "0x8000"], ["--encrypt-files", "0x8000"]])
def test_files_are_encrypted_by_the_device(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"some bytes")
    arguments = ["--port", READY_TO_ENCRYPT, "--no-stub", "write-flash"]
    assert main([*arguments, "--dry-run", *options, str(image)]) == 0
    plan = "0x00008000 to 0x00008010: 16 bytes, encrypted by the device"
    assert plan in capsys.readouterr().out
    assert main([*arguments, *options, str(image)]) == 0
    output = capsys.readouterr().out
    assert "Wrote 16 bytes (" in output
    assert "Not verified: only the device can read what it encrypted." in output
    assert "verified." not in output


def test_plain_and_encrypted_files_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"some bytes")
    files = ["0x8000", str(image), "--encrypt-files", "0x9000", str(image), "0xa000", str(image)]
    arguments = ["--port", READY_TO_ENCRYPT, "--no-stub", "--json", "write_flash", *files]
    assert main(arguments) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert [(each["offset"], each["verified"]) for each in written] == [
        (0x8000, True),
        (0x9000, False),
        (0xA000, False),
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--encrypt", "0", "FILE", "--encrypt-files", "0x1000", "FILE"], "not allowed with"),
        (["--encrypt-files", "0x1000"], "come in pairs"),
        (["--encrypt"], "the following arguments are required: OFFSET FILE"),
        ([], "the following arguments are required: OFFSET FILE"),
        (["--encrypt", "8", "FILE"], "has to begin at a multiple of 16 bytes"),
        (["0", "FILE", "--encrypt-files", "0x800", "FILE"], "plain and encrypted"),
    ],
)
def test_what_cannot_be_encrypted(
    words: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"some bytes")
    words = [str(image) if word == "FILE" else word for word in words]
    assert main(["--port", READY_TO_ENCRYPT, "--no-stub", "write-flash", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_device_without_a_key_encrypts_only_if_told_to_ignore_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"some bytes")
    arguments = [*C3, "--no-stub", "write-flash", "--encrypt", "0", str(image)]
    assert main([*arguments, "--force"]) == 2
    assert "no flash encryption key has been burnt" in capsys.readouterr().err
    # At the offset of the bootloader this is none: that is another check.
    assert main([*arguments, "--ignore-flash-enc-efuse", "--force"]) == 0


def test_a_read_that_fails_leaves_an_older_file_alone(tmp_path: Path) -> None:
    backup = tmp_path / "backup.bin"
    backup.write_bytes(b"precious")
    arguments = [*C3, "--no-stub", "read_flash", "0x3ff000", "0x2000", str(backup)]
    assert main(arguments) == 2
    assert backup.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [backup]


def test_comparing_with_nothing_is_no_success(tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.touch()
    assert main([*C3, "--no-stub", "verify_flash", "0", str(empty)]) == 2


@pytest.mark.parametrize("command", ["version", pytest.param("flash_id", marks=pytest.mark.slow)])
def test_output_that_cannot_be_written_is_an_error_of_ours(command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "esploader", *C3, command],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert "the output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_sfdp(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "read_flash_sfdp", "0", "4"]) == 0
    assert "SFDP[0..3]: 53 46 44 50" in capsys.readouterr().out
    assert main([*C3, "read_flash_sfdp", "0", "65"]) == 2


def test_memory_and_status_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "read_mem", "0x40001000"]) == 0
    assert "0x40001000 = 0x1b31506f" in capsys.readouterr().out
    assert main([*C3, "write_mem", "0x3fca0000", "0x12345678", "0xffff"]) == 0
    assert main([*C3, "read_flash_status"]) == 0
    assert "Status value: 0x0000" in capsys.readouterr().out


def test_status_registers_are_set_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*C3, "write_flash_status", "0x021c", "--bytes", "2", "--non_volatile"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Initial flash status: 0x0000" in lines
    assert "After flash status: 0x021c" in lines


def test_memory_is_read_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.bin"
    assert main([*C3, "dump_mem", "0x40001000", "1k", str(path)]) == 0
    assert path.read_bytes()[:4] == bytes.fromhex("6f50311b")
    assert path.stat().st_size == 1024
    assert re.search(
        rf"Dumped 1024 bytes from 0x40001000 in [\d.]+ seconds \([\d.]+ kbit/s\) to '{path}'\.\n",
        capsys.readouterr().out,
    )


def test_a_file_stays_as_it_was_when_the_memory_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "dump.bin"
    path.write_bytes(b"older")
    assert main([*C3, "dump_mem", "0xfffffff0", "1k", str(path)]) == 2
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_program_that_was_started_is_not_reset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "program.bin"
    path.write_bytes(small_image(ESP32_C3))
    said = "The program runs now.", "A watchdog has reset the chip, which boots as its straps say."
    for command, line in zip((["load_ram", str(path)], ["run"]), said, strict=True):
        assert main([*C3, *command]) == 0
        output = capsys.readouterr().out
        assert output.endswith(f"{line}\n\nExiting immediately.\n")
        assert "resetting" not in output


def test_what_is_no_program_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "program.bin"
    path.write_bytes(b"no program")
    assert main([*C3, "load_ram", str(path)]) == 2
    assert "the program cannot run here" in capsys.readouterr().err


def test_every_error_class_has_a_code_of_its_own() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.EsploaderError)
    }
    assert set(EXPLANATIONS) == classes
    codes = [explanation.code for explanation in EXPLANATIONS.values()]
    assert len(set(codes)) == len(codes)
    assert not {0, 1, 130} & set(codes)


def test_a_subclass_is_explained_by_its_nearest_class() -> None:
    class StrangerError(errors.PortBusyError):
        pass

    error = StrangerError("port", "reason")
    assert explain(error) is EXPLANATIONS[errors.PortBusyError]


def test_what_a_takeover_has_broken_off_is_explained_by_that() -> None:
    taken = errors.PortTakenOverError("rfc2217://bench:2217", "10.0.0.7:41234 took the port over")
    failure = errors.FlashError(offset=0, confirmed=0, total=1, acknowledged=0, reason=str(taken))
    failure.__cause__ = errors.NoResponseError("FLASH_DATA", 1.0, b"")
    assert explain(failure) is EXPLANATIONS[errors.FlashError]
    failure.__cause__.__cause__ = taken
    assert explain(failure) is EXPLANATIONS[errors.PortTakenOverError]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-p", "nonsense://x", "flash_id"], errors.UnknownSchemeError),
        (["-p", "sim://esp33", "flash_id"], errors.UrlError),
        (["-p", "rfc2217://host", "flash_id"], errors.UrlError),
        (["-p", "/dev/does-not-exist", "flash_id"], errors.PortNotFoundError),
        ([*C3, "--chip", "esp32", "flash_id"], errors.WrongChipError),
        ([*C3, "--chip", "esp33", "flash_id"], errors.UnsupportedError),
        ([*C3, "--before", "no-reset", "flash_id"], errors.SilentDeviceError),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value.__name__,
)
def test_detailed_exit_codes(
    arguments: list[str],
    error: type[errors.EsploaderError],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--connect-attempts", "2", *arguments]) == 2
    assert main(["--connect-attempts", "2", "--exit-codes", "detailed", *arguments]) == (
        EXPLANATIONS[error].code
    )
    assert "A fatal error occurred: " in capsys.readouterr().err


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_version_loads_neither_attrs_nor_pyserial() -> None:
    loaded = run_python(
        "import sys\n"
        "from esploader.cli import main\n"
        "main(['version'])\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'attr', 'attrs', 'serial'}))"
    )
    assert loaded.splitlines() == [f"esploader v{__version__}", __version__, "[]"]


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = run_python(
        "import sys\nimport esploader\n"
        "print(sorted(name for name in sys.modules if name.startswith('esploader')))"
    )
    assert loaded.strip() == "['esploader', 'esploader.version']"


def test_lazy_names_survive_the_import_of_their_modules() -> None:
    output = run_python(
        "import esploader.connector, esploader.cli, esploader\n"
        "print(callable(esploader.connect), sorted(esploader.__all__) == dir(esploader))\n"
        "print(all(getattr(esploader, name) for name in esploader.__all__))\n"
        "try:\n    esploader.nothing\nexcept AttributeError as exc:\n    print(exc)"
    )
    assert output.splitlines() == [
        "True True",
        "True",
        "module 'esploader' has no attribute 'nothing'",
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, -signal.SIGINT),
        # With several devices: test_sim_command.py.
        pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_serving_ends_cleanly(number: signal.Signals, code: int, tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    command = [sys.executable, "-m", "esploader", "sim", "serve", "--chip", "esp32"]
    with subprocess.Popen(
        [*command, "--tcp", "0", "--rfc2217", "0", "--flash", str(flash)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        assert "Traceback" not in process.stderr.read()
    assert lines[0] == f"esploader v{__version__}\n"
    assert lines[1].startswith("Serving ESP32 on socket://127.0.0.1:")
    assert lines[2].startswith("Serving ESP32 on rfc2217://127.0.0.1:")
    assert flash.stat().st_size == 4 << 20


def test_ctrl_c_while_connecting_ends_it_as_ctrl_c_does_and_frees_the_port() -> None:
    master, slave = os.openpty()
    try:
        command = [sys.executable, "-m", "esploader", "--port", os.ttyname(slave)]
        with subprocess.Popen(
            [*command, "--connect-attempts", "0", "flash_id"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert os.read(master, 1) == b"\xc0"
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=30)
        assert process.returncode == -signal.SIGINT
        assert complaint.strip().endswith("Interrupted.")
        assert "Traceback" not in complaint
    finally:
        os.close(master)
        os.close(slave)


def test_a_warning_while_connecting_has_a_line_of_its_own() -> None:
    # Both streams into one file, as on a terminal.
    arguments = ["--port", "sim://esp8266", "--no-stub", "--baud", "921600", "read-mac"]
    program = [sys.executable, "-m", "esploader", *arguments]
    done = subprocess.run(
        program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert "Connecting..." in lines
    assert lines[lines.index("Connecting...") + 1].startswith("WARNING: the ESP8266 ROM loader")
