"""A record keeps what became of boards: whole lines, on the disk, whoever writes beside us."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esploader.errors import PlanError, RecordError
from esploader.fleet import (
    BoardResult,
    Record,
    RecordEntry,
    Status,
    flash_many,
    read_record,
)
from fleets import DATA, OFFSET, Place, mac_of
from full_disk import files_of_at_most
from json_schemas import RECORD, text_of
from programs import run

if TYPE_CHECKING:
    from pathlib import Path

ENDED = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)


def entry(label: str = "bench-1", **fields: str) -> RecordEntry:
    result = BoardResult(label=label, port="sim://esp32c3", status=Status.DONE)
    return RecordEntry.of(result, fields)


def test_a_board_that_is_done_is_recorded_with_all_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    place = Place(7)
    record = Record(path, fields={"order": "4711"})
    job = place.job(device_inputs=lambda _: [(0x2_0000, b"own")])
    flash_many([job], record=record)
    (found,) = read_record(path)
    assert (found.status, found.label, found.mac) == (Status.DONE, "bench-7", mac_of(7))
    assert (found.chip, found.revision) == ("ESP32-C3", "v0.4")
    assert found.flash is not None
    assert found.flash.size == len(place.before)
    (shared,), (own,) = found.inputs, found.device_inputs
    assert (shared.offset, shared.size) == (OFFSET, len(DATA))
    assert (own.offset, own.size) == (0x2_0000, 3)
    assert own.sha256 == hashlib.sha256(b"own").hexdigest()
    assert [region.offset for region in found.regions] == [OFFSET, 0x2_0000]
    assert found.verified
    assert found.fields == {"order": "4711"}
    assert found.started is not None
    assert found.ended is not None
    assert datetime.fromisoformat(found.started) <= datetime.fromisoformat(found.ended)
    (line,) = path.read_text(encoding="ascii").splitlines()
    jsonschema.validate(json.loads(line), json.loads(text_of(RECORD)))


def test_a_board_that_failed_is_recorded_with_its_error(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    place = Place(0)
    flash_many([place.job(chip="esp32")], record=Record(path))
    (found,) = read_record(path)
    assert found.status is Status.FAILED
    assert not found.verified
    assert (found.error_class, found.error_message) == (
        "WrongChipError",
        "this chip is ESP32-C3, not ESP32",
    )
    place.assert_as_before()
    jsonschema.validate(json.loads(path.read_bytes()), json.loads(text_of(RECORD)))


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    for label in ("one", "two"):
        Record(path).append(entry(label))
    Record(path).append(entry("three", order="1"))
    assert [each.label for each in read_record(path)] == ["one", "two", "three"]


def test_behind_a_torn_line_a_new_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    Record(path).append(entry("one"))
    with path.open("ab") as file:
        file.write(entry("torn").to_line()[:40])
    Record(path).append(entry("two"))
    torn: list[int] = []
    assert [each.label for each in read_record(path, on_torn=torn.append)] == ["one", "two"]
    assert torn == [2]
    assert path.read_bytes().splitlines()[1] == entry("torn").to_line()[:40]


def test_a_line_for_which_there_is_no_room_is_not_there_at_all(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = Record(path)
    record.append(entry("one"))
    before = path.read_bytes()
    with files_of_at_most(len(before) + 20), pytest.raises(RecordError, match=str(path)):
        record.append(entry("two"))
    assert path.read_bytes() == before
    record.append(entry("three"))
    assert [each.label for each in read_record(path)] == ["one", "three"]


def test_a_board_that_cannot_be_recorded_is_not_done_and_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = Record(path)
    record.append(entry("one"))
    bench = [Place(0), Place(1)]
    with files_of_at_most(path.stat().st_size):
        result = flash_many([place.job() for place in bench], workers=1, record=record)
    first, second = result
    assert (first.status, second.status) == (Status.UNRECORDED, Status.NOT_BEGUN)
    assert not first.is_verified
    assert not result.is_done
    assert result.stopped is not None
    assert result.stopped.startswith(f"what is done cannot be recorded: {path}: ")
    bench[0].assert_written()
    bench[1].assert_as_before()


def test_a_board_of_which_no_line_can_be_made_is_not_done(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = Record(path, fields={"order": b"4711"})  # type: ignore[dict-item]
    place = Place(0)
    (board,) = flash_many([place.job()], record=record)
    assert board.status is Status.UNRECORDED
    assert board.record_failure is not None
    assert board.record_failure.startswith("TypeError: ")
    assert path.read_bytes() == b""
    place.assert_written()


def test_a_record_that_cannot_be_had_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    place = Place(0)
    for path in (tmp_path, tmp_path / "missing" / "record.jsonl", tmp_path / "zero\0"):
        with pytest.raises(RecordError):
            flash_many([place.job()], record=Record(path))
    assert place.opened == []


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
def test_a_pipe_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(RecordError, match="it is no regular file"):
        Record(path).check()


APPENDING = """
import sys
from esploader.fleet import BoardResult, Record, RecordEntry, Status
result = BoardResult(label=sys.argv[2], port="x" * 3000, status=Status.NOT_BEGUN)
record = Record(sys.argv[1])
for _ in range(50):
    record.append(RecordEntry.of(result, {}))
