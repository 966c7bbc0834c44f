"""Partitions on the command line: shown, converted, chosen, and named in place of offsets."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import attrs
import pytest

from boot_choice import chosen, entry, otadata
from esploader.chips.esp32 import ESP32
from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.commands.exit_codes import EXPLANATIONS
from esploader.errors import PartitionTableError, PlanError, UnsupportedError
from esploader.image.partitions import PartitionTable, parse_csv, parse_table
from images import small_image
from stub_files import stub_directory
from untouched import assert_untouched, old_content

if TYPE_CHECKING:
    from pathlib import Path

    from esploader.errors import EsploaderError

CSV = """\
nvs,      data, nvs,     0x9000,  0x4000
otadata,  data, ota,     0xd000,  0x2000
phy_init, data, phy,     0xf000,  0x1000
factory,  app,  factory, 0x10000, 32K
ota_0,    app,  ota_0,          , 32K
ota_1,    app,  ota_1,          , 32K
"""
TABLE = parse_csv(CSV)
SHOWN = """\
Name      Type  SubType  Offset   Size  Flags
nvs       data  nvs      0x9000   16K
otadata   data  ota      0xd000   8K
phy_init  data  phy      0xf000   4K
factory   app   factory  0x10000  32K
ota_0     app   ota_0    0x20000  32K
ota_1     app   ota_1    0x30000  32K
"""
APP = small_image(ESP32_C3)
SIZE = 0x4_0000


class Board:
    """A simulated device whose flash is in a file."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "flash.bin"
        self.folder = folder
        self._capsys = capsys
        flash = bytearray(old_content(SIZE))
        flash[0x8000:0x8C00] = TABLE.to_bytes()
        flash[0xD000:0xF000] = otadata(entry(1))
        for start in (0x1_0000, 0x2_0000, 0x3_0000):
            flash[start : start + len(APP)] = APP
        self.path.write_bytes(flash)
        (folder / "app").write_bytes(APP)
        (folder / "few").write_bytes(b"few")

    @property
    def flash(self) -> bytes:
        return self.path.read_bytes()

    def run(
        self,
        *words: str | Path,
        code: int = 0,
        url: str = "",
        quiet: bool = True,
        stub: bool = False,
    ) -> tuple[str, str]:
        """Run a command; return what it prints but for the device, and what it warns of.

        A second run of it can open the file of the flash: the port is free again.
        """
        port = url or f"sim://esp32c3?flash=256KB&file={self.path}"
        options = ["--port", port, "--no-progress", "--exit-codes", "detailed"]
        options += [] if stub else ["--no-stub"]
        quietly = ["-q"] if quiet else []
        assert main([*options, *quietly, *map(str, words)]) == code
        captured = self._capsys.readouterr()
        return captured.out, captured.err


@pytest.fixture(name="board")
def _board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Board:
    monkeypatch.chdir(tmp_path)
    return Board(tmp_path, capsys)


def code_of(error: type[EsploaderError]) -> int:
    return EXPLANATIONS[error].code


def test_the_table_of_a_device(board: Board) -> None:
    out, _ = board.run("partition_table")
    assert out == (
        f"Partition table at 0x8000 of a flash of 256KB:\n{SHOWN}"
        "Free: 32K at 0x18000, 32K at 0x28000, 32K at 0x38000\n"
        "Boots: ota_0 (entry 0 of otadata, update 1, undefined)\n"
        "Next update: ota_1\n"
    )


def test_without_otadata_the_factory_application_boots(board: Board) -> None:
    flash = bytearray(board.flash)
    lines = [line for line in CSV.splitlines() if "ota" not in line]
    flash[0x8000:0x8C00] = parse_csv("\n".join(lines)).to_bytes()
    board.path.write_bytes(flash)
    out, _ = board.run("partition-table")
    assert "Boots: factory (there is no otadata)\n" in out
    assert "Next update" not in out


def test_a_file_needs_no_port(board: Board) -> None:
    csv, binary, again = (board.folder / name for name in ("t.csv", "t.bin", "again.csv"))
    csv.write_text(CSV)
    out, _ = board.run("partition-table", csv, "--binary", binary, url="sim://none")
    assert out == f"Partition table in '{csv}':\n{SHOWN}Written to '{binary}' as binary.\n"
    assert binary.read_bytes() == TABLE.to_bytes()
    out, _ = board.run("partition-table", binary, "--csv", again, "-fs", "256KB", url="sim://none")
    assert "Free: 32K at 0x18000" in out
    assert parse_csv(again.read_text()) == TABLE


