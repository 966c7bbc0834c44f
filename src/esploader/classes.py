"""What our classes are made with: attrs, and three methods that they share.

For ``__repr__``, ``__eq__`` and ``__hash__`` attrs writes code for each class and compiles it,
which takes longer than all the rest of a class. ``define`` and ``frozen`` of this module are those
of attrs, except that classes get functions that look up what to show and to compare. What comes of
it is the same, to the letter.

``override`` is the one of typing_extensions, which takes long to import; and so does attrs, which
is imported where the first class is made.
"""

from __future__ import annotations

from functools import cache
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import attrs

    _Method: TypeAlias = Callable[..., object]
    _Key: TypeAlias = Callable[[object], object]

__all__ = ["define", "frozen", "override"]

_UNDERSTOOD: Final = frozenset({"eq", "init", "kw_only", "order", "repr"})
"""Options that change nothing about shared methods, apart from there being none."""

_EQUALITY: Final = frozenset({"__eq__", "__ne__"})


@recursive_repr()
def _represent(self: object) -> str:
    from attrs import NOTHING

    cls: type = self.__class__
    values = [
        # What is no argument may not be set yet.
        f"{name}={show(getattr(self, name) if init else getattr(self, name, NOTHING))}"
        for name, show, init in _shown(cls)
    ]
    return f"{cls.__qualname__.rsplit('>.', 1)[-1]}({', '.join(values)})"


def _equal(self: object, other: object) -> object:
    if other.__class__ is not self.__class__:
        return NotImplemented
    cls: type = self.__class__
    equal: object = True
    for name, key in _compared(cls):
        mine, theirs = getattr(self, name), getattr(other, name)
        equal = mine == theirs if key is None else key(mine) == key(theirs)
        if not equal:
            break
    return equal


def _hash(self: object) -> int:
    cls: type = self.__class__
    values = [
        getattr(self, name) if key is None else key(getattr(self, name))
        for name, key in _hashed(cls)
    ]
    return hash((cls, *values))


@cache
def _shown(cls: type) -> tuple[tuple[str, _Method, bool], ...]:
    """Return of all that is shown its name, what shows it, and whether it is an argument."""
    return tuple(
        (field.name, field.repr if callable(field.repr) else repr, field.init)
        for field in _fields(cls, "__repr__", _represent)
        if field.repr is not False
    )


@cache
def _compared(cls: type) -> tuple[tuple[str, _Key | None], ...]:
    """Return of all that is compared its name, and what makes of it what is compared."""
    return tuple((field.name, _key(field)) for field in _fields(cls, "__eq__", _equal) if field.eq)


@cache
def _hashed(cls: type) -> tuple[tuple[str, _Key | None], ...]:
    """Return of all that is hashed its name, and what makes of it what is hashed."""
    return tuple(
        (field.name, _key(field))
        for field in _fields(cls, "__hash__", _hash)
        if (field.eq if field.hash is None else field.hash)
    )


def _fields(cls: type, name: str, method: _Method) -> tuple[attrs.Attribute[object], ...]:
    """Return the attributes of the class that ``cls`` has a method from, itself or a base."""
    from attrs import fields as fields_of

    owner = next(each for each in cls.__mro__ if vars(each).get(name) is method)
    fields: tuple[attrs.Attribute[object], ...] = fields_of(owner)
    return fields


def _key(field: attrs.Attribute[object]) -> _Key | None:
    key: _Key | None = getattr(field, "eq_key", None)
    return key


def _shared_methods(
    cls: type, options: dict[str, bool], *, is_frozen: bool
) -> dict[str, _Method | None]:
    """Return the methods that ``cls`` has to get for attrs not to make them."""
    methods: dict[str, _Method | None] = {}
    if not options.keys() <= _UNDERSTOOD:
        return methods
    own = vars(cls)
    if "repr" not in options and "__repr__" not in own:
        methods["__repr__"] = _represent
    if "eq" in options or issubclass(cls, BaseException) or not own.keys().isdisjoint(_EQUALITY):
        return methods
    methods |= {"__eq__": _equal, "__ne__": object.__ne__}
    if "__hash__" not in own:
        # Of all that classes here inherit only what is frozen refuses to delete an attribute.
        is_frozen = is_frozen or cls.__delattr__ is not object.__delattr__
        methods["__hash__"] = _hash if is_frozen else None
    return methods


def _sharing(*, is_frozen: bool) -> Callable[..., object]:
    """Return one of the decorators of attrs, for classes with shared methods."""

    def decorate(cls: type | None = None, **options: bool) -> object:
        import attrs

        build: Callable[..., type] = attrs.frozen if is_frozen else attrs.define

        def make(cls: type) -> type:
            for name, method in _shared_methods(cls, options, is_frozen=is_frozen).items():
                setattr(cls, name, method)
            return build(cls, **options)

        return make if cls is None else make(cls)

    return decorate


if TYPE_CHECKING:
    from attrs import define, frozen
    from typing_extensions import override
else:
    define = _sharing(is_frozen=False)
    frozen = _sharing(is_frozen=True)

    def override(method: _Method) -> _Method:
        """Mark a method as one that the class inherits, for type checkers alone."""
        return method
