"""The command line: which command, run it, exit with its code.

The library is imported when a command needs it, so that ``--help`` is quick.
"""

from __future__ import annotations

import errno
import gc
import signal
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.commands.ending import FIRST_SIGNAL_EXIT_CODE, die_of, signal_of, signals_raised
from esploader.commands.output import Json, Output
from esploader.commands.parser import parse, parse_server
from esploader.commands.standard_stream import StandardStream

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from esploader.commands.command import Command
    from esploader.errors import EsploaderError

    Understand: TypeAlias = Callable[[Sequence[str]], tuple[Command, argparse.Namespace]]
    """From words to a command and its arguments."""

DONE: Final = 0
FAILED: Final = 2
_NEW_OBJECTS: Final = 10_000
"""So many objects are made before Python looks for garbage among them. Nearly all that a short
command makes are classes and functions, which stay: to look at them time and again takes a
twentieth of it."""
READER_GONE: Final = 141
"""What a shell has for a program that wrote to a pipe which nobody reads: SIGPIPE ended it."""


def entry_point() -> None:
    """Run the command line of this process and exit."""
    run_process(parse)


def server_entry_point() -> None:
    """Run ``esploader-rfc2217-server``, which is ``esploader serve``, and exit."""
    run_process(parse_server)


def run_process(understand: Understand) -> NoReturn:
    """Run a command line and end with its exit code, or of the signal that ended it."""
    gc.set_threshold(_NEW_OBJECTS)
    try:
        with signals_raised():
            code = run(sys.argv[1:], understand)
    except KeyboardInterrupt as exc:
        die_of(signal_of(exc))
    # What is left goes with the process; nobody has to look through all of it for garbage.
    gc.freeze()
    sys.exit(code)


def main(argv: Sequence[str], understand: Understand = parse) -> int:
    """Run one command and return its exit code: 0 done, 2 refused or failed, 130 Ctrl-C.

    Signals stay what they are to this process.
    """
    try:
        return run(argv, understand)
    except KeyboardInterrupt as exc:
        return FIRST_SIGNAL_EXIT_CODE + signal_of(exc)


def run(argv: Sequence[str], understand: Understand) -> int:
    """Run one command and return its exit code.

    Raises:
        KeyboardInterrupt: it was interrupted, and has said so.
    """
    try:
        command, arguments = understand(argv)
    except SystemExit as exc:
        stdout = StandardStream(sys.stdout, lambda _: None)
        stdout.flush()
        code = exc.code if isinstance(exc.code, int) else FAILED
        return code or _code_without_output(stdout)
    is_all = command.only_prints or getattr(arguments, "dry_run", False)
    output = Output(arguments, is_all=is_all)
    try:
        code = _carry_out(command, arguments, output)
    except KeyboardInterrupt as exc:
        number = signal_of(exc)
        cause = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
        output.write(f"\nInterrupted{cause}.\n")
        raise
    has_worked = any(getattr(arguments, option) for option in command.works_with)
    return code or (_code_without_output(output.stdout) if is_all and not has_worked else DONE)


def _code_without_output(stdout: StandardStream) -> int:
    """Return how a command ends of which the output is all: it may not have reached anybody."""
    if stdout.failure is None:
        return DONE
    return READER_GONE if stdout.failure.errno == errno.EPIPE else FAILED


def _carry_out(command: Command, arguments: argparse.Namespace, output: Output) -> int:
    if command.name == "version":
        # It takes longer to load what the others need.
        command.run(arguments, output)
        return DONE
    from esploader.commands.log_display import log_shown
    from esploader.errors import EsploaderError

    try:
        with log_shown(output, arguments):
            try:
                code = command.run(arguments, output)
            finally:
                output.end_progress()
    except EsploaderError as exc:
        return _report(exc, arguments, output)
    return DONE if code is None else code


def _report(error: EsploaderError, arguments: argparse.Namespace, output: Output) -> int:
    from esploader.commands.exit_codes import explain
    from esploader.errors import VerifyError

    explanation = explain(error)
    code = explanation.code if arguments.exit_codes == "detailed" else FAILED
    output.write(f"\nA fatal error occurred: {error}\n")
    if explanation.hint:
        output.write(f"HINT: {explanation.hint}\n")
    document: dict[str, Json] = {
        "error": {"class": type(error).__name__, "message": str(error), "code": code},
        "warnings": output.warnings,
    }
    if isinstance(error, VerifyError):
        document["differences"] = [{"start": start, "end": end} for start, end in error.ranges]
    output.finish(document)
    return code
