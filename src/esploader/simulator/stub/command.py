"""What the handlers of the stub's commands have in common.

Source of the error codes and of what leads to them: esp-flasher-stub,
``src/command_handler.c`` and ``include/commands.h``; recorded answers (``tests/vectors``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from esploader.classes import define, frozen
from esploader.simulator.flash.loader_view import REACH_OF_3_BYTES, LoaderFlash
from esploader.simulator.rom.command import RefusedError
from esploader.simulator.rom.framing import encode_frame
from esploader.simulator.stub.inflater import StubInflater

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from esploader.simulator.soc.program import Machine

WRONG_SIZE: Final = 0xC0
WRONG_CHECKSUM: Final = 0xC1
UNKNOWN_COMMAND: Final = 0xC3
FLASH_FAILED: Final = 0xC4
NO_DOWNLOAD: Final = 0xC6
INFLATE_FAILED: Final = 0xC7
TOO_LITTLE_DATA: Final = 0xC8
TOO_MUCH_DATA: Final = 0xC9
NOT_IMPLEMENTED: Final = 0xFF

WORD_MASK: Final = 0xFFFF_FFFF

Task: TypeAlias = "Generator[float, bytes | None, None]"
"""Work that takes time. It says how many seconds the next piece takes, having done it; with
:data:`~esploader.simulator.soc.program.NEVER` it waits for a frame, which it is sent.
"""


class EndedError(Exception):
    """How a task says that the stub runs no more."""


@frozen(kw_only=True)
class Request:
    """One request."""

    body: bytes
    checksum: int

    def words(self, count: int) -> tuple[int, ...]:
        """Return the body, which has to be so many words.

        Raises:
            RefusedError: it has another size.
        """
        if len(self.body) != 4 * count:
            raise RefusedError(WRONG_SIZE)
        return self.leading_words(count)

    def leading_words(self, count: int) -> tuple[int, ...]:
        """Return the first words of the body, which is large enough."""
        return struct.unpack_from(f"<{count}I", self.body)


@frozen(kw_only=True)
class Outcome:
    """What a handler has to say."""

    value: int = 0
    data: bytes = b""
    count: int = 1
    """How often it is said."""

    before: Task | None = None
    """Work that comes before the response, and may turn it into a refusal."""

    after: Task | None = None
    """Work that comes after it. If that fails, the next command is refused."""

    after_is_silent: bool = False
    """That work sends nothing."""


Handler: TypeAlias = "Callable[[StubState, Request], Outcome]"


@define(eq=False, kw_only=True)
class FlashDownload:
    """Blocks on their way to the flash, which is erased ahead of them."""

    position: int = attrs.field(repr=hex)
    """The offset at which the next data goes."""
    remaining: int
    """Bytes still to be written; below zero it wraps."""
    erase_position: int = attrs.field(repr=hex)
    """The offset at which the erasing goes on."""
    erase_remaining: int
    """Bytes still to be erased."""
    is_encrypted: bool = False
    saw_data: bool = False
    """A sector was not blank. From then on all are erased without a look at them."""


@define(eq=False, kw_only=True)
class RamDownload:
    """Blocks on their way to RAM."""

    address: int = attrs.field(repr=hex)
    remaining: int


@define(eq=False)
class StubState:
    """What the stub remembers between requests."""

    machine: Machine
    deferred_error: int = 0
    """Of work that came after a response; the next command hears of it."""
    flash: LoaderFlash = attrs.field(init=False)
    flash_size: int = attrs.field(init=False)
    """How large the stub believes the flash to be: what its id says, or what it was told."""
    flash_download: FlashDownload | None = attrs.field(default=None, init=False)
    compressed_remaining: int = attrs.field(default=0, init=False)
    """Compressed bytes that were announced and have not come."""
    inflater: StubInflater = attrs.field(factory=StubInflater, init=False)
    ram_download: RamDownload | None = attrs.field(default=None, init=False)
    sent_at: float = attrs.field(default=0.0, init=False)
    """When the last byte of the last response is out."""

    def __attrs_post_init__(self) -> None:
        reach = None if self.machine.chip.supports_4_byte_addresses else REACH_OF_3_BYTES
        self.flash = LoaderFlash(self.machine.flash_chip, reach)
        self.flash_size = self.machine.nor.size

    def work(self, seconds: float) -> None:
        """Spend time on the request."""
        self.machine.moment += seconds

    def until_flash_is_idle(self) -> float:
        """Return for how many seconds an erase is still under way."""
        return max(self.machine.flash_chip.busy_until - self.machine.moment, 0.0)

    def until_sent(self) -> float:
        """Return for how many seconds a response is still on its way out."""
        return max(self.sent_at - self.machine.moment, 0.0)

    def send(self, payload: bytes) -> None:
        """Send a frame; what follows does not wait for it."""
        self.sent_at = self.machine.send(encode_frame(payload), self.machine.moment)
