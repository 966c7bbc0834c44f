"""Make the table of known stubs of esptool's source archives, oldest first.

``python tests/support/stub_hash_table.py esptool-5.2.0.tar.gz ...`` prints the body of
``KNOWN_STUBS`` in ``src/esploader/loader/known_stubs.py``; ``ruff format`` does the rest.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE = re.compile(r"[^/]+/esptool/targets/stub_flasher/2/(?:(esp[\w-]+)\.json|README\.md)")
VERSION = re.compile(rb"releases/tag/(v[\d.]*\d)")


def add(table: dict[str, dict[str, list[str]]], archive: Path) -> str:
    """Add the stubs in ``archive`` to the table; return the version of these."""
    contents: dict[str | None, bytes] = {}
    with tarfile.open(archive) as files:
        for member in files:
            match = FILE.fullmatch(member.name)
            file = files.extractfile(member) if match else None
            if match and file:
                contents[match[1]] = file.read()
    match_version = VERSION.search(contents.pop(None, b""))
    if match_version is None:
        raise SystemExit(f"{archive}: which version these are is not said")
    version = match_version[1].decode()
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        table.setdefault(str(name), {}).setdefault(digest, []).append(version)
    return version


def lines(archives: Iterable[Path]) -> Iterator[str]:
    """Return the lines of the table."""
    table: dict[str, dict[str, list[str]]] = {}
    for path in archives:
        yield f"# {path.name}: {add(table, path)}"
    for name, versions in sorted(table.items()):
        yield f'"{name}": {{'
        for digest, found in versions.items():
            yield f'    "{digest}": ({", ".join(map(repr, found))},),'
        yield "},"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines(map(Path, sys.argv[1:])))
