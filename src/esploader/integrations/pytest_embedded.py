"""A plugin for pytest-embedded: its suites flash with this library, in place of esptool.

A suite asks for it in its root ``conftest.py``::

    pytest_plugins = ["esploader.integrations.pytest_embedded"]

pytest-embedded has no entry points for services; what is replaced is the class of its fixture
``serial``. A plugin that is loaded earlier, by ``-p`` or an entry point, would be overridden by
pytest-embedded itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FLASHED_BY_US: Final = ("EspSerial", "IdfSerial", "ArduinoSerial")
"""The classes of pytest-embedded that esptool stands behind, and whose builds we can read."""


class ClassesAndOptions(Protocol):
    """What pytest-embedded makes the fixtures of one device of."""

    classes: MutableMapping[str, type]


@pytest.fixture
def _fixture_classes_and_options(
    _fixture_classes_and_options: ClassesAndOptions | tuple[ClassesAndOptions, ...],
) -> ClassesAndOptions | tuple[ClassesAndOptions, ...]:
    """Have the devices of a test flashed by us, each of which has its own classes."""
    found = _fixture_classes_and_options
    for each in found if isinstance(found, tuple) else (found,):
        replaced = each.classes.get("serial")
        if replaced is not None and replaced.__name__ in FLASHED_BY_US:
            from esploader.integrations.embedded_serial import EsploaderSerial

            each.classes["serial"] = EsploaderSerial
    return found
