"""Files of recordings: what is written is read again, and nothing else is believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esploader.chips.registry import CHIPS
from esploader.errors import RecordingError
from esploader.simulator.recordings.recording import (
    MAX_FILE_SIZE,
    FlashNeed,
    LineChange,
    Needs,
    Recording,
    Row,
    encode_recording,
    read_recording,
)
from recordings import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

seconds = st.integers(0, 10**9).map(lambda micros: micros / 1e6)
lines = st.builds(LineChange, seconds=seconds, dtr=st.booleans(), rts=st.booleans())
rates = st.none() | st.integers(1, 20_000_000)
exchanges = st.builds(
    Row,
    name=st.text(max_size=20),
    baudrate=rates,
    lines=st.lists(lines, max_size=3).map(tuple),
    sent=st.binary(max_size=50),
    received=st.binary(max_size=50),
)
recoveries = st.builds(Row, name=st.text(max_size=20), recovery=st.text(max_size=20))
recorded = st.builds(
    Recording,
    chip=st.sampled_from(list(CHIPS)),
    loader=st.sampled_from(["rom", "stub"]),
    source=st.text(max_size=20),
    baudrate=rates,
    flash_attached=st.booleans(),
    rows=st.lists(exchanges | recoveries, max_size=5).map(tuple),
)

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_text(folder: Path, text: str | bytes) -> Recording:
    path = folder / "recording.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_recording(path)


def document(**changes: object) -> dict[str, object]:
    row = {"name": "a row", "send": "c0", "recv": ""}
    return {"chip": "esp32", "loader": "rom", "rows": [row], **changes}


@given(recording=recorded)
@in_one_folder
def test_what_is_written_is_read_again(recording: Recording, tmp_path: Path) -> None:
    assert read_text(tmp_path, encode_recording(recording)) == recording


def test_what_rows_need_is_read() -> None:
    rows = read_recording(VECTORS / "stub-esp32.json").rows
    assert FlashNeed(offset=0x10_0000, size=0x2000) in [row.needs.flash for row in rows]
    rows = read_recording(VECTORS / "rom-esp32.json").rows
    assert Needs(memory={0x4000_1004: 0x6500_4136}) in [row.needs for row in rows]
    rows = read_recording(VECTORS / "rom-esp32c3-more.json").rows
    assert [len(row.needs.sent) for row in rows if row.needs.sent] == [1, 3, 1, 1, 1]


def test_a_row_says_what_it_lacks() -> None:
    change = LineChange(seconds=0.0, dtr=False, rts=True)
    assert (change.holds_reset, change.pulls_strap) == (True, False)
    change = change.followed_by(dtr=True, rts=False, seconds=0.5)
    assert change == LineChange(seconds=0.5, dtr=True, rts=False)
    assert (change.holds_reset, change.pulls_strap) == (False, True)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"chip": "esp33"}, "esp33"),
        ({"chip": None}, "the file: chip is no text"),
        ({"loader": "bootloader"}, "the loader 'bootloader' is none of rom, stub"),
        ({"source": 1}, "the file: source is no text"),
        ({"baudrate": 0}, "the file: no UART has that baud rate"),
        ({"baudrate": "fast"}, "the file: baudrate is no number"),
        ({"flash_attached": 1}, "the file: flash_attached is neither true nor false"),
        ({"rows": {}}, "the file: rows is no list"),
        ({"rows": None}, "the file: rows is no list"),
        ({"rowz": []}, "the file: there is no such key as 'rowz'"),
        ({"rows": [{"name": "a", "rec\u00f6": "c0"}]}, "row 0: there is no such key"),
        ({"rows": [{"name": "a", "needs": {"momory": {}}}]}, "needs: there is no such key"),
        (
            {"rows": [{"name": "a", "needs": {"flash": {"contents": ""}}}]},
            "needs: flash: there is no such key",
        ),
        ({"rows": ["c0"]}, "row 0 is no object"),
        ({"rows": [{}]}, "row 0: name is no text"),
        ({"rows": [{"name": "a", "send": "c"}]}, "row 0: send is not hexadecimal"),
        ({"rows": [{"name": "a", "send": 192}]}, "row 0: send is no text"),
        ({"rows": [{"name": "a", "lines": [[0, 1, 0]]}]}, "row 0: lines are"),
        ({"rows": [{"name": "a", "lines": [[-1, True, True]]}]}, "row 0: lines are"),
        ({"rows": [{"name": "a", "baudrate": True}]}, "row 0: baudrate is no number"),
        ({"rows": [{"name": "a", "recovery": 1}]}, "row 0: recovery is no text"),
        ({"rows": [{"name": "a", "needs": []}]}, "row 0: needs is no object"),
        ({"rows": [{"name": "a", "needs": {"sent": ["x"]}}]}, "sent is not hexadecimal"),
        ({"rows": [{"name": "a", "needs": {"sent": [192]}}]}, "sent is not hexadecimal"),
        ({"rows": [{"name": "a", "needs": {"memory": []}}]}, "memory is no object"),
        ({"rows": [{"name": "a", "needs": {"memory": {"x": "0"}}}]}, "a word is hexadecimal"),
        ({"rows": [{"name": "a", "needs": {"memory": {"0": "1" * 9}}}]}, "a word has 32 bits"),
        ({"rows": [{"name": "a", "needs": {"flash": {"content": "x"}}}]}, "the content is not"),
        (
            {
                "rows": [
                    {
                        "name": "a",
                        "needs": {
                            "flash": {
                                "content": "bytes 0..255 repeated",
                                "offset": 0x0800_0000,
                                "size": 1,
                            }
                        },
                    }
                ]
            },
            "no flash is so large",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_it_should_be_is_named(
    changes: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    assert read_text(tmp_path, json.dumps(document())).rows
    with pytest.raises(RecordingError, match=complaint) as caught:
        read_text(tmp_path, json.dumps(document(**changes)))
    assert caught.value.path == str(tmp_path / "recording.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["chip", "loader", "rows", "name", "lines", "needs", "send", "flash"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(content=st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
@in_one_folder
def test_any_other_file_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        read_text(tmp_path, content)


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000], ids=["deep", "long number"])
def test_what_json_chokes_on_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        read_text(tmp_path, text)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_SIZE + 1)
    with pytest.raises(RecordingError, match="it has more than"):
        read_recording(path)
