"""What the user of the library holds: a device, made of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from esploader.classes import define, override
from esploader.device.flash import DeviceFlash
from esploader.device.security import DeviceSecurity
from esploader.errors import UnsupportedError
from esploader.flash.progress import ignore_progress
from esploader.loader.resetting import (
    After,
    check_watchdog_reset,
    lines_do_not_do,
    reason_against_soft_reset,
    reset_by_watchdog,
)
from esploader.transport import reset

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection
    from types import TracebackType
    from typing import Self

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision
    from esploader.chips.reading.identity import Identity
    from esploader.device.context import DeviceContext
    from esploader.device.efuses import DeviceEfuses
    from esploader.device.memory import DeviceMemory
    from esploader.device.partitions import DevicePartitions
    from esploader.flash.plan import WritePlan
    from esploader.flash.progress import ProgressCallback
    from esploader.flash.write_plan import RegionResult
    from esploader.loader.link import Link
    from esploader.session.session import Session

NEW_PLACES: Final = {
    "erase_flash": "flash.erase",
    "erase_region": "flash.erase_region",
    "flash_id": "flash.id",
    "flash_md5": "flash.md5",
    "flash_sfdp": "flash.sfdp",
    "flash_status": "flash.status",
    "flash_wiring": "flash.wiring",
    "get_security_info": "security.read",
    "load_ram": "memory.load",
    "plan_write": "flash.plan",
    "prepare_flash": "flash.prepare",
    "read_flash": "flash.read",
    "read_memory": "memory.read",
    "read_register": "memory.read_register",
    "security_info": "security.info",
    "set_spi_connection": "flash.use_pins",
    "verify_flash": "flash.verify",
    "write_flash": "flash.write",
    "write_flash_status": "flash.write_status",
    "write_register": "memory.write_register",
}
"""Where a device has what people look for by the names of commands."""


@define(repr=False, eq=False)
class Device:
    """One device, connected and identified; what it can do is done by its parts.

    As a context manager it releases the port, and nothing more; call :meth:`reset` to
    have the device run its application.

    All methods, also of the parts, raise :exc:`~esploader.errors.EsploaderError` and its
    subclasses only.
    """

    _context: DeviceContext

    flash: DeviceFlash = attrs.field(init=False)
    """Its flash: plan, write, read, verify, erase, and the flash chip itself."""

    security: DeviceSecurity = attrs.field(init=False)
    """What it says of its security, and what that forbids."""

    _efuses: DeviceEfuses | None = attrs.field(default=None, init=False)
    _partitions: DevicePartitions | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.security = DeviceSecurity(self._context)
        self.flash = DeviceFlash(self._context, self.security)

    @property
    def memory(self) -> DeviceMemory:
        """Its address space: RAM, ROM, registers."""
        from esploader.device.memory import DeviceMemory

        return DeviceMemory(self._context)

    @property
    def efuses(self) -> DeviceEfuses:
        """Its eFuses."""
        from esploader.device.efuses import DeviceEfuses

        if self._efuses is None:
            self._efuses = DeviceEfuses(self._context)
        return self._efuses

    @property
    def partitions(self) -> DevicePartitions:
        """The parts of its flash that have names, and which application boots."""
        from esploader.device.partitions import DevicePartitions

        if self._partitions is None:
            self._partitions = DevicePartitions(self._context, self.security, self.flash)
        return self._partitions

    @property
    def link(self) -> Link:
        """The loader, and the way to it."""
        return self._context.link

    @property
    def session(self) -> Session:
        """The conversation with the loader."""
        return self._context.session

    @property
    def chip(self) -> Chip:
        """The model of chip that answered."""
        return self._context.chip

    @property
    def port(self) -> str:
        """Name or URL of the port."""
        return self.session.transport.name

    @property
    def identity(self) -> Identity | None:
        """What the eFuses say; ``None`` in Secure Download Mode, where they cannot be read."""
        return self._context.identity

    @property
    def is_in_secure_download_mode(self) -> bool:
        """The loader restricts itself to writing flash."""
        return self._context.is_in_secure_download_mode

    @property
    def chip_id(self) -> int | None:
        """The number that users of the ESP8266 know as chip id; ``None`` on other chips.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._context.known_identity("reading the chip id").unique_id

    @property
    def mac(self) -> str:
        """The MAC address from the factory, as six pairs of hexadecimal digits.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._context.known_identity("reading the MAC").mac

    @property
    def eui64(self) -> str | None:
        """The EUI-64, as eight pairs of hexadecimal digits; ``None`` on a chip without one.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._context.known_identity("reading the EUI-64").eui64

    @property
    def revision(self) -> Revision | None:
        """The revision of the silicon; ``None`` where the chip does not tell.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._context.known_identity("reading the revision").revision

    def flash_build(
        self,
        path: str | os.PathLike[str],
        *,
        app_only: bool = False,
        partitions: Collection[str] = (),
        encrypt: bool = False,
        erase_all: bool = False,
        force: bool = False,
        on_plan: Callable[[WritePlan], None] | None = None,
        on_progress: ProgressCallback = ignore_progress,
    ) -> tuple[RegionResult, ...]:
        """Write what a build tool has left at ``path``, with its flash parameters.

        That is a folder of ESP-IDF, PlatformIO, Arduino or Zephyr, or a manifest of ESP Web
        Tools. ``app_only`` and ``partitions``, by their names, say which parts of it; ``encrypt``
        has the device encrypt those that the build marks so. The others are as in
        :meth:`~esploader.device.flash.DeviceFlash.write`; ``force`` also leaves out that
        no file of the build is out of date.

        Raises:
            EsploaderError: as that; a :exc:`~esploader.errors.PlanError` where there is no build,
                or it is for another chip, incomplete, out of date, or without such a part; or
                it is to be encrypted and would not be, or more would be erased than is written.
        """
        from esploader.flash.builds.choosing import (
            check_encryption,
            check_erasing,
            choose,
            read_builds,
            warn_of,
        )

        check_erasing(erase_all=erase_all, is_partial=bool(app_only or partitions))
        build = choose(
            read_builds(path), self.chip, app_only=app_only, names=partitions, force=force
        )
        if not (encrypt or force):
            check_encryption(build, self.security.state())
        warn_of(build, erase_all=erase_all)
        return self.flash.write(
            build.inputs(encrypt=encrypt),
            encrypted_inputs=build.encrypted_inputs(encrypt=encrypt),
            parameters=build.parameters,
            erase_all=erase_all,
            force=force,
            on_plan=on_plan,
            on_progress=on_progress,
        )

    def reset(self, after: After = After.HARD_RESET) -> None:
        """End the conversation with the loader as ``after`` says.

        Raises:
            CapabilityError: a hard reset was asked for, and the port has no lines.
            UnsupportedError: a watchdog reset is needed, and the chip has none that works, or
                is in Secure Download Mode.
        """
        self.check_reset(After(after))
        way = self.way_to_reset(After(after))
        if way is not After.HARD_RESET:
            # Only the loader itself can do the others.
            self.link.listen_again()
        if way is After.NO_RESET:
            self.link.restore_rate()
            return
        port = self._context.flash_port
        port.in_unknown_mode |= self._context.may_use_long_addresses
        match way:
            case After.HARD_RESET:
                self.session.forget_deferred()
                reset.play(self.link.resets.hard, self.session.transport)
            case After.WATCHDOG_RESET:
                reset_by_watchdog(self.session, self.chip)
            case After.SOFT_RESET:
                from esploader.protocol.download_commands import EmptyBegin, FlashEnd

                port.attach()
                self.session.execute(EmptyBegin())
                self.session.execute(FlashEnd(reboot=False))
        port.forget()
        if self._efuses is not None:
            self._efuses.forget()

    def check_reset(self, after: After) -> None:
        """Refuse what :meth:`reset` could not do as things are, before anything is done.

        Raises:
            UnsupportedError: as :meth:`reset`.
        """
        has_registers = not self.is_in_secure_download_mode
        if after is After.WATCHDOG_RESET:
            check_watchdog_reset(self.chip, has_registers=has_registers)
        elif after is After.SOFT_RESET and self._reason_against_soft_reset is not None:
            try:
                check_watchdog_reset(self.chip, has_registers=has_registers)
            except UnsupportedError as exc:
                reason = f"{self._reason_against_soft_reset}; {exc}"
                raise UnsupportedError("a soft reset", reason) from exc

    def way_to_reset(self, after: After) -> After:
        """Return how :meth:`reset` would do what ``after`` says.

        That is another way for a hard reset on a port of the chip's own, where the lines do
        nothing, or do not get the device out of the mode in which its straps put it, unless it
        has a sequence of its own; and for a soft reset where the loader would not start the
        application.
        """
        if after is After.SOFT_RESET and self._reason_against_soft_reset is not None:
            return After.WATCHDOG_RESET
        is_usual = self.link.resets.hard == reset.HARD_RESET
        if after is After.HARD_RESET and is_usual and not self.is_in_secure_download_mode:
            by_watchdog = lines_do_not_do(self.session, self.chip)
            return After.WATCHDOG_RESET if by_watchdog else after
        return after

    @property
    def _reason_against_soft_reset(self) -> str | None:
        return reason_against_soft_reset(self.session.dialect, self.chip)

    def close(self) -> None:
        """Release the port. Closing twice is allowed."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        who = "in Secure Download Mode" if self.identity is None else self.identity.mac
        return f"<Device {self.chip.name} {who} on {self.port}>"

    # A type checker is to know what there is, and nothing else.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            place = NEW_PLACES.get(name)
            hint = "" if place is None else f"; it is device.{place}"
            raise AttributeError(f"a device has no {name!r}{hint}", name=name, obj=self)
