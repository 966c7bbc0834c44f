"""What the eFuses of a device hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.chips.reading.efuses import Efuses, efuse_addresses, efuses_of
from esploader.classes import define
from esploader.session.confirming import read_words

if TYPE_CHECKING:
    from esploader.device.context import DeviceContext


@define(repr=False)
class DeviceEfuses:
    """The eFuses of one device: ``device.efuses``."""

    _context: DeviceContext
    _known: Efuses | None = attrs.field(default=None, init=False)

    def read(self) -> Efuses:
        """Return what they hold, fields by name and all blocks; kept until a reset.

        Raises:
            UnsupportedError: the device is in Secure Download Mode, or nobody knows where
                this chip has what.
            TransportError: the port failed.
        """
        self._context.known_identity("reading eFuses")
        if self._known is None:
            chip = self._context.chip
            words = read_words(self._context.session, efuse_addresses(chip))
            self._known = efuses_of(chip, words)
        return self._known

    def forget(self) -> None:
        """Read them anew the next time: the device was reset."""
        self._known = None
