"""Where a server is told to read its configuration again, by another program of the same user.

A Unix socket in a folder that is this user's alone. A client sends one line, ``reload``, and is
answered by one line of JSON: what has changed, or why nothing has.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import stat
import struct
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import define
from esploader.errors import ConfigError, EsploaderError
from esploader.server.reload import Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

REQUEST: Final = b"reload\n"

REQUEST_TIME: Final = 5.0
"""For how long a client may take to say what it wants, in seconds."""

ANSWER_TIME: Final = 60.0
"""For how long a server may take to do it, in seconds."""

MAX_ANSWER_SIZE: Final = 1024 * 1024
"""In bytes: 1024 ports with long names."""

MAX_CLIENTS: Final = 4
"""How many may ask at once."""

_BACKLOG: Final = 4
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_NAMES: Final = tuple(each.name for each in attrs.fields(Report))


def control_path(config_file: Path, environment: Mapping[str, str]) -> Path:
    """Return where the server is told that has this configuration file."""
    if runtime := environment.get("RUNTIME_DIRECTORY"):
        folder = Path(runtime.partition(":")[0])
    elif runtime := environment.get("XDG_RUNTIME_DIR"):
        folder = Path(runtime, "esploader")
    else:
        folder = Path(tempfile.gettempdir(), f"esploader-{os.getuid()}")
    name = hashlib.sha256(os.fsencode(os.path.realpath(config_file))).hexdigest()[:16]
    return folder / f"serve-{name}.sock"


def has_control() -> bool:
    """Tell whether this system has what is needed for it."""
    return hasattr(socket, "AF_UNIX") and hasattr(os, "getuid")


@define(eq=False)
class ControlSocket:
    """Listens for those who want a reload; close it at the end."""

    _path: Path
    _listener: socket.socket
    _clients: int = attrs.field(default=0, init=False)

    @classmethod
    def listen(cls, path: Path) -> ControlSocket:
        """Listen at ``path``.

        Raises:
            ConfigError: another server does, or its folder is not only ours.
        """
        folder = path.parent
        try:
            folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            _require_private(folder)
            _remove_dead(path)
            listener = socket.socket(socket.AF_UNIX)
            try:
                listener.bind(os.fspath(path))
                path.chmod(stat.S_IRUSR | stat.S_IWUSR)
                listener.listen(_BACKLOG)
            except OSError:
                listener.close()
                raise
        except OSError as exc:
            raise ConfigError(str(path), f"cannot listen there: {exc.strerror or exc}") from exc
        listener.setblocking(False)  # noqa: FBT003 - it is called so
        return cls(path, listener)

    def close(self) -> None:
        """Listen no longer."""
        self._listener.close()
        with suppress(OSError):
            self._path.unlink()

    @asynccontextmanager
    async def attended(self, reload: Callable[[], Awaitable[Report]]) -> AsyncIterator[None]:
        """Do meanwhile what clients ask for; ``reload`` raises what there is to say against it."""

        async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._clients += 1
            try:
                if self._clients <= MAX_CLIENTS and _is_ours(writer.get_extra_info("socket")):
                    await _attend(reader, writer, reload)
            finally:
                self._clients -= 1
                writer.close()

        server = await asyncio.start_unix_server(attend, sock=self._listener, limit=len(REQUEST))
        try:
            yield
        finally:
            server.close()


async def _attend(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    reload: Callable[[], Awaitable[Report]],
) -> None:
    try:
        async with asyncio.timeout(REQUEST_TIME):
            request = await reader.readexactly(len(REQUEST))
    except (TimeoutError, asyncio.IncompleteReadError, OSError):
        return
    if request != REQUEST:
        return
    try:
        answer: dict[str, object] = attrs.asdict(await reload())
    except EsploaderError as exc:
        answer = {"failure": str(exc)}
    with suppress(OSError):
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


def ask_to_reload(path: Path, config_file: Path) -> Report:
    """Have the server that listens at ``path`` read its file again; return what has changed.

    Raises:
        ConfigError: there is none, it has refused, or its answer makes no sense.
    """
    source = str(config_file)
    try:
        _require_private(path.parent)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_TIME)
            client.connect(os.fspath(path))
            client.sendall(REQUEST)
            with client.makefile("rb") as stream:
                answer = stream.readline(MAX_ANSWER_SIZE)
    except TimeoutError:
        reason = f"the server has not answered for {ANSWER_TIME:g} seconds"
        raise ConfigError(source, reason) from None
    except (FileNotFoundError, ConnectionRefusedError):
        reason = "no server of this user has been started with this file"
        raise ConfigError(source, reason) from None
    except OSError as exc:
        raise ConfigError(str(path), f"no answer: {exc.strerror or exc}") from exc
    return _read_answer(answer, source)


def _read_answer(answer: bytes, source: str) -> Report:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        failure = document.get("failure")
        if isinstance(failure, str):
            raise ConfigError(source, f"the server goes on as before: {failure}")
        return Report(**{name: _texts(document.get(name)) for name in _NAMES})
    raise ConfigError(source, "what the server answers makes no sense")


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts in a value of an answer."""
    items = value if isinstance(value, list) else []
    return tuple(each for each in items if isinstance(each, str))


def _require_private(folder: Path) -> None:
    """Refuse a folder in which others may put what they like.

    Raises:
        ConfigError: it is one.
        OSError: it cannot be looked at.
    """
    status = folder.lstat()
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not is_ours or status.st_mode & _OTHERS:
        raise ConfigError(str(folder), "it is not a folder of this user alone")


def _remove_dead(path: Path) -> None:
    """Remove what a server has left that was killed.

    Raises:
        ConfigError: it lives.
        OSError: what is there cannot be removed.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(REQUEST_TIME)
        try:
            probe.connect(os.fspath(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigError(str(path), "another server has this configuration file")


def _is_ours(client: socket.socket) -> bool:
    """Tell whether it is our own user, or root, who asks. Where nobody can say, the folder does."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return user in {os.getuid(), 0}
