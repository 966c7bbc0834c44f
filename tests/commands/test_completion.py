"""The scripts for shells name every command, every action and every option."""

from __future__ import annotations

import re

import pytest

from esploader.cli import main
from esploader.commands.completion import SHELLS
from esploader.commands.completion_words import places
from esploader.commands.table import HOMES


def text_of(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    return captured.out


@pytest.mark.parametrize("shell", SHELLS)
def test_all_that_may_stand_there_is_named(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = text_of(shell, capsys)
    words = set(re.findall(r"[\w.-]+", text))
    for place in places():
        assert {name for name, _ in place.words} <= words
        for option in place.options:
            names = option.names
            if shell == "fish":
                names = tuple(name.lstrip("-") for name in names)
            assert {*names, *option.values} <= words
    assert set(HOMES) <= words


def test_values_that_can_be_named_are() -> None:
    by_path = {place.path: place for place in places()}
    options = {name: each for each in by_path["flash-id",].options for name in each.names}
    assert options["--before"].values[:2] == ("default-reset", "usb-reset")
    assert {"esp8266", "esp32", "esp32s3"} <= set(options["-c"].values)
    assert options["--port"].takes_value
    assert not options["--port"].values
    assert not options["--trace"].takes_value
    assert [name for name, _ in by_path["sim",].words] == ["serve", "run", "check"]
    assert "--spi_connection" not in options
    of_merges = {name: each for each in by_path["merge-bin",].options for name in each.names}
    assert of_merges["--format"].values == ("raw", "uf2", "hex")
    assert of_merges["-fm"].values == ("keep", "qio", "qout", "dio", "dout")
    assert not of_merges["--output"].values


def test_other_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "'csh'" in capsys.readouterr().err
    assert main(["completion"]) == 2
