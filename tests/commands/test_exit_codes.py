"""Every error has an explanation, whatever it comes from."""

from __future__ import annotations

from esploader import errors
from esploader.commands.exit_codes import EXPLANATIONS, explain


def test_an_error_that_is_among_its_own_causes_is_explained() -> None:
    error, other = errors.PlanError("it does not fit"), errors.TransportError("sim://", "gone")
    error.__cause__, other.__cause__ = other, error
    assert explain(error) == EXPLANATIONS[errors.PlanError]
