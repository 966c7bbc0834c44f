"""Words as people write them to words as argparse takes them.

argparse wants what stands without an option in one piece, one value behind an option that may be
given again, and each name in one spelling. esptool wants none of that, in none of its versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.values import hyphened, is_status_address

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

_FILTER_OPTION: Final = "--port-filter"
_FILTERS: Final = ("vid=", "pid=", "name=", "serial=")
_DIFF_OPTIONS: Final = frozenset({"--diff", "-d"})
_STATUS_OPTION: Final = "--status"
_SHORT: Final = 2
"""Characters of an option whose value may stand right behind it."""


def is_option(word: str) -> bool:
    """Tell whether a word that no option claims is one, and no number and no lone hyphen."""
    return word.startswith("-") and word != "-" and not word[1].isdecimal()


def one_value_each(words: Sequence[str]) -> list[str]:
    """Return ``words`` with one value behind each ``--port-filter``, and none behind ``--diff``.

    The one may have several in esptool 5, the other had yes or no in esptool 4. Behind ``--status``
    an address may stand, or the first of the ports that are served: it gets an empty one then.
    """
    found: list[str] = []
    is_filtering = False
    for index, word in enumerate(words):
        if word == "--":
            return [*found, *words[index:]]
        before = words[index - 1] if index else ""
        if before in _DIFF_OPTIONS and word in {"yes", "no"}:
            if word == "no":
                found.pop()
            continue
        if word == _STATUS_OPTION and not is_status_address("".join(words[index + 1 : index + 2])):
            found.append(f"{_STATUS_OPTION}=")
            continue
        is_first = hyphened(before) == _FILTER_OPTION
        is_filtering = is_first or (is_filtering and word.lower().startswith(_FILTERS))
        found += [word] if is_first or not is_filtering else [_FILTER_OPTION, word]
    return found


def spelled(name: str, known: Mapping[str, argparse.Action]) -> str:
    """Return the name of an option as the parser knows it: older ones have underscores."""
    usual = hyphened(name)
    return usual if name.startswith("--") and name not in known and usual in known else name


def options_first(words: Sequence[str], known: Mapping[str, argparse.Action]) -> list[str]:
    """Return ``words`` with options and their values in front, those that stand alone behind.

    What takes any number of values comes last: it would take those that stand alone, too.
    """
    options: list[str] = []
    greedy: list[str] = []
    alone: list[str] = []
    index = 0
    while index < len(words) and words[index] != "--":
        word = words[index]
        index += 1
        if not is_option(word):
            alone.append(word)
            continue
        name, equals, value = word.partition("=")
        name = spelled(name, known)
        end = index + (0 if equals else _value_count(name, words[index:], known))
        action = known.get(name)
        target = greedy if action is not None and action.nargs == "+" else options
        target += [f"{name}{equals}{value}", *words[index:end]]
        index = end
    return [*options, *alone, *greedy, *words[index:]]


def _value_count(name: str, rest: Sequence[str], known: Mapping[str, argparse.Action]) -> int:
    """Return how many of the words behind an option are its values."""
    action = known.get(name) or _last_of_cluster(name, known)
    if action is None or action.nargs == 0:
        return 0
    if action.nargs != "+":
        return min(1, len(rest))
    return next((at for at, word in enumerate(rest) if is_option(word) or word == "--"), len(rest))


def _last_of_cluster(name: str, known: Mapping[str, argparse.Action]) -> argparse.Action | None:
    """Return the option of which the value comes next, of short ones in one word: ``-zb``."""
    if name.startswith("--"):
        return None
    for position, letter in enumerate(name[1:], _SHORT):
        action = known.get(f"-{letter}")
        if action is None or action.nargs != 0:
            return action if position == len(name) else None
    return None
