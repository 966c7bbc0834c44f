"""Where the defaults of options come from: the environment, files, and what is usual."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, TypeAlias

from esploader.commands.options import (
    AFTER,
    BEFORE,
    DEFAULT_BAUDRATE,
    DEFAULT_CONNECT_ATTEMPTS,
    EXIT_CODES,
    PROGRAM,
)
from esploader.commands.values import (
    OneOf,
    attempts,
    baudrate,
    flash_frequency,
    flash_mode,
    flash_size,
    reset_sequence,
    seconds,
)
from esploader.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esploader.commands.settings_file import SettingsFile

    Sources: TypeAlias = Mapping[str, tuple[str, Callable[[str], object]]]


class SettingError(Exception):
    """A default makes no sense; the text says which, and why."""


VARIABLES: Final[Sources] = {
    "ESPTOOL_PORT": ("port", str),
    "ESPTOOL_BAUD": ("baud", baudrate),
    "ESPTOOL_CHIP": ("chip", str),
    "ESPTOOL_BEFORE": ("before", OneOf(*BEFORE)),
    "ESPTOOL_AFTER": ("after", OneOf(*AFTER)),
    "ESPTOOL_CONNECT_ATTEMPTS": ("connect_attempts", attempts),
    "ESPTOOL_OPEN_PORT_ATTEMPTS": ("open_attempts", attempts),
    "ESPTOOL_FM": ("flash_mode", flash_mode),
    "ESPTOOL_FF": ("flash_freq", flash_frequency),
    "ESPTOOL_FS": ("flash_size", flash_size),
}
"""The environment variables that are heeded: the attribute that each is the default of, and what
makes a value of its text. One that is empty counts as not set."""

KEYS: Final[Sources] = {
    "connect_attempts": ("connect_attempts", attempts),
    "open_port_attempts": ("open_attempts", attempts),
    "reset_delay": ("reset_delay", seconds),
    "custom_reset_sequence": ("custom_reset_sequence", reset_sequence),
    "custom_hard_reset_sequence": ("custom_hard_reset_sequence", reset_sequence),
}
"""The keys in files that are heeded, likewise."""

_TIMES: Final = (
    "timeout",
    "chip_erase_timeout",
    "max_timeout",
    "sync_timeout",
    "md5_timeout_per_mb",
    "erase_region_timeout_per_mb",
    "erase_write_timeout_per_mb",
    "mem_end_rom_timeout",
    "serial_write_timeout",
)

UNHEEDED_KEYS: Final = {
    **dict.fromkeys(_TIMES, (seconds, "how long to wait follows from rates and sizes")),
    "write_block_attempts": (attempts, "what fails is tried again as often as that may help"),
}
"""The others of esptool: how a value is checked, and why it can make no difference."""

FILE_VARIABLE: Final = "ESPTOOL_CFGFILE"
"""Names a file with settings that is looked at before all others."""

_PREFIX: Final = "ESPTOOL_"

_OTHERS: Final = frozenset({FILE_VARIABLE, "ESPTOOL_WRAPPER"})
"""Do not set an option. The second is for the build system of ESP-IDF, which runs what it
names in place of esptool."""


def defaults(environment: Mapping[str, str], *, with_files: bool) -> argparse.Namespace:
    """Return what holds where nothing is said on the command line.

    The environment counts more than a file.

    Raises:
        SettingError: something that is set there makes no sense.
    """
    values = _usual()
    remarks: list[str] = _remarks(environment)
    details: list[str] = []
    if with_files:
        file = _settings_file(environment)
        named = environment.get(FILE_VARIABLE)
        if named and (file is None or not file.is_named):
            remarks.append(f"{FILE_VARIABLE} is not heeded: {named} is no file with settings")
        if file is not None:
            details.append(f"settings are read from {file.path}")
            values |= _of_file(file, remarks, details)
    for name, (option, read) in VARIABLES.items():
        if text := environment.get(name):
            values[option] = _read(read, text, name)
    return argparse.Namespace(**values, remarks=remarks, details=details)


def _settings_file(environment: Mapping[str, str]) -> SettingsFile | None:
    # What reads none need not wait for this.
    from esploader.commands.settings_file import SettingsFileError, find_settings

    try:
        return find_settings(environment.get(FILE_VARIABLE))
    except SettingsFileError as exc:
        raise SettingError(str(exc)) from None


def _of_file(file: SettingsFile, remarks: list[str], details: list[str]) -> dict[str, object]:
    """Return what a file sets, and add what there is to say of it."""
    values: dict[str, object] = {}
    strange = []
    for setting in file.settings:
        place = f"{setting.place}: {setting.key}"
        if setting.key in KEYS:
            option, read = KEYS[setting.key]
            values[option] = _read(read, setting.text, place)
        elif setting.key in UNHEEDED_KEYS:
            check, why = UNHEEDED_KEYS[setting.key]
            _read(check, setting.text, place)
            details.append(f"{setting.key} has no effect: {why}")
        else:
            strange.append(setting.key)
    if strange:
        remarks.append(f"set in {file.path} and not heeded: {', '.join(sorted(strange))}")
    return values


def _read(read: Callable[[str], object], text: str, place: str) -> object:
    try:
        return read(text)
    except argparse.ArgumentTypeError as exc:
        raise SettingError(f"{place}: {exc}") from None


def _remarks(environment: Mapping[str, str]) -> list[str]:
    known = VARIABLES.keys() | _OTHERS
    strange = sorted(
        name
        for name, text in environment.items()
        if name.startswith(_PREFIX) and text and name not in known
    )
    return [f"set in the environment and not heeded: {', '.join(strange)}"] if strange else []


def _usual() -> dict[str, object]:
    return {
        "port": None,
        "baud": DEFAULT_BAUDRATE,
        "chip": "auto",
        "before": BEFORE[0],
        "after": AFTER[0],
        "connect_attempts": DEFAULT_CONNECT_ATTEMPTS,
        "open_attempts": 1,
        "custom_reset_sequence": None,
        "custom_hard_reset_sequence": None,
        "reset_delay": None,
        "override_vddsdio": None,
        "no_stub": False,
        "stub": None,
        "port_filter": None,
        "verbose": False,
        "silent": False,
        "trace": False,
        "record": None,
        "json": False,
        "json_events": False,
        "no_progress": False,
        "quiet": False,
        "exit_codes": EXIT_CODES[0],
        # No option sets these: a caller in this process may.
        "banner": f"{PROGRAM} v{__version__}",
        "bare_version": __version__,
        "device": None,
    }
