"""Commands that write, compare, read and erase the content of the flash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.flash_monitor import add_monitor, check_monitor
from esploader.commands.flash_options import (
    PairsAction,
    Unheeded,
    add_extent,
    add_flash_parameters,
    add_inputs,
    add_no_progress,
    add_spi_connection,
    pace,
)
from esploader.commands.on_device import OnDevice
from esploader.commands.plan_report import header_document, plan_document, say_header
from esploader.commands.values import flash_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from esploader.commands.output import Json, Output
    from esploader.device.device import Device
    from esploader.flash.erasure import EraseResult
    from esploader.flash.parameters import FlashParameters
    from esploader.flash.place import Offset
    from esploader.flash.plan import WritePlan
    from esploader.flash.source import Source
    from esploader.flash.write_plan import RegionResult


MAX_LISTED: Final = 20
"""Ranges that differ and are shown to people."""


def _write_flash(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.commands.partition_names import place_inputs

    place_inputs(device, arguments, output)
    inputs, encrypted_inputs = arguments.inputs, arguments.encrypt_files
    if arguments.encrypt:
        inputs, encrypted_inputs = [], inputs
    parameters = _flash_parameters(arguments)
    return write_inputs(device, inputs, encrypted_inputs, parameters, arguments, output)


def write_inputs(
    device: Device,
    inputs: Sequence[tuple[Offset, Source]],
    encrypted_inputs: Sequence[tuple[Offset, Source]],
    parameters: FlashParameters,
    arguments: argparse.Namespace,
    output: Output,
) -> dict[str, Json]:
    """Write, or say what would be written, as the options of ``write-flash`` have it."""
    from esploader.commands.partition_names import check_table_stays

    named = (*inputs, *encrypted_inputs)
    if arguments.dry_run:
        plan = device.flash.plan(
            inputs,
            encrypted_inputs=encrypted_inputs,
            parameters=parameters,
            erase_all=arguments.erase_all,
            compress=arguments.compress,
            force=arguments.force,
            ignore_encryption_efuses=arguments.ignore_flash_enc_efuse,
        )
        check_table_stays(device, named, plan)
        output.line("Would write:")
        output.line(str(plan))
        return plan_document(plan)
    plans: list[WritePlan] = []

    def on_plan(plan: WritePlan) -> None:
        check_table_stays(device, named, plan)
        plans.append(plan)
        _say_plan(plan, parameters, output)

    results = device.flash.write(
        inputs,
        encrypted_inputs=encrypted_inputs,
        parameters=parameters,
        erase_all=arguments.erase_all,
        skip=not arguments.no_skip,
        compress=arguments.compress,
        force=arguments.force,
        ignore_encryption_efuses=arguments.ignore_flash_enc_efuse,
        on_plan=on_plan,
        on_progress=output.progress,
    )
    for result in results:
        _say_result(result, device, output)
    return {"written": _written_document(results), "header": header_document(plans[0].header)}


def _written_document(results: Iterable[RegionResult]) -> Json:
    return [
        {
            "offset": result.offset,
            "size": result.size,
            "written": result.written,
            "sent": result.sent,
            "restarts": result.restarts,
            "verified": result.verified,
            "seconds": round(result.seconds, 3),
            "warnings": list(result.warnings),
            "inputs": [
                {"name": part.name, "offset": part.offset, "size": part.size}
                for part in result.inputs
            ],
        }
        for result in results
    ]


def _say_plan(plan: WritePlan, parameters: FlashParameters, output: Output) -> None:
    """Say what is known of the flash, and what the bootloader is told of it."""
    from esploader.flash.jedec import name_of_size

    if parameters.size == "detect" and plan.flash_size is not None:
        output.line(f"Auto-detected flash size: {name_of_size(plan.flash_size)}")
    say_header(plan.header, output)


def _say_result(result: RegionResult, device: Device, output: Output) -> None:
    """Say what became of a region, in the words that tools know."""
    _say_inputs(result, output)
    where = f"at {result.offset:#010x}"
    if not result.written:
        output.line(f"{result.size} bytes {where} are already in flash, skipping write.")
    else:
        how = "compressed" if result.sent < result.written else "sent"
        taken = pace(result.written, result.seconds)
        output.line(f"Wrote {result.written} bytes ({result.sent} {how}) {where} {taken}.")
        if result.written < result.size:
            right = result.size - result.written
            output.line(f"The other {right} of {result.size} bytes were in flash already.")
    output.line(
        "Hash of data verified." if result.verified else f"Not verified: {_reason(device)}."
    )


def _say_inputs(result: RegionResult, output: Output) -> None:
    """Say what a region was made of: its size is that of whole sectors."""
    inputs = result.inputs
    size = sum(part.size for part in inputs)
    is_one = len(inputs) == 1
    filled = ""
    if size != result.size:
        filled = f"filled up to {result.size} bytes"
        if inputs and inputs[0].offset != result.offset:
            filled += f" from {result.offset:#010x} on"
    for part in inputs:
        output.line(f"{part}{f', {filled}' if is_one and filled else ''}.")
    if filled and not is_one:
        output.line(f"Together {size} bytes, {filled}.")


def _prepare_write(arguments: argparse.Namespace) -> None:
    check_monitor(arguments)
    _settle_inputs(arguments)


def _settle_inputs(arguments: argparse.Namespace) -> None:
    from esploader.flash.inputs import settle_inputs

    arguments.inputs = settle_inputs(arguments.inputs)
    if getattr(arguments, "encrypt_files", None):
        arguments.encrypt_files = settle_inputs(arguments.encrypt_files)


def _reason(device: Device) -> str:
    """Return why nobody can see what was done."""
    if device.is_in_secure_download_mode:
        return "in Secure Download Mode nobody can see what the flash holds"
    return "only the device can read what it encrypted"


def _flash_parameters(arguments: argparse.Namespace) -> FlashParameters:
    from esploader.flash.parameters import FlashParameters

    return FlashParameters(
        mode=arguments.flash_mode, frequency=arguments.flash_freq, size=arguments.flash_size
    )


def _read_flash(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.commands.flash_extent import extent
    from esploader.commands.output_file import OutputFile

    offset, size = extent(device, arguments, arguments.flash_size, output)
    path, clock = Path(arguments.output), device.session.transport.clock
    with OutputFile.open(path) as file:
        start = clock.now()
        data = device.flash.read(offset, size, on_progress=output.progress)
        taken = pace(size, clock.now() - start)
        file.write(data)
    output.line(f"Read {size} bytes from {offset:#010x} {taken} to '{path}'.")
    return {"read": {"offset": offset, "size": size, "file": str(path)}}


def _verify_flash(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.commands.partition_names import place_inputs
    from esploader.errors import VerifyError

    place_inputs(device, arguments, output)
    differences = device.flash.verify(
        arguments.inputs,
        parameters=_flash_parameters(arguments),
        on_progress=output.progress,
    )
    if not differences:
        output.line("Verification successful (digest matched).")
        return {"differences": []}
    output.line("Verification failed.")
    listed = differences if arguments.diff else differences[:MAX_LISTED]
    for found in listed:
        output.line(f"  {found.start:#010x} to {found.end:#010x}: {found.end - found.start} bytes")
    if len(listed) < len(differences):
        output.line(f"  and {len(differences) - len(listed)} more ranges: --diff lists all")
    raise VerifyError(tuple((found.start, found.end) for found in differences))


def _erase_flash(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    result = device.flash.erase(force=arguments.force, on_progress=output.progress)
    output.line(f"Flash memory erased successfully in {result.seconds:.1f} seconds.")
    if not result.verified:
        output.line("Not verified: this loader cannot look at all of the flash.")
    return _erase_document(result)


def _erase_region(device: Device, arguments: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.commands.flash_extent import extent

    offset, size = extent(device, arguments, arguments.region_flash_size, output, erases=True)
    result = device.flash.erase_region(
        offset,
        size,
        flash_size=arguments.region_flash_size,
        force=arguments.force,
        on_progress=output.progress,
    )
    output.line(f"Flash memory region erased successfully in {result.seconds:.1f} seconds.")
    if not result.verified:
        output.line(f"Not verified: {_reason(device)}.")
    return _erase_document(result)


def _erase_document(result: EraseResult) -> dict[str, Json]:
    return {
        "erased": {
            "offset": result.offset,
            "size": result.size,
            "restarts": result.restarts,
            "verified": result.verified,
            "seconds": round(result.seconds, 3),
            "warnings": list(result.warnings),
        }
    }


def _add_write(parser: argparse.ArgumentParser) -> None:
    add_inputs(parser, nargs="*")
    add_no_progress(parser)
    _add_encryption(parser)
    parser.add_argument(
        "-e", "--erase-all", action="store_true", help="erase the whole flash first"
    )
    skipping = parser.add_mutually_exclusive_group()
    skipping.add_argument(
        "-s", "--skip-flashed", action="store_true", help="skip what is there already (default)"
    )
    skipping.add_argument("--no-skip", action="store_true", help="write what is there already, too")
    _add_comparisons(parser, skipping)
    compression = parser.add_mutually_exclusive_group()
    compression.add_argument(
        "-z", "--compress", action="store_true", default=None, help="compress whatever it is"
    )
    compression.add_argument(
        "-u", "--no-compress", dest="compress", action="store_false", help="do not compress"
    )
    parser.add_argument(
        "--force", action="store_true", help="do not check the bootloader and the security state"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and do nothing")
    add_flash_parameters(parser)
    add_spi_connection(parser)
    add_monitor(parser)


def _add_comparisons(
    parser: argparse.ArgumentParser, skipping: argparse._MutuallyExclusiveGroup
) -> None:
    """Add what helps esptool to find out what is in flash, or to be sure of it."""
    skipping.add_argument(
        "--diff-with",
        nargs="+",
        action=Unheeded,
        why="what to write is compared with the flash itself",
        metavar="FILE",
        help="has no effect: only what differs from the flash is written anyway (default: none)",
    )
    parser.add_argument(
        "--trust-flash-content",
        "--no-diff-verify",
        action=Unheeded,
        nargs=0,
        why="what is in flash is always looked at",
        help="has no effect: what is in flash is always looked at",
    )
    parser.add_argument(
        "--verify",
        action=Unheeded,
        nargs=0,
        why="what was written is always verified",
        help="has no effect: what was written is always verified",
    )


def _add_encryption(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--encrypt", action="store_true", help="have the device encrypt what it writes"
    )
    which.add_argument(
        "--encrypt-files",
        nargs="+",
        action=PairsAction,
        default=[],
        metavar="OFFSET FILE",
        help="files to write, too, and to have encrypted (default: none)",
    )
    parser.add_argument(
        "--ignore-flash-enc-efuse",
        "--ignore-flash-encryption-efuse-setting",
        action="store_true",
        help="encrypt whatever the eFuses say of the key",
    )


def _add_verify(parser: argparse.ArgumentParser) -> None:
    add_inputs(parser)
    parser.add_argument(
        "-d", "--diff", action="store_true", help="list all ranges that differ, however many"
    )
    add_flash_parameters(parser)
    add_spi_connection(parser)


def _add_read(parser: argparse.ArgumentParser) -> None:
    add_extent(parser, "bytes, 64k, 4M, or all")
    parser.add_argument("output", metavar="FILE", help="written when all has been read")
    parser.add_argument(
        "-fs",
        "--flash-size",
        type=flash_size,
        default="keep",
        metavar="SIZE",
        help="size of the flash, where it cannot be found out (default: unknown)",
    )
    add_no_progress(parser)
    add_spi_connection(parser)


def _add_erase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="although the device may never boot again"
    )
    add_spi_connection(parser)


def _add_erase_region(parser: argparse.ArgumentParser) -> None:
    add_extent(parser, "both multiples of 4096 bytes; or all")
    parser.add_argument(
        "-fs",
        "--flash-size",
        # ESPTOOL_FS is about bootloaders, and no limit of what is erased.
        dest="region_flash_size",
        type=flash_size,
        default="keep",
        metavar="SIZE",
        help="size of the flash, for Secure Download Mode, where it cannot be found out "
        "(default: 2 MiB are taken for granted)",
    )
    _add_erase(parser)


COMMANDS: Final = (
    Command(
        name="write-flash",
        help="write files to the flash",
        add_arguments=_add_write,
        run=OnDevice(_write_flash, _prepare_write),
        example="--port /dev/ttyUSB0 --baud 921600 write-flash 0 bootloader.bin 0x10000 app.bin",
    ),
    Command(
        name="verify-flash",
        help="compare the flash with files",
        add_arguments=_add_verify,
        run=OnDevice(_verify_flash, _settle_inputs),
        example="--port /dev/ttyUSB0 verify-flash 0x10000 app.bin",
    ),
    Command(
        name="read-flash",
        help="read flash into a file",
        add_arguments=_add_read,
        run=OnDevice(_read_flash),
        example="--port /dev/ttyUSB0 read-flash 0 all flash.bin",
    ),
    Command(
        name="erase-flash",
        help="erase the whole flash",
        add_arguments=_add_erase,
        run=OnDevice(_erase_flash),
        example="--port /dev/ttyUSB0 erase-flash",
    ),
    Command(
        name="erase-region",
        help="erase sectors of the flash",
        add_arguments=_add_erase_region,
        run=OnDevice(_erase_region),
        example="--port /dev/ttyUSB0 erase-region 0x9000 0x6000",
    ),
)
