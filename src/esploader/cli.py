"""The command line: arguments to one library call, its result to text and an exit code.

The only module that prints. What tools parse goes to stdout, in the words they know;
warnings, hints and errors go to stderr; with ``--json`` stdout holds one JSON document.
The library is imported when a command needs it, so that ``version`` is quick.
"""

from __future__ import annotations

import contextlib
import errno
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias, cast

from esploader.commands.arguments import build_parser
from esploader.commands.ending import FIRST_SIGNAL_EXIT_CODE, die_of, signal_of, signals_raised
from esploader.commands.standard_stream import StandardStream
from esploader.version import __version__

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

    from esploader.commands.progress_display import Display
    from esploader.commands.recorded_port import RecordedPort
    from esploader.device.device import Device
    from esploader.errors import EsploaderError
    from esploader.progress import ProgressEvent

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

DONE: Final = 0
FAILED: Final = 2
READER_GONE: Final = 141
"""What a shell has for a program that wrote to a pipe which nobody reads: SIGPIPE ended it."""

_PRINTING_COMMANDS: Final = frozenset(
    {
        *("version", "ports", "flash-id", "chip-id", "read-mac", "get-security-info"),
        *("efuse-summary", "read-flash-status", "read-flash-sfdp", "read-mem"),
    }
)
"""What these print is all that they do."""

_LABEL_WIDTH: Final = 20


def entry_point() -> None:
    """Run the command line of this process and exit."""
    _run_process(build_parser)


def server_entry_point() -> None:
    """Run ``esploader-rfc2217-server``, which is ``esploader serve``, and exit."""
    from esploader.commands.serve_arguments import build_server_parser  # noqa: PLC0415 - only here

    _run_process(build_server_parser)


def _run_process(make_parser: Callable[[], argparse.ArgumentParser]) -> NoReturn:
    """Run a command line and end with its exit code, or of the signal that ended it."""
    try:
        with signals_raised():
            code = _run(sys.argv[1:], make_parser)
    except KeyboardInterrupt as exc:
        die_of(signal_of(exc))
    sys.exit(code)


def main(
    argv: Sequence[str], make_parser: Callable[[], argparse.ArgumentParser] = build_parser
) -> int:
    """Run one command and return its exit code: 0 done, 2 refused or failed, 130 Ctrl-C.

    Signals stay what they are to this process.
    """
    try:
        return _run(argv, make_parser)
    except KeyboardInterrupt as exc:
        return FIRST_SIGNAL_EXIT_CODE + signal_of(exc)


def _run(argv: Sequence[str], make_parser: Callable[[], argparse.ArgumentParser]) -> int:
    """Run one command and return its exit code.

    Raises:
        KeyboardInterrupt: it was interrupted, and has said so.
    """
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as exc:
        stdout = StandardStream(sys.stdout, lambda _: None)
        stdout.flush()
        code = exc.code if isinstance(exc.code, int) else FAILED
        return code or _code_without_output(stdout)
    output = Output(arguments)
    try:
        code = _run_command(arguments, output)
    except KeyboardInterrupt as exc:
        number = signal_of(exc)
        cause = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
        output.write(f"\nInterrupted{cause}.\n")
        raise
    is_all = arguments.command in _PRINTING_COMMANDS or getattr(arguments, "dry_run", False)
    return code or (_code_without_output(output.stdout) if is_all else DONE)


def _code_without_output(stdout: StandardStream) -> int:
    """Return how a command ends of which the output is all: it may not have reached anybody."""
    if stdout.failure is None:
        return DONE
    return READER_GONE if stdout.failure.errno == errno.EPIPE else FAILED


