"""Every option that the help of esptool has is one of ours, with or without a value as there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from esploader.commands.parser import command_parser, common_parser
from esploader.commands.table import HOMES, command
from programs import run

if TYPE_CHECKING:
    import argparse

pytestmark = pytest.mark.peer

OPTIONS_OF_ESPTOOL = """
import json, esptool
def options(command):
    found = [each for each in command.params if each.param_type_name == "option"]
    return {name: each.is_flag for each in found if not each.hidden for name in each.opts}
found = {name: options(each) for name, each in esptool.cli.commands.items() if not each.hidden}
print(json.dumps({"": options(esptool.cli), **found}))
"""

NOT_HERE = {"verify-sdc-certificate", "read-sdc-chip-info"}
"""Commands of esptool for which there is none here."""


def options_of(parser: argparse.ArgumentParser) -> dict[str, bool]:
    """Return whether an option takes no value, by its names."""
    return {
        name: action.nargs == 0
        for action in parser._actions  # noqa: SLF001 - argparse tells it nowhere else
        for name in action.option_strings
    }


def test_every_option_of_esptool_is_understood() -> None:
    done = run(sys.executable, "-c", OPTIONS_OF_ESPTOOL)
    assert done.exit_code == 0, done.stderr
    theirs: dict[str, dict[str, bool]] = json.loads(done.stdout)
    assert len(theirs) > len(HOMES) // 2
    assert {name for name in theirs if name and name not in HOMES} == NOT_HERE
    for name, options in theirs.items():
        if name in NOT_HERE:
            continue
        parser = command_parser(command(name), name) if name else common_parser()
        ours = options_of(parser)
        assert {each: ours.get(each) for each in options} == options, name
