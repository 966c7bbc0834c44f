"""Other people's programs that the tests talk to."""

from __future__ import annotations

import os
import shutil
import sysconfig

import pytest

# Where Debian keeps ser2net; not on the PATH of everybody.
SYSTEM_PROGRAMS = "/usr/sbin"


def require_program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed.

    Continuous integration installs them all and sets ``ESPLOADER_REQUIRE_PEERS=1``:
    there, a missing one is a failure.
    """
    # The scripts of this interpreter first: a virtual environment need not be active.
    folders = (sysconfig.get_path("scripts"), os.environ["PATH"], SYSTEM_PROGRAMS)
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is not None:
        return path
    reason = f"{name} is not installed"
    if os.environ.get("ESPLOADER_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
