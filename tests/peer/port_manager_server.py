"""A program that serves a port over RFC 2217 the way pyserial's users do: on its PortManager.

It prints the TCP port that it listens on and serves one client to its end.
"""

from __future__ import annotations

import socket
import sys
import threading

import serial
from serial.rfc2217 import PortManager

import esploader

# How long the port may keep the thread that reads it from noticing the end, in seconds.
READ_TIMEOUT = 0.1

CHUNK_SIZE = 4096


class Connection:
    """The client, as PortManager wants to see it: two threads write to it."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        with self._lock:
            self._client.sendall(data)


def relay(port: serial.Serial, client: socket.socket) -> None:
    """Pass bytes both ways until the client leaves."""
    connection = Connection(client)
    # The type stubs want one class of port for both, which is neither of them.
    manager = PortManager(port, connection)  # type: ignore[arg-type]
    leaving = threading.Event()

    def pass_on_what_the_device_says() -> None:
        while not leaving.is_set():
            data = port.read(port.in_waiting or 1)
            if data:
                connection.write(b"".join(manager.escape(data)))

    reader = threading.Thread(target=pass_on_what_the_device_says)
    reader.start()
    try:
        while received := client.recv(CHUNK_SIZE):
            port.write(b"".join(manager.filter(received)))
    finally:
        leaving.set()
        reader.join()


def main(url: str) -> None:
    """Serve the port behind ``url``."""
    esploader.register_pyserial()
    with (
        serial.serial_for_url(url, timeout=READ_TIMEOUT) as port,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        with listener.accept()[0] as client:
            relay(port, client)


if __name__ == "__main__":
    main(sys.argv[1])