def test_the_size_for_bootloaders_is_not_that_of_the_table(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    (board.folder / "t.csv").write_text(CSV)
    monkeypatch.setenv("ESPTOOL_FS", "1MB")
    out, _ = board.run("partition-table", "t.csv")
    assert "Free" not in out


def test_what_a_device_has_is_saved(board: Board) -> None:
    before = board.flash
    board.run("partition-table", "--csv", "t.csv", "--binary", "t.bin")
    assert parse_csv((board.folder / "t.csv").read_text()) == TABLE
    assert parse_table((board.folder / "t.bin").read_bytes()) == TABLE
    assert board.flash == before


def test_a_whole_flash_in_a_file(board: Board) -> None:
    out, _ = board.run("partition-table", board.path)
    assert SHOWN in out


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_of_text(encoding: str, board: Board) -> None:
    (board.folder / "t.csv").write_bytes(CSV.encode(encoding))
    out, _ = board.run("partition-table", "t.csv")
    assert SHOWN in out


def test_where_the_bootloader_is_the_chip_says(board: Board) -> None:
    (board.folder / "t.csv").write_text("boot,bootloader,primary,N/A,N/A\n")
    _, err = board.run("partition-table", "t.csv", code=code_of(PartitionTableError))
    assert "'t.csv' is no partition table: line 1: where the bootloader is depends on" in err
    out, _ = board.run("partition-table", "t.csv", "--chip", "esp32")
    assert "boot  bootloader  primary  0x1000  28K" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has no partitions"),
        (b"\x00\x9c\xff", "it is neither a table in flash nor text"),
        (b":00000001FF\n", "it is an Intel HEX file"),
        (b"\x7fELF", "it is an ELF file"),
        (b"\xff" * 5000, "it is blank"),
        (b"a,b", "line 1: the type b is no number from 0 to 254"),
        (TABLE.to_bytes()[:100], "it is cut off in row 4"),
        (b"#" * 2_000_000, "as text it has no more than 1048576 bytes"),
    ],
    ids=["nothing", "no text", "hex", "elf", "blank", "no type", "cut off", "large"],
)
def test_files_that_are_no_table(content: bytes, message: str, board: Board) -> None:
    (board.folder / "t").write_bytes(content)
    out, err = board.run("partition-table", "t", "--csv", "out", code=code_of(PartitionTableError))
    assert f"A fatal error occurred: 't' is no partition table: {message}" in err
    assert out == ""
    assert not (board.folder / "out").exists()


def test_what_is_wrong_with_a_table_is_said(board: Board) -> None:
    (row,) = parse_csv("\u2713,data,fat,0x9000,4K\n")
    wrong = PartitionTable((row, row), has_md5=False)
    (board.folder / "t").write_bytes(wrong.to_bytes())
    out, err = board.run("partition-table", "t")
    assert "The table has no MD5.\n" in out
    assert "WARNING: ESP-IDF would refuse this table: 2 partitions are called \u2713\n" in err


def test_names_that_would_move_the_cursor(board: Board) -> None:
    flash = bytearray(board.flash)
    flash[0x8000:0x8C00] = (
        TABLE.to_bytes()[:12].ljust(12)
        + b"\x1b[2J\r\n\x9b".ljust(16, b"\0")
        + (bytes(4).ljust(0xC00 - 28, b"\xff"))
    )
    board.path.write_bytes(flash)
    out, _ = board.run("partition-table")
    assert r"\x1b[2J\r\n\udc9b" in out
    _, err = board.run("erase-region", "part:x", code=code_of(PartitionTableError))
    out, _ = board.run("--json", "partition-table")
    assert json.loads(out)["partitions"][0]["name"] == r"\x1b[2J\r\n\udc9b"
    assert "\x1b" not in out + err


def test_a_file_that_cannot_be_written_is_refused_first(board: Board) -> None:
    before = board.flash
    words = ("partition-table", "--csv", ".", "--boot", "ota_1")
    _, err = board.run(*words, code=code_of(PlanError))
    assert "cannot be written" in err
    assert board.flash == before


