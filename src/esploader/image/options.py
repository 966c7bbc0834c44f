"""What can be chosen when an image is made of an ELF file."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import attrs

from esploader.classes import frozen, override
from esploader.errors import UnsupportedError
from esploader.image.header import NO_MAXIMUM, NO_MINIMUM

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.chips.model.revision import Revision

_MAX_LEGACY: Final = 0xFF

ESP8266_VERSIONS: Final = (1, 2, 3)
"""Forms of images that the ESP8266 has."""


@enum.unique
class Signature(enum.Enum):
    """What is put behind an image by those who sign it, and so needs room there."""

    V1 = 112
    """Secure Boot V1 of the ESP32: the bytes from the digest to the end of a page."""

    V2 = 32
    """Secure Boot V2: only the digest is in the page; the signature has the sector behind it."""


@frozen(kw_only=True, repr=False)
class ImageOptions:
    """What can be chosen about an image; the defaults are those of ``elf2image``."""

    flash_mode: str = "qio"
    """A name of the table of the chip."""
    flash_frequency: str | None = None
    """A name of the table of the chip; ``None`` leaves the code 0, whatever that means to it."""
    flash_size: str = "1MB"
    """A name of the table of the chip."""

    legacy_minimum_revision: int = 0
    """For bootloaders that do not know :attr:`minimum_revision`; 0 to 255."""
    minimum_revision: Revision = NO_MINIMUM
    """The earliest revision of the chip that will do."""
    maximum_revision: Revision = NO_MAXIMUM
    """The latest revision of the chip that will do."""

    has_digest: bool = True
    """A SHA-256 digest of the image follows its checksum."""
    signature: Signature | None = None
    """Room for it is left at the end of a page."""
    elf_digest_offset: int | None = None
    """Where in the image the SHA-256 digest of the ELF file goes, over 32 zeros; ``None`` for the
    descriptor of the application, if it has one."""
    pad_to: int | None = None
    """The image is filled up with 0xFF to a multiple of so many bytes."""

    use_segments: bool = False
    """Segments of the ELF file are what is in the image, by their physical addresses."""
    mmu_page_size: int | None = None
    """In bytes; ``None`` for what the descriptor of the application says, else 64 KiB."""
    ram_only_header: bool = False
    """Only what goes into RAM is announced by the header; the rest stands behind it."""

    esp8266_version: int = 1
    """Form of an image for the ESP8266: 1, 2 or 3."""

    def __attrs_post_init__(self) -> None:
        # What is wrong here is a mistake of the caller, and of no data.
        if self.esp8266_version not in ESP8266_VERSIONS:
            raise ValueError(f"there is no version {self.esp8266_version} of images")
        if not 0 <= self.legacy_minimum_revision <= _MAX_LEGACY:
            raise ValueError(f"{self.legacy_minimum_revision} is no part of a revision")
        for revision in (self.minimum_revision, self.maximum_revision):
            if not NO_MINIMUM <= revision <= NO_MAXIMUM:
                raise ValueError(f"a header has no room for the revision {revision}")
        if self.pad_to is not None and self.pad_to < 1:
            raise ValueError(f"an image cannot be padded to {self.pad_to} bytes")

    @override
    def __repr__(self) -> str:
        usual = attrs.asdict(ImageOptions(), recurse=False)
        chosen = attrs.asdict(self, recurse=False)
        said = [f"{name}={value!r}" for name, value in chosen.items() if value != usual[name]]
        return f"ImageOptions({', '.join(said)})"

    def signature_room(self, chip: Chip) -> int | None:
        """Return how many bytes behind the checksum are to be in its page.

        ``None`` where there is no signature: that of Secure Boot V1 is for the ESP32 alone, which
        is told by its eFuses, and elsewhere not heeded.

        Raises:
            UnsupportedError: the image would have no digest, and a signature is of the digest.
        """
        if self.signature is None:
            return None
        if self.signature is Signature.V1 and chip.secure_boot_v1 is None:
            return None
        if not self.has_digest or self.ram_only_header:
            raise UnsupportedError("room for a signature", "the image would have no digest")
        return self.signature.value
