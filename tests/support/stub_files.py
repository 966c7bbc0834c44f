"""A stub that no chip would run: the simulated ones only look at where it is put."""

from __future__ import annotations

import base64
import functools
import json
import tempfile
from pathlib import Path

from described_chips import DESCRIBED

TEXT_START = 0x4038_0000
DATA_START = 0x3FC9_6BA8


def stub_file(
    text: bytes = bytes(range(256)) * 40,
    data: bytes = b"data" * 10,
    *,
    text_start: int = TEXT_START,
    data_start: int = DATA_START,
    entry: int = TEXT_START + 0x54,
) -> bytes:
    """Return the content of a stub file in Espressif's format."""
    return json.dumps(
        {
            "entry": entry,
            "text": base64.b64encode(text).decode(),
            "text_start": text_start,
            "data": base64.b64encode(data).decode(),
            "data_start": data_start,
            "bss_start": data_start + len(data),
        }
    ).encode()


@functools.cache
def _files() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for chip in DESCRIBED:
        code = next(region for region in chip.memory if region.name == "iram")
        data = next(region for region in chip.memory if region.name == "dram")
        for number, name in enumerate(chip.stub_files):
            start = code.start + number * 0x1_0000
            content = stub_file(
                text_start=start, data_start=data.start + 0x8000, entry=start + 0x54
            )
            files[f"{name.text}.json"] = content
    return files


def stub_directory(folder: Path) -> Path:
    """Put the stub files of every chip into ``folder``; of one chip each goes elsewhere."""
    for name, content in _files().items():
        (folder / name).write_bytes(content)
    return folder


@functools.cache
def _shared() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="esploader-stubs-")
    stub_directory(Path(folder.name))
    return folder


def shared_stubs() -> Path:
    """Return a folder of :func:`stub_directory` for all who change nothing in it."""
    return Path(_shared().name)
