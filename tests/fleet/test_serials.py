"""Serial numbers are those of a list, or the next ones, and none is given twice."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from esploader.errors import ConfigError, PlanError
from esploader.fleet.serials import Serials, next_serial, read_serials
from fleets import mac_of
from full_disk import files_of_at_most
from programs import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("x,1", "line 1: 'x' is no MAC address"),
        (f"{mac_of(1)}", "line 1: it is not MAC,SERIAL"),
        (f"{mac_of(1)},a,b", "line 1: it is not MAC,SERIAL"),
        (f"{mac_of(1)},../x", "line 1: '../x' cannot be in the name of a file"),
        (f"{mac_of(1)},..", "line 1: '..' cannot be in the name of a file"),
        (f"{mac_of(1)},", "line 1: '' cannot be in the name of a file"),
        (f"{mac_of(1)},{'a' * 200_000}", "it is no list: field larger than field limit"),
        (f"{mac_of(1)},a\n{mac_of(1)},b", f"line 2: {mac_of(1)} is there twice"),
        (f"{mac_of(1)},a\n{mac_of(2)},a", "line 2: a is there twice"),
    ],
)
def test_serials_that_make_no_sense_are_refused(lines: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_serials(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_serials_are_found_however_their_macs_are_written(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    path.write_text("MAC,Serial\n24:0A:C4:00:01:01,a\n\n240ac4000102, b\n", encoding="utf-8-sig")
    assert read_serials(path) == {mac_of(1): "a", mac_of(2): "b"}


def test_a_list_may_be_all_that_there_is(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    path.write_text(f"{mac_of(1)},a", encoding="utf-8")
    serials = Serials.open(path, None, keeps=True)
    assert serials.of(mac_of(1)) == "a"
    with pytest.raises(PlanError, match=f"there is no serial number for the MAC {mac_of(2)}"):
        serials.of(mac_of(2))


@pytest.mark.parametrize(
    ("first", "given", "expected"),
    [
        ("SN-000100", [], "SN-000100"),
        ("SN-000100", ["SN-000100", "SN-000104", "SN-9", "XX-000200"], "SN-000105"),
        ("SN-000100", ["SN-000007"], "SN-000100"),
        ("A9", ["A8", "A99", "A٩"], "A9"),
        ("7", ["7"], "8"),
        ("1" * 30, ["1" * 30], "1" * 29 + "2"),
    ],
    ids=str,
)
def test_the_next_number_is_the_one_behind_all_of_its_form(
    first: str, given: list[str], expected: str
) -> None:
    assert next_serial(first, given) == expected


def test_a_number_gets_no_more_digits() -> None:
    with pytest.raises(PlanError, match="no serial number of the form A8 is left"):
        next_serial("A8", ["A9"])


def test_a_board_keeps_its_number_from_one_run_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    for number, serial in ((1, "S1"), (2, "S2"), (1, "S1"), (3, "S3")):
        assert Serials.open(path, "S1", keeps=True).of(mac_of(number)) == serial
    text = "".join(f"{mac_of(number)},S{number}\n" for number in (1, 2, 3))
    assert path.read_text(encoding="ascii") == text


def test_a_trial_keeps_no_number(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    serials = Serials.open(path, "S1", keeps=False)
    assert [serials.of(mac_of(number)) for number in (1, 2, 1)] == ["S1", "S2", "S1"]
    assert not path.exists()


PROGRAM = """
import sys
from pathlib import Path
from esploader.fleet.serials import Serials
serials = Serials.open(Path(sys.argv[1]), "S100", keeps=True)
for number in range(30):
    serials.of(f"24:0a:c4:00:{int(sys.argv[2]):02x}:{number:02x}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no locks there")
def test_several_programs_give_no_number_twice(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"

    def give(number: int) -> int:
        return run(sys.executable, "-c", PROGRAM, str(path), str(number)).exit_code

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(give, range(2))) == [0, 0]
    # It refuses what is there twice.
    assert sorted(read_serials(path).values()) == [f"S{number}" for number in range(100, 160)]


def test_a_number_that_cannot_be_kept_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    serials = Serials.open(path, "S1", keeps=True)
    with files_of_at_most(20), pytest.raises(PlanError, match="a serial number cannot be kept in"):
        serials.of(mac_of(1))
    assert path.read_bytes() == b""
    assert serials.of(mac_of(1)) == "S1"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (f"{mac_of(1)},S1", "its last line has no end: see that it is whole, and end it"),
        ("x\n", "line 1: it is not MAC,SERIAL"),
    ],
)
def test_a_list_that_may_be_torn_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "serials.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        Serials.open(path, "S1", keeps=True)


def test_a_list_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it cannot be written: "):
        Serials.open(tmp_path, "S1", keeps=True)
