"""From parts to the bytes of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from esploader.errors import ElfError
from esploader.image.firmware import checksum_offset, digest_over
from esploader.image.segment import SEGMENT_HEADER
from esploader.protocol.packet import CHECKSUM_SEED, checksum

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from esploader.image.layout import Placed


def chained(placed: Iterable[Placed]) -> Iterator[bytes]:
    """Yield segments as they stand one behind the other, each with its header."""
    for each in placed:
        yield SEGMENT_HEADER.pack(each.part.address, len(each.part.data))
        yield each.part.data


def with_footer(header: bytes, placed: Sequence[Placed], *, start: int = 0) -> list[bytes]:
    """Return header, segments and checksum of an image that begins at ``start`` of its file."""
    end = placed[-1].end if placed else start + len(header)
    fill = bytes(checksum_offset(end) - end)
    return [header, *chained(placed), fill, _checksum(placed)]


def with_digest(pieces: Iterable[bytes]) -> list[bytes]:
    """Return ``pieces`` with the SHA-256 digest of all of them."""
    found = [*pieces]
    return [*found, digest_over(found)]


def _checksum(placed: Iterable[Placed]) -> bytes:
    found = CHECKSUM_SEED
    for each in placed:
        found ^= checksum(each.part.data) ^ CHECKSUM_SEED
    return bytes((found,))


def with_digest_at(placed: Sequence[Placed], offset: int, digest: bytes) -> list[Placed]:
    """Return the parts with ``digest`` in place of the zeros at that offset of the image.

    Raises :exc:`~esploader.errors.ElfError` when it is not wholly in the data of one segment,
    or something else than zeros is there.
    """
    found: list[Placed] = []
    for each in placed:
        start, end = offset - each.offset, offset - each.offset + len(digest)
        data = each.part.data
        if start >= 0 and end <= len(data):
            if any(data[start:end]):
                raise ElfError(
                    f"at {offset:#x} of the image is something else than the zeros that the "
                    "digest of the ELF file would replace"
                )
            part = attrs.evolve(each.part, data=b"".join((data[:start], digest, data[end:])))
            found.append(attrs.evolve(each, part=part))
        else:
            found.append(each)
    if found == [*placed]:
        raise ElfError(f"no segment of the image has {len(digest)} bytes at {offset:#x}")
    return found
