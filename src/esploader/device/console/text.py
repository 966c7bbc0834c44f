"""From what a device sends to text that does a terminal no harm.

What runs in a device may print anything: text in UTF-8 that arrives in pieces, noise, and
sequences that would have a terminal change its title, write to the clipboard, or answer as if
somebody had typed. Colours are passed on, and nothing else of the kind.

Source: ECMA-48, "Control Functions for Coded Character Sets"; Xterm Control Sequences.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

import attrs

from esploader.classes import define

MAX_HELD: Final = 1024
"""How much of a sequence whose end has not come is held back, in characters."""

RESET_COLOURS: Final = "\x1b[0m"
"""Ends whatever colour a device has begun."""

_ONE_BYTE_FORMS: Final = {
    0x90: "\x1bP",
    0x98: "\x1bX",
    0x9B: "\x1b[",
    0x9C: "\x1b\\",
    0x9D: "\x1b]",
    0x9E: "\x1b^",
    0x9F: "\x1b_",
}
"""Single characters that stand for ESC and a letter."""

_ONE_BYTE: Final = re.compile("[\x90\x98\x9b-\x9f]")

_STRING: Final = r"\x1b[\]PX^_k][^\x07\x1b\n\r\x18\x1a]*"
"""What goes on until it is ended: titles, clipboards, fonts, queries. A line ends it here, too."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]{0,64}m")

_CONTROL: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    rf"|{_STRING}(?:\x07|\x1b\\|[\x18\x1a])?"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""All that is not shown as it is, but for the end of a line: sequences, control characters, and
what turns the direction of writing, which would have a line read as another one."""

_UNFINISHED: Final = re.compile(rf"(?:\x1b\[[0-?]*[ -/]*|{_STRING}\x1b?|\x1b[ -/]*)\Z")
"""What the next bytes may make something of."""


@define(eq=False)
class ConsoleText:
    """Makes text of bytes as they come; a character or a sequence may come in pieces."""

    is_raw: bool = False
    """Pass everything on as it is. Bytes that are no UTF-8 stand as surrogates, as Python has it
    for the names of files."""

    has_colours: bool = True
    """Pass colours on."""

    is_coloured: bool = attrs.field(default=False, init=False)
    """A colour has been passed on and not been ended."""

    _decoder: codecs.IncrementalDecoder = attrs.field(init=False)
    _held: str = attrs.field(default="", init=False)
    """The beginning of a sequence."""
    _returns: str = attrs.field(default="", init=False)
    """Carriage returns, which may belong to the end of a line."""

    def __attrs_post_init__(self) -> None:
        make = codecs.getincrementaldecoder("utf-8")
        self._decoder = make("surrogateescape" if self.is_raw else "replace")

    def feed(self, data: bytes) -> str:
        """Return what ``data`` adds to the text, with line feeds alone at the ends of lines."""
        text = self._decoder.decode(data)
        return text if self.is_raw else self._filtered(text)

    def end(self) -> str:
        """Return what is still held back, as nothing comes any more; begin anew."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        if self.is_raw:
            return rest
        shown = self._filtered(rest)
        is_returned, self._held, self._returns = bool(self._returns), "", ""
        return shown + ("\n" if is_returned else "")

    def _filtered(self, text: str) -> str:
        text = self._held + text
        self._held = ""
        if _ONE_BYTE.search(text):
            text = text.translate(_ONE_BYTE_FORMS)
        unfinished = _UNFINISHED.search(text)
        if unfinished is not None:
            text, held = text[: unfinished.start()], unfinished[0]
            # What goes on for so long is shown without its beginning, which alone does harm.
            text, self._held = (text, held) if len(held) <= MAX_HELD else (text + held[2:], "")
        text = self._returns + _CONTROL.sub(self._instead, text)
        shown = text.rstrip("\r")
        self._returns = text[len(shown) :]
        return re.sub("\r+\n", "\n", shown)

    def _instead(self, found: re.Match[str]) -> str:
        if not self.has_colours or _COLOUR.fullmatch(found[0]) is None:
            return ""
        self.is_coloured = found[0] not in {"\x1b[m", RESET_COLOURS}
        return found[0]
