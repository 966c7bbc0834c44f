"""Disks without room: for any user by a limit on the size of files, for root a small one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have every file that this process writes to end at that many bytes."""
    if sys.platform == "win32":
        pytest.skip("files have no limit there")
    import resource  # noqa: PLC0415 - POSIX only

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def small_disk(where: Path, kib: int) -> Iterator[Path]:
    """Mount a disk of that many KiB, if this user may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(where)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except OSError as exc:
        pytest.skip(f"no disk can be mounted: {exc}")
    if done.returncode:
        pytest.skip(f"no disk can be mounted: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True, timeout=30)
