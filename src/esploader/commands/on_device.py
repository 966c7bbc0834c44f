"""Commands that need a device: connect, do the work, leave the device as asked."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from esploader.commands.output import Json, Output
    from esploader.commands.recorded_port import RecordedPort
    from esploader.device.device import Device

    Work: TypeAlias = Callable[[Device, argparse.Namespace, Output], dict[str, Json]]
    """Does something with a device, says so, and returns what goes into the JSON document."""


class OnDevice(NamedTuple):
    """Has work done on a device, leaves that as ``--after`` says, and watches it if asked to."""

    work: Work

    prepare: Callable[[argparse.Namespace], None] | None = None
    """Does what can be done, and may have to be waited for, before there is a port."""

    starts_program: bool = False
    """No loader is there to be left afterwards, and a reset would end what was started."""

    def __call__(self, arguments: argparse.Namespace, output: Output) -> None:
        """Connect, do the work, and leave the device."""
        from esploader.commands.leaving import chosen_leaving, work_and_leave
        from esploader.commands.loader_watch import LoaderWatch

        output.banner()
        document: dict[str, Json] = {}
        if self.prepare is not None:
            self.prepare(arguments)
        with contextlib.ExitStack() as stack:
            with output.beside():
                device = _connected(arguments, output, stack)
            leaving = chosen_leaving(device, arguments.after, output)
            is_watched = getattr(arguments, "monitor", False) and not arguments.dry_run
            if is_watched:
                from esploader.commands.flash_monitor import set_rate

                leaving = leaving._replace(before_reset=lambda: set_rate(device, arguments))
            is_new = arguments.device is None
            rate = _first_baudrate(arguments) if is_new else device.session.transport.baudrate
            watch = LoaderWatch(device, output, rate)

            def work() -> bool:
                if arguments.override_vddsdio is not None:
                    _set_supply(device, arguments.override_vddsdio)
                with output.beside():
                    document.update(_print_device(device, output))
                watch.look()
                output.before_progress = watch.look
                if getattr(arguments, "spi_connection", None) is not None:
                    device.flash.use_pins(arguments.spi_connection)
                document.update(self.work(device, arguments, output))
                with output.beside():
                    output.line()
                    if self.starts_program:
                        output.line("Exiting immediately.")
                return not self.starts_program

            work_and_leave(device, leaving, output, work)
            if is_watched:
                from esploader.commands.flash_monitor import watch_device

                watch_device(device, arguments, output)
        output.finish({**document, "warnings": output.warnings})


def _connected(
    arguments: argparse.Namespace, output: Output, stack: contextlib.ExitStack
) -> Device:
    """Return the device: the caller's, which stays connected, or one until ``stack`` ends."""
    if arguments.device is None:
        return stack.enter_context(_connect(arguments, output, stack))
    from esploader.chips.registry import chip_by_name
    from esploader.errors import WrongChipError

    device: Device = arguments.device
    output.line(f"Serial port {device.port}:")
    name = _chip(arguments)
    if name is not None and (expected := chip_by_name(name)) is not device.chip:
        raise WrongChipError(expected.name, device.chip.name)
    return device


def _chip(arguments: argparse.Namespace) -> str | None:
    return None if arguments.chip.lower() == "auto" else arguments.chip


def _set_supply(device: Device, name: str) -> None:
    """Set the supply of the flash, now and after every reset of a device that was lost.

    Raises:
        UnsupportedError: the chip cannot do that.
        EsploaderError: the loader failed.
    """
    from esploader.commands.options import SUPPLIES
    from esploader.loader.register_recipes import flash_supply
    from esploader.protocol.commands import WriteReg

    writes = flash_supply(device.chip, SUPPLIES[name])

    def set_supply() -> None:
        for write in writes:
            device.session.execute(WriteReg((write,)))

    device.link.after_revival.append(set_supply)
    set_supply()


