"""What is said about an image: in lines, in the words that tools know, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.numerals import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from esploader.chips.model.chip import Chip
    from esploader.commands.output import Json, Output
    from esploader.image.descriptor import AppDescriptor, BootloaderDescriptor
    from esploader.image.header import ExtendedHeader
    from esploader.image.inspection import ImageReport
    from esploader.image.segment import Segment

_PINS = ("clk", "q", "d", "cs0", "hd", "wp")
_SEGMENT_HEADER_SIZE = 8
_KIB = 1024


def say_images(
    reports: Sequence[ImageReport], start: int, output: Output, *, is_told_chip: bool
) -> None:
    """Say what is in images; ``start`` is where in a file or flash their offset 0 is.

    ``is_told_chip`` says that it was not found out which chip they are for.
    """
    for report in reports:
        if len(reports) > 1 or report.offset:
            output.line()
            output.line(f"Image at {start + report.offset:#x}: {report.size} bytes")
        if not is_told_chip:
            output.line(f"Detected image type: {report.chip.name}")
        if report.header.chip_id not in {None, report.chip.image_chip_id}:
            from esploader.image.suitability import chip_problem

            problem = chip_problem(report.header, report.chip)
            output.note(f"the image at {start + report.offset:#x}: {problem}")
        _say_image(report, output)


def _say_image(report: ImageReport, output: Output) -> None:
    name = report.chip.name
    _say_heading(f"{name} Image Header", output)
    header = report.header
    output.line(f"Image version: {report.version}")
    output.line(f"Entry point: {header.entry:#x}")
    output.line(f"Segments: {len(report.segments)}")
    for label, value in _parameters(report):
        output.line(f"Flash {label}: {value}")
    if header.extended is not None:
        _say_heading(f"{name} Extended Image Header", output)
        _say_extended(header.extended, output)
    _say_heading("Segments Information", output)
    _say_segments(report.segments, report.chip, output)
    _say_heading(f"{name} Image Footer", output)
    _say_footer(report, output)
    if report.application is not None:
        _say_heading("Application Information", output)
        _say_application(report.application, output)
    if report.bootloader is not None:
        _say_heading("Bootloader Information", output)
        _say_bootloader(report.bootloader, output)


def _say_heading(text: str, output: Output) -> None:
    output.line()
    output.line(text)
    output.line("=" * len(text))


def _parameters(report: ImageReport) -> Iterator[tuple[str, str]]:
    """Yield what the header says of the flash, in the order in which tools know it."""
    chip, header = report.chip, report.header
    for label, table, code in (
        ("size", "flash_sizes", header.flash_size),
        ("freq", "flash_frequencies", header.flash_frequency),
        ("mode", "flash_modes", header.flash_mode),
    ):
        known = getattr(chip, table) if chip.knows(table) else ()
        names = [name for name, value in known if value == code]
        text = " or ".join(names) if names else f"unknown ({code:#x})"
        yield label, text.upper() if names and label == "mode" else text


def _say_extended(extended: ExtendedHeader, output: Output) -> None:
    from esploader.chips.registry import chip_by_image_id
    from esploader.image.header import NO_WP_PIN

    is_disabled = " (disabled)" if extended.wp_pin == NO_WP_PIN else ""
    output.line(f"WP pin: {extended.wp_pin:#04x}{is_disabled}")
    drives = zip(_PINS, extended.drives, strict=True)
    settings = ", ".join(f"{pin}_drv: {drive:#x}" for pin, drive in drives)
    output.line(f"Flash pins drive settings: {settings}")
    made_for = chip_by_image_id(extended.chip_id)
    name = "unknown" if made_for is None else made_for.name
    output.line(f"Chip ID: {extended.chip_id} ({name})")
    output.line(
        f"Minimal chip revision: {extended.minimum_revision}, "
        f"(legacy min_rev = {extended.legacy_minimum_revision})"
    )
    output.line(f"Maximal chip revision: {extended.maximum_revision}")


def _say_segments(segments: Sequence[Segment], chip: Chip, output: Output) -> None:
    output.line("Segment   Length   Load addr   File offs  Memory types")
    output.line("-------  -------  ----------  ----------  ------------")
    for number, segment in enumerate(segments):
        where = segment.offset - _SEGMENT_HEADER_SIZE
        types = ", ".join(_memory_types(segment, chip))
        line = f"{number:7}  {segment.size:#07x}  {segment.address:#010x}  {where:#010x}  {types}"
        output.line(line.rstrip())


def _memory_types(segment: Segment, chip: Chip) -> list[str]:
    from esploader.image.mapping import regions_of

    if not segment.address:
        # The bootloader of an ESP8266 maps what has no address, from wherever it is in flash.
        return ["IROM" if chip.image_chip_id is None else "PADDING"]
    if not chip.knows("memory"):
        return []
    return [name.upper() for name in sorted(regions_of(segment.address, chip))]


def _say_footer(report: ImageReport, output: Output) -> None:
    is_right = report.checksum == report.computed_checksum
    verdict = "valid" if is_right else f"invalid - calculated {report.computed_checksum:#04x}"
    output.line(f"Checksum: {report.checksum:#04x} ({verdict})")
    if report.digest is not None and report.computed_digest is not None:
        is_right = report.digest == report.computed_digest
        verdict = "valid" if is_right else f"invalid - calculated {report.computed_digest.hex()}"
        output.line(f"Validation hash: {report.digest.hex()} ({verdict})")


def _say_application(found: AppDescriptor, output: Output) -> None:
    output.line(f"Project name: {printable(found.project)}")
    output.line(f"App version: {printable(found.version)}")
    output.line(f"Compile time: {printable(found.date)} {printable(found.time)}")
    output.line(f"ELF file SHA256: {found.elf_digest.hex()}")
    output.line(f"ESP-IDF: {printable(found.idf_version)}")
    for label, revision in (
        ("Minimal", found.minimum_efuse_revision),
        ("Maximal", found.maximum_efuse_revision),
    ):
        output.line(f"{label} eFuse block revision: {revision.major}.{revision.minor}")
    if found.mmu_page_size is not None:
        output.line(f"MMU page size: {found.mmu_page_size // _KIB} KB")
    output.line(f"Secure version: {found.secure_version}")


def _say_bootloader(found: BootloaderDescriptor, output: Output) -> None:
    output.line(f"Bootloader version: {found.version}")
    output.line(f"ESP-IDF: {printable(found.idf_version)}")
    output.line(f"Compile time: {printable(found.compiled)}")


def images_document(reports: Sequence[ImageReport], start: int) -> list[Json]:
    """Return what is in images, likewise."""
    return [_document(report, start) for report in reports]


def _document(report: ImageReport, start: int) -> Json:
    names = dict(_parameters(report))
    return {
        "offset": start + report.offset,
        "size": report.size,
        "chip": report.chip.name,
        "version": report.version,
        "entry": report.header.entry,
        "flash_size": names["size"],
        "flash_frequency": names["freq"],
        "flash_mode": names["mode"].lower(),
        "extended": _extended_document(report.header.extended),
        "segments": [
            {
                "address": segment.address,
                "offset": segment.offset,
                "size": segment.size,
                "memory": [*_memory_types(segment, report.chip)],
            }
            for segment in report.segments
        ],
        "checksum": report.checksum,
        "checksum_valid": report.checksum == report.computed_checksum,
        "digest": None if report.digest is None else report.digest.hex(),
        "digest_valid": None if report.digest is None else report.digest == report.computed_digest,
        "application": _application_document(report.application),
        "bootloader": _bootloader_document(report.bootloader),
    }


def _extended_document(extended: ExtendedHeader | None) -> Json:
    if extended is None:
        return None
    return {
        "wp_pin": extended.wp_pin,
        "drives": [*extended.drives],
        "chip_id": extended.chip_id,
        "minimum_revision": str(extended.minimum_revision),
        "maximum_revision": str(extended.maximum_revision),
        "legacy_minimum_revision": extended.legacy_minimum_revision,
    }


def _application_document(found: AppDescriptor | None) -> Json:
    if found is None:
        return None
    return {
        "project": found.project,
        "version": found.version,
        "date": found.date,
        "time": found.time,
        "idf_version": found.idf_version,
        "elf_sha256": found.elf_digest.hex(),
        "minimum_efuse_revision": str(found.minimum_efuse_revision),
        "maximum_efuse_revision": str(found.maximum_efuse_revision),
        "mmu_page_size": found.mmu_page_size,
        "secure_version": found.secure_version,
    }


def _bootloader_document(found: BootloaderDescriptor | None) -> Json:
    if found is None:
        return None
    return {
        "version": found.version,
        "idf_version": found.idf_version,
        "compiled": found.compiled,
    }
