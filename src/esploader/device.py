"""A device whose loader answers: what the user of the library holds."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.security import SecurityInfo
from esploader.errors import UnsupportedError
from esploader.flash.jedec import FlashId
from esploader.flash.spi import READ_ID, READ_STATUS, FlashPort, SpiTransaction
from esploader.protocol.commands import (
    ChangeBaudrate,
    FlashBegin,
    FlashEnd,
    GetSecurityInfo,
    ReadReg,
    RegisterWrite,
    WriteReg,
)
from esploader.transport import reset

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from esploader.chips.identity import Identity, Revision
    from esploader.chips.model import Chip
    from esploader.session import Session

_JEDEC_ID_SIZE: Final = 3
_ROM_KEEPS_OLD_BAUDRATE: Final = 0


@enum.unique
class After(enum.Enum):
    """What becomes of the device when it is left."""

    HARD_RESET = "hard-reset"
    """Reset by the EN pin: the device runs its application."""

    SOFT_RESET = "soft-reset"
    """The loader itself starts the application; no line needed."""

    NO_RESET = "no-reset"
    """The loader stays."""


@attrs.define
class Device:
    """One device, connected and identified.

    As a context manager it releases the port, and nothing more; call :meth:`reset` to
    have the device run its application.

    All methods raise :exc:`~esploader.errors.EsploaderError` and its subclasses only.
    """

    session: Session
    chip: Chip
    """The model of chip that answered."""

    identity: Identity | None
    """What the eFuses say; ``None`` in Secure Download Mode, where they cannot be read."""

    security_info: SecurityInfo | None
    """The security state; ``None`` where the loader cannot tell."""

    _flash: FlashPort = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        pads = 0 if self.identity is None else self.identity.flash_pads
        self._flash = FlashPort(self.session, self.chip, pads)

    @property
    def port(self) -> str:
        """Name or URL of the port."""
        return self.session.transport.name

    @property
    def is_in_secure_download_mode(self) -> bool:
        """The loader restricts itself to writing flash."""
        return self.security_info is not None and self.security_info.secure_download_mode

    @property
    def chip_id(self) -> int | None:
        """The number that users of the ESP8266 know as chip id; ``None`` on other chips.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the chip id").unique_id

    @property
    def mac(self) -> str:
        """The MAC address from the factory, as six pairs of hexadecimal digits.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the MAC").mac

    @property
    def revision(self) -> Revision | None:
        """The revision of the silicon; ``None`` where the chip does not tell.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        return self._known_identity("reading the revision").revision

    def get_security_info(self) -> SecurityInfo:
        """Ask for the security state.

        Raises:
            UnsupportedError: this loader cannot tell.
            CommandError: the loader failed.
        """
        return SecurityInfo.decode(self.session.execute(GetSecurityInfo()))

    def flash_id(self) -> FlashId:
        """Return what the flash chip says it is.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
            CommandError: the loader failed.
            TransportError: the port failed.
        """
        self._known_identity("reading the flash id")
        answer = self._flash.transact(SpiTransaction(opcode=READ_ID, input_size=_JEDEC_ID_SIZE))
        return FlashId(int.from_bytes(answer, "little"))

    def flash_status(self, register_count: int = 2) -> int:
        """Return the first ``register_count`` (1 to 3) status registers of the flash chip.

        Register 1 is in the lowest byte.
        """
        status = 0
        for index, opcode in enumerate(READ_STATUS[:register_count]):
            answer = self._flash.transact(SpiTransaction(opcode=opcode, input_size=1))
            status |= answer[0] << (8 * index)
        return status

    def read_register(self, address: int) -> int:
        """Return the 32-bit word at ``address``."""
        return self.session.execute(ReadReg(address))

    def write_register(self, address: int, value: int, mask: int = 0xFFFF_FFFF) -> None:
        """Replace the bits under ``mask`` of the 32-bit word at ``address``."""
        self.session.execute(WriteReg((RegisterWrite(address, value, mask),)))

    def change_baudrate(self, baudrate: int) -> None:
        """Have loader and port talk at ``baudrate`` from now on.

        Raises:
            UnsupportedError: this loader cannot.
            CapabilityError: the port has no baud rate.
            NoResponseError: the loader is not heard at this rate.
        """
        self.session.transport.require_baudrate()
        self.session.execute(ChangeBaudrate(new=baudrate, old=_ROM_KEEPS_OLD_BAUDRATE))
        self.session.set_baudrate(baudrate)

    def reset(self, after: After = After.HARD_RESET) -> None:
        """End the conversation with the loader as ``after`` says.

        Raises:
            CapabilityError: a hard reset was asked for, and the port has no lines.
        """
        match after:
            case After.HARD_RESET:
                self.session.forget_deferred()
                reset.play(reset.HARD_RESET, self.session.transport)
                self._flash.forget()
            case After.SOFT_RESET:
                self.session.execute(FlashBegin(size=0, block_count=0, block_size=0, offset=0))
                self.session.execute(FlashEnd(reboot=False))
                self._flash.forget()
            case After.NO_RESET:
                pass

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

    def _known_identity(self, operation: str) -> Identity:
        if self.identity is None:
            raise UnsupportedError(operation, "the device is in Secure Download Mode")
        return self.identity
