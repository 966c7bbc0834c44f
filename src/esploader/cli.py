"""The command line: which command, run it, exit with its code.

The library is imported when a command needs it, so that ``--help`` is quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.output import Json, Output
from esploader.commands.parser import parse, parse_server

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from esploader.commands.command import Command
    from esploader.errors import EsploaderError

DONE: Final = 0
FAILED: Final = 2
INTERRUPTED: Final = 130


def entry_point() -> None:
    """Run the command line of this process and exit."""
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def server_entry_point() -> None:
    """Run ``esploader-rfc2217-server``, which is ``esploader serve``, and exit."""
    try:
        code = main(sys.argv[1:], parse_server)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def main(
    argv: Sequence[str],
    understand: Callable[[Sequence[str]], tuple[Command, argparse.Namespace]] = parse,
) -> int:
    """Run one command and return its exit code: 0 done, 2 refused or failed, 130 Ctrl-C."""
    try:
        command, arguments = understand(argv)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else FAILED
    output = Output(arguments)
    try:
        return _run(command, arguments, output)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        _give_up_stdout()
        return FAILED
    except OSError as exc:
        print(f"\nA fatal error occurred: the output cannot be written: {exc}", file=sys.stderr)
        _give_up_stdout()
        return FAILED


def _give_up_stdout() -> None:
    """Let what is still in the buffer go nowhere when the process ends."""
    with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _run(command: Command, arguments: argparse.Namespace, output: Output) -> int:
    if command.name == "version":
        # It takes longer to load what the others need.
        command.run(arguments, output)
        return DONE
    from esploader.errors import EsploaderError

    try:
        with _logging(output, arguments):
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
    print(f"\nA fatal error occurred: {error}", file=sys.stderr)
    if explanation.hint:
        print(f"HINT: {explanation.hint}", file=sys.stderr)
    document: dict[str, Json] = {
        "error": {"class": type(error).__name__, "message": str(error), "code": code}
    }
    if isinstance(error, VerifyError):
        document["differences"] = [{"start": start, "end": end} for start, end in error.ranges]
    output.finish(document)
    return code


@contextlib.contextmanager
def _logging(output: Output, arguments: argparse.Namespace) -> Iterator[None]:
    """Show the log of the library on stderr while the command runs: the wire, if asked."""
    import logging

    logger = logging.getLogger("esploader")
    handler = logging.StreamHandler(output)
    if arguments.trace:
        text, level = "TRACE %(relativeCreated)8.1f ms  %(message)s", logging.DEBUG
    elif arguments.command == "serve":
        text = "%(asctime)s %(levelname)s: %(message)s"
        level = logging.DEBUG if arguments.verbose else logging.INFO
    else:
        text, level = "%(levelname)s: %(message)s", logging.WARNING
    handler.setFormatter(logging.Formatter(text))
    old_level = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(old_level)
