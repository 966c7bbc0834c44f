"""The recorded answers of real loaders (``vectors/README.md``), for the tests that use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = Path(__file__).parents[1] / "vectors"


@attrs.frozen
class Row:
    """One recorded exchange."""

    file: str
    index: int
    name: str
    sent: bytes | None
    received: bytes | None

    @property
    def sent_opcode(self) -> int | None:
        """The command byte of the request."""
        return None if self.sent is None else self.sent[2]

    @override
    def __str__(self) -> str:
        return f"{self.file}[{self.index}] {self.name.strip()}"


def rows(file: str) -> Iterator[Row]:
    """Return the rows of one recording, in order."""
    recording = json.loads((VECTORS / f"{file}.json").read_text(encoding="utf-8"))
    for index, row in enumerate(recording["rows"]):
        sent, received = row.get("send"), row.get("recv")
        yield Row(
            file,
            index,
            row["name"],
            None if sent is None else bytes.fromhex(sent),
            None if received is None else bytes.fromhex(received),
        )
