"""What each command says about a device: lines for people and tools, values for programs.

Nothing here prints; a :class:`Printer` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from esploader.chips.reading.security import key_purpose_names
from esploader.commands.efuse_report import efuse_document, efuse_lines
from esploader.commands.output_file import OutputFile
from esploader.errors import PlanError, VerifyError
from esploader.flash.inputs import FlashParameters
from esploader.flash.jedec import check_presence
from esploader.loader.resetting import After

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from esploader.device.device import Device
    from esploader.flash.erasure import EraseResult
    from esploader.flash.plan import WritePlan
    from esploader.progress import ProgressEvent

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class Printer(Protocol):
    """Where the lines go."""

    def line(self, text: str = "") -> None:
        """Print one line."""

    def labelled(self, label: str, text: str) -> None:
        """Print a label and its values."""

    def note(self, text: str) -> None:
        """Print a remark."""

    def progress(self, event: ProgressEvent) -> None:
        """Draw how far a long command is."""


def _flash_id(device: Device, _: Namespace, printer: Printer) -> dict[str, Json]:
    flash = device.flash_id()
    wiring = device.flash_wiring()
    kind, voltage = wiring.type, wiring.voltage
    size = None if flash.size is None else _size_name(flash.size)
    printer.line("Flash Memory Information:")
    printer.line("=========================")
    printer.line(f"Manufacturer: {flash.manufacturer:02x}")
    printer.line(f"Device: {flash.device:04x}")
    if flash.manufacturer_name is not None:
        names = (flash.manufacturer_name, flash.device_name)
        printer.line(f"Flash chip: {' '.join(name for name in names if name)}")
    printer.line(f"Detected flash size: {size or 'Unknown'}")
    if not flash.is_plausible:
        printer.note("this is the id of no flash chip: none answers")
    if kind is not None:
        printer.line(f"Flash type set in eFuse: {kind}")
    if voltage is not None:
        printer.line(f"Flash voltage set by {voltage.source.value}: {voltage}")
    return {
        "flash": {
            "manufacturer": flash.manufacturer,
            "manufacturer_name": flash.manufacturer_name,
            "device": flash.device,
            "device_name": flash.device_name,
            "size": flash.size,
            "data_lines": None if kind is None else kind.value,
            "millivolts": None if voltage is None else voltage.millivolts,
            "voltage_source": None if voltage is None else voltage.source.name.lower(),
        }
    }


def _size_name(size: int) -> str:
    kib = size // 1024
    return f"{kib // 1024}MB" if kib % 1024 == 0 else f"{kib}KB"


def print_mac(device: Device, printer: Printer) -> None:
    """Print the MAC address, and the EUI-64 instead where the chip has one.

    Raises:
        UnsupportedError: the device is in Secure Download Mode.
    """
    mac, eui64 = device.mac, device.eui64
    printer.labelled("MAC", eui64 or mac)
    if eui64 is not None:
        half = len(mac) // 2
        printer.labelled("BASE MAC", mac)
        printer.labelled("MAC_EXT", eui64[half + 1 : -half - 1])


def _read_mac(device: Device, _: Namespace, printer: Printer) -> dict[str, Json]:
    print_mac(device, printer)
    return {}


def _chip_id(device: Device, _: Namespace, printer: Printer) -> dict[str, Json]:
    chip_id = device.chip_id
    if chip_id is None:
        printer.note(f"{device.chip.name} has no chip id; its MAC identifies it")
        print_mac(device, printer)
        return {"chip_id": None}
    printer.line(f"Chip ID: {chip_id:#010x}")
    return {"chip_id": chip_id}


def _get_security_info(device: Device, _: Namespace, printer: Printer) -> dict[str, Json]:
    info = device.get_security_info()
    purposes = key_purpose_names(info, device.chip)
    printer.line("Security Information:")
    printer.line("=====================")
    printer.line(f"Flags: {info.flags:#010x} ({info.flags:#b})")
    for name in info.flag_names:
        printer.line(f"  {name}")
    if purposes:
        printer.line("Key Purposes:")
    for number, name in enumerate(purposes):
        printer.line(f"  BLOCK_KEY{number} - {name}")
    if info.chip_id is not None:
        printer.line(f"Chip ID: {info.chip_id}")
    if info.api_version is not None:
        printer.line(f"API Version: {info.api_version}")
    printer.line(f"Secure Boot: {_state(info.secure_boot)}")
    printer.line(f"Flash Encryption: {_state(info.flash_encryption)}")
    printer.line(f"SPI Boot Crypt Count (SPI_BOOT_CRYPT_CNT): {info.flash_crypt_count:#x}")
    return {
        "security_info": {
            "flags": info.flags,
            "flag_names": list(info.flag_names),
            "key_purposes": list(purposes),
            "chip_id": info.chip_id,
            "api_version": info.api_version,
            "secure_boot": info.secure_boot,
            "flash_encryption": info.flash_encryption,
            "secure_download_mode": info.secure_download_mode,
            "flash_crypt_count": info.flash_crypt_count,
        }
    }


def _efuse_summary(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    efuses = device.efuses
    for line in efuse_lines(efuses, dump=arguments.dump):
        printer.line(line)
    return efuse_document(efuses, dump=arguments.dump)


def _state(enabled: bool) -> str:  # noqa: FBT001 - one meaning, two words
    return "Enabled" if enabled else "Disabled"


def _write_flash(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    parameters = _flash_parameters(arguments)
    inputs, encrypted_inputs = arguments.inputs, arguments.encrypt_files
    if arguments.encrypt:
        inputs, encrypted_inputs = [], inputs
    if arguments.dry_run:
        plan = device.plan_write(
            inputs,
            encrypted_inputs=encrypted_inputs,
            parameters=parameters,
            erase_all=arguments.erase_all,
            compress=arguments.compress,
            force=arguments.force,
            ignore_encryption_efuses=arguments.ignore_flash_enc_efuse,
        )
        printer.line("Would write:")
        printer.line(str(plan))
        return _plan_document(plan)
    results = device.write_flash(
        inputs,
        encrypted_inputs=encrypted_inputs,
        parameters=parameters,
        erase_all=arguments.erase_all,
        skip=not arguments.no_skip,
        compress=arguments.compress,
        force=arguments.force,
        ignore_encryption_efuses=arguments.ignore_flash_enc_efuse,
        on_progress=printer.progress,
    )
    for result in results:
        where = f"at {result.offset:#010x}"
        if not result.written:
            printer.line(f"{result.size} bytes {where} are already in flash, skipping write.")
        else:
            rate = result.written * 8 / result.seconds / 1000 if result.seconds else 0
            printer.line(
                f"Wrote {result.written} bytes ({result.sent} sent) {where} in "
                f"{result.seconds:.1f} seconds ({rate:.1f} kbit/s)."
            )
            if result.written < result.size:
                right = result.size - result.written
                printer.line(f"The other {right} of {result.size} bytes were in flash already.")
        printer.line(
            "Hash of data verified." if result.verified else f"Not verified: {_reason(device)}."
        )
    return {
        "written": [
            {
                "offset": result.offset,
                "size": result.size,
                "written": result.written,
                "sent": result.sent,
                "restarts": result.restarts,
                "verified": result.verified,
                "seconds": round(result.seconds, 3),
                "warnings": list(result.warnings),
            }
            for result in results
        ]
    }


def _reason(device: Device) -> str:
    """Return why nobody can see what was done."""
    if device.is_in_secure_download_mode:
        return "in Secure Download Mode nobody can see what the flash holds"
    return "only the device can read what it encrypted"


def _plan_document(plan: WritePlan) -> dict[str, Json]:
    header = plan.header
    return {
        "plan": [
            {"offset": region.offset, "size": len(region.data), "encrypted": region.encrypted}
            for region in plan.regions
        ],
        "uncovered": [{"start": lost.start, "end": lost.end} for lost in plan.uncovered],
        "starts_stub": plan.starts_stub,
        "erase_all": plan.erase_all,
        "compress": plan.compress,
        "header": None
        if header is None
        else {
            "offset": header.offset,
            "mode": header.mode,
            "frequency": header.frequency,
            "size": header.size,
        },
    }


def _flash_parameters(arguments: Namespace) -> FlashParameters:
    return FlashParameters(
        mode=arguments.flash_mode, frequency=arguments.flash_freq, size=arguments.flash_size
    )


def _read_flash(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    size = arguments.size
    if size is None:
        flash = device.flash_id()
        check_presence(flash)
        flash_size = flash.size
        if flash_size is None:
            raise PlanError("the size of the flash is not known: say how much to read")
        if arguments.offset >= flash_size:
            raise PlanError(
                f"{arguments.offset:#x} is beyond the flash of {_size_name(flash_size)}"
            )
        size = flash_size - arguments.offset
    output = Path(arguments.output)
    with OutputFile.open(output) as file:
        file.write(device.read_flash(arguments.offset, size, on_progress=printer.progress))
    printer.line(f"Read {size} bytes from {arguments.offset:#010x} to '{output}'.")
    return {"read": {"offset": arguments.offset, "size": size, "file": str(output)}}


def _verify_flash(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    differences = device.verify_flash(
        arguments.inputs,
        parameters=_flash_parameters(arguments),
        on_progress=printer.progress,
    )
    if not differences:
        printer.line("Verification successful (digest matched).")
        return {"differences": []}
    printer.line("Verification failed.")
    for found in differences[:MAX_LISTED]:
        printer.line(f"  {found.start:#010x} to {found.end:#010x}: {found.end - found.start} bytes")
    if len(differences) > MAX_LISTED:
        printer.line(f"  and {len(differences) - MAX_LISTED} more ranges")
    raise VerifyError(tuple((found.start, found.end) for found in differences))


def _erase_flash(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    result = device.erase_flash(force=arguments.force, on_progress=printer.progress)
    printer.line(f"Flash memory erased successfully in {result.seconds:.1f} seconds.")
    if not result.verified:
        printer.line("Not verified: this loader cannot look at all of the flash.")
    return _erase_document(result)


def _erase_region(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    result = device.erase_region(
        arguments.offset,
        arguments.size,
        flash_size=arguments.flash_size,
        force=arguments.force,
        on_progress=printer.progress,
    )
    printer.line(f"Flash memory region erased successfully in {result.seconds:.1f} seconds.")
    if not result.verified:
        printer.line(f"Not verified: {_reason(device)}.")
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


def _read_mem(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    value = device.read_register(arguments.address)
    printer.line(f"{arguments.address:#010x} = {value:#010x}")
    return {"address": arguments.address, "value": value}


def _write_mem(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    device.write_register(arguments.address, arguments.value, arguments.mask)
    printer.line(f"Wrote {arguments.value:#010x}, mask {arguments.mask:#010x}")
    return {"address": arguments.address, "value": arguments.value, "mask": arguments.mask}


def _dump_mem(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    address, size, output = arguments.address, arguments.size, Path(arguments.output)
    with OutputFile.open(output) as file:
        file.write(device.read_memory(address, size, on_progress=printer.progress))
    printer.line(f"Read {size} bytes from {address:#010x} to '{output}'.")
    return {"read": {"address": address, "size": size, "file": str(output)}}


def _load_ram(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    device.load_ram(arguments.file)
    printer.line("The program runs now.")
    return {"loaded": arguments.file}


def _run(device: Device, _: Namespace, printer: Printer) -> dict[str, Json]:
    way = device.way_to_reset(After.SOFT_RESET)
    device.reset(After.SOFT_RESET)
    if way is After.SOFT_RESET:
        printer.line("The ROM loader has started the application.")
    else:
        printer.line("A watchdog has reset the chip, which boots as its straps say.")
    return {"way": way.value}


def _write_flash_status(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    digits = 2 + 2 * arguments.bytes
    before = device.flash_status(arguments.bytes)
    printer.line(f"Initial flash status: {before:#0{digits}x}")
    after = device.write_flash_status(
        arguments.value, arguments.bytes, non_volatile=arguments.non_volatile
    )
    printer.line(f"After flash status: {after:#0{digits}x}")
    return {"status": after, "status_before": before}


def _read_flash_status(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    status = device.flash_status(arguments.bytes)
    printer.line(f"Status value: {status:#0{2 + 2 * arguments.bytes}x}")
    return {"status": status}


MAX_LISTED: Final = 20


def _read_flash_sfdp(device: Device, arguments: Namespace, printer: Printer) -> dict[str, Json]:
    data = device.flash_sfdp(arguments.offset, arguments.size)
    printer.line(f"SFDP[{arguments.offset}..{arguments.offset + len(data) - 1}]: {data.hex(' ')}")
    return {"offset": arguments.offset, "data": data.hex()}


STARTERS: Final = frozenset({"load-ram", "run"})
"""After these no loader is there to be left, and a reset would end what they started."""

COMMANDS: Final[dict[str, Callable[[Device, Namespace, Printer], dict[str, Json]]]] = {
    "flash-id": _flash_id,
    "chip-id": _chip_id,
    "read-mac": _read_mac,
    "get-security-info": _get_security_info,
    "efuse-summary": _efuse_summary,
    "write-flash": _write_flash,
    "read-flash": _read_flash,
    "verify-flash": _verify_flash,
    "erase-flash": _erase_flash,
    "erase-region": _erase_region,
    "read-mem": _read_mem,
    "write-mem": _write_mem,
    "dump-mem": _dump_mem,
    "load-ram": _load_ram,
    "run": _run,
    "read-flash-status": _read_flash_status,
    "write-flash-status": _write_flash_status,
    "read-flash-sfdp": _read_flash_sfdp,
}
