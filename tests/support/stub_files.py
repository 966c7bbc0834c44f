"""A stub that no chip would run: the simulated ones only look at where it is put."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from described_chips import DESCRIBED

if TYPE_CHECKING:
    from pathlib import Path

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


def stub_directory(folder: Path) -> Path:
    """Put the stub files of every chip into ``folder``; of one chip each goes elsewhere."""
    for chip in DESCRIBED:
        code = next(region for region in chip.memory if region.name == "iram")
        data = next(region for region in chip.memory if region.name == "dram")
        for number, name in enumerate(chip.stub_files):
            start = code.start + number * 0x1_0000
            content = stub_file(
                text_start=start, data_start=data.start + 0x8000, entry=start + 0x54
            )
            (folder / f"{name.text}.json").write_bytes(content)
    return folder
