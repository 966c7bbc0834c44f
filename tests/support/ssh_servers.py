"""OpenSSH on this machine: an sshd of our own on loopback, and an ``ssh`` that finds it."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from eventually import eventually
from far_ends import FarEnd, far_end
from peers import require_program
from programs import LOOPBACK, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterator

# For the part of sshd without privileges, when root starts it.
_EMPTY_FOLDER = Path("/run/sshd")

_SERVER = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""

_CLIENT = """\
Host *
  HostName {host}
  Port {port}
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
"""


@attrs.frozen
class SshServer:
    """An sshd, and the files that it and its clients go by."""

    folder: Path
    port: int
    there: FarEnd

    def url(self, port: str) -> str:
        """Return the URL of a port behind it, for an esploader that is not on anybody's PATH."""
        return self.there.url(port, f"?command={self.there.programs}/esploader")

    def make_key(self, name: str, passphrase: str = "") -> str:
        """Make a key; return its public part."""
        path = self.folder / name
        for old in (path, path.with_suffix(".pub")):
            old.unlink(missing_ok=True)
        keygen = require_program("ssh-keygen")
        done = run(keygen, "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path))
        assert done.exit_code == 0, done.stderr
        return path.with_suffix(".pub").read_text(encoding="utf-8")

    def authorize(self, public_key: str, restriction: str = "") -> None:
        """Let in who has a key, and nobody else."""
        path = self.folder / "authorized_keys"
        path.write_text(f"{restriction}{public_key}", encoding="utf-8")

    def make_known(self, public_key: str) -> None:
        """Have ``ssh`` believe that the key is the one of the host."""
        line = f"[{LOOPBACK}]:{self.port} {public_key}"
        (self.folder / "known_hosts").write_text(line, encoding="utf-8")


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run sshd, as whoever runs the tests; nothing that it started is left in the end."""
    sshd, ssh = require_program("sshd"), require_program("ssh")
    with far_end(folder) as there:
        server = SshServer(folder, free_port(), there)
        words = {"port": server.port, "host": LOOPBACK, "folder": folder}
        words["user"] = getpass.getuser()
        (folder / "sshd_config").write_text(_SERVER.format(**words), encoding="utf-8")
        (folder / "ssh_config").write_text(_CLIENT.format(**words), encoding="utf-8")
        server.make_known(server.make_key("host_key"))
        server.authorize(server.make_key("key"))
        there.runs(f'exec {ssh} -F {folder}/ssh_config "$@"')
        if os.geteuid() == 0:
            _EMPTY_FOLDER.mkdir(mode=0o755, exist_ok=True)
        with subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                eventually(lambda: _connect(server.port), ConnectionError)
                yield server
            finally:
                process.terminate()


def _connect(port: int) -> None:
    socket.create_connection((LOOPBACK, port)).close()
