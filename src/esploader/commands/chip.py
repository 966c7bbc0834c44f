"""Commands that ask a device who it is, or start its application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from esploader.commands.command import Command
from esploader.commands.on_device import OnDevice, print_mac

if TYPE_CHECKING:
    import argparse

    from esploader.commands.output import Json, Output
    from esploader.device.device import Device


def _read_mac(device: Device, _: argparse.Namespace, output: Output) -> dict[str, Json]:
    print_mac(device, output)
    return {}


def _chip_id(device: Device, _: argparse.Namespace, output: Output) -> dict[str, Json]:
    chip_id = device.chip_id
    if chip_id is None:
        output.note(f"{device.chip.name} has no chip id; its MAC identifies it")
        print_mac(device, output)
        return {"chip_id": None}
    output.line(f"Chip ID: {chip_id:#010x}")
    return {"chip_id": chip_id}


def _get_security_info(device: Device, _: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.chips.reading.security import key_purpose_names

    info = device.security.read()
    purposes = key_purpose_names(info, device.chip)
    output.line("Security Information:")
    output.line("=====================")
    output.line(f"Flags: {info.flags:#010x} ({info.flags:#b})")
    for name in info.flag_names:
        output.line(f"  {name}")
    if purposes:
        output.line("Key Purposes:")
    for number, name in enumerate(purposes):
        output.line(f"  BLOCK_KEY{number} - {name}")
    if info.chip_id is not None:
        output.line(f"Chip ID: {info.chip_id}")
    if info.api_version is not None:
        output.line(f"API Version: {info.api_version}")
    output.line(f"Secure Boot: {_state(info.secure_boot)}")
    output.line(f"Flash Encryption: {_state(info.flash_encryption)}")
    output.line(f"SPI Boot Crypt Count (SPI_BOOT_CRYPT_CNT): {info.flash_crypt_count:#x}")
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


def _state(enabled: bool) -> str:  # noqa: FBT001 - one meaning, two words
    return "Enabled" if enabled else "Disabled"


def _run(device: Device, _: argparse.Namespace, output: Output) -> dict[str, Json]:
    from esploader.loader.resetting import After

    way = device.way_to_reset(After.SOFT_RESET)
    device.reset(After.SOFT_RESET)
    if way is After.SOFT_RESET:
        output.line("The ROM loader has started the application.")
    else:
        output.line("A watchdog has reset the chip, which boots as its straps say.")
    return {"way": way.value}


COMMANDS: Final = (
    Command(
        name="chip-id",
        help="read the id of the device (its MAC, where the chip has no other)",
        run=OnDevice(_chip_id),
        example="--port sim://esp8266 chip-id",
        only_prints=True,
    ),
    Command(
        name="read-mac",
        help="read the MAC address from the factory",
        run=OnDevice(_read_mac),
        example="--port /dev/ttyUSB0 read-mac",
        only_prints=True,
    ),
    Command(
        name="get-security-info",
        help="read the security state",
        run=OnDevice(_get_security_info),
        example="--port /dev/ttyUSB0 get-security-info",
        only_prints=True,
    ),
    Command(
        name="run",
        help="start the application",
        run=OnDevice(_run, starts_program=True),
        example="--port socket://192.0.2.7:4000 run",
    ),
)
