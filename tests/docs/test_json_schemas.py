"""What commands print with ``--json`` is what the published schemas say."""

from __future__ import annotations

import argparse
import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

import made_builds
from esploader.chips.esp32c3 import ESP32_C3
from esploader.cli import main
from esploader.commands.parser import command_parser
from esploader.commands.table import commands
from esploader.image.partitions import parse_csv
from esploader.server.config import PortConfig, ServerConfig
from images import small_image
from json_schemas import FILES, FOLDER, schemas, text_of
from loaded_commands import esploader
from programs import read_line, running
from reloads import reloadable
from stub_files import stub_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = Path(__file__).parents[1] / "vectors"
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"

OF_EVERY_COMMAND = {
    *("port", "chip", "description", "revision", "features", "crystal_mhz", "usb_mode", "mac"),
    *("eui64", "secure_download_mode", "warnings", "error"),
}

C3 = "sim://esp32c3"


def check(command: str, text: str) -> None:
    """Compare a document with the published schema of the command."""
    validator_for(command).validate(json.loads(text))


@functools.cache
def validator_for(command: str) -> jsonschema.Draft202012Validator:
    """Return what compares; that the schema is one, a test shows by itself."""
    schema = json.loads((FOLDER / f"{command}.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def has_json(parser: argparse.ArgumentParser) -> bool:
    return "--json" in parser._option_string_actions  # noqa: SLF001 - argparse tells nowhere else


def names_with_json() -> Iterator[str]:
    """Name all commands, and actions of commands, that know ``--json``."""
    for command in commands():
        parser = command_parser(command, command.name)
        if has_json(parser):
            yield command.name
        for action in parser._actions:  # noqa: SLF001
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                for name, actions_parser in action.choices.items():
                    if has_json(actions_parser):
                        yield f"{command.name}-{name}"


def test_the_schemas_are_current() -> None:
    # python tests/support/json_schemas.py
    published = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert published == {name: text_of(schema) for name, schema in {**schemas(), **FILES}.items()}


def test_every_command_that_knows_json_has_one() -> None:
    assert set(schemas()) == set(names_with_json())


def test_the_page_names_what_each_command_adds() -> None:
    text = PAGE.read_text(encoding="utf-8").split("What a command adds to that:")[1]
    table = text.split("\n\n")[1]
    rows = [row.split("|") for row in table.splitlines()[2:]]
    untold = {}
    for path in FOLDER.glob("*.json"):
        name = path.stem
        if name.startswith(("sim-", "stub-")) or name in {
            *("fleet", "ports", "serve", "version"),
            *FILES,
        }:
            # They have documents of their own.
            continue
        documents = json.loads(path.read_text(encoding="utf-8"))["anyOf"]
        added = {key for each in documents for key in each["properties"]} - OF_EVERY_COMMAND
        told = "".join(keys for _, names, keys, *_ in rows if re.search(f"`{name}[` ]", names))
        untold[name] = {key for key in added if f"`{key}`" not in told}
    assert len(untold) > 20
    assert {name: keys for name, keys in untold.items() if keys} == {}


@pytest.mark.parametrize("name", schemas())
def test_a_schema_is_one_and_refuses_what_is_none_of_its_documents(name: str) -> None:
    schema = schemas()[name]
    assert isinstance(schema, dict)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    error = {"error": {"class": "PlanError", "message": "no", "code": 2}, "warnings": []}
    validator.validate(error)
    for wrong in (
        {},
        {**error, "more": 1},
        {**error, "error": {"class": "PlanError", "message": "no"}},
        "no",
    ):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (C3, ["flash-id"]),
        ("sim://esp32?flash=512KB", ["flash-id"]),
        ("sim://esp32s3?port=usb-otg", ["flash-id"]),
        ("sim://esp8266", ["chip-id"]),
        ("sim://esp32c6", ["read-mac"]),
        (C3, ["get-security-info"]),
        ("sim://esp32s2", ["get-security-info"]),
        ("sim://esp32c3?efuses=secure_download:1", ["get-security-info"]),
        (C3, ["efuse-summary"]),
        ("sim://esp32", ["efuse-summary", "--dump"]),
        (C3, ["write-flash", "0x10000", "app"]),
        (C3, ["write-flash", "-fm", "dio", "-fs", "detect", "0", "boot"]),
        (C3, ["write-flash", "--dry-run", "-fm", "dio", "0", "boot", "0x8000", "app"]),
        ("sim://esp32c3?efuses=secure_download:1", ["write-flash", "0x10000", "app"]),
        (C3, ["flash", "build"]),
        (C3, ["flash", "--dry-run", "--app-only", "build"]),
        (C3, ["read-flash", "0", "4096", "copy"]),
        (C3, ["erase-flash"]),
        (C3, ["erase-region", "0", "4096"]),
        ("", ["partition-table", "table"]),
        ("", ["partition-table", "-fs", "4MB", "table"]),
        (C3, ["read-flash-status"]),
        (C3, ["write-flash-status", "0"]),
        (C3, ["read-flash-sfdp", "0", "8"]),
        (C3, ["read-mem", "0x40001000"]),
        (C3, ["write-mem", "0x3fca0000", "1"]),
        (C3, ["dump-mem", "0x40001000", "64", "copy"]),
        (C3, ["load-ram", "boot"]),
        (C3, ["run"]),
        ("sim://esp32", ["run"]),
        ("", ["ports"]),
        ("", ["version"]),
        ("", ["merge-bin", "-o", "copy", "0", "boot", "0x1000", "app"]),
        (C3, ["merge-bin", "-o", "copy", "--chip", "esp32c3", "-fs", "8MB", "0", "boot"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value or "no port",
)
def test_documents(
    port: str,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app").write_bytes(b"app")
    Path("boot").write_bytes(small_image(ESP32_C3))
    Path("table").write_text("nvs,data,nvs,,0x6000\n")
    if "build" in words:
        made_builds.arduino(Path("build"), ESP32_C3)
    loader = ["--no-stub"]
    if words[0] == "erase-flash":
        loader = ["--stub", str(stub_directory(tmp_path))]
    options = ["--port", port, *loader] if port else []
    assert main(["--json", *options, *words]) == 0
    check(words[0], capsys.readouterr().out)


def test_documents_of_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "app.bin"
    for content, code in ((b"\xff" * 8, 0), (b"app", 2)):
        path.write_bytes(content)
        command = ["--json", "--no-stub", "--port", C3, "verify-flash", "0", str(path)]
        assert main(command) == code
        text = capsys.readouterr().out
        check("verify-flash", text)
        assert bool(json.loads(text)["differences"]) is bool(code)


def test_documents_of_a_partition_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = parse_csv("otadata,data,ota,,8K\nota_0,app,ota_0,,64K\n").to_bytes()
    flash = tmp_path / "flash.bin"
    flash.write_bytes(b"\xff" * 0x8000 + table)
    command = ["--json", "--no-stub", "--port", f"{C3}?file={flash}", "partition-table"]
    for words in ([], ["--boot", "ota_0", "--force"]):
        assert main([*command, *words]) == 0
        check("partition-table", capsys.readouterr().out)


def test_documents_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--port", C3, "--chip", "esp32", "flash-id"]) == 2
    check("flash-id", capsys.readouterr().out)


def test_documents_of_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((VECTORS / "rom-esp32.json").read_text(encoding="utf-8"))
    document["rows"][0]["recv"] += "00"
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert main(["sim", "check", "--json", str(path)]) == 1
    check("sim-check", capsys.readouterr().out)


def test_documents_of_stubs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "stubs"
    folder.mkdir()
    stub_directory(folder)
    for action, *options in (["install", "--trust", "--from", str(folder)], ["list"], ["remove"]):
        assert main(["stub", action, "--json", *options]) == 0
        text = capsys.readouterr().out
        check(f"stub-{action}", text)
        assert json.loads(text).get("stubs", True)


def test_documents_of_what_a_server_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    ports = (PortConfig(source=C3, name="bench"), PortConfig(source="/dev/none"))
    with reloadable(ServerConfig(ports=ports, tcp_port=0, directory_port=0)) as server:
        assert main(["ports", "--json", "--at", f"127.0.0.1:{server.server.directory_port}"]) == 0
        check("ports", capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [["sim", "serve", "--rfc2217", "0"], ["serve", "--tcp-port", "0", C3]],
    ids=["sim serve", "serve"],
)
def test_documents_of_servers(words: list[str]) -> None:
    with running(*esploader(*words, "--json")) as process:
        text = ""
        while not text.endswith("\n}\n"):
            line = read_line(process)
            assert line, process.wait()
            text += line
    check("-".join(word for word in words[:2] if word.isalpha()), text)
