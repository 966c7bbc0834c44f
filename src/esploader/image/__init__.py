"""Bytes to firmware images and back; nothing here does I/O.

Names are loaded when first used: who writes an image need not know how one is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esploader.image.names import (
        AppDescriptor,
        BootloaderDescriptor,
        BuiltImage,
        ElfFile,
        ElfPart,
        ImageOptions,
        ImageReport,
        Signature,
        build_image,
        find_images,
        inspect_image,
        measure_image,
        parse_elf,
    )

__all__ = [
    "AppDescriptor",
    "BootloaderDescriptor",
    "BuiltImage",
    "ElfFile",
    "ElfPart",
    "ImageOptions",
    "ImageReport",
    "Signature",
    "build_image",
    "find_images",
    "inspect_image",
    "measure_image",
    "parse_elf",
]


# A type checker is to know the names above, and no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module("esploader.image.names"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
