"""Whatever tells a program to end, it leaves its device first, and dies of just that."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from covering import covering_parameters, usual_parameters
from esploader import connect
from eventually import eventually
from programs import PATIENCE, environment, esploader, read_line, running, served_chip
from writes import require_boot, writing

if TYPE_CHECKING:
    from pathlib import Path

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU")
DATA = bytes(range(256)) * 1024
OPTIONS = ("--realtime", "--json")


@pytest.fixture(name="image")
def _image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("name", usual_parameters(SIGNALS, ("SIGINT", "SIGTERM")))
def test_a_signal_in_the_middle_of_a_write(name: str, tmp_path: Path, image: Path) -> None:
    number, trace = signal.Signals[name], tmp_path / "trace.txt"
    with served_chip("esp32c3", *OPTIONS, "--trace", str(trace)) as urls:
        url = urls["rfc2217"]
        with writing(url, image) as process:
            process.send_signal(number)
            _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == -number
        assert "Traceback" not in stderr
        cause = "" if name == "SIGINT" else f" by {name}"
        assert stderr.endswith(f"\nInterrupted{cause}.\n")
        eventually(lambda: require_boot(trace, "its application"), AssertionError)
        # The port is free, and the device is where it was.
        with connect(url, stub=False) as device:
            assert device.chip.name == "ESP32-C3"


def test_a_terminal_that_is_closed_sends_several_signals(tmp_path: Path, image: Path) -> None:
    trace = tmp_path / "trace.txt"
    with served_chip("esp32c3", *OPTIONS, "--trace", str(trace)) as urls:
        with writing(urls["rfc2217"], image, "--after", "no-reset", "-b", "921600") as process:
            for name in ("SIGHUP", "SIGTERM", "SIGHUP"):
                process.send_signal(signal.Signals[name])
            process.communicate(timeout=PATIENCE)
        assert process.returncode in {-signal.SIGHUP, -signal.SIGTERM}
        with connect(urls["rfc2217"], before="no-reset", stub=False) as device:
            assert device.chip.name == "ESP32-C3"


def test_who_is_told_twice_to_ignore_it_ignores_it(tmp_path: Path, image: Path) -> None:
    image.write_bytes(DATA[:8192])
    trace = tmp_path / "trace.txt"
    with served_chip("esp32c3", *OPTIONS, "--trace", str(trace)) as urls:
        words = ("--port", urls["rfc2217"], "--no-stub", "write-flash", "-u", "0", str(image))
        shell = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
        with running(*shell, *esploader(*words, "--force")) as process:
            while "Writing" not in read_line(process):
                pass
            process.send_signal(signal.SIGHUP)
            assert process.stdout is not None
            assert "Hash of data verified" in process.stdout.read()
            assert process.wait(PATIENCE) == 0


def test_while_connecting_the_device_goes_back_to_its_application(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    with served_chip("esp32c3", *OPTIONS, "--trace", str(trace), "--state", "app") as urls:
        # It is reset again and again: at another rate no loader hears it.
        words = ("--port", urls["rfc2217"], "--trace", "--connect-attempts", "0", "flash-id")
        with running(*esploader(*words), stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "ReadReg" in line:
                    break
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        assert process.returncode == -signal.SIGTERM
        eventually(lambda: require_boot(trace, "its application"), AssertionError)


# Ctrl-C and kill: test_serve_command.py, test_cli.py, test_sim_command.py.
@pytest.mark.parametrize(
    ("command", "name"),
    covering_parameters(
        [(command, name) for command in ("serve", "sim serve") for name in SIGNALS],
        lambda command, name: [command] if name == "SIGHUP" else [],
    ),
)
def test_a_server_ends_cleanly(command: str, name: str, tmp_path: Path) -> None:
    number, ports = signal.Signals[name], tmp_path / "ports.txt"
    words = {
        "serve": ("serve", "-p", "0", "sim://esp32c3"),
        "sim serve": ("sim", "serve", "-c", "esp32c3"),
    }
    program = esploader(*words[command], "--port-file", str(ports))
    with running(*program, stderr=subprocess.PIPE) as process:
        while not read_line(process).startswith("Serving"):
            pass
        while not ports.exists():
            assert process.poll() is None
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE)
    # kill and systemd end it: nothing has gone wrong then.
    assert process.returncode == (0 if name == "SIGTERM" else -number)
    assert "Traceback" not in stderr
    assert not ports.exists()


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_who_runs_a_program_dies_with_it(name: str) -> None:
    number = signal.Signals[name]
    code = (
        f"import signal, time; signal.signal({int(number)}, signal.SIG_DFL)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    command = esploader("sim", "run", "--", sys.executable, "-c", code)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    ) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os, signal\nfrom esploader.commands.ending import *\n{code}",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_the_first_signal_is_the_cause_and_the_next_ones_say_nothing_new() -> None:
    done = run_python(
        "with signals_raised():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except EndedBySignalError as exc:\n"
        "        for number in (signal.SIGHUP, signal.SIGINT):\n"
        "            os.kill(os.getpid(), number)\n"
        "        print(exc.number == signal.SIGTERM, isinstance(exc, KeyboardInterrupt))\n"
        "        die_of(exc.number)\n"
    )
    assert done.stdout == "True True\n"
    assert done.returncode == -signal.SIGTERM


def test_afterwards_a_signal_ends_the_process_at_once() -> None:
    done = run_python("with signals_raised(): pass\nos.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_the_library_leaves_signals_alone() -> None:
    done = run_python(
        "from esploader import connect\n"
        "with connect('sim://esp32c3', stub=False) as device: device.flash.id()\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "print({signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)})\n"
    )
    assert done.stdout == "True\n{<Handlers.SIG_DFL: 0>}\n"


def test_who_still_wants_the_end_after_a_while_does_not_wait_for_it() -> None:
    done = run_python(
        "with signals_raised(patience=0.0):\n"
        "    try:\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGHUP)\n"
        "        finally:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            print('not reached')\n"
        "    except EndedBySignalError as exc:\n"
        "        print(exc.number == signal.SIGHUP)\n"
    )
    assert done.stdout == "True\n"
