"""What ``sim`` does: serve simulated devices, run a program with one, compare recordings."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader.chips.registry import chip_by_name
from esploader.classes import frozen
from esploader.commands.child_process import run_child
from esploader.commands.ending import signals_to_heed
from esploader.commands.port_file import port_file
from esploader.errors import ConfigError, RecordingError
from esploader.server.serve import Server
from esploader.simulator.config import InitialState
from esploader.simulator.line.transport import RealTimeTransport
from esploader.simulator.recordings.check import check_recording
from esploader.simulator.recordings.recording import read_recording
from esploader.simulator.recordings.replay import ReplayTransport
from esploader.simulator.trace import Trace
from esploader.simulator.url import SCHEME, open_served, parse
from esploader.transport.clock import RealClock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from esploader.chips.model.chip import Chip
    from esploader.commands.output import Json, Output
    from esploader.simulator.recordings.check import CheckedRow
    from esploader.transport.base import Transport

DEFAULT_CHIP = "esp32c3"

DIFFERENT = 1
"""The exit code of ``sim check`` where a row differs."""

NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""What a shell says of a program that it cannot run, and of one that is not there."""

_PORT_VARIABLE = "ESPTOOL_PORT"

_MAX_SHOWN = 160
"""Characters of an answer that are shown."""


@frozen(kw_only=True)
class ServedDevice:
    """A device, and where programs find it."""

    label: str
    """What it is called: its URL, or the file that it answers from."""
    chip: Chip
    server: Server
    urls: dict[str, str]
    """By front end, in the order of their worth."""


# The commands --------------------------------------------------------------------------


def serve(arguments: argparse.Namespace, output: Output) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        EsploaderError: the options make no sense, or a port cannot be had.
    """
    with port_file(arguments.port_file) as write_places, serving(arguments) as devices:
        first, *others = devices
        first.server.heed_signals(signals_to_heed())
        output.banner()
        for device in devices:
            for url in device.urls.values():
                output.line(f"Serving {device.chip.name} on {url}")
        for device in others:
            device.server.start()
        write_places((url, each.label) for each in devices for url in each.urls.values())
        output.finish({"devices": [_document(device) for device in devices]})
        first.server.run()


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Run a program while devices are served to it; return its exit code.

    Where it cannot be run, that is the one that a shell has for that.

    Raises:
        EsploaderError: the options make no sense, or a port cannot be had.
    """
    with serving(arguments) as devices:
        for device in devices:
            device.server.start()
        ports = [next(iter(device.urls.values())) for device in devices]
        command = [_fill_in(word, ports) for word in arguments.program]
        try:
            return run_child(command, {_PORT_VARIABLE: ports[0]})
        except OSError as exc:
            output.write(f"esploader: cannot run {command[0]}: {exc.strerror}\n")
            return NOT_FOUND if isinstance(exc, FileNotFoundError) else NOT_EXECUTABLE


def check(arguments: argparse.Namespace, output: Output) -> int:
    """Compare simulated devices with recordings; return 1 where a row differs, or 0.

    So does one that cannot be read. All files are looked at, whatever is wrong with one.

    Raises:
        RecordingError: a file is no recording.
    """
    output.banner()
    documents: list[Json] = []
    has_differences = False
    failures: list[RecordingError] = []
    for name in arguments.files:
        try:
            recording = read_recording(Path(name), skips_unreadable=True)
        except RecordingError as exc:
            failures.append(exc)
            continue
        if arguments.flash_attached:
            recording = attrs.evolve(recording, flash_attached=True)
        rows = check_recording(recording)
        different = [row for row in rows if not row.agrees]
        has_differences = has_differences or bool(different)
        output.line(f"{name}: {len(rows) - len(different)} of {len(rows)} rows agree")
        for row in different:
            _show(row, output)
        documents.append(_check_document(name, len(rows), different))
    if failures:
        for failure in failures[1:]:
            output.write(f"esploader: {failure}\n")
        raise failures[0]
    output.finish(documents)
    return DIFFERENT if has_differences else 0


def _show(row: CheckedRow, output: Output) -> None:
    output.line(f"  row {row.index}, {row.name}")
    if row.problem is not None:
        output.line(f"    not checked: {row.problem}")
        return
    output.line(f"    recorded:  {_shown(row.expected)}")
    output.line(f"    simulated: {_shown(row.actual)}")


