"""Exceptions that tell what happened in fields, as classes of attrs would have them.

Not by attrs: it generates and compiles code for each class, which every start of a command would
wait for. Type checkers see the fields all the same.
"""

from __future__ import annotations

import reprlib
from typing import ClassVar, Final, dataclass_transform

from esploader.classes import override

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


@dataclass_transform(eq_default=False)
class TellingError(Exception):
    """Takes the values of its fields, in their order or by name."""

    fields: ClassVar[tuple[str, ...]] = ()
    """The names of what an error of this class tells."""

    _wording: ClassVar[str] = ""
    """What it says, with its fields in braces; without, it says them all, one behind the other."""

    @override
    def __init_subclass__(cls) -> None:
        cls.fields += tuple(cls.__annotations__)

    def __init__(self, *values: object, **named: object) -> None:
        names, given = self.fields, {**dict(zip(self.fields, values, strict=False)), **named}
        if len(values) + len(named) != len(names) or given.keys() != {*names}:
            raise TypeError(f"{type(self).__name__} takes {names}, not {values} and {named}")
        super().__init__(*(given[name] for name in names))
        self.__dict__.update(given)

    @override
    def __str__(self) -> str:
        wording = self._wording or ": ".join(f"{{{name}}}" for name in self.fields)
        return wording.format_map(vars(self))

    @override
    def __repr__(self) -> str:
        values = ", ".join(f"{name}={_SHORT.repr(getattr(self, name))}" for name in self.fields)
        return f"{type(self).__name__}({values})"
