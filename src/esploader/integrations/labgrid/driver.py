"""The driver of labgrid for devices with Espressif's loaders."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, ClassVar, Final, ParamSpec, TypeVar

import attrs
from labgrid.driver import Driver
from labgrid.exceptions import InvalidConfigError
from labgrid.factory import target_factory
from labgrid.protocol import BootstrapProtocol, ResetProtocol
from labgrid.step import step

from esploader.chips.registry import chip_by_name
from esploader.classes import define
from esploader.connector import DEFAULT_BAUDRATE, connect
from esploader.errors import EsploaderError, PlanError, UnsupportedError
from esploader.flash.builds.reading import read_builds
from esploader.flash.inputs import settle_inputs
from esploader.integrations.destinations import (
    Destination,
    destination_of,
    is_build,
    is_destination,
    place_on,
)
from esploader.integrations.labgrid.console import borrowed
from esploader.integrations.labgrid.ports import url_of
from esploader.loader.resetting import After
from esploader.transport import reset
from esploader.transport.patience import open_patiently
from esploader.urls import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from esploader.device.device import Device
    from esploader.flash.erasure import EraseResult
    from esploader.flash.source import Source
    from esploader.flash.write_plan import RegionResult
    from esploader.transport.base import Transport

P = ParamSpec("P")
R = TypeVar("R")

OPEN_ATTEMPTS: Final = 50
"""For five seconds a server may take somebody for its client who has just left."""


def when_active(method: Callable[P, R]) -> Callable[P, R]:
    """Have a method refuse to do anything unless its driver is active."""
    checked: Callable[P, R] = Driver.check_active(method)
    return checked


def when_bound(method: Callable[P, R]) -> Callable[P, R]:
    """Have a method refuse to do anything while its driver is active."""
    checked: Callable[P, R] = Driver.check_bound(method)
    return checked


def operation(*shown: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a method of an active driver a step in labgrid's reports, with these arguments."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        reported: Callable[P, R] = step(args=[*shown])(method)
        return when_active(reported)

    return decorate


@target_factory.reg_driver
@define(eq=False, slots=False)
class EspLoaderDriver(Driver, BootstrapProtocol, ResetProtocol):
    """Loads a device, reads and erases it, and resets it by the lines of its port.

    Whoever else has the port, a console for one, is deactivated meanwhile, and active again
    afterwards. Every operation leaves the device running its application, where its port can
    reset it.

    All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses, and what labgrid
    raises where the driver is not active or its proxy cannot be reached.
    """

    bindings: ClassVar = {"port": {"SerialPort", "NetworkSerialPort"}}

    chip: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(str))
    )
    """The only chip that will do; ``None`` for any."""

    baudrate: int = attrs.field(
        default=DEFAULT_BAUDRATE, validator=attrs.validators.instance_of(int)
    )
    """The rate in baud for everything after identification."""

    offset: Destination | None = attrs.field(default=None)
    """Where a file goes that is loaded and no build; ``None`` where it says so itself."""

    image: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(str))
    )
    """What is loaded where nothing is named: a key of ``images`` in the environment."""

    stub: bool | str = attrs.field(
        default=True, validator=attrs.validators.instance_of((bool, str))
    )
    """Whether a stub loader may be started, or which: a file, or a folder of them."""

    @chip.validator
    def _check_chip(self, _attribute: attrs.Attribute[str | None], value: str | None) -> None:
        try:
            if value is not None:
                chip_by_name(value)
        except UnsupportedError as exc:
            raise InvalidConfigError(str(exc)) from exc

    @offset.validator
    def _check_offset(self, _attribute: attrs.Attribute[Destination | None], value: object) -> None:
        if value is not None and not is_destination(value):
            raise InvalidConfigError(f"offset is a number of bytes or part:NAME, not {value!r}")

    @property
    def url(self) -> str:
        """The name or URL of the port."""
        return url_of(self.port)

    @operation("filename")
    def load(self, filename: str | None = None) -> tuple[RegionResult, ...]:
        """Write what is at ``filename`` and see that it is there: a build, or one file.

        A build is the folder of a build tool, or what describes it; a file an image, an ELF file
        of a program, an Intel HEX or UF2 file. Without a name it is :attr:`image`.

        Raises:
            PlanError: nothing is named, it cannot be read, nothing says where it goes, or it
                cannot be written; nothing has been erased.
            FlashError: it is not there after every effort.
            EsploaderError: as :meth:`device`.
        """
        path = self._image_path() if filename is None else filename
        if is_build(path):
            # What makes no sense is refused while everybody still has the port.
            read_builds(path)
            with self.device() as device:
                return device.flash_build(path)
        where = destination_of(path) if self.offset is None else self.offset
        return self.write_flash([(where, path)])

    @operation("inputs")
    def write_flash(self, inputs: Iterable[tuple[Destination, Source]]) -> tuple[RegionResult, ...]:
        """Write bytes or files to offsets or partitions, and see that they are there.

        Raises:
            PlanError: it cannot be done; nothing has been erased.
            FlashError: they are not there after every effort.
            EsploaderError: as :meth:`device`.
        """
        settled = settle_inputs(inputs)
        for where, _ in settled:
            if not is_destination(where):
                raise PlanError(f"{where!r} is neither an offset nor part:NAME")
        with self.device() as device:
            return device.flash.write([(place_on(device, each), it) for each, it in settled])

    @operation("offset", "size")
    def read_flash(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes of flash from ``offset`` on, each piece checked by MD5.

        Raises:
            EsploaderError: they cannot be read, or as :meth:`device`.
        """
        with self.device() as device:
            return device.flash.read(offset, size)

    @operation()
    def erase(self) -> EraseResult:
        """Erase the whole flash and see that it is blank.

        Raises:
            EsploaderError: it cannot be erased, or as :meth:`device`.
        """
        with self.device() as device:
            return device.flash.erase()

    @operation("offset", "size")
    def erase_region(self, offset: int, size: int) -> EraseResult:
        """Erase sectors and see that they are blank; both are multiples of 4096 bytes.

        Raises:
            EsploaderError: they cannot be erased, or as :meth:`device`.
        """
        with self.device() as device:
            return device.flash.erase_region(offset, size)

    @operation()
    def chip_info(self) -> dict[str, str | int | None]:
        """Return what the device is.

        That is its ``chip``, and but in Secure Download Mode its ``mac`` address, its ``revision``,
        the JEDEC id of its flash as ``flash_id``, and the size of that in bytes, ``flash_size``.

        Raises:
            EsploaderError: as :meth:`device`.
        """
        with self.device() as device:
            info: dict[str, str | int | None] = {"chip": device.chip.name}
            if not device.is_in_secure_download_mode:
                flash = device.flash.id()
                info |= {
                    "mac": device.mac,
                    "revision": None if device.revision is None else str(device.revision),
                    "flash_id": f"{flash.jedec_id:06x}",
                    "flash_size": flash.size,
                }
            return info

    @operation()
    def reset(self) -> None:
        """Reset the device, which runs its application then; its loader is not asked.

        Raises:
            CapabilityError: the port has no lines.
            TransportError: the port cannot be opened, or failed.
        """
        with self._borrowed(), self._open() as transport:
            reset.play(reset.HARD_RESET, transport)

    @contextlib.contextmanager
    @when_active
    def device(self) -> Iterator[Device]:
        """Yield the device, connected, for everything that it can do.

        Raises:
            TransportError: the port cannot be opened, or failed.
            ConnectError: no loader answered; the subclass says why.
            WrongChipError: another chip than :attr:`chip` answered.
            EsploaderError: as :func:`esploader.connect`.
        """
        with self._borrowed(), self._connect() as device:
            try:
                yield device
            except BaseException:
                with contextlib.suppress(EsploaderError):
                    self._leave(device)
                raise
            self._leave(device)

    @when_bound
    def get_export_vars(self) -> dict[str, str]:
        """Return what other programs need to know to do the same."""
        known = {"url": self.url, "baudrate": str(self.baudrate)}
        return known if self.chip is None else known | {"chip": self.chip}

    def _image_path(self) -> str:
        if self.image is None:
            raise PlanError("nothing is named that could be loaded, and the driver has no image")
        if self.target.env is None:
            raise PlanError(
                f"the image {self.image!r} is looked up in an environment: there is none"
            )
        path: str = self.target.env.config.get_image_path(self.image)
        return path

    def _borrowed(self) -> contextlib.AbstractContextManager[None]:
        return borrowed(self.target, self.port, self)

    def _open(self) -> Transport:
        return open_patiently(functools.partial(open_transport, self.url), OPEN_ATTEMPTS)

    def _connect(self) -> Device:
        return self._connect_to(self.url)

    def _connect_to(self, port: str | Transport) -> Device:
        return connect(
            port,
            chip=self.chip,
            baudrate=self.baudrate,
            stub=self.stub,
            open_attempts=OPEN_ATTEMPTS,
        )

    def _leave(self, device: Device) -> None:
        """Have the device run its application, where its port can do that."""
        way = device.way_to_reset(After.HARD_RESET)
        if way is After.HARD_RESET and not device.session.transport.capabilities.set_lines:
            self.logger.warning("%s has no DTR and RTS: the device stays in its loader", self.url)
            way = After.NO_RESET
        device.reset(way)
