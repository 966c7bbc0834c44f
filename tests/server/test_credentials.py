"""Names of files in a configuration, and those that systemd has for a service alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from esploader.errors import ConfigError
from esploader.server.config import read_config
from esploader.server.credentials import VARIABLE, file_named


def test_a_credential_is_where_systemd_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "/run/credentials/x.service")
    path = tmp_path / "ports.toml"
    path.write_text(
        'token-file = "credential:token"\n[tls]\ncert = "tls.pem"\nkey = "credential:tls.key"\n',
        encoding="utf-8",
    )
    config = read_config(path)
    assert config.token_file == Path("/run/credentials/x.service/token")
    assert config.tls is not None
    assert config.tls.cert == tmp_path / "tls.pem"
    assert config.tls.key == Path("/run/credentials/x.service/tls.key")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../key", "/etc/shadow", "a/b", "a\\b", "a:b", "a\n", "x" * 256]
)
def test_a_credential_cannot_be_another_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/run/credentials/x.service")
    with pytest.raises(ConfigError, match="is no name of a credential"):
        file_named(f"credential:{name}", Path("/etc"), "key")


def test_without_systemd_there_are_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=f"key: credential:tls.key: there is no {VARIABLE}"):
        file_named("credential:tls.key", Path("/etc"), "key")


def test_any_other_name_is_that_of_a_file() -> None:
    assert file_named("a/b", Path("/etc"), "key") == Path("/etc/a/b")
    assert file_named("/a", Path("/etc"), "key") == Path("/a")
