"""The stubs that a user has installed: what may become one, what there is, and away with it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen
from esploader.errors import StubError, StubInstallError
from esploader.loader.known_stubs import ESPTOOL_VERSIONS, KNOWN_STUBS
from esploader.loader.stub import MAX_FILE_SIZE, StubImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@frozen
class StoredStub:
    """A file that is a stub."""

    name: str
    """What the file is called, without its ending."""

    content: bytes = attrs.field(repr=lambda content: f"<{len(content)} bytes>")

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of Espressif's stubs with this very file, oldest first; of others none."""
        return KNOWN_STUBS.get(self.name, {}).get(self.sha256, ())

    @property
    def version(self) -> str:
        """The latest of them, in words for whoever wants to know."""
        return self.versions[-1] if self.versions else "unknown"


def checked(name: str, content: bytes, *, trust: bool = False) -> StoredStub:
    """Return the stub of that ``name`` with that ``content``, if it may be used.

    With ``trust`` it may be any that is a stub at all.

    Raises:
        StubInstallError: it is no stub, or none of those that are known.
    """
    if len(content) > MAX_FILE_SIZE:
        raise StubInstallError(f"{name}.json", "it is too large for a stub")
    try:
        StubImage.parse(content, f"{name}.json")
    except StubError as exc:
        raise StubInstallError(exc.name, exc.reason) from exc
    stub = StoredStub(name, content)
    if not stub.versions and not trust:
        first, *_, last = ESPTOOL_VERSIONS.values()
        raise StubInstallError(
            f"{name}.json",
            f"it is none of the stubs that came with esptool {first} to {last} (SHA-256 "
            f"{stub.sha256}); --trust takes it all the same",
        )
    return stub


def version_of(stubs: Sequence[StoredStub]) -> str:
    """Return the latest version that has all of ``stubs``; those of all where none has."""
    common = [
        version for version in ESPTOOL_VERSIONS if all(version in each.versions for each in stubs)
    ]
    return common[-1] if common else ", ".join(sorted({each.version for each in stubs}))


def install(stubs: Iterable[StoredStub], folder: Path) -> None:
    """Put the files of ``stubs`` into ``folder``: none takes its place before all are written.

    Raises:
        StubInstallError: they cannot be written; what was there is there still.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as new:
            paths = [Path(new, f"{stub.name}.json") for stub in stubs]
            for path, stub in zip(paths, stubs, strict=True):
                path.write_bytes(stub.content)
            for path in paths:
                path.replace(folder / path.name)
    except OSError as exc:
        raise StubInstallError(str(folder), exc.strerror or str(exc)) from exc


def installed(folder: Path) -> list[StoredStub]:
    """Return what is in ``folder``, by name; nothing where there is no such folder.

    Raises:
        StubInstallError: it cannot be read.
    """
    try:
        stubs = [StoredStub(path.stem, path.read_bytes()) for path in folder.glob("*.json")]
    except OSError as exc:
        raise StubInstallError(str(folder), exc.strerror or str(exc)) from exc
    return sorted(stubs, key=lambda stub: stub.name)


def remove(folder: Path) -> list[str]:
    """Remove the stubs in ``folder``, and that where nothing else is in it; return their names.

    Raises:
        StubInstallError: they cannot be removed.
    """
    try:
        paths = list(folder.glob("*.json"))
        for path in paths:
            path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as exc:
        raise StubInstallError(str(folder), exc.strerror or str(exc)) from exc
    return sorted(path.stem for path in paths)
