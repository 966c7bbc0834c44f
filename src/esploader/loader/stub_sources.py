"""Where stubs are installed from: an installed esptool, its source archive, the release page.

Nothing of what is found is run; archives are read, and not unpacked.

Where the releases are: ``ci/download_flasher_stubs.py`` in the sources of esptool
(https://github.com/espressif/esptool), which brings them into esptool. That address was not to be
reached where this was written: it is tried against a server on loopback alone.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.classes import frozen
from esploader.errors import StubInstallError
from esploader.loader.known_stubs import KNOWN_STUBS, LATEST
from esploader.loader.stub import MAX_FILE_SIZE
from esploader.loader.stub_folders import esptool_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROJECT: Final = "https://github.com/espressif/esp-flasher-stub"
RELEASES: Final = f"{PROJECT}/releases/download"

_MAX_ARCHIVE_SIZE: Final = 16 * 1024 * 1024
"""That of esptool 5.6.0 has half a megabyte."""

_MAX_UNPACKED_SIZE: Final = 64 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
"""What has zlib take a gzip file."""

_FOLDER: Final = "targets/stub_flasher/2"
_GPL_FOLDER: Final = ("stub_flasher", "1")
_MEMBER: Final = re.compile(rf"(?:.*/)?{_FOLDER}/(esp[a-z0-9-]+)\.json")
_NAME: Final = re.compile(r"esp[a-z0-9-]+")


@frozen
class Found:
    """Files that should be stubs."""

    origin: str
    """Where they are from, in words."""

    files: Mapping[str, bytes]
    """By what the file is called, without its ending."""


def from_esptool() -> Found | None:
    """Return the stubs of an installed esptool; ``None`` if there is none, or it has none.

    Raises:
        StubInstallError: they cannot be read.
    """
    folder = esptool_folder()
    files = {} if folder is None else _files_in(folder)
    if not files:
        return None
    return Found(f"the installed esptool {importlib.metadata.version('esptool')}", files)


def from_release(version: str = LATEST, releases: str = RELEASES) -> Found:
    """Download the stubs of a release.

    Raises:
        StubDownloadError: they cannot be had.
    """
    named = [
        name
        for name, digests in KNOWN_STUBS.items()
        if any(version in versions for versions in digests.values())
    ]
    return _from_web_folder(f"{releases}/{version}/", named)


def from_place(place: str) -> Found:
    """Return the stubs in a file, a folder, an archive of esptool's sources, or at a URL.

    A URL that ends with ``/`` is that of a folder with the files of the latest known release.

    Raises:
        StubInstallError: there are none, or they cannot be had.
    """
    if "://" in place:
        if place.endswith("/"):
            return _from_web_folder(place, KNOWN_STUBS)
        (content,) = _downloaded([place], _MAX_ARCHIVE_SIZE)
        return _from_file(place, place.partition("?")[0], content)
    path = Path(place)
    if os.path.isdir(path):
        inside = [path, path / _FOLDER, path / "esptool" / _FOLDER]
        files = next(filter(None, map(_files_in, inside)), {})
        return _some(Found(place, files), "there is no file called esp*.json in it")
    try:
        content = _bytes_of(path, _MAX_ARCHIVE_SIZE)
    except OSError as exc:
        raise StubInstallError(place, exc.strerror or str(exc)) from exc
    if len(content) > _MAX_ARCHIVE_SIZE:
        raise StubInstallError(place, "it is too large for an archive of esptool's sources")
    return _from_file(place, str(path.absolute()), content)


def _from_web_folder(base: str, names: Iterable[str]) -> Found:
    named = list(names)
    contents = _downloaded([f"{base}{name}.json" for name in named], MAX_FILE_SIZE)
    return Found(base, dict(zip(named, contents, strict=True)))


def _downloaded(urls: list[str], max_size: int) -> list[bytes]:
    # Only those who download pay for what it takes.
    from esploader.loader.download import download

    return download(urls, max_size=max_size)


def _files_in(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder that are called like stubs; none where there is no folder."""
    _refuse_gpl(folder)
    try:
        return {path.stem: _bytes_of(path, MAX_FILE_SIZE) for path in folder.glob("esp*.json")}
    except OSError as exc:
        raise StubInstallError(str(folder), exc.strerror or str(exc)) from exc


def _bytes_of(path: Path, max_size: int) -> bytes:
    """Return what is in a file; of one that is too large one byte more than it may have."""
    with path.open("rb") as file:
        return file.read(max_size + 1)


def _from_file(place: str, path: str, content: bytes) -> Found:
    if content.startswith(_GZIP):
        lack = f"there is no {_FOLDER} in it, as in the source archives of esptool since 5.2"
        return _some(Found(place, _in_archive(place, content)), lack)
    name, dot, ending = Path(path).name.rpartition(".")
    if f"{dot}{ending}" != ".json" or not _NAME.fullmatch(name):
        raise StubInstallError(
            place,
            "it is neither a stub, which is called like esp32.json, nor an archive of esptool's "
            "sources (.tar.gz)",
        )
    _refuse_gpl(Path(path).parent)
    return Found(place, {name: content})


def _in_archive(place: str, content: bytes) -> dict[str, bytes]:
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    files = {}
    try:
        unpacked = unpacker.decompress(content, _MAX_UNPACKED_SIZE)
        if not unpacker.eof:
            raise StubInstallError(place, "it is damaged, or too large when it is unpacked")
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            for member in archive:
                match = _MEMBER.fullmatch(member.name)
                file = archive.extractfile(member) if match and member.isfile() else None
                if match and file:
                    files[match[1]] = file.read()
    except (zlib.error, tarfile.TarError) as exc:
        raise StubInstallError(place, f"it is no archive that can be read: {exc}") from exc
    return files


def _some(found: Found, lack: str) -> Found:
    if not found.files:
        raise StubInstallError(found.origin, lack)
    return found


def _refuse_gpl(folder: Path) -> None:
    if folder.parts[-2:] == _GPL_FOLDER:
        raise StubInstallError(
            str(folder), "these are esptool's older stubs, under the GPL; those in folder 2 are not"
        )
