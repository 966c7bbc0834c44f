"""The files that make the page, as a browser gets them."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from esploader.classes import frozen

_TYPES: Final = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

PAGE: Final = "/"


@frozen
class StaticFile:
    """A file, and what it is."""

    content: bytes
    content_type: str


def static_files() -> dict[str, StaticFile]:
    """Return all files by the path of their URL."""
    folder = files(__package__) / "files"
    return {
        PAGE if name == "page.html" else f"/{name}": StaticFile(
            (folder / name).read_bytes(), content_type
        )
        for name, content_type in _TYPES.items()
    }
