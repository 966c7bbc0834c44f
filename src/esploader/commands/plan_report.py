"""What is said of a write before it is done, and of the header of the bootloader."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.commands.output import Json, Output
    from esploader.flash.plan import HeaderChange, WritePlan


def say_header(header: HeaderChange | None, output: Output) -> None:
    """Say what becomes of the header of the bootloader, in the words that tools know."""
    if header is None:
        return
    if not header.is_new:
        output.line(f"Flash parameters are {header.word:#06x} already ({header.names}).")
        return
    output.line(f"Flash parameters set to {header.word:#06x} ({header.names}).")
    if header.digest_renewed:
        output.line("SHA digest in image updated.")


def plan_document(plan: WritePlan) -> dict[str, Json]:
    """Return what a write would do."""
    return {
        "plan": [
            {"offset": region.offset, "size": len(region.data), "encrypted": region.encrypted}
            for region in plan.regions
        ],
        "uncovered": [{"start": lost.start, "end": lost.end} for lost in plan.uncovered],
        "starts_stub": plan.starts_stub,
        "erase_all": plan.erase_all,
        "compress": plan.compress,
        "header": header_document(plan.header),
    }


def header_document(header: HeaderChange | None) -> Json:
    """Return what the bootloader is told of the flash; null where it is told nothing."""
    if header is None:
        return None
    return {
        "offset": header.offset,
        "mode": header.mode,
        "frequency": header.frequency,
        "size": header.size,
        "changed": header.is_new,
        "digest_renewed": header.digest_renewed,
    }