"""


def test_several_programs_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    with ThreadPoolExecutor() as pool:
        names = ["one", "two"]
        ended = pool.map(lambda name: run(sys.executable, "-c", APPENDING, str(path), name), names)
        assert [(each.exit_code, each.stderr) for each in ended] == [(0, "")] * 2
    torn: list[int] = []
    found = Counter(each.label for each in read_record(path, on_torn=torn.append))
    assert found == {"one": 50, "two": 50}
    assert torn == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": 2}, "line 1: it has the form 2, and only 1 is known"),
        ({"result": "fine"}, "line 1: no result is called 'fine'"),
        ({"more": 1}, "line 1: no RecordEntry has these keys"),
        ({"seconds": -1}, "line 1: seconds is of another kind"),
        ({"seconds": True}, "line 1: seconds is of another kind"),
        ({"label": None}, "line 1: label is of another kind"),
        ({"warnings": ["a", 1]}, "line 1: warnings is of another kind"),
        ({"warnings": "a"}, "line 1: warnings is of another kind"),
        ({"fields": {"order": 1}}, "line 1: fields is of another kind"),
        ({"inputs": [{}]}, "line 1: no RecordedInput has these keys"),
        ({"flash": 3}, "line 1: no RecordedFlash has these keys"),
    ],
    ids=str,
)
def test_what_is_no_entry_is_refused(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "record.jsonl"
    document = {**json.loads(entry().to_line()), **change}
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RecordError) as caught:
        list(read_record(path))
    assert str(caught.value) == f"{path}: {complaint}"


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b" " * (1 << 21))
    with pytest.raises(RecordError, match="line 1 has more than 1048576 bytes"):
        list(read_record(path))
    with pytest.raises(RecordError, match="a line would have more than 1048576 bytes"):
        Record(path).append(entry("x" * (1 << 20)))


def test_there_has_to_be_a_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="No such file or directory"):
        list(read_record(tmp_path / "missing"))


TEXTS = st.text(max_size=20)


@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_what_is_written_is_read(
    label: str, reason: str, warnings: list[str], fields: dict[str, str]
) -> None:
    result = BoardResult(
        label=label,
        port="sim://esp32c3",
        status=Status.FAILED,
        error=PlanError(reason),
        warnings=tuple(warnings),
        attempts=1,
        began=ENDED,
        ended=ENDED,
    )
    written = RecordEntry.of(result, fields)
    line = written.to_line()
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert RecordEntry.parse(line) == written
    assert RecordEntry.parse(line[: len(line) // 2]) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from([field.name for field in attrs.fields(RecordEntry)]),
)
def test_whatever_a_line_says_it_is_an_entry_or_refused(value: object, name: str) -> None:
    document = {**json.loads(entry().to_line()), name: value}
    for line in (json.dumps(document), json.dumps(value)):
        with contextlib.suppress(ValueError):
            found = RecordEntry.parse(line.encode())
            assert found is not None
            assert json.loads(found.to_line()) == document
