"""DTR and RTS of a local port in one step, where the operating system can (POSIX)."""

from __future__ import annotations

import struct
import sys

if sys.platform == "win32":  # no test

    def has_lines(fileno: int) -> bool:
        """Tell whether the port behind the descriptor has lines; here nothing can tell."""
        del fileno
        return False

    def set_at_once(fileno: int, *, dtr: bool | None, rts: bool | None) -> None:
        """Assert or release both lines together."""
        raise NotImplementedError

else:
    import fcntl
    import termios

    _BITS = struct.Struct("i")

    def has_lines(fileno: int) -> bool:
        """Tell whether the port behind the descriptor has lines. A PTY has none."""
        try:
            _read(fileno)
        except OSError:
            return False
        return True

    def set_at_once(fileno: int, *, dtr: bool | None, rts: bool | None) -> None:
        """Assert or release both lines together; ``None`` leaves one as it is.

        Raises:
            OSError: the port is gone or has no lines.
        """
        bits = changed(_read(fileno), dtr=dtr, rts=rts)
        fcntl.ioctl(fileno, termios.TIOCMSET, _BITS.pack(bits))

    def changed(bits: int, *, dtr: bool | None, rts: bool | None) -> int:
        """Return the state of all lines with these two changed; ``None`` leaves one as it is."""
        for flag, asserted in ((termios.TIOCM_DTR, dtr), (termios.TIOCM_RTS, rts)):
            if asserted is not None:
                bits = bits | flag if asserted else bits & ~flag
        return bits

    def _read(fileno: int) -> int:
        # The argument is overwritten with the answer and returned.
        (bits,) = _BITS.unpack(fcntl.ioctl(fileno, termios.TIOCMGET, bytes(_BITS.size)))
        return int(bits)
