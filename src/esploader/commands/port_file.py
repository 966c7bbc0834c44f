"""Files that tell scripts where ports are served: a line for each, its URL and its name."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from esploader.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@contextmanager
def port_file(name: str | None) -> Iterator[Callable[[Iterable[tuple[str, str]]], None]]:
    """Yield a function that writes URLs and names; without a ``name`` it does nothing.

    Whoever waits for the file never sees half of it, nor that of a server before: there is
    none until it is written, and after the end.

    Raises:
        ConfigError: it cannot be written.
    """
    if name is None:
        yield lambda _places: None
        return
    path = Path(name)

    def write(places: Iterable[tuple[str, str]]) -> None:
        text = "".join(f"{url} {label}\n" for url, label in places)
        unfinished = path.with_name(f"{path.name}.new")
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        except OSError as exc:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise _cannot_be_written(path, exc) from exc

    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise _cannot_be_written(path, exc) from exc
    try:
        yield write
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _cannot_be_written(path: Path, exc: OSError) -> ConfigError:
    return ConfigError(str(path), f"it cannot be written: {exc.strerror or exc}")
