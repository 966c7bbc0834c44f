"""Files that tell scripts where ports are served: a line for each, its URL and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_port_file(path: Path, places: Iterable[tuple[str, str]]) -> None:
    """Write URLs and names. Whoever waits for the file never sees half of it.

    Raises:
        ConfigError: it cannot be written.
    """
    text = "".join(f"{url} {label}\n" for url, label in places)
    unfinished = path.with_name(f"{path.name}.new")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as exc:
        raise ConfigError(str(path), f"it cannot be written: {exc.strerror or exc}") from exc