class Output:
    """Where results go: lines as they come, or one JSON document at the end.

    That somebody reads along is no condition of the work: what cannot be written is dropped,
    which is noted once.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._as_json: bool = arguments.json
        self._arguments = arguments
        self.stdout = StandardStream(sys.stdout, self._lose_stdout)
        self._stderr = StandardStream(sys.stderr, lambda _: None)
        self._displays: tuple[Display, ...] | None = None
        self._line_is_open = False

    def banner(self) -> None:
        """Say which program this is."""
        self.line(f"esploader v{__version__}")

    def line(self, text: str = "") -> None:
        """Print one line for people and for tools that parse text."""
        self.part(f"{text}\n")

    def part(self, text: str) -> None:
        """Print the beginning, or more, of a line."""
        self.end_progress()
        if not self._as_json:
            self.stdout.write(text)
            self._line_is_open = not text.endswith("\n")

    def end_line(self) -> None:
        """End the line of which a part was printed, if there is one."""
        if self._line_is_open:
            self.line()

    def labelled(self, label: str, text: str) -> None:
        """Print a label and, in a column of their own, its values."""
        self.line(f"{label + ':':<{_LABEL_WIDTH}}{text}")

    def finish(self, document: Json) -> None:
        """Print the JSON document, if that was asked for."""
        self.end_progress()
        if self._as_json:
            self.stdout.write(f"{json.dumps(document, indent=2)}\n")

    def progress(self, event: ProgressEvent) -> None:
        """Show how far a long command is."""
        from esploader.progress import Restarted  # noqa: PLC0415 - see the docstring

        if self._displays is None:
            self._displays = self._choose_displays()
        for display in self._displays:
            display.show(event)
        if isinstance(event, Restarted) and not self._arguments.json_events:
            self.note(f"starting again at {event.offset:#x}: {event.reason}")

    def end_progress(self) -> None:
        """Leave what is drawn as it is, and write below it from now on."""
        for display in self._displays or ():
            display.end()

    def note(self, text: str) -> None:
        """Print a remark to stderr."""
        self.write(f"NOTE: {text}\n")

    def write(self, text: str) -> None:
        """Write to stderr, where the log goes, below what is drawn there."""
        self.end_progress()
        self.end_line()
        self._stderr.write(text)

    def _lose_stdout(self, exc: OSError) -> None:
        self._line_is_open = False
        self.note(f"the output cannot be written: {exc.strerror}")

    def _choose_displays(self) -> tuple[Display, ...]:
        from esploader.commands.progress_display import JsonLines, Lines, bar_on  # noqa: PLC0415

        wanted, stderr = self._arguments, cast("TextIO", self._stderr)
        events = (JsonLines(stderr),) if wanted.json_events else ()
        if wanted.no_progress:
            return events
        # Nothing can be drawn where something else is written all the time.
        bar = None if wanted.json_events or wanted.trace else bar_on(stderr)
        return (*events, bar or Lines(self.line))


def _run_command(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.command == "version":
        output.banner()
        output.line(__version__)
        output.finish({"version": __version__})
        return DONE
    from esploader.errors import EsploaderError  # noqa: PLC0415 - see the module's docstring

    try:
        with _logging(output, arguments):
            try:
                code = _WITHOUT_DEVICE.get(arguments.command, _on_device)(arguments, output)
            finally:
                output.end_progress()
    except EsploaderError as exc:
        return _report(exc, arguments, output)
    return DONE if code is None else code


def _report(error: EsploaderError, arguments: argparse.Namespace, output: Output) -> int:
    from esploader.commands.exit_codes import explain  # noqa: PLC0415 - only on errors
    from esploader.errors import VerifyError  # noqa: PLC0415 - see the module's docstring

    explanation = explain(error)
    code = explanation.code if arguments.exit_codes == "detailed" else FAILED
    output.write(f"\nA fatal error occurred: {error}\n")
    if explanation.hint:
        output.write(f"HINT: {explanation.hint}\n")
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
    import logging  # noqa: PLC0415 - `version` does without

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


# Devices -------------------------------------------------------------------------------


def _on_device(arguments: argparse.Namespace, output: Output) -> None:
    """Connect, run a command on the device and leave it as asked."""
    from esploader.commands.device_commands import COMMANDS, STARTERS  # noqa: PLC0415 - see the docstring
    from esploader.commands.leaving import work_and_leave  # noqa: PLC0415
    from esploader.loader.resetting import After  # noqa: PLC0415

    output.banner()
    document: dict[str, Json] = {}
    with contextlib.ExitStack() as stack:
        device = stack.enter_context(_connect(arguments, output, stack))
        after = After(arguments.after)
        device.check_reset(after)

        def work() -> bool:
            document.update(_print_device(device, output))
            if getattr(arguments, "spi_connection", None) is not None:
                device.set_spi_connection(arguments.spi_connection)
            document.update(COMMANDS[arguments.command](device, arguments, output))
            output.line()
            starts = arguments.command in STARTERS
            if starts:
                output.line("Exiting immediately.")
            return not starts

        work_and_leave(device, after, output, work)
    output.finish(document)


def _connect(arguments: argparse.Namespace, output: Output, stack: contextlib.ExitStack) -> Device:
    from esploader.connector import connect  # noqa: PLC0415 - see the module's docstring

    name = arguments.port or _only_port()
    output.line(f"Serial port {name}:")
    recorded = None if arguments.record is None else _open_recorded(name, arguments, stack)

    def on_attempt(attempt: int) -> None:
        output.part("Connecting..." if attempt == 1 else ".")

    try:
        device = connect(
            name if recorded is None else recorded.transport,
            chip=None if arguments.chip.lower() == "auto" else arguments.chip,
            baudrate=_baudrate(arguments.baud),
            before=arguments.before,
            attempts=arguments.connect_attempts,
            stub=False if arguments.no_stub else (arguments.stub or True),
            on_attempt=on_attempt,
        )
    finally:
        output.end_line()
    if recorded is not None:
        recorded.chip = device.chip
    return device


def _open_recorded(
    name: str, arguments: argparse.Namespace, stack: contextlib.ExitStack
) -> RecordedPort:
    from esploader.commands.recorded_port import recorded_port  # noqa: PLC0415
    from esploader.connector import DEFAULT_BAUDRATE  # noqa: PLC0415 - see the docstring

    # As connect() opens a port.
    rate = _baudrate(arguments.baud)
    rate = rate if arguments.before == "no-reset-no-sync" else min(rate, DEFAULT_BAUDRATE)
    return stack.enter_context(recorded_port(name, Path(arguments.record), baudrate=rate))


def _only_port() -> str:
    from esploader.errors import NoPortError  # noqa: PLC0415 - see the module's docstring
    from esploader.transport.ports import list_ports, sensible_ports  # noqa: PLC0415

    found = list_ports()
    sensible = sensible_ports(found)
    if len(sensible) != 1:
        raise NoPortError(tuple(port.device for port in sensible or found))
    return sensible[0].device


def _baudrate(text: str) -> int:
    from esploader.errors import UnsupportedError  # noqa: PLC0415 - see the module's docstring

    try:
        return int(text, 0)
    except ValueError:
        raise UnsupportedError(f"--baud {text}", "a baud rate is a number") from None


def _print_device(device: Device, output: Output) -> dict[str, Json]:
    from esploader.commands.device_commands import print_mac  # noqa: PLC0415 - see the docstring

    output.line(f"Detecting chip type... {device.chip.name}")
    output.line(f"Connected to {device.chip.name} on {device.port}:")
    document: dict[str, Json] = {"port": device.port, "chip": device.chip.name}
    identity = device.identity
    if identity is None:
        output.line("The device is in Secure Download Mode: it does not tell more.")
        return {**document, "secure_download_mode": True}
    revision = None if identity.revision is None else str(identity.revision)
    known_revision = "" if revision is None else f" (revision {revision})"
    output.labelled("Chip type", f"{identity.description}{known_revision}")
    output.labelled("Features", ", ".join(identity.features))
    output.labelled("Crystal frequency", f"{identity.crystal_mhz}MHz")
    print_mac(device, output)
    output.line()
    return {
        **document,
        "description": identity.description,
        "revision": revision,
        "features": list(identity.features),
        "crystal_mhz": identity.crystal_mhz,
        "mac": identity.mac,
        "eui64": identity.eui64,
    }


# Without a device ----------------------------------------------------------------------


def _ports(_arguments: argparse.Namespace, output: Output) -> None:
    from esploader.transport.ports import list_ports  # noqa: PLC0415 - see the docstring

    found = list_ports()
    document: list[Json] = []
    for port in found:
        ids = "" if port.vid is None else f"  {port.vid:04X}:{port.pid or 0:04X}"
        output.line(f"{port.device}{ids}  {port.description}".rstrip())
        document.append(
            {
                "device": port.device,
                "description": port.description,
                "vid": port.vid,
                "pid": port.pid,
                "serial_number": port.serial_number,
                "location": port.location,
            }
        )
    if not found:
        output.note("no serial port was found")
    output.finish(document)


def _serve(arguments: argparse.Namespace, output: Output) -> None:
    from esploader.commands.serve import serve  # noqa: PLC0415 - see the module's docstring

    serve(arguments, output)


def _sim(arguments: argparse.Namespace, output: Output) -> int | None:
    from esploader.commands import sim as sim_command  # noqa: PLC0415 - see the module's docstring

    match arguments.action:
        case "serve":
            sim_command.serve(arguments, output)
            return None
        case "run":
            return sim_command.run(arguments, output)
        case _:
            return sim_command.check(arguments, output)


_WITHOUT_DEVICE: Final[dict[str, Callable[[argparse.Namespace, Output], int | None]]] = {
    "ports": _ports,
    "serve": _serve,
    "sim serve": _sim,
    "sim run": _sim,
    "sim check": _sim,
}
