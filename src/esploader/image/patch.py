"""Write the parameters of a device's flash into the header of a firmware image.

The ROM loader and the bootloader drive the flash as the header of the bootloader says, so
these are set for the flash at hand when the image is written.

Source: esptool documentation, "Firmware Image Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.classes import frozen
from esploader.errors import ImageError, UnsupportedError
from esploader.image.firmware import digest_over, parse_image, verify_checksum, verify_digest
from esploader.image.header import FLASH_PARAMETERS
from esploader.image.suitability import chip_problem

if TYPE_CHECKING:
    from esploader.chips.model.chip import Chip
    from esploader.image.firmware import ImageLayout


@frozen(kw_only=True)
class PatchResult:
    """An image after :func:`patch_header`."""

    data: bytes = attrs.field(repr=False)

    changed: bool
    """The parameters were other ones before."""

    reason: str | None
    """What could not be done, and why; ``None`` when all was done."""

    digest_updated: bool
    """A SHA-256 digest was renewed."""


def patch_header(
    image: bytes | memoryview,
    chip: Chip,
    *,
    mode: str | None = None,
    frequency: str | None = None,
    size: str | None = None,
) -> PatchResult:
    """Return ``image`` with other flash parameters, named as in the tables of ``chip``.

    ``None`` keeps what the image has. More data may follow the image. Only the bytes 2 and 3
    change, and the SHA-256 digest where the image has one that was right: a wrong one is left
    alone, because renewing it would hide that the image is damaged. Data that are no intact
    image for ``chip`` come back as they are, with the reason.

    Raises :exc:`~esploader.errors.UnsupportedError`, which lists the choices, when the chip
    does not know one of the names.
    """
    mode_code = _code("mode", mode, chip.flash_modes, chip)
    frequency_code = _code("frequency", frequency, chip.flash_frequencies, chip)
    size_code = _code("size", size, chip.flash_sizes, chip)
    try:
        layout = _intact_layout(image, chip)
    except ImageError as exc:
        return _unchanged(image, exc.reason)
    header = layout.header
    parameters = _parameters(
        mode=header.flash_mode if mode_code is None else mode_code,
        frequency=header.flash_frequency if frequency_code is None else frequency_code,
        size=header.flash_size if size_code is None else size_code,
    )
    if parameters == image[FLASH_PARAMETERS]:
        return _unchanged(image, None)
    return _replaced(image, layout, parameters)


def check_parameters(
    chip: Chip, *, mode: str | None = None, frequency: str | None = None, size: str | None = None
) -> None:
    """Refuse names that are not in the tables of ``chip``; ``None`` is always right.

    Raises :exc:`~esploader.errors.UnsupportedError`, which lists the choices.
    """
    _code("mode", mode, chip.flash_modes, chip)
    _code("frequency", frequency, chip.flash_frequencies, chip)
    _code("size", size, chip.flash_sizes, chip)


def parameter_code(what: str, name: str, table: tuple[tuple[str, int], ...], chip: Chip) -> int:
    """Return the code that ``name`` has in a table of ``chip``; ``what`` is the table about.

    Raises :exc:`~esploader.errors.UnsupportedError`, which lists the choices, when there is none.
    """
    for known, code in table:
        if known == name:
            return code
    choices = ", ".join(known for known, _ in table)
    raise UnsupportedError(f"flash {what} {name!r}", f"{chip.name} has these: {choices}")


def _code(
    what: str, name: str | None, table: tuple[tuple[str, int], ...], chip: Chip
) -> int | None:
    return None if name is None else parameter_code(what, name, table, chip)


def _intact_layout(image: bytes | memoryview, chip: Chip) -> ImageLayout:
    layout = parse_image(image, chip)
    problem = chip_problem(layout.header, chip)
    if problem is not None:
        raise ImageError(problem)
    verify_checksum(image, layout)
    return layout


def _parameters(*, mode: int, frequency: int, size: int) -> bytes:
    return bytes((mode, size << 4 | frequency))


def _unchanged(image: bytes | memoryview, reason: str | None) -> PatchResult:
    return PatchResult(data=bytes(image), changed=False, reason=reason, digest_updated=False)


def _replaced(image: bytes | memoryview, layout: ImageLayout, parameters: bytes) -> PatchResult:
    view = memoryview(image)
    covered = (
        view[: FLASH_PARAMETERS.start],
        parameters,
        view[FLASH_PARAMETERS.stop : layout.digest_offset],
    )
    try:
        verify_digest(image, layout)
    except ImageError as exc:
        data = b"".join((*covered, view[layout.digest_offset :]))
        return PatchResult(data=data, changed=True, reason=exc.reason, digest_updated=False)
    digest = digest_over(covered) if layout.header.has_digest else b""
    return PatchResult(
        data=b"".join((*covered, digest, view[layout.size :])),
        changed=True,
        reason=None,
        digest_updated=layout.header.has_digest,
    )
