"""Files that a configuration names, among them those that systemd has for a service alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from esploader.errors import ConfigError

PREFIX: Final = "credential:"
"""What stands in front of the name of a credential (systemd.exec(5), Credentials)."""

VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""The environment variable that names their folder."""

MAX_NAME_SIZE: Final = 255
"""As systemd has it, in bytes."""


def file_named(name: str, folder: Path, source: str) -> Path:
    """Return the file: a credential, or else one whose name starts at ``folder``.

    Raises:
        ConfigError: there are no credentials, or it is no name of one. The message begins with
            ``source``.
    """
    if not name.startswith(PREFIX):
        return folder / name
    credential = name.removeprefix(PREFIX)
    is_name = credential.isprintable() and not any(each in credential for each in "/\\:")
    size = len(credential.encode(errors="surrogateescape"))
    if credential in {"", ".", ".."} or not is_name or size > MAX_NAME_SIZE:
        raise ConfigError(source, f"{name!r} is no name of a credential")
    credentials = os.environ.get(VARIABLE)
    if not credentials:
        reason = f"there is no {VARIABLE}, which systemd sets where a unit has LoadCredential="
        raise ConfigError(source, f"{name}: {reason}")
    return Path(credentials, credential)
