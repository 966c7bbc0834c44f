"""Asking until an answer came twice: nothing protects requests and answers on the line."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from esploader.errors import CommandFailedError, ProtocolError
from esploader.protocol.commands import ReadReg
from esploader.session.exchange import groups_of
from esploader.session.session import SILENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from esploader.protocol.commands import Command
    from esploader.session.session import Session

_log: Final = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

_ATTEMPTS: Final = 3


def confirm_all(session: Session, commands: Sequence[Command[ResultT]]) -> list[ResultT]:
    """Carry out commands whose answers nothing protects, until each answer came twice.

    A byte that is hit on the line makes it the answer to another question, or another
    answer. So each command is carried out twice, in one burst where the loader takes
    such, which costs no round trip; where two answers differ, that and all behind it is
    asked again, for whatever put them out of step did so with the rest.

    Raises:
        ProtocolError: they never agreed.
        EsploaderError: as :meth:`execute`; a refusal has to come twice, too.
    """
    results: list[ResultT] = []
    for outcome in attempt_confirmed(session, commands):
        if isinstance(outcome, CommandFailedError):
            raise outcome
        results.append(outcome)
    return results


def attempt_confirmed(
    session: Session, commands: Sequence[Command[ResultT]], *, may_change: bool = False
) -> list[ResultT | CommandFailedError]:
    """Do as :meth:`confirm_all`, with a refusal in the place of a result.

    Where answers ``may_change``, those that never agree are given as last heard.
    """
    outcomes: list[ResultT | CommandFailedError] = []
    failures = 0
    while len(outcomes) < len(commands):
        groups = list(
            groups_of(
                commands[len(outcomes) :],
                session.dialect,
                one_by_one=not session.abilities.bursts_work,
            )
        )
        # The second time in reverse: an answer too many would shift both alike.
        series = ((*group, *reversed(group)) for group in groups)
        found = iter(session.attempt_all([*itertools.chain(*series)]))
        done = len(outcomes)
        for group in groups:
            first = list(itertools.islice(found, len(group)))
            second = list(itertools.islice(found, len(group)))[::-1]
            is_last_word = may_change and failures == _ATTEMPTS - 1 and len(outcomes) == done
            if not is_last_word and not all(map(_are_alike, first, second)):
                break
            outcomes += second
        else:
            break
        failures = 1 if len(outcomes) > done else failures + 1
        if failures == _ATTEMPTS:
            raise ProtocolError("the same question is answered differently every time")
        _log.warning("two answers to the same question differ; asking again")
        # What is still on its way would be taken for the next answers.
        session.await_silence(SILENCE + session.transport.round_trip)
        session.resume()
    return outcomes


def read_words(session: Session, addresses: Iterable[int]) -> dict[int, int]:
    """Read registers whose values do not change, and make sure of them.

    Raises as :meth:`confirm_all`.
    """
    commands = [ReadReg(address) for address in dict.fromkeys(addresses)]
    values = confirm_all(session, commands)
    return {command.address: value for command, value in zip(commands, values, strict=True)}


def _are_alike(one: object, other: object) -> bool:
    """Tell whether two outcomes say the same."""
    if isinstance(one, CommandFailedError) and isinstance(other, CommandFailedError):
        return (type(one), one.code) == (type(other), other.code)
    return one == other
