"""``@FILE`` on the command line stands for the words in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from esploader.cli import main
from esploader.commands.argument_files import MAX_FILE_SIZE, ArgumentFileError, expanded
from esploader.commands.parser import parse, parse_server
from untouched import assert_untouched, old_content


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--flash_mode dio --flash_size 2MB\n0x0 boot/boot.bin\n", None),
        ("'a name.bin' b\\ c \"d'e\"", ["a name.bin", "b c", "d'e"]),
        ("\n\n  \n", []),
        ("", []),
        ("\ufeffa\r\nb", ["a", "b"]),
        ("# 1", ["#", "1"]),
    ],
    ids=["of ESP-IDF", "quoted", "blank", "empty", "from Windows", "no comments"],
)
def test_a_file_holds_words_as_a_shell_takes_them(text: str, words: list[str] | None) -> None:
    Path("args").write_text(text, encoding="utf-8", newline="")
    wanted = text.split() if words is None else words
    assert expanded(["first", "@args", "last"]) == ["first", *wanted, "last"]


def test_it_stands_anywhere_and_more_than_once() -> None:
    Path("global").write_text("--port sim://esp32 --no-stub", encoding="utf-8")
    Path("command").write_text("read_flash 0", encoding="utf-8")
    Path("rest").write_text("0x10 out.bin", encoding="utf-8")
    found, arguments = parse(["@global", "@command", "@rest", "@global"], {})
    assert found.name == "read-flash"
    assert (arguments.port, arguments.size, arguments.output) == ("sim://esp32", 16, "out.bin")


def test_the_port_server_takes_it_too() -> None:
    Path("ports").write_text("-p 4000 sim://esp32", encoding="utf-8")
    assert parse_server(["@ports"])[1].ports == ["sim://esp32"]


def test_what_another_program_is_told_stays_as_it_is() -> None:
    Path("args").write_text("sim run", encoding="utf-8")
    _, arguments = parse(["@args", "--", "program", "@args", "@missing"], {})
    assert arguments.program == ["program", "@args", "@missing"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "@args cannot be read: No such file"),
        (b"a\nb 'c", "args, line 2: no closing quotation"),
        (b"a b @more", "args, line 1: @more: a file of words names no other one"),
        (b"\xff\xfe1", "args is no file of words: it is no text"),
        (b"\x00", "args is no file of words: it is no text"),
        (b" " * (MAX_FILE_SIZE + 1), "args is no file of words: it has more than 1 MiB"),
    ],
    ids=["missing", "open quote", "nested", "no UTF-8", "NUL", "too large"],
)
def test_what_cannot_be_used_is_named(
    content: bytes | None, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("args").write_bytes(content)
    assert main(["--port", "sim://esp32c3", "write-flash", "@args"]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert f"error: {complaint}" in captured.err


@pytest.mark.parametrize("word", ["@", "@.", "@a\0b"])
def test_so_is_what_is_no_file(word: str) -> None:
    with pytest.raises(ArgumentFileError):
        expanded([word])


def test_what_a_build_has_left_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    image, flash = bytes(range(256)) * 16, Path("flash.bin")
    flash.write_bytes(old_content(4 << 20))
    before = flash.read_bytes()
    Path("build").mkdir()
    Path("build/app.bin").write_bytes(image)
    Path("flash_args").write_text(
        "--flash_mode keep --flash_freq keep --flash_size keep\n0x10000 build/app.bin\n",
        encoding="utf-8",
    )
    port = f"sim://esp32c3?file={flash}"
    assert main(["--port", port, "--no-stub", "write_flash", "@flash_args"]) == 0
    assert "Hash of data verified." in capsys.readouterr().out
    after = flash.read_bytes()
    assert after[0x10000 : 0x10000 + len(image)] == image
    assert_untouched(before, after, [(0x10000, 0x11000)])
