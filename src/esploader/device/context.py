"""What the parts of one device share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from esploader.classes import define
from esploader.errors import NoResponseError, ProtocolError, TransportError, UnsupportedError
from esploader.flash.spi import FlashPort
from esploader.protocol import dialect
from esploader.session.confirming import read_words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from esploader.chips.model.chip import Chip
    from esploader.chips.reading.identity import Identity
    from esploader.chips.reading.security import SecurityInfo
    from esploader.loader.link import Link
    from esploader.session.session import Session

_ReadT = TypeVar("_ReadT")

_STEADY_ATTEMPTS: Final = 3


@define
class DeviceContext:
    """One device: the loader that answers, who it is, and the way to its flash."""

    link: Link
    """The loader, and the way to it."""

    identity: Identity | None
    """What the eFuses say; ``None`` in Secure Download Mode, where they cannot be read."""

    flash_port: FlashPort = attrs.field(init=False)
    """The SPI peripheral in front of the flash."""

    def __attrs_post_init__(self) -> None:
        pads = 0 if self.identity is None else self.identity.flash_pads
        self.flash_port = FlashPort(self.session, self.chip, pads)
        self.flash_port.in_unknown_mode = self.may_use_long_addresses
        self.link.after_revival.append(self.flash_port.forget)

    @property
    def session(self) -> Session:
        """The conversation with the loader."""
        return self.link.session

    @property
    def chip(self) -> Chip:
        """The model of chip that answered."""
        return self.link.chip

    @property
    def security_info(self) -> SecurityInfo | None:
        """The security state; ``None`` where the loader cannot tell."""
        return self.link.security_info

    @property
    def is_in_secure_download_mode(self) -> bool:
        """The loader restricts itself to writing flash."""
        return self.link.is_in_secure_download_mode

    @property
    def may_use_long_addresses(self) -> bool:
        """An application may have left the flash in the mode of four-byte addresses.

        A stub that runs already was started by somebody who has seen to that.
        """
        return (
            self.identity is not None
            and self.session.dialect is not dialect.STUB
            and self.chip.knows("supports_4_byte_addresses")
            and self.chip.supports_4_byte_addresses
        )

    def known_identity(self, operation: str) -> Identity:
        """Return who it is, or refuse ``operation``.

        Raises:
            UnsupportedError: the device is in Secure Download Mode.
        """
        if self.identity is None:
            raise UnsupportedError(operation, "the device is in Secure Download Mode")
        return self.identity

    def steadily(self, read: Callable[[], _ReadT]) -> _ReadT:
        """Return what ``read`` returns, over whatever line.

        Raises:
            EsploaderError: it fails every time, or the loader cannot be reached again.
        """
        for _ in range(_STEADY_ATTEMPTS - 1):
            try:
                return read()
            except (NoResponseError, ProtocolError, TransportError):
                self.link.revive(slower=False)
        return read()

    def read_words(self, addresses: Collection[int]) -> dict[int, int]:
        """Read registers whose values do not change, over whatever line.

        Raises:
            EsploaderError: as :meth:`steadily`.
        """
        # To read nothing would still send the writes that nobody waits for.
        return self.steadily(lambda: read_words(self.session, addresses)) if addresses else {}