def _connect(arguments: argparse.Namespace, output: Output, stack: contextlib.ExitStack) -> Device:
    from esploader.connector import connect

    open_attempts = arguments.open_attempts if arguments.connect_attempts else 0
    name = arguments.port
    if not name or arguments.port_filter:
        from esploader.commands.chosen_port import chosen_port

        name = chosen_port(arguments, output, open_attempts)
    output.line(f"Serial port {name}:")
    recorded = None
    if arguments.record is not None:
        recorded = _open_recorded(name, arguments, open_attempts, stack)

    def on_attempt(attempt: int) -> None:
        output.part("Connecting..." if attempt == 1 else ".")

    try:
        device = connect(
            name if recorded is None else recorded.transport,
            chip=_chip(arguments),
            baudrate=arguments.baud,
            before=arguments.before,
            attempts=arguments.connect_attempts,
            reset_sequence=arguments.custom_reset_sequence,
            hard_reset_sequence=arguments.custom_hard_reset_sequence,
            reset_delay=arguments.reset_delay,
            open_attempts=open_attempts,
            stub=False if arguments.no_stub else (arguments.stub or True),
            on_attempt=on_attempt,
        )
    finally:
        output.end_line()
    if recorded is not None:
        recorded.chip = device.chip
    return device


def _open_recorded(
    name: str, arguments: argparse.Namespace, open_attempts: int, stack: contextlib.ExitStack
) -> RecordedPort:
    from esploader.commands.recorded_port import recorded_port

    rate = _first_baudrate(arguments)
    return stack.enter_context(
        recorded_port(name, Path(arguments.record), baudrate=rate, open_attempts=open_attempts)
    )


def _first_baudrate(arguments: argparse.Namespace) -> int:
    """Return the rate at which :func:`esploader.connect` opens a port."""
    from esploader.connector import DEFAULT_BAUDRATE

    rate: int = arguments.baud
    return rate if arguments.before == "no-reset-no-sync" else min(rate, DEFAULT_BAUDRATE)


def _print_device(device: Device, output: Output) -> dict[str, Json]:
    output.line(f"Detecting chip type... {device.chip.name}")
    output.line(f"Connected to {device.chip.name} on {device.port}:")
    document: dict[str, Json] = {"port": device.port, "chip": device.chip.name}
    identity = device.identity
    if identity is None:
        output.line("The device is in Secure Download Mode: it does not tell more.")
        return {**document, "secure_download_mode": True}
    revision = None if identity.revision is None else str(identity.revision)
    known_revision = "" if revision is None else f" (revision {revision})"
    output.labelled("Chip type", f"{identity.description}{known_revision}")
    output.labelled("Features", ", ".join(identity.features))
    output.labelled("Crystal frequency", f"{identity.crystal_mhz}MHz")
    usb_mode = _usb_mode(device)
    if usb_mode is not None:
        output.labelled("USB mode", usb_mode)
    print_mac(device, output)
    output.line()
    return {
        **document,
        "description": identity.description,
        "revision": revision,
        "features": list(identity.features),
        "crystal_mhz": identity.crystal_mhz,
        "usb_mode": usb_mode,
        "mac": identity.mac,
        "eui64": identity.eui64,
    }


def _usb_mode(device: Device) -> str | None:
    """Return which of the chip's own USB ports this is; ``None`` where it is none, or unknown."""
    from esploader.loader.usb_port import is_otg, is_serial_jtag

    port = device.session.transport.capabilities
    if is_serial_jtag(port, device.chip):
        return "USB-Serial/JTAG"
    return "USB-OTG" if is_otg(port, device.chip) else None


def print_mac(device: Device, output: Output) -> None:
    """Print the MAC address, and the EUI-64 instead where the chip has one.

    Raises:
        UnsupportedError: the device is in Secure Download Mode.
    """
    mac, eui64 = device.mac, device.eui64
    output.labelled("MAC", eui64 or mac)
    if eui64 is not None:
        half = len(mac) // 2
        output.labelled("BASE MAC", mac)
        output.labelled("MAC_EXT", eui64[half + 1 : -half - 1])
