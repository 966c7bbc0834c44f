"""Files that set defaults: which one is read, what counts in it, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from esploader.cli import main
from esploader.commands.parser import parse, parse_server
from esploader.commands.serving import make_config
from esploader.commands.settings_file import MAX_FILE_SIZE, SettingsFileError, find_settings
from esploader.server.recogniser import ResetPolicy
from esploader.transport.reset import parse_custom

C3 = ["--port", "sim://esp32c3"]
OWN = "D0|R1|W0.2|D1|R0|W0.1|D0"
HARD = "R1|W0.3|R0"


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user who stands in another, empty directory."""
    for name in os.environ:
        if name.startswith("ESPTOOL_"):
            monkeypatch.delenv(name)
    home, here = tmp_path / "home", tmp_path / "here"
    (home / ".config/esptool").mkdir(parents=True)
    (home / "AppData/Local/esptool").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    return home


def write(path: Path | str, *lines: str) -> None:
    path = Path(path)
    section = "[tool.esploader]" if path.suffix == ".toml" else "[esptool]"
    path.write_text("\n".join((section, *lines, "")), encoding="utf-8")


def attempts(**environment: str) -> int:
    return int(parse(["read-mac"], environment)[1].connect_attempts)


def test_the_first_file_with_settings_counts(home: Path) -> None:
    assert attempts() == 7
    own = "AppData/Local/esptool" if os.name == "nt" else ".config/esptool"
    # From the last place to the first.
    places = [
        folder / name
        for folder in (home, home / own, Path())
        for name in ("tox.ini", "setup.cfg", "esptool.cfg", "pyproject.toml")
    ]
    for number, path in enumerate(places, 10):
        write(path, f"connect_attempts = {number}")
        assert attempts() == number, path
    write("other.ini", "connect_attempts = 99")
    assert attempts(ESPTOOL_CFGFILE="other.ini") == 99
    assert attempts(ESPTOOL_CFGFILE="other.ini", ESPTOOL_CONNECT_ATTEMPTS="3") == 3
    line = ["read-mac", "--connect-attempts", "2"]
    assert parse(line, {"ESPTOOL_CFGFILE": "other.ini"})[1].connect_attempts == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("esptool.cfg", "[other]\nconnect_attempts = 1\n"),
        ("setup.cfg", "[tool:esptool]\nconnect_attempts = 1\n"),
        ("tox.ini", "; [esptool]\nconnect_attempts = 1\n"),
        ("pyproject.toml", "[tool.esptool]\nconnect_attempts = 1\n"),
        ("pyproject.toml", "[tool.esploader.more]\nconnect_attempts = 1\n"),
        ("pyproject.toml", "broken, and none of ours"),
    ],
)
def test_files_without_settings_of_ours_do_not_count(name: str, content: str) -> None:
    Path(name).write_text(content, encoding="utf-8")
    assert find_settings(None) is None


def test_what_is_no_file_does_not_count() -> None:
    Path("esptool.cfg").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo("setup.cfg")
    assert find_settings(".") is None


def test_other_sections_may_be_whatever_they_like() -> None:
    Path("tox.ini").write_text(
        "[testenv]\nbroken\n[esptool] ; ours\nconnect_attempts : 5\n[esptools]\nbroken\n",
        encoding="utf-8",
    )
    assert attempts() == 5


@pytest.mark.parametrize("begin", ["[tool.other]\nhelp", "tool"])
def test_what_merely_stands_in_a_text_sets_nothing(begin: str) -> None:
    Path("pyproject.toml").write_text(
        f'{begin} = """\n[tool.esploader]\nconnect_attempts = 9\n"""\n', encoding="utf-8"
    )
    assert find_settings(None) is None
    # It is not the first file that has settings.
    write("setup.cfg", "connect_attempts = 5")
    assert attempts() == 5


def test_all_that_can_be_set() -> None:
    write(
        "esptool.cfg",
        "Connect_Attempts = 0",
        "open_port_attempts = 5",
        "reset_delay = 0.25",
        f"custom_reset_sequence = {OWN}",
        f"custom_hard_reset_sequence = {HARD}",
    )
    arguments = parse(["read-mac"], {})[1]
    assert (arguments.connect_attempts, arguments.open_attempts) == (0, 5)
    assert arguments.reset_delay == 0.25
    assert arguments.custom_reset_sequence == parse_custom(OWN)
    assert arguments.custom_hard_reset_sequence == parse_custom(HARD)
    write(
        "pyproject.toml",
        "connect_attempts = 4",
        "reset_delay = 1",
        f"custom_reset_sequence='{HARD}'",
    )
    arguments = parse(["--custom_hard_reset_sequence", OWN, "read-mac"], {})[1]
    assert (arguments.connect_attempts, arguments.open_attempts) == (4, 1)
    assert arguments.reset_delay == 1.0
    assert arguments.custom_reset_sequence == parse_custom(HARD)
    assert arguments.custom_hard_reset_sequence == parse_custom(OWN)