def test_another_app_is_made_to_boot(board: Board) -> None:
    before = board.flash
    for line in ("Written, and seen to be there.", "That was so already."):
        out, _ = board.run("partition-table", "--boot", "ota_1")
        assert out.endswith(
            f"Boots: ota_1 (entry 1 of otadata, update 2, undefined)\nNext update: ota_0\n{line}\n"
        )
    assert_untouched(before, board.flash, [(0xE000, 0xF000)])
    assert chosen(board.flash[0xD000:0xF000], 2, has_factory=True) == 1
    out, _ = board.run("partition-table", "--boot", "factory")
    assert "Boots: factory (otadata chooses none)\nNext update: ota_0\n" in out
    assert_untouched(before, board.flash, [(0xD000, 0xF000)])


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["ota_2"], PartitionTableError, "there is no partition ota_2 (did you mean ota_1 or"),
        (["nvs"], PlanError, "nvs cannot be chosen: it is neither factory nor one of ota_0, ota_1"),
        (["ota_1", "app"], PlanError, "--boot is for a device: leave out the file"),
    ],
    ids=["no such", "no app", "a file"],
)
def test_what_cannot_be_made_to_boot(
    words: list[str], error: type[EsploaderError], message: str, board: Board
) -> None:
    before = board.flash
    _, err = board.run("partition-table", "--boot", *words, code=code_of(error))
    assert f"A fatal error occurred: {message}" in err
    assert board.flash == before


def test_a_slot_without_an_app_is_chosen_if_forced(board: Board) -> None:
    board.run("erase-region", "part:ota_1")
    before = board.flash
    _, err = board.run("partition-table", "--boot", "ota_1", code=code_of(PlanError))
    assert "ota_1 holds no application that boots: it begins with 0xff" in err
    assert board.flash == before
    board.run("partition-table", "--boot", "ota_1", "--force")
    assert chosen(board.flash[0xD000:0xF000], 2, has_factory=True) == 1


def test_names_in_place_of_offsets(board: Board) -> None:
    before = board.flash
    out, _ = board.run(
        "write_flash",
        "part:ota_1",
        "app",
        "--force",
        "part:nvs",
        "--no-skip",
        "few",
        "0x28000",
        "few",
        quiet=False,
    )
    assert "Partition ota_1: 0x8000 bytes at 0x30000.\n" in out
    assert "Partition nvs: 0x4000 bytes at 0x9000.\n" in out
    assert_untouched(
        before, board.flash, [(0x9000, 0xA000), (0x2_8000, 0x2_9000), (0x3_0000, 0x3_1000)]
    )
    assert board.flash[0x3_0000:].startswith(APP)
    assert board.flash[0x9000:].startswith(b"few\xff")
    out, _ = board.run("verify_flash", "part:nvs", "few", "-d", "part:ota_1", "app", quiet=False)
    assert "Verification successful" in out


def test_names_of_what_the_device_encrypts(board: Board) -> None:
    before = board.flash
    url = f"sim://esp32c3?flash=256KB&file={board.path}&efuses=key_purpose_0:4,key0:77"
    words = ("write-flash", "--encrypt-files", "part:phy_init", "few", "--", "part:nvs", "few")
    board.run(*words, url=url)
    assert_untouched(before, board.flash, [(0x9000, 0xA000), (0xF000, 0x1_0000)])
    assert board.flash[0x9000:0x9003] == b"few"
    assert board.flash[0xF000:0xF003] not in {b"few", before[0xF000:0xF003]}
    board.run("write-flash", "--encrypt", "part:nvs", "few", url=url)
    assert board.flash[0x9000:0x9003] != b"few"
    assert_untouched(before, board.flash, [(0x9000, 0xA000), (0xF000, 0x1_0000)])


def test_a_dry_run_by_name(board: Board) -> None:
    before = board.flash
    out, _ = board.run("write-flash", "--dry-run", "part:app", "app")
    assert "Partition ota_0: 0x8000 bytes at 0x20000.\n" in out
    assert "0x00020000 to 0x00021000: 4096 bytes" in out
    (board.folder / "large").write_bytes(bytes(0x8001))
    _, err = board.run("write-flash", "--dry-run", "part:nvs", "large", code=code_of(PlanError))
    assert "32769 bytes at 0x9000 do not fit into the partition nvs (0x4000 bytes at 0x9000)" in err
    assert board.flash == before


def test_a_dry_run_beside_another_table(board: Board) -> None:
    words = ("write-flash", "--dry-run", "part:nvs", "few", "0x8000", "few")
    out, err = board.run(*words, code=code_of(PlanError))
    assert "is another partition table than the one in flash" in err
    assert "Would write" not in out


