"""Whoever writes a number, and wherever: it is one within bounds, or it is said not to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader import connect
from esploader.cli import main
from esploader.errors import ConfigError, EsploaderError, UnsupportedError, UrlError
from esploader.numerals import real, shown, whole
from esploader.server.config import read_config
from esploader.simulator.url import parse
from esploader.transport.hwgrep import matching_devices
from esploader.transport.network_url import parse_network_url
from esploader.transport.reset import parse_custom

if TYPE_CHECKING:
    from pathlib import Path

DECIMAL = "9" * 5000
HEXADECIMAL = "0x" + "f" * 5000
UNDERSCORED = "1_0" * 2500
ENDLESS = (DECIMAL, HEXADECIMAL, UNDERSCORED)

MAX_MESSAGE_SIZE = 500


@pytest.mark.parametrize("text", [*ENDLESS, "", "x", "1.5", "0x", "--1", "½"])
def test_what_is_no_number_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number") as caught:
        whole(text, 0, 10)
    assert len(str(caught.value)) < MAX_MESSAGE_SIZE


@given(st.integers(-(10**30), 10**30))
def test_whole_numbers_are_read_in_every_base(number: int) -> None:
    for text in (str(number), hex(number), bin(number) if abs(number) < 1 << 90 else hex(number)):
        assert whole(text, -(10**30), 10**30) == number


@pytest.mark.parametrize("text", ["-1", "11", "0x0b"])
def test_a_number_beyond_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text} is not between 0 and 10$"):
        whole(text, 0, 10)


@pytest.mark.parametrize("text", ["inf", "nan", "1e999", "-0.1", "9" * 400, "x", ""])
def test_no_time_is_infinite(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        real(text, 0, 60)
    assert real("1e1", 0, 60) == 10


@pytest.mark.parametrize(
    "value",
    [10**5000, [10**5000], "9" * 5000, {"a": 10**4400}],
    ids=["number", "list", "text", "table"],
)
def test_anything_can_be_shown(value: object) -> None:
    assert len(shown(value)) < 100


@pytest.mark.parametrize("number", ENDLESS)
@pytest.mark.parametrize(
    "words",
    [
        ["--baud", "{}", "flash_id"],
        ["--connect-attempts", "{}", "flash_id"],
        ["read_flash", "{}", "0x1000", "out.bin"],
        ["read_flash", "0", "{}", "out.bin"],
        ["read_flash", "0", "{}k", "out.bin"],
        ["write_flash", "{}", "in.bin"],
        ["erase_region", "{}", "0x1000"],
        ["read_mem", "{}"],
        ["flash_id", "--spi-connection", "{},1,2,3,4"],
        ["read_flash_status", "--bytes", "{}"],
    ],
    ids=lambda words: " ".join(words).replace("{}", "N"),
)
def test_no_number_on_the_command_line_is_endless(
    words: list[str], number: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "in.bin").write_bytes(b"x")
    said = [
        str(tmp_path / word) if word.endswith(".bin") else word.replace("{}", number)
        for word in words
    ]
    try:
        code = main(["--port", "sim://esp32c3", "--no-stub", *said])
    except SystemExit as exc:
        assert exc.code == 2  # noqa: PT017 - argparse ends a program
        code = 2
    assert code == 2
    assert "ValueError" not in capsys.readouterr().err
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize("number", [DECIMAL, HEXADECIMAL])
@pytest.mark.parametrize(
    "text",
    [
        "tcp-port = {}",
        '[[port]]\ndevice = "x"\ntcp-port = {}',
        "[[port]]\n[port.usb]\nvid = {}",
        "[limits]\nconnections = {}",
        "[limits]\nhandshake-time = {}",
        "bind = {}",
        "bind = [{}]",
        "tls = {}",
        "port = [{}]",
        "[[port]]\ndevice = {}",
    ],
)
def test_no_number_in_a_file_is_endless(text: str, number: str, tmp_path: Path) -> None:
    path = tmp_path / "ports.toml"
    path.write_text(text.replace("{}", number), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert len(str(caught.value)) < MAX_MESSAGE_SIZE


@pytest.mark.parametrize("number", [*ENDLESS, "inf", "1e300", "nan", "-1"])
def test_no_number_in_a_url_is_endless(number: str) -> None:
    with pytest.raises(UrlError):
        parse_network_url(f"x://host:1?timeout={number}", "x", frozenset({"timeout"})).seconds(
            "timeout", 1.0
        )
    with pytest.raises(UrlError):
        parse_network_url(f"x://host:{number}", "x", frozenset())
    with pytest.raises(UrlError):
        matching_devices(f"hwgrep://x&n={number}")
    for option in ("flash", "seed", "crystal", "assumed", "revision", "efuses=wr_dis:", "mac"):
        with pytest.raises(UrlError):
            parse(f"sim://esp32c3?{option}{'' if ':' in option else '='}{number}")


@pytest.mark.parametrize("number", [*ENDLESS, "inf", "nan", "-1"])
def test_no_wait_of_a_reset_sequence_is_endless(number: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parse_custom(f"D0|W{number}")
    assert len(str(caught.value)) < MAX_MESSAGE_SIZE


def test_no_baud_rate_of_a_program_is_endless() -> None:
    with pytest.raises(EsploaderError):
        connect("sim://esp32c3", baudrate=10**5000)