@pytest.mark.parametrize(
    ("name", "lines", "complaint"),
    [
        ("esptool.cfg", ["", "connect_attempts = many"], "line 3: connect_attempts: 'many' is not"),
        ("tox.ini", ["timeout = 3", "reset_delay = 1s"], "line 3: reset_delay: '1s' is not a n"),
        ("setup.cfg", ["timeout = long"], "line 2: timeout: 'long' is not a number"),
        ("setup.cfg", ["a = 1", "max_timeout = -1"], "line 3: max_timeout: -1 is not between"),
        (
            "esptool.cfg",
            ["custom_reset_sequence = D2"],
            "line 2: custom_reset_sequence: reset step",
        ),
        ("esptool.cfg", ["custom_hard_reset_sequence ="], "line 2: custom_hard_reset_sequence: "),
        ("esptool.cfg", ["a = 1", "A = 2"], "line 3: a is there twice"),
        ("esptool.cfg", ["a = 1", "nothing"], "line 3: it sets nothing"),
        ("pyproject.toml", ["a = 1", "reset_delay = 'x'"], "line 3: reset_delay: 'x' is not a n"),
        ("pyproject.toml", ["connect_attempts = [1]"], "line 2: connect_attempts is neither a nu"),
        ("pyproject.toml", ["connect_attempts = true"], "line 2: connect_attempts is neither a"),
        ("pyproject.toml", ["max.timeout = 1"], "pyproject.toml: max is neither a number nor text"),
        ("pyproject.toml", ["a = 1", "b = 1 2", "c = 3"], "is no TOML: "),
        ("esptool.cfg", ["a = \udcff"], "esptool.cfg is no text of UTF-8"),
        ("esptool.cfg", ["a = 1" + " " * MAX_FILE_SIZE], "esptool.cfg has more than 1 MiB"),
    ],
)
def test_what_makes_no_sense_is_refused_by_file_and_line(
    name: str, lines: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(name)
    with Path(name).open("ab") as file:
        file.write("\n".join(lines).encode("utf-8", "surrogateescape"))
    assert main([*C3, "read-mac"]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert f"error: {Path(name).absolute()}" in captured.err
    assert complaint in captured.err
    # Nothing of it concerns these.
    assert main(["version"]) == main(["completion", "bash"]) == 0
    with pytest.raises(SystemExit):
        parse_server(["sim://esp32"])


def test_what_is_not_heeded_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    write("esptool.cfg", "port = /dev/ttyUSB0", "timeout = 3", "colour = red")
    path = Path("esptool.cfg").absolute()
    note = f"NOTE: set in {path} and not heeded: colour, port\n"
    assert main([*C3, "read-mac"]) == 0
    captured = capsys.readouterr()
    assert captured.err == note
    assert "Serial port sim://esp32c3:" in captured.out
    assert main([*C3, "read-mac", "-v"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        note.strip(),
        f"NOTE: settings are read from {path}",
        "NOTE: timeout has no effect: how long to wait follows from rates and sizes",
    ]


def test_a_named_file_without_settings_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ESPTOOL_CFGFILE", "missing.cfg")
    write("esptool.cfg", "connect_attempts = 1")
    assert main([*C3, "read-mac", "--verbose"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "NOTE: ESPTOOL_CFGFILE is not heeded: missing.cfg is no file with settings",
        f"NOTE: settings are read from {Path('esptool.cfg').absolute()}",
    ]


def test_sequences_are_played(capsys: pytest.CaptureFixture[str]) -> None:
    write("esptool.cfg", "custom_reset_sequence = D0", "connect_attempts = 1")
    # Which gets nobody into download mode.
    app = ["--port", "sim://esp32c3?state=app", "read-mac"]
    assert main(app) == 2
    assert "A fatal error occurred: " in capsys.readouterr().err
    assert main([*app, "--custom-reset-sequence", OWN]) == 0
    assert main([*app, "--custom-reset-sequence", "W61"]) == 2
    assert "argument --custom-reset-sequence: " in capsys.readouterr().err


def test_a_port_server_plays_them_where_nothing_else_is_said() -> None:
    write("esptool.cfg", f"custom_reset_sequence = {OWN}", f"custom_hard_reset_sequence = {HARD}")
    own = ResetPolicy(download_mode=parse_custom(OWN), hard_reset=parse_custom(HARD))
    Path("ports.toml").write_text(
        '[new-ports]\n[[port]]\ndevice = "a"\n[[port]]\ndevice = "b"\nreset = "r0"\n',
        encoding="utf-8",
    )
    config = make_config(parse_server(["--config", "ports.toml", "c"])[1])
    assert [port.reset for port in config.ports] == [own, ResetPolicy(long_strap_delay=True), own]
    assert config.new_ports is not None
    assert config.new_ports.reset == own
    for option, policy in (
        ("--no-reset", ResetPolicy(is_recognised=False)),
        ("--r0", ResetPolicy(long_strap_delay=True)),
        ("--custom-reset-sequence=D1", attrs.evolve(own, download_mode=parse_custom("D1"))),
    ):
        (port,) = make_config(parse_server(["c", option])[1]).ports
        assert port.reset == policy


def test_settings_are_text_of_any_system() -> None:
    Path("esptool.cfg").write_bytes(b"\xef\xbb\xbf[esptool]\r\nconnect_attempts = 4\r\n")
    assert attempts() == 4
    Path("esptool.cfg").write_bytes(b"[esptool]")
    assert find_settings(None) is not None
    Path("esptool.cfg").write_bytes(b"[esptool]\n= 3\n")
    with pytest.raises(SettingsFileError, match="line 2"):
        find_settings(None)
