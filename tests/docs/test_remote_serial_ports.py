"""The guide to remote serial ports does what it says: its ``sh`` blocks, from top to bottom.

All are one session of one shell, in a directory of their own. A ``yaml`` or ``toml`` block
is the file that the paragraph in front of it names. What stands for hardware and for other
machines is replaced as the guide says. A user waits for a server before starting a client:
so does the session, by the TCP port that the next block connects to; and like a shell that
has a prompt it takes note of jobs that have ended.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from guides import THE_END, WAIT_FOR, is_free, run_session
from peers import require_program
from programs import served_chip

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(sys.platform != "linux", reason="the commands are those of Linux"),
]

GUIDE = Path(__file__).parents[2] / "docs" / "remote-serial-ports.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"`([\w-]+\.(?:yaml|toml))`")
OUR_SERVER = re.compile(r"serve |esploader-rfc2217-server")
TCP_PORT = re.compile(r"(?:localhost|127\.0\.0\.1):(\d+)")
TCP_PORTS = (2217, 2218, 3217, 4000, 4001, 4002, 4003)
"""Those in the guide; somebody on this machine may have them."""

PROGRAMS = ("esptool", "nc", "openssl", "ser2net", "socat", "stty")

SIMULATED_PORT = "sim://esp32c3?state=download"
REPLACED = {"0.0.0.0": "127.0.0.1", "board.example": "localhost"}  # noqa: S104 - not bound to

COMMAND = re.compile(r"(?:.*\\\n)*.*\n")
ENDS_ITSELF = "nc -l"
KILL = "kill %"

CLIENTS = 13
"""How many of the commands read the flash id."""


def replace(text: str, port: str) -> str:
    """Return ``text`` with what is there in place of what is not."""
    for there, here in REPLACED.items():
        text = text.replace(there, here)
    return text.replace("/dev/ttyUSB0", port)


def replace_commands(text: str, terminal: str) -> str:
    """Return commands, with a port for each that its program can open."""
    return "".join(
        replace(command, SIMULATED_PORT if OUR_SERVER.search(command) else terminal)
        for command in COMMAND.findall(text)
    )


THEIRS, OURS = "esptool --port {} flash-id", "python -m esploader --port {} flash_id"
AT_OUR_SERVER = "rfc2217://127.0.0.1:4000"


def with_our_client(text: str) -> str:
    """Return the guide with our client in place of esptool, which takes as long as all the rest.

    pyserial's client waits for each setting, and esptool makes several a command. That it gets
    along with our server ``tests/peer`` shows, too.
    """
    theirs, ours = (each.format(AT_OUR_SERVER) for each in (THEIRS, OURS))
    assert text.count(f"\n{theirs}\n") == 1
    return text.replace(theirs, ours)


def session(text: str, terminal: str) -> str:
    """Return the guide as a script."""
    script = ["set -e", WAIT_FOR, "ending="]
    servers = ""
    for block in BLOCK.finditer(text):
        language, content = block.groups()
        line = text.count("\n", 0, block.start()) + 1
        if language in ("yaml", "toml"):
            paragraph = text[: block.start()].rstrip().rpartition("\n\n")[2]
            name = FILE_NAME.findall(paragraph)[-1]
            port = SIMULATED_PORT if language == "toml" else terminal
            script.append(f"cat > {name} <<'END'\n{replace(content, port)}END")
        if language != "sh":
            continue
        script.append(f"echo '== line {line}'")
        connected = TCP_PORT.search(replace(content, ""))
        if servers and connected is not None:
            script.append(f"wait_for {connected[1]}")
        script.append(replace_commands(content, terminal))
        servers = content if content.endswith("&\n") else ""
        if ENDS_ITSELF in content:
            script.append("ending=$!")
        elif not servers:
            script.append('if [ "$ending" ]; then wait $ending; ending=; fi')
        if KILL in content:
            # Ended by a signal, as they should be.
            script.append("wait || true")
    script.append(f"echo '{THE_END}'")
    return "\n".join(script)


@pytest.mark.parametrize(
    "has_esptool",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["our client", "esptool"],
)
def test_the_commands_do_what_they_are_for(
    tmp_path: Path,
    has_esptool: bool,  # noqa: FBT001 - of the table
) -> None:
    for program in PROGRAMS:
        require_program(program)
    taken = [port for port in TCP_PORTS if not is_free(port)]
    if taken and os.environ.get("ESPLOADER_REQUIRE_PEERS") != "1":
        pytest.skip(f"the TCP ports {taken}, which the guide uses, are not free")
    assert not taken
    text = GUIDE.read_text(encoding="utf-8")
    if not has_esptool:
        text = with_our_client(text)
    with served_chip("esp32c3", "--pty") as urls:
        printed = run_session(session(text, urls["pty"]), tmp_path)
    assert printed.endswith(f"{THE_END}\n"), printed
    # In the order of the guide: each is one client that was served.
    assert printed.count("Detected flash size: 4MB") == CLIENTS
    assert "Hash of data verified." in printed
    log = (tmp_path / "serve.log").read_text(encoding="utf-8")
    assert "client-left" in log


def test_commands_that_are_not_run_are_said_not_to_be() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        if block[1] not in ("sh", "yaml", "toml"):
            section = text[: block.start()].rpartition("\n## ")[2]
            assert "**not run" in section.lower(), block[0]


def test_a_command_is_given_a_port_that_its_program_can_open() -> None:
    commands = "socat FILE:/dev/ttyUSB0 \\\n    TCP:board.example:1\nx serve \\\n /dev/ttyUSB0\n"
    assert replace_commands(commands, "/dev/pts/9") == (
        f"socat FILE:/dev/pts/9 \\\n    TCP:localhost:1\nx serve \\\n {SIMULATED_PORT}\n"
    )