def test_names_beside_the_erasure_of_the_table(board: Board) -> None:
    (board.folder / "table").write_bytes(TABLE.to_bytes())
    stubs = board.folder / "stubs"
    stubs.mkdir()
    words = ("write-flash", "--erase-all", "--stub", stub_directory(stubs), "part:nvs", "few")
    before = board.flash
    _, err = board.run(*words, code=code_of(PlanError), stub=True)
    assert "with --erase-all the partition table, by which the names go, would be lost" in err
    assert board.flash == before
    board.run(*words, "0x8000", "table", stub=True)
    expected = TABLE.to_bytes().ljust(0x1000, b"\xff") + b"few"
    assert board.flash == b"\xff" * 0x8000 + expected.ljust(SIZE - 0x8000, b"\xff")


def test_inputs_are_read_once(board: Board) -> None:
    (board.folder / "empty").write_bytes(b"")
    _, err = board.run("write-flash", "part:nvs", "empty", "0x38000", "few")
    assert err.count("the input is empty") == 1


def test_app_is_the_one_that_boots(board: Board) -> None:
    board.run("partition-table", "--boot", "ota_1")
    before = board.flash
    board.run("erase-region", "part:app")
    assert_untouched(before, board.flash, [(0x3_0000, 0x3_8000)])
    assert board.flash[0x3_0000:0x3_8000] == b"\xff" * 0x8000


@pytest.mark.parametrize(
    ("size", "count"), [([], 0x4000), (["all"], 0x4000), (["ALL"], 0x4000), (["0x123"], 0x123)]
)
def test_reading_by_name(size: list[str], count: int, board: Board) -> None:
    board.run("read_flash", "part:nvs", *size, "out")
    assert (board.folder / "out").read_bytes() == board.flash[0x9000 : 0x9000 + count]


