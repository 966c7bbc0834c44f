"""Fields that tell the devices of one chip apart, and texts that depend on them."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen

if TYPE_CHECKING:
    from esploader.chips.model.bits import BitField


MAJOR: Final = "major"
"""In a condition: the major part of the revision."""


MINOR: Final = "minor"
"""In a condition: the minor part of the revision."""


@frozen
class Field:
    """A named value in the registers that tells devices of one chip apart."""

    name: str
    """What conditions and texts call it."""
    bits: BitField
    """Where its value is."""
    names: tuple[tuple[int, str], ...] = attrs.field(
        default=(), repr=lambda names: f"<{len(names)} names>"
    )
    """What values are called, where they have names."""

    def name_of(self, value: int) -> str:
        """Return what ``value`` is called; empty where it has no name."""
        return dict(self.names).get(value, "")


@frozen
class When:
    """A condition: the named field has one of the values.

    Besides the fields of the chip, :data:`MAJOR` and :data:`MINOR` name the parts of the
    revision.
    """

    field: str
    """The name of the field."""
    values: tuple[int, ...]
    """Any of these values will do."""


@frozen
class Label:
    """A text that applies when all conditions hold.

    ``{name}`` in the text stands for what the value of the field of that name is called.
    """

    text: str
    """What is said; names of fields in braces stand for their names."""
    when: tuple[When, ...] = attrs.field(default=(), repr=lambda when: f"<{len(when)} conditions>")
    """Under which conditions, all of which have to be met."""

    @property
    def placeholders(self) -> frozenset[str]:
        """Names of the fields in the text."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.text) if name)

    @property
    def fields(self) -> frozenset[str]:
        """Names of all fields that the label depends on."""
        return self.placeholders | {condition.field for condition in self.when}
