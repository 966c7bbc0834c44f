"""What errors say where there is little to say."""

from __future__ import annotations

import pickle

import pytest

from esploader import errors

SPARSE = {
    "no port was named and no serial port was found": errors.NoPortError((), filtered=False),
    "port: no loader answered in 7 attempts": errors.ConnectError("port", 7, b""),
    "unknown chip (it gave no identity)": errors.UnknownChipError(None, None),
}


@pytest.mark.parametrize("said", SPARSE)
def test_it_is_a_sentence_all_the_same(said: str) -> None:
    assert str(SPARSE[said]) == said


def test_an_unknown_chip_is_told_by_what_it_gave() -> None:
    assert str(errors.UnknownChipError(0x1234, 99)) != str(errors.UnknownChipError(0x1234, None))


def test_an_error_keeps_its_fields_on_its_way_to_another_process() -> None:
    error = errors.FlashError(0x1000, 0x100, 0x2000, 0x1100, "the line is too bad")
    found = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert isinstance(found, errors.FlashError)
    assert [getattr(found, name) for name in found.fields] == [
        0x1000,
        0x100,
        0x2000,
        0x1100,
        "the line is too bad",
    ]
    assert repr(found) == repr(error)


@pytest.mark.parametrize("values", [(), (1,), (1, "a", 2)])
def test_an_error_takes_all_of_its_fields_and_no_more(values: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match="UrlError takes"):
        errors.UrlError(*values)  # type: ignore[arg-type]
