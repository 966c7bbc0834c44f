"""What a device says of its security, and what that forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esploader.chips.reading.security import SecurityInfo
from esploader.classes import define
from esploader.protocol.commands import GetSecurityInfo
from esploader.session.confirming import confirm_all

if TYPE_CHECKING:
    from esploader.chips.reading.security_state import SecurityState
    from esploader.device.context import DeviceContext


@define(repr=False)
class DeviceSecurity:
    """The security of one device: ``device.security``."""

    _context: DeviceContext

    @property
    def info(self) -> SecurityInfo | None:
        """What the loader said while connecting; ``None`` where it cannot tell."""
        return self._context.security_info

    def read(self) -> SecurityInfo:
        """Ask the loader for the security state.

        Raises:
            UnsupportedError: this loader cannot tell.
            CommandError: the loader failed.
        """
        return SecurityInfo.decode(confirm_all(self._context.session, [GetSecurityInfo()])[0])

    def state(self) -> SecurityState:
        """Return what the device demands of the content of its flash: what it forbids.

        Raises:
            EsploaderError: it could not be read.
        """
        from esploader.chips.reading.security_state import (
            security_state,
            security_state_addresses,
            security_state_from_info,
        )

        context = self._context
        if context.security_info is not None and context.is_in_secure_download_mode:
            return security_state_from_info(context.security_info)
        words = context.read_words(security_state_addresses(context.chip))
        revision = None if context.identity is None else context.identity.revision
        return security_state(context.chip, words, revision)

    @property
    def is_secure_boot_on(self) -> bool:
        """The loader said so while connecting; the older ones do not tell."""
        return self.info is not None and self.info.secure_boot
