"""What the keys mean in front of which a device is watched: those of ``idf.py monitor``."""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import attrs

from esploader.classes import define

LEAVE_KEY: Final = 0x1D
MENU_KEY: Final = 0x14

HELP: Final = """\
Ctrl-]          leave
Ctrl-T          menu: one of these follows
  Ctrl-R        reset the device
  Ctrl-P        reset it into download mode, the next time in the next way
  Ctrl-Y        show nothing any more, or go on showing
  Ctrl-I, I     timestamps: absolute, relative, none
  Ctrl-X, X     leave
  Ctrl-H, H, ?  this list
  Ctrl-], Ctrl-T  send that key to the device
All others go to the device, Ctrl-C, too."""


@enum.unique
class Key(enum.Enum):
    """What can be asked for."""

    LEAVE = enum.auto()
    RESET = enum.auto()
    DOWNLOAD_MODE = enum.auto()
    OUTPUT = enum.auto()
    TIMESTAMPS = enum.auto()
    HELP = enum.auto()
    UNKNOWN = enum.auto()
    """A key of the menu that means nothing."""


Typed: TypeAlias = Key | bytes
"""What is asked for, or bytes for the device."""

_MENU: Final = {
    0x12: Key.RESET,
    0x10: Key.DOWNLOAD_MODE,
    0x19: Key.OUTPUT,
    **dict.fromkeys(b"\x09iI", Key.TIMESTAMPS),
    **dict.fromkeys(b"\x18xX", Key.LEAVE),
    **dict.fromkeys(b"\x08hH?", Key.HELP),
}

LINE_ENDS: Final = {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n"}


@define(eq=False)
class KeyParser:
    """Understands what is typed, however it comes."""

    _line_end: bytes
    """What the key Enter sends."""
    _in_menu: bool = attrs.field(default=False, init=False)

    def feed(self, data: bytes) -> list[Typed]:
        """Return what ``data`` mean, bytes that go to the device in one piece."""
        found: list[Typed] = []
        for byte in data:
            typed = self._key(byte)
            if typed is None:
                continue
            if isinstance(typed, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += typed
            else:
                found.append(typed)
        return found

    def _key(self, byte: int) -> Typed | None:
        if self._in_menu:
            self._in_menu = False
            if byte in {LEAVE_KEY, MENU_KEY}:
                return bytes((byte,))
            return _MENU.get(byte, Key.UNKNOWN)
        if byte == MENU_KEY:
            self._in_menu = True
            return None
        if byte == LEAVE_KEY:
            return Key.LEAVE
        return self._line_end if byte == ord("\r") else bytes((byte,))