@pytest.mark.parametrize(
    ("size", "end"), [([], 0xF000), (["all"], 0xF000), (["4k"], 0xE000)], ids=str
)
def test_erasing_by_name(size: list[str], end: int, board: Board) -> None:
    before = board.flash
    board.run("erase_region", "part:otadata", *size)
    assert_untouched(before, board.flash, [(0xD000, end)])
    assert board.flash[0xD000:end] == b"\xff" * (end - 0xD000)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["write-flash", "part:nvz", "few"], PartitionTableError, "(did you mean nvs?)"),
        (["verify-flash", "part:nvz", "few"], PartitionTableError, "there are: nvs, otadata,"),
        (["read-flash", "part:nvz", "out"], PartitionTableError, "no partition nvz"),
        (["erase-region", "part:nvz"], PartitionTableError, "no partition nvz"),
        (["write-flash", "part:nvs", "flash.bin"], PlanError, "do not fit into the partition nvs"),
        (["verify-flash", "part:nvs", "flash.bin"], PlanError, "do not fit into the partition nvs"),
        (["write-flash", "part:ota_0", "other"], PlanError, "it is for ESP32, not for ESP32-C3"),
        (["read-flash", "part:nvs", "0x4001", "out"], PlanError, "0x4001 bytes are more than the"),
        (["erase-region", "part:nvs", "0x5000"], PlanError, "0x5000 bytes are more than the"),
        (
            ["write-flash", "--partition-table-offset", "0x9000", "part:nvs", "few"],
            PartitionTableError,
            "no partition table at 0x9000: row 1 begins with",
        ),
        (
            ["write-flash", "part:nvs", "few", "0x8000", "few"],
            PlanError,
            "what goes to 0x8000 is another partition table than the one in flash",
        ),
        (
            ["write-flash", "part:nvs", "few", "0x7000", "long"],
            PlanError,
            "what goes to 0x8000 is another partition table than the one in flash",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(
    words: list[str], error: type[EsploaderError], message: str, board: Board
) -> None:
    (board.folder / "other").write_bytes(small_image(ESP32))
    (board.folder / "long").write_bytes(bytes(0x2000))
    before = board.flash
    _, err = board.run(*words, code=code_of(error))
    assert message in err
    assert err.count("A fatal error occurred: ") == 1
    assert board.flash == before
    assert not (board.folder / "out").exists()


def test_a_partition_that_overlaps_another_is_only_read(board: Board) -> None:
    flash = bytearray(board.flash)
    first, second = parse_csv("a,data,fat,,8K\nb,data,fat,,4K\n")
    table = PartitionTable((first, attrs.evolve(second, offset=0xA000)))
    flash[0x8000:0x8C00] = table.to_bytes()
    board.path.write_bytes(flash)
    before = board.flash
    for words in (["erase-region", "part:a"], ["write-flash", "part:b", "few"]):
        _, err = board.run(*words, code=code_of(PlanError))
        assert "is left alone: the table has it share bytes with" in err
    board.run("read-flash", "part:a", "out")
    assert board.flash == before


def test_the_same_table_may_be_written_once_more(board: Board) -> None:
    (board.folder / "table").write_bytes(TABLE.to_bytes())
    before = board.flash
    board.run("write-flash", "0x8000", "table", "part:nvs", "few")
    assert_untouched(before, board.flash, [(0x8000, 0x9000), (0x9000, 0xA000)])


def test_the_table_may_be_written_by_its_own_name(board: Board) -> None:
    rows = "table,partition_table,primary,N/A,N/A\n"
    (board.folder / "old").write_bytes(parse_csv(f"{rows}nvs,data,nvs,,24K\n").to_bytes())
    (board.folder / "new").write_bytes(parse_csv(rows).to_bytes())
    board.run("write-flash", "0x8000", "old")
    before = board.flash
    words = ("write-flash", "part:table", "new")
    _, err = board.run(*words, "part:nvs", "few", code=code_of(PlanError))
    assert "what goes to 0x8000 is another partition table than the one in flash" in err
    assert board.flash == before
    board.run(*words)
    assert_untouched(before, board.flash, [(0x8000, 0x9000)])
    assert parse_table(board.flash[0x8000:]) == parse_csv(rows)


def test_a_table_elsewhere(board: Board) -> None:
    table = parse_csv("here,data,fat,0x38000,4K\n", table_offset=0x1_9000)
    (board.folder / "table").write_bytes(table.to_bytes())
    board.run("write-flash", "0x19000", "table")
    elsewhere = ("--partition-table-offset", "0x19000")
    before = board.flash
    board.run("write-flash", *elsewhere, "part:here", "few")
    assert_untouched(before, board.flash, [(0x3_8000, 0x3_9000)])
    out, _ = board.run("partition-table", *elsewhere)
    assert out.startswith("Partition table at 0x19000 of a flash of 256KB:\n")
    board.run("read-flash", *elsewhere, "part:here", "out")
    assert len((board.folder / "out").read_bytes()) == 0x1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["write-flash", "part:", "few"], "part: needs the name of a partition behind it"),
        (["write-flash", "part:nvs"], "offsets and files come in pairs"),
        (["read-flash", "0x9000", "out"], "the following arguments are required: SIZE"),
        (["erase-region", "0x9000"], "the following arguments are required: SIZE"),
        (["erase-region", "nvs", "4096"], "argument OFFSET: 'nvs' is not a number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_make_no_sense(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "sim://esp32c3", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("efuses", "reason"),
    [
        ("secure_download:1", "in Secure Download Mode nobody can see what the flash holds"),
        ("flash_crypt_count:1", "flash encryption is on, and only the device can read what it"),
    ],
    ids=["Secure Download Mode", "flash encryption"],
)
@pytest.mark.parametrize(
    "words",
    [
        ["partition-table"],
        ["partition-table", "--boot", "ota_1"],
        ["write-flash", "part:nvs", "few"],
        ["erase-region", "part:nvs"],
        ["read-flash", "part:nvs", "out"],
    ],
    ids=" ".join,
)
def test_where_nobody_can_read_the_table(
    words: list[str], efuses: str, reason: str, board: Board
) -> None:
    flash = bytearray(board.flash)
    flash[0x8000:0x8C00] = bytes(range(256)) * 12
    board.path.write_bytes(flash)
    before = board.flash
    url = f"sim://esp32c3?flash=256KB&file={board.path}&efuses={efuses}"
    _, err = board.run(*words, url=url, code=code_of(UnsupportedError))
    assert f"A fatal error occurred: reading the partition table: {reason}" in err
    assert "offsets do without it" in err
    assert board.flash == before


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("pipe", b"from a pipe", b"from a pipe\xff"),
        (
            "pipe.hex",
            b":01000000AA55\n:01001000BB34\n:00000001FF\n",
            b"\xaa" + b"\xff" * 15 + b"\xbb",
        ),
    ],
)
def test_a_pipe_for_a_partition(name: str, content: bytes, expected: bytes, board: Board) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    pipe = board.folder / name
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    before = board.flash
    board.run("write-flash", "part:nvs", pipe)
    writer.join()
    assert_untouched(before, board.flash, [(0x9000, 0xA000)])
    assert board.flash[0x9000:].startswith(expected)
