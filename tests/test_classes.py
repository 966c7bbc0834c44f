"""Classes with shared methods are those of attrs, to the letter."""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from esploader import classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHARED = ("__repr__", "__eq__", "__hash__")

Field = dict[str, object]

fields = st.fixed_dictionaries(
    {"default": st.sampled_from([0, 1, "text", b"\xc0", None, (1, "a")])},
    optional={
        "repr": st.sampled_from([False, True, str, lambda _: "…"]),
        "eq": st.sampled_from([False, True, repr, lambda value: [value]]),
        "hash": st.sampled_from([None, True, False]),
        "init": st.booleans(),
        "kw_only": st.booleans(),
    },
)
bodies = st.dictionaries(st.sampled_from(["alpha", "_beta", "gamma_"]), fields)
options = st.fixed_dictionaries(
    {},
    optional={
        "eq": st.booleans(),
        "repr": st.booleans(),
        "order": st.booleans(),
        "kw_only": st.booleans(),
    },
).filter(lambda each: each.get("eq", True) or not each.get("order", False))


def decorator(module: object, name: str) -> Callable[..., type]:
    """Return ``frozen`` or ``define`` of a module, as what it is when it runs."""
    found: Callable[..., type] = getattr(module, name)
    return found


@attrs.frozen
class Plan:
    """A class to be made twice."""

    is_frozen: bool
    body: dict[str, Field]
    options: dict[str, bool]
    own: frozenset[str]

    def made(self, module: object, *bases: type) -> type:
        """Make it with ``frozen`` or ``define`` of a module."""
        members: dict[str, object] = {
            name: attrs.field(**field)  # type: ignore[call-overload]
            for name, field in self.body.items()
        }
        members["__annotations__"] = dict.fromkeys(self.body, "object")
        members["__qualname__"] = "plans.<locals>.Made"
        members |= {name: OWN[name] for name in self.own}
        build = decorator(module, "frozen" if self.is_frozen else "define")
        return build(type("Made", bases or (object,), members), **self.options)


OWN: dict[str, Callable[..., object]] = {
    "__repr__": lambda _: "own",
    "__eq__": lambda _self, _other: True,
    "__ne__": lambda _self, _other: False,
    "__hash__": lambda _: 1,
}

plans = st.builds(
    Plan, st.booleans(), bodies, options, st.frozensets(st.sampled_from(sorted(OWN)), max_size=2)
)


def seen(look: Callable[[], object]) -> object:
    """Return what comes of a look at something, or the class of what is raised."""
    try:
        return look()
    except (AttributeError, TypeError) as exc:
        return type(exc)


def told(cls: type, changed: Iterable[str]) -> list[object]:
    """Return all that can be seen of the methods of a class on two equal objects and others."""
    one, same, other = cls(), cls(), cls()
    for name in changed:
        object.__setattr__(other, name, "other")
    inherited = [name for name in SHARED if getattr(cls, name) is getattr(object, name)]
    return [
        inherited,
        "__repr__" in inherited or seen(lambda: [repr(one), repr(other)]),
        seen(lambda: one == one),  # noqa: PLR0124 - whatever it is made of
        seen(lambda: one == same),
        seen(lambda: one == other),
        seen(lambda: one != same),
        seen(lambda: one != other),
        seen(lambda: one.__eq__(object())),
        seen(lambda: hash(one) == hash(same)),
        seen(lambda: hash(one) == hash(other)),
    ]


@given(plans)
@settings(max_examples=50)
def test_classes_are_those_of_attrs(plan: Plan) -> None:
    assert told(plan.made(classes), plan.body) == told(plan.made(attrs), plan.body)


@given(plans, plans, st.booleans())
@settings(max_examples=50)
def test_so_are_classes_that_inherit(base: Plan, plan: Plan, is_bare: bool) -> None:  # noqa: FBT001
    ours, theirs = (
        type("Made", (parent,), {}) if is_bare else plan.made(module, parent)
        for module in (classes, attrs)
        for parent in [base.made(module)]
    )
    for name in {**base.body, **({} if is_bare else plan.body)}:
        assert told(ours, [name]) == told(theirs, [name])


@pytest.mark.parametrize("module", [classes, attrs], ids=["shared", "attrs"])
def test_what_contains_itself_is_shown(module: object) -> None:
    build = decorator(module, "define")
    made = build(type("Ring", (), {"__annotations__": {"items": list}}))
    ring = made([1])
    ring.items += [ring, made([ring])]

    assert repr(ring) == "Ring(items=[1, ..., Ring(items=[...])])"
    assert repr(ring) == "Ring(items=[1, ..., Ring(items=[...])])"


@pytest.mark.parametrize("module", [classes, attrs], ids=["shared", "attrs"])
def test_what_is_not_set_yet_is_shown_where_it_is_no_argument(module: object) -> None:
    build = decorator(module, "define")
    later = attrs.field(init=False)
    made = build(type("Made", (), {"__annotations__": {"later": int}, "later": later}))
    assert repr(made()) == "Made(later=NOTHING)"

    made = build(type("Made", (), {"__annotations__": {"now": int}}))
    with pytest.raises(AttributeError):
        repr(object.__new__(made))


@pytest.mark.parametrize("module", [classes, attrs], ids=["shared", "attrs"])
def test_exceptions_compare_by_identity(module: object) -> None:
    build = decorator(module, "define")
    made = build(type("MadeError", (Exception,), {"__annotations__": {"code": int}}))
    one = made(1)

    assert one == one  # noqa: PLR0124
    assert one != made(1)
    assert len({one, made(1)}) == 2


def test_the_result_of_a_comparison_is_what_comes_of_the_attributes() -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        @override
        def __eq__(self, other: object) -> str:  # type: ignore[override]
            return "much alike"

    # As attrs has it; older releases compare tuples, and say true or false.
    made = decorator(classes, "frozen")(type("Made", (), {"__annotations__": {"odd": Odd}}))
    assert (made(Odd()) == made(Odd())) == "much alike"


@classes.frozen
class Kept:
    """Something that travels between processes."""

    number: int = attrs.field(repr=hex)
    note: str = attrs.field(default="", eq=False)
    kind: ClassVar[str] = "kept"


def test_what_was_pickled_is_equal_and_found() -> None:
    kept = Kept(0x10, "one")
    copy = pickle.loads(pickle.dumps(kept))  # noqa: S301 - made here

    assert copy == kept == Kept(16, "two")
    assert {kept: 1}[copy] == 1
    assert repr(copy) == "Kept(number=0x10, note='one')"


def test_threads_that_show_the_same_see_all_of_it() -> None:
    inside = threading.Event()
    shown = threading.Event()

    class Slow:
        @override
        def __repr__(self) -> str:
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                shown.wait(10)
            return "slow"

    @classes.define
    class Made:
        slow: Slow

    made = Made(Slow())
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(repr(made)))
    thread.start()
    inside.wait(10)
    found.append(repr(made))
    shown.set()
    thread.join()

    assert found == ["Made(slow=slow)", "Made(slow=slow)"]
