"""Tells a program what became of a board: a lamp, a label printer, a flap."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.errors import PlanError
from esploader.fleet.record_entry import RecordEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.fleet.results import BoardResult

VERDICT_TIME: Final = 10.0
"""How long the program may take, in seconds; then it is ended."""


@frozen(kw_only=True)
class VerdictProgram:
    """A program that is run for each board, without a shell.

    What became of the board is in variables of its environment, ``ESPLOADER_VERDICT`` (``good`` or
    ``bad``), ``ESPLOADER_RESULT``, ``ESPLOADER_LABEL``, ``ESPLOADER_PORT``, ``ESPLOADER_CHIP`` and
    ``ESPLOADER_MAC``; on its stdin it is as one line of a record.
    """

    words: tuple[str, ...]
    """The program, and its arguments."""
    fields: Mapping[str, str]
    """As in the record."""
    seconds: float = VERDICT_TIME
    """How long it may take."""

    def __call__(self, result: BoardResult) -> None:
        """Run it.

        Raises:
            PlanError: it cannot be run, fails, or takes too long.
        """
        entry = RecordEntry.of(result, self.fields)
        variables = {
            "VERDICT": "good" if result.is_done else "bad",
            "RESULT": entry.result,
            "LABEL": entry.label,
            "PORT": entry.port,
            "CHIP": entry.chip or "",
            "MAC": entry.mac or "",
        }
        try:
            done = subprocess.run(  # noqa: S603 - whoever wrote the file named it
                self.words,
                input=entry.to_line(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    **{f"ESPLOADER_{name}": value for name, value in variables.items()},
                },
                timeout=self.seconds,
                check=False,
                # Ctrl-C is for us: it ends what it is to end in its time.
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as exc:
            raise PlanError(f"{self.words[0]} takes longer than {self.seconds:g} s") from exc
        except (OSError, ValueError) as exc:
            raise PlanError(f"{self.words[0]} cannot be run: {exc}") from exc
        if done.returncode:
            raise PlanError(f"{self.words[0]} failed with exit code {done.returncode}")
