"""A token that could be guessed, or that anybody can read, is refused."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from esploader.errors import ConfigError
from esploader.transport.token_file import MAX_SIZE, MIN_SIZE, read_token

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = b"0123456789abcdef"


def file_with(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [TOKEN, TOKEN + b"\n", b"  " + TOKEN + b"\r\n"])
def test_blanks_and_ends_of_lines_around_it_do_not_count(tmp_path: Path, content: bytes) -> None:
    assert read_token(file_with(tmp_path, content)) == TOKEN


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_one_that_few_can_read_is_taken(tmp_path: Path, mode: int) -> None:
    assert read_token(file_with(tmp_path, TOKEN, mode)) == TOKEN


@pytest.mark.skipif(os.name != "posix", reason="elsewhere files have no such bits")
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_one_that_everybody_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = file_with(tmp_path, TOKEN, mode)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: everybody can use this token")):
        read_token(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", f"a token has {MIN_SIZE} bytes at least, and this one 0"),
        (b" \n" * 40, f"a token has {MIN_SIZE} bytes at least, and this one 0"),
        (TOKEN[:-1], f"a token has {MIN_SIZE} bytes at least, and this one 15"),
        (b"x" * (MAX_SIZE + 1), f"a token has {MAX_SIZE} bytes at most"),
    ],
)
def test_what_is_no_token_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as failure:
        read_token(file_with(tmp_path, content))
    assert "xxx" not in str(failure.value)


@pytest.mark.parametrize("name", ["no-such-file", "", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="the token cannot be read"):
        read_token(f"{tmp_path}/{name}")
