"""Where the files of stubs are that nobody has named: the user's own, and an installed esptool's.

Sources: where programs keep the data of a user: the XDG Base Directory Specification, Apple's
File System Programming Guide ("Library Directory Details"), Microsoft's KNOWNFOLDERID
(``FOLDERID_LocalAppData``). Where esptool has its stubs: its package data, version 5.2 and later.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY_VARIABLE: Final = "ESPLOADER_STUB_DIR"
"""The name of the environment variable that names a folder to be used in place of both."""

HOW_TO_INSTALL: Final = "run 'esploader stub install'"
"""The one command for those who have no stub."""

_PACKAGE: Final = "esptool"
_FOLDER_IN_PACKAGE: Final = "esptool/targets/stub_flasher/2"


def user_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return the folder for the stubs of this user; it need not be there.

    That on Windows and that on macOS are computed, and were not tried there.
    """
    if platform == "win32":  # tests/loader/test_stub_folders.py
        local = environment.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
    elif platform == "darwin":  # tests/loader/test_stub_folders.py
        base = Path.home() / "Library" / "Application Support"
    else:
        named = environment.get("XDG_DATA_HOME", "")
        # The specification has a path that is not absolute ignored.
        base = Path(named) if named.startswith("/") else Path.home() / ".local" / "share"
    return base / "esploader" / "stubs"


def esptool_folder() -> Path | None:
    """Return the folder of stubs in an installed esptool, which is not imported for that."""
    # It loads what reads e-mail, which the usual command has no use for.
    import importlib.metadata

    try:
        package = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(package.locate_file(_FOLDER_IN_PACKAGE)))


def stub_file(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file with the stub of that name, of the user's folder before esptool's."""
    own = user_folder(environment) / f"{name}.json"
    if os.path.exists(own):
        return own
    folder = esptool_folder()
    theirs = None if folder is None else folder / own.name
    return theirs if theirs is not None and os.path.exists(theirs) else None


def remedy(environment: Mapping[str, str] = os.environ) -> str:
    """Return what there is to say, behind "a stub can", to those who have none at all."""
    named = environment.get(DIRECTORY_VARIABLE)
    if named is not None:
        is_there = any(Path(named).glob("*.json"))
        return "" if is_there else f": {DIRECTORY_VARIABLE} names {named}, where there is none"
    is_there = esptool_folder() is not None or any(user_folder(environment).glob("*.json"))
    return "" if is_there else f": {HOW_TO_INSTALL}"
