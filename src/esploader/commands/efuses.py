"""The command ``efuse-summary``: lines for people, and a document for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.on_device import OnDevice

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from esploader.chips.reading.efuses import EfuseBlockContent, Efuses, EfuseValue
    from esploader.commands.output import Json, Output
    from esploader.device.device import Device

MAX_NUMBER_WIDTH: Final = 32
"""In bits: larger values are texts in a document, for not every program takes such numbers."""

_NAME_WIDTH: Final = 31
_PLACE_WIDTH: Final = 26


def efuse_lines(efuses: Efuses, *, dump: bool) -> Iterator[str]:
    """Yield one line a field; with ``dump`` also one a block, with its words."""
    yield "eFuse Fields:"
    yield "============="
    for field in efuses.values():
        remarks = [field.meaning, *_protections(field)]
        line = f"{field.name:<{_NAME_WIDTH}}{_place(field):<{_PLACE_WIDTH}}{field.value:#x}"
        yield "  ".join([line, *filter(None, remarks)])
    if dump:
        yield ""
        yield "eFuse Blocks:"
        yield "============="
        for name, block in efuses.blocks.items():
            words = " ".join(f"{word:08x}" for word in block.words)
            yield "  ".join([f"{name:<{_NAME_WIDTH}}{words}", *_protections(block)])


def efuse_document(efuses: Efuses, *, dump: bool) -> dict[str, Json]:
    """Return the fields by name; with ``dump`` also the words of the blocks."""
    fields: dict[str, Json] = {name: _field_document(field) for name, field in efuses.items()}
    if not dump:
        return {"efuses": fields}
    blocks: dict[str, Json] = {
        name: {
            "words": list(block.words),
            "read_protected": block.read_protected,
            "write_protected": block.write_protected,
        }
        for name, block in efuses.blocks.items()
    }
    return {"efuses": fields, "efuse_blocks": blocks}


def _field_document(field: EfuseValue) -> dict[str, Json]:
    positions: list[Json] = [
        {"block": span.block, "first": span.first, "width": span.width} for span in field.positions
    ]
    digits = -(-field.width // 4)
    return {
        "block": field.block,
        "positions": positions,
        "value": field.value if field.width <= MAX_NUMBER_WIDTH else f"0x{field.value:0{digits}x}",
        "meaning": field.meaning,
        "read_protected": field.read_protected,
        "write_protected": field.write_protected,
    }


def _place(field: EfuseValue) -> str:
    """Return the block and its bits, the most significant ones first."""
    bits = (
        f"{span.first + span.width - 1}:{span.first}" if span.width > 1 else f"{span.first}"
        for span in field.positions
    )
    return f"{field.block}[{','.join(bits)}]"


def _protections(part: EfuseValue | EfuseBlockContent) -> Iterator[str]:
    if part.read_protected:
        yield "read-protected: reads as 0"
    if part.write_protected:
        yield "write-protected"


def _efuse_summary(
    device: Device, arguments: argparse.Namespace, output: Output
) -> dict[str, Json]:
    efuses = device.efuses.read()
    for line in efuse_lines(efuses, dump=arguments.dump):
        output.line(line)
    return efuse_document(efuses, dump=arguments.dump)


def _add_summary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dump", action="store_true", help="show the words of all blocks, too")


COMMANDS: Final = (
    Command(
        name="efuse-summary",
        help="show what the eFuses hold",
        add_arguments=_add_summary,
        run=OnDevice(_efuse_summary),
        example="--port /dev/ttyUSB0 efuse-summary --dump",
        only_prints=True,
    ),
)
