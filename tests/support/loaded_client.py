"""Stands in for our program, and for Python that is to run it: see ``loaded_commands.py``.

It has to start quickly, so it imports nothing that is not part of the interpreter.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import posix
import sys

FOLDER, _, NAME = sys.argv[0].rpartition("/")
STREAMS = (0, 1, 2)
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2")


def run(words: list[str]) -> int:
    """Have it run, with all that it is given; return the exit code, negative after a signal."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    connection.connect(f"{FOLDER}/socket")
    ignored = []
    for name in FORWARDED:
        number = getattr(_signal, name)
        if _signal.getsignal(number) == _signal.SIG_IGN:
            ignored.append(number)
        else:
            _signal.signal(number, lambda number, _frame: connection.send(bytes([number])))
    environment = [(bytes(name), bytes(value)) for name, value in posix.environ.items()]
    request = ascii((posix.getcwd(), words, environment, ignored)).encode()
    streams = b"".join(number.to_bytes(4, sys.byteorder) for number in STREAMS)
    connection.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
    return int(connection.recv(16))


def main(words: list[str]) -> None:
    """Run what was asked for, and end as it ends."""
    if NAME == "python":
        if words[:2] != ["-m", "esploader"]:
            posix.execv(sys.executable, [sys.executable, *words])
        del words[:2]
    exit_code = run(words)
    if exit_code < 0:
        _signal.signal(-exit_code, _signal.SIG_DFL)
        posix.kill(posix.getpid(), -exit_code)
    sys.exit(exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
