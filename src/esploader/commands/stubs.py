"""What ``stub`` does, and what it says meanwhile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esploader.loader import stub_sources, stub_store
from esploader.loader.known_stubs import LATEST, LICENCE
from esploader.loader.stub_folders import (
    DIRECTORY_VARIABLE,
    HOW_TO_INSTALL,
    esptool_folder,
    user_folder,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from esploader.commands.output import Json, Output
    from esploader.loader.stub_store import StoredStub


def install(arguments: argparse.Namespace, output: Output) -> None:
    """Put stubs into the folder of the user; say from where they are, which, and whose.

    Raises:
        StubInstallError: there are none, or they cannot be installed.
    """
    found = _find(arguments.source, output)
    stubs = [
        stub_store.checked(name, content, trust=arguments.trust)
        for name, content in sorted(found.files.items())
    ]
    folder = user_folder()
    stub_store.install(stubs, folder)
    version = stub_store.version_of(stubs)
    is_known = all(stub.versions for stub in stubs)
    licence = LICENCE if is_known else None
    output.labelled("From", found.origin)
    output.labelled("Version", f"{version} of {stub_sources.PROJECT}" if is_known else version)
    output.labelled("Licence", licence or "not known; these stubs were trusted unseen")
    output.labelled("Installed in", str(folder))
    output.labelled("Stubs", ", ".join(stub.name for stub in stubs))
    _say_what_counts_more(output)
    output.finish(
        {
            "from": found.origin,
            "version": version,
            "licence": licence,
            "folder": str(folder),
            "stubs": _document(stubs),
        }
    )


def _find(place: str | None, output: Output) -> stub_sources.Found:
    if place is not None:
        return stub_sources.from_place(place)
    found = stub_sources.from_esptool()
    if found is None:
        output.line(f"Downloading {LATEST} from {stub_sources.RELEASES} ...")
        found = stub_sources.from_release()
    return found


def show(output: Output) -> None:
    """List the stubs of the user.

    Raises:
        StubInstallError: they cannot be read.
    """
    folder = user_folder()
    stubs = stub_store.installed(folder)
    output.line(f"{folder}:")
    for stub in stubs:
        output.line(f"  {stub.name:<14}{stub.version}")
    if not stubs:
        others = esptool_folder()
        output.note(
            f"no stub is installed here; {HOW_TO_INSTALL}"
            if others is None
            else f"no stub is installed here; those of the installed esptool are used: {others}"
        )
    _say_what_counts_more(output)
    output.finish({"folder": str(folder), "stubs": _document(stubs)})


def remove(output: Output) -> None:
    """Remove the stubs of the user.

    Raises:
        StubInstallError: they cannot be removed.
    """
    folder = user_folder()
    names = stub_store.remove(folder)
    output.line(f"Removed from {folder}: {', '.join(names) or 'nothing, there was no stub'}")
    output.finish({"folder": str(folder), "removed": list(names)})


def _say_what_counts_more(output: Output) -> None:
    named = os.environ.get(DIRECTORY_VARIABLE)
    if named is not None:
        output.note(f"{DIRECTORY_VARIABLE} is set, and counts more: {named}")


def _document(stubs: Iterable[StoredStub]) -> list[Json]:
    return [
        {"name": stub.name, "sha256": stub.sha256, "versions": list(stub.versions)}
        for stub in stubs
    ]
