"""What ssh, shells and our own program say when they fail becomes the error that it is."""

from __future__ import annotations

import pytest

from esploader.errors import EsploaderError, HostUnreachableError, SshError, TransportError
from esploader.transport.ssh_words import SSH_FAILED, failure, is_missing

PORT = "ssh://bench/COM3"

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed.
"""

UNKNOWN = """\
No ED25519 host key is known for bench and you have requested strict checking.
Host key verification failed.
"""

OLD = """\
usage: esploader serve [options] [PORT ...]
esploader serve: error: there is no option --stdio; did you mean --json?
"""

NOT_FOUND = (
    "sh: 1: esploader: not found",
    "bash: line 1: esploader: command not found",
    "zsh:1: command not found: esploader",
    "fish: Unknown command: esploader",
    "bash: line 1: venv/bin/esploader: No such file or directory",
    "'esploader' is not recognized as an internal or external command,",
    "/usr/bin/python3: No module named esploader",
)


@pytest.mark.parametrize(
    ("said", "error_class", "reason"),
    [
        (
            "ssh: Could not resolve hostname bench: Name or service not known",
            HostUnreachableError,
            "ssh does not reach the host: 'ssh: Could not",
        ),
        (
            "ssh: connect to host bench port 22: Connection refused\r",
            HostUnreachableError,
            "ssh does not reach the host: 'ssh: connect",
        ),
        (
            "Connection timed out during banner exchange",
            HostUnreachableError,
            "ssh does not reach the host: 'Connection timed out",
        ),
        (
            "me@bench: Permission denied (publickey,password).",
            SshError,
            "the host does not let us in: 'me@bench: Permission denied (publickey,password).'",
        ),
        (
            UNKNOWN,
            SshError,
            "ssh does not know the key of the host, and was not told to trust it: 'No ED25519",
        ),
        (CHANGED, SshError, "the key of the host is not the one that ssh knows"),
        ("what is that?\n\n", SshError, "ssh failed; it says 'what is that?'"),
        ("", SshError, "ssh failed"),
    ],
)
def test_ssh_that_fails(said: str, error_class: type[TransportError], reason: str) -> None:
    error = failure(PORT, SSH_FAILED, said.encode())
    assert type(error) is error_class
    assert error.reason.startswith(reason)
    assert not is_missing(SSH_FAILED, said.encode())


@pytest.mark.parametrize("said", NOT_FOUND)
def test_no_esploader_at_the_far_end(said: str) -> None:
    code = 1 if "recognized" in said or "module" in said else 127
    assert is_missing(code, said.encode())
    error = failure(PORT, code, f"a word before\n{said}\n".encode())
    assert type(error) is SshError
    assert error.reason.startswith("esploader is not found at the far end; it says ")


def test_a_shell_that_says_nothing_has_its_exit_code() -> None:
    assert is_missing(127, b"")
    assert failure(PORT, 127, b"").reason == "esploader is not found at the far end"


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        (
            2,
            OLD,
            "the esploader at the far end is too old for ssh://: it says 'esploader serve: error",
        ),
        (
            126,
            "sh: 1: x: Permission denied",
            "what ssh runs at the far end ended with exit code 126",
        ),
        (None, "", "what ssh runs at the far end does not begin to serve"),
        (-9, "", "what ssh runs at the far end ended with exit code -9"),
    ],
)
def test_a_far_end_that_does_not_serve(code: int | None, said: str, reason: str) -> None:
    error = failure(PORT, code, said.encode())
    assert type(error) is SshError
    assert error.reason.startswith(reason)
    assert not is_missing(code, said.encode())


def test_what_our_own_program_says_there_is_what_counts() -> None:
    said = b"\nA fatal error occurred: cannot use 'x' as a port: it is none\nHINT: another one\n"
    error = failure(PORT, 2, said)
    assert type(error) is TransportError
    assert error.reason == "the far end says \"cannot use 'x' as a port: it is none\""


def test_what_is_said_does_no_harm_to_a_terminal() -> None:
    said = b"\x1b]0;mine\x07" + bytes(range(256)) + b"x" * 4000
    error: EsploaderError = failure(PORT, 1, said)
    assert str(error).isprintable()
    assert str(error).isascii()
    assert len(str(error)) < 1500
