"""What stands in for the classes of pytest-embedded that flash with esptool.

It has their methods, and takes their options. Nothing of a device is remembered from test to test:
what its flash holds already is compared, and not written again.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final, Protocol

from pytest_embedded_serial.serial import Serial

from esploader.classes import override
from esploader.connector import DEFAULT_BAUDRATE, connect
from esploader.errors import NoPortError, PlanError
from esploader.integrations.embedded_port import SharedPort
from esploader.loader.resetting import After
from esploader.numerals import shown, whole
from esploader.transport import reset
from esploader.transport.ports import list_ports, matching_ports, sensible_ports

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import BinaryIO

    from esploader.device.device import Device
    from esploader.transport.base import Transport

_log: Final = logging.getLogger(__name__)

FLASHING_BAUDRATE: Final = 921600
"""What pytest-embedded flashes with unless it is told otherwise, in baud."""

_MAX_OFFSET: Final = 0xFFFF_FFFF


class App(Protocol):
    """What pytest-embedded knows of the build of a test."""

    binary_path: str | None
    """The folder that the build tool has written to."""


class EsploaderSerial(Serial):  # type: ignore[misc] # pytest-embedded has no types
    """The serial port of one device, which is flashed when a test begins.

    Raises:
        EsploaderError: the device could not be reached or flashed.
    """

    def __init__(  # noqa: PLR0913 - options of pytest-embedded, all by keyword
        self,
        msg_queue: object,
        port: str | None = None,
        *,
        app: App | None = None,
        target: str | None = None,
        beta_target: str | None = None,
        port_mac: str | None = None,
        port_serial_number: str | None = None,
        baud: int = DEFAULT_BAUDRATE,
        esptool_baud: int = FLASHING_BAUDRATE,
        esp_flash_force: bool = False,
        skip_autoflash: bool = False,
        erase_all: bool = False,
        erase_nvs: bool = False,
        meta: object = None,
        stop_after_init: bool = False,
        ports_to_occupy: Collection[str] = (),
        **_of_esptool_alone: object,
    ) -> None:
        self.app = app
        self.target = beta_target or target
        self.port_mac = port_mac
        self.flashing_baudrate = int(esptool_baud)
        self.force = esp_flash_force
        self.skip_autoflash = skip_autoflash
        self.erase_all = erase_all
        self.erase_nvs = erase_nvs
        if port is None or port.endswith("*"):
            taken = {*self.occupied_ports, *ports_to_occupy}
            port = _only_port((port or "").rstrip("*"), port_serial_number or "", taken)
        super().__init__(
            msg_queue=msg_queue,
            port=SharedPort(port, baud),
            baud=baud,
            meta=meta,
            stop_after_init=stop_after_init,
            ports_to_occupy=list(ports_to_occupy),
        )

    @override
    def _start(self) -> None:
        """Flash the build, or only see which device it is, and have it run its application."""
        if self.skip_autoflash or self.app is None:
            with self._listening():
                pass
        elif getattr(self.app, "is_loadable_elf", False):
            self.load_ram()
        else:
            self.flash()

    def hard_reset(self) -> None:
        """Reset the device by the lines of the port.

        Raises:
            CapabilityError: the port has none.
        """
        with self.proc.alone() as transport:
            transport.require_lines()
            reset.play(reset.HARD_RESET, transport)

    def flash(self, app: App | None = None) -> None:
        """Write the build of ``app``, by default that of the test; what is there already stays.

        Where the device has flash encryption on, it encrypts the parts that the build marks so;
        where it has not, its bootloader will.

        Raises:
            PlanError: there is no build, or it is not for this device.
            EsploaderError: it could not be written.
        """
        folder = self._build_of(app)
        with self._listening() as device:
            results = device.flash_build(
                folder,
                encrypt=bool(device.security.state().flash_encryption),
                erase_all=self.erase_all,
                force=self.force,
            )
            if self.erase_nvs:
                device.partitions["nvs"].erase(force=self.force)
        for result in results:
            _log.debug("%s: %s", self.port, result)

    def load_ram(self) -> None:
        """Run the program that the build of the test has for RAM.

        Raises:
            PlanError: it has no image, or not one for RAM.
        """
        image = getattr(self.app, "bin_file", None)
        if image is None:
            raise PlanError(
                f"the build in {shown(self._build_of(None))} has no image to load into RAM"
            )
        with self._connected() as device:
            device.memory.load(image)

    def erase_flash(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is called
        """Erase the whole flash.

        Raises:
            PlanError: secure boot or flash encryption is on, and it is not forced.
        """
        with self._listening() as device:
            device.flash.erase(force=force or self.force)

    def erase_partition(self, partition_name: str) -> None:
        """Erase a partition that the table of the device has.

        Raises:
            PartitionTableError: it has none of that name.
        """
        with self._listening() as device:
            device.partitions[partition_name].erase(force=self.force)

    def dump_flash(
        self,
        partition: str | None = None,
        address: str | int | None = None,
        size: str | int | None = None,
        output: str | BinaryIO | None = None,
    ) -> bytes | None:
        """Read a partition, or ``size`` bytes from ``address`` on, into ``output``, if it is given.

        Returns what was read where it is not.

        Raises:
            PlanError: nothing says what to read, or that is no number.
        """
        if not partition and (address is None or size is None):
            raise PlanError("what to read is not said: name a partition, or an address and a size")
        with self._listening() as device:
            if partition:
                data = device.partitions[partition].read()
            else:
                data = device.flash.read(_number(address), _number(size))
        if output is None:
            return data
        if isinstance(output, str):
            with open(output, "wb") as file:  # noqa: PTH123 - a Path would refuse nothing more
                file.write(data)
        else:
            output.write(data)
        return None

    def _build_of(self, app: App | None) -> str:
        folder = getattr(app or self.app, "binary_path", None)
        if folder is None:
            raise PlanError("the test has no build folder: say where it is by --app-path")
        return str(folder)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Device]:
        """Yield the device, and listen to what it says again afterwards."""
        with self.disable_redirect_thread(), self.proc.alone() as transport:
            can_set_rate = transport.capabilities.set_baudrate
            device = connect(
                transport,
                chip=self.target,
                baudrate=self.flashing_baudrate if can_set_rate else DEFAULT_BAUDRATE,
            )
            self.target = device.chip.key
            if self.port_mac and device.mac != self.port_mac.lower():
                raise PlanError(
                    f"the device at {self.port} has the MAC {device.mac}, not {self.port_mac}"
                )
            yield device
            # The console's rate, from the first byte on.
            if can_set_rate:
                transport.set_baudrate(self.baud)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[Device]:
        """Yield the device, and have it run its application afterwards."""
        with self._connected() as device:
            yield device
            self._run_application(device)

    def _run_application(self, device: Device) -> None:
        transport: Transport = device.session.transport
        if not transport.capabilities.set_lines:
            device.reset(After.SOFT_RESET)
            return
        if device.way_to_reset(After.HARD_RESET) is After.HARD_RESET:
            # Nothing is said to the loader any more, and the boot log begins at once.
            transport.set_baudrate(self.baud)
        device.reset()


def _only_port(name: str, serial_numbers: str, taken: Collection[str]) -> str:
    """Return the only port that is free and matches.

    Raises:
        NoPortError: there is none, or more than one.
    """
    numbers = (each.strip() for each in serial_numbers.split(","))
    filters = [("serial", each) for each in numbers if each] + ([("name", name)] if name else [])
    found = [port for port in list_ports() if port.device not in taken]
    found = matching_ports(found, filters) if filters else sensible_ports(found)
    if len(found) != 1:
        raise NoPortError(tuple(port.device for port in found), filtered=bool(filters))
    return found[0].device


def _number(given: str | int | None) -> int:
    try:
        return whole(str(given), 0, _MAX_OFFSET)
    except ValueError as exc:
        raise PlanError(str(exc)) from exc
