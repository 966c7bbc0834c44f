"""The public names of the package, in one place; it is loaded when one is used."""

from __future__ import annotations

from esploader.image.build import BuiltImage, build_image
from esploader.image.descriptor import AppDescriptor, BootloaderDescriptor
from esploader.image.elf import ElfFile, ElfPart, parse_elf
from esploader.image.inspection import ImageReport, find_images, inspect_image
from esploader.image.measuring import measure_image
from esploader.image.options import ImageOptions, Signature

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