# Devices -------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(arguments: argparse.Namespace) -> Iterator[list[ServedDevice]]:
    """Make the devices that the options ask for, and their front ends. Nothing runs yet.

    Raises:
        EsploaderError: the options make no sense, or a port cannot be had.
    """
    sources = _sources(arguments)
    with contextlib.ExitStack() as stack:
        trace = None if arguments.trace_file is None else _open_trace(arguments.trace_file, stack)
        devices = []
        for index, source in enumerate(sources):
            label, chip, transport = _open(source, arguments, stack)
            if trace is not None and isinstance(transport, RealTimeTransport):
                trace.follow(transport.device, label, transport.clock.now())
            reopen = transport.reopened if isinstance(transport, RealTimeTransport) else None
            server = stack.enter_context(Server(transport, reopen=reopen))
            urls = _open_front_ends(server, arguments, index)
            devices.append(ServedDevice(label=label, chip=chip, server=server, urls=urls))
        yield devices


def _sources(arguments: argparse.Namespace) -> list[str]:
    named = [*arguments.chips, *arguments.named]
    if arguments.replay is not None:
        if named:
            raise ConfigError("--replay", "the recording says which chip it is of")
        if arguments.trace_file is not None:
            raise ConfigError("--trace", "a recording has no loader that could be traced")
        if arguments.flash is not None:
            raise ConfigError("--flash", "a recording has no flash")
        if arguments.state is not None:
            raise ConfigError("--state", "the recording says what the device does at first")
        if arguments.realtime:
            raise ConfigError("--realtime", "a recording answers at once")
        if arguments.boot_loop:
            raise ConfigError("--boot-loop", "a recording does not boot")
        return [arguments.replay]
    if arguments.flash == "":
        raise ConfigError("--flash", "the name of the file is missing")
    if len(named) > 1 and arguments.flash is not None:
        raise ConfigError("--flash", f"whose? With several chips: {SCHEME}://CHIP?file=FILE")
    default = DEFAULT_CHIP if arguments.chip.lower() == "auto" else arguments.chip
    return named or [default]


def _open(
    source: str, arguments: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[str, Chip, Transport]:
    if arguments.replay is not None:
        recording = read_recording(Path(source))
        replay = stack.enter_context(ReplayTransport(recording, clock=RealClock()))
        return source, recording.chip, replay
    url = source if "://" in source else f"{SCHEME}://{chip_by_name(source).key}"
    # Without reset lines nobody could get the device out of its application.
    has_lines = not arguments.pty and arguments.tcp is None
    default = InitialState.APPLICATION if has_lines else InitialState.DOWNLOAD
    asked = default if arguments.state is None else InitialState(arguments.state)
    config = parse(url, state=asked)
    if arguments.state is not None and config.state is not asked:
        raise ConfigError("--state", f"{url} says another")
    if arguments.flash is not None:
        if config.flash_file is not None:
            raise ConfigError("--flash", f"{url} names a file")
        config = attrs.evolve(config, flash_file=Path(arguments.flash))
    if arguments.boot_loop:
        config = attrs.evolve(config, boot_loop=True)
    transport = stack.enter_context(
        open_served(config, url, paced=arguments.realtime, follows_device=arguments.tcp is not None)
    )
    return url, config.chip, transport


def _open_trace(name: str, stack: contextlib.ExitStack) -> Trace:
    try:
        trace = Trace.open(Path(name))
    except OSError as exc:
        raise ConfigError(name, f"it cannot be written: {exc.strerror or exc}") from exc
    stack.callback(trace.close)
    return trace


def _open_front_ends(server: Server, arguments: argparse.Namespace, index: int) -> dict[str, str]:
    urls: dict[str, str] = {}
    if arguments.pty:
        urls["pty"] = server.open_pty()
    if arguments.tcp is not None:
        urls["tcp"] = server.listen_tcp(_number(arguments.tcp, index))
    if arguments.rfc2217 is not None or not urls:
        urls["rfc2217"] = server.listen_rfc2217(_number(arguments.rfc2217 or 0, index))
    return urls


def _number(first: int, index: int) -> int:
    """Return the TCP port of a device: the first one's, or one of those that follow."""
    return first + index if first else 0


# What is printed -----------------------------------------------------------------------


def _document(device: ServedDevice) -> dict[str, Json]:
    return {"name": device.label, "chip": device.chip.name, "urls": {**device.urls}}


def _check_document(name: str, count: int, different: list[CheckedRow]) -> dict[str, Json]:
    return {
        "file": name,
        "rows": count,
        "differences": [
            {
                "row": row.index,
                "name": row.name,
                "recorded": row.expected,
                "simulated": row.actual,
                "problem": row.problem,
            }
            for row in different
        ],
    }


def _shown(answer: str) -> str:
    if len(answer) <= _MAX_SHOWN:
        return answer or "nothing"
    return f"{answer[:_MAX_SHOWN]}... ({len(answer)} digits)"


def _fill_in(word: str, ports: list[str]) -> str:
    for number, port in enumerate(ports, 1):
        word = word.replace(f"{{port{number}}}", port)
    return word.replace("{port}", ports[0])
