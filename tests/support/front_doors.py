"""What callers may name: the public names of the packages that they import from."""

from __future__ import annotations

import importlib
import inspect

PACKAGES = (
    "esploader",
    "esploader.chips",
    "esploader.compat",
    "esploader.compat.esptool",
    "esploader.errors",
    "esploader.fleet",
    "esploader.image",
    "esploader.image.merge",
    "esploader.image.partitions",
    "esploader.server",
    "esploader.simulator",
    "esploader.transport",
)
"""The front doors: what is below them is nobody's business but ours."""


def public_names(package: str) -> set[str]:
    module = importlib.import_module(package)
    return set(getattr(module, "__all__", dir(module)))


def is_public(package: str, name: str) -> bool:
    """Tell whether a name is that of something in there, or of a front door behind it."""
    return name in public_names(package) or f"{package}.{name}" in PACKAGES


def public_classes() -> list[type]:
    found = {
        value
        for package in PACKAGES
        for name in public_names(package)
        if inspect.isclass(value := getattr(importlib.import_module(package), name))
        and value.__module__.startswith("esploader.")
    }
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))
