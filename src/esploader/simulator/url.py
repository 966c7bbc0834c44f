"""``sim://`` URLs: a simulated device, described in one line.

``sim://CHIP?OPTION=VALUE&…``, every option at most once:

* ``flash``: size, ``256KB`` to ``128MB`` (4MB); ``none``, there is none; or ``silent``, it does
  not answer
* ``condition``: how whatever ran before has left the flash: ``ready``, ``4-byte`` or
  ``asleep`` (ready)
* ``pins``: where it is, as SPI_ATTACH takes it: 0 for the usual pins, 1 for HSPI (0)
* ``attached``: ``yes``, the ROM loader finds it before SPI_ATTACH, as in an emulator; or ``no``
* ``state``: ``app``, it runs its application; ``download``, its ROM loader waits; or
  ``stub``, a stub loader waits in it (app)
* ``boot-loop``: ``yes``, a boot that failed is repeated, as in a real chip; or ``no``
* ``port``: what the host is connected to: ``uart``, or the chip's own ``usb-serial-jtag`` or
  ``usb-otg`` (uart)
* ``mac``: ``24:0a:c4:00:00:01``
* ``revision``: ``MAJOR.MINOR``
* ``file``: path of a file that holds the content of the flash
* ``efuses``: ``NAME:VALUE``, several with commas between
* ``seed``: a number that makes two devices differ
* ``crystal``: its frequency in MHz, of those that the chip works with
* ``assumed``: what the ROM takes it to be, in Hz; 0 for nothing (ESP32)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import attrs

from esploader.chips.model.chip import KIB, MIB
from esploader.chips.reading.efuses import efuse_fields
from esploader.chips.registry import chip_by_name
from esploader.errors import UnsupportedError, UrlError
from esploader.simulator.config import (
    DeviceConfig,
    FlashPresence,
    InitialState,
    PortKind,
    choice_of,
    mac_of,
    state_of,
)
from esploader.simulator.device import SimulatedDevice
from esploader.simulator.flash.chip import FlashCondition
from esploader.simulator.flash.timings import UNPACED, Timings
from esploader.simulator.line.transport import RealTimeTransport, SimulatedTransport
from esploader.transport.base import DEFAULT_BAUDRATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEME: Final = "sim"

_SIZE: Final = re.compile(r"([0-9]{1,4})(KB|MB)")
_REVISION: Final = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})")
_SEED: Final = re.compile(r"[0-9]{1,9}")
_EFUSE: Final = re.compile(r"([a-z0-9_]+):(0|[1-9][0-9]{0,9}|0x[0-9A-Fa-f]{1,64})")
_WORD: Final = re.compile(r"0|[1-9][0-9]{0,8}|0x[0-9A-Fa-f]{1,8}")
_ANSWERS: Final = {"yes": True, "no": False}
_UNITS: Final = {"KB": KIB, "MB": MIB}
_WITHOUT_FLASH: Final = {FlashPresence.NONE.value, FlashPresence.SILENT.value}


def parse(url: str, *, state: InitialState = InitialState.APPLICATION) -> DeviceConfig:
    """Return what a ``sim://`` URL describes; ``state`` where it does not say any.

    Raises:
        UrlError: it names no chip we know, or an option or a value that does not exist.
    """
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise UrlError(url, str(exc)) from exc
    if parts.scheme != SCHEME:
        raise UrlError(url, "a simulated device is sim://CHIP")
    if parts.path.strip("/") or parts.fragment:
        raise UrlError(url, "only options may follow the chip")
    try:
        chip = chip_by_name(parts.netloc)
    except UnsupportedError as exc:
        raise UrlError(url, f"no chip is called {parts.netloc!r}") from exc
    config = DeviceConfig(chip=chip, state=state)
    seen: set[str] = set()
    for name, value in _options(url, parts.query):
        option = _OPTIONS.get(name)
        if option is None or name in seen:
            reason = "no option is called" if option is None else "twice the option"
            raise UrlError(url, f"{reason} {name!r}")
        seen.add(name)
        try:
            config = option(config, value)
        except ValueError as exc:
            raise UrlError(url, f"{name}={value}: {exc}") from exc
    return config


def open_simulated(url: str, *, baudrate: int = DEFAULT_BAUDRATE) -> SimulatedTransport:
    """Make the device that a ``sim://`` URL describes, and connect to it, in virtual time.

    Raises:
        UrlError: as :func:`parse`, or the device cannot be made that way.
    """
    device = _made(parse(url), Timings(), url)
    return SimulatedTransport(device, url, baudrate=baudrate, owns_device=True)


def open_served(
    config: DeviceConfig,
    url: str | None = None,
    *,
    paced: bool = False,
    follows_device: bool = False,
    enumeration: float = 0.0,
) -> RealTimeTransport:
    """Make a device and connect to it in real time.

    ``paced`` makes it take the time that a UART and a flash take; otherwise it is as quick as it
    can, but a reset takes a chip's own USB port away for ``enumeration`` seconds. Whoever serves
    it has :meth:`RealTimeTransport.reopened` for that. ``follows_device`` has the line at the
    device's own baud rate until somebody sets another, for clients that cannot set one.

    Raises:
        UrlError: the device cannot be made that way.
    """
    name = url or f"{SCHEME}://{config.chip.key}"
    timings = Timings() if paced else attrs.evolve(UNPACED, enumeration=enumeration)
    device = _made(config, timings, name)
    baudrate = None if follows_device else DEFAULT_BAUDRATE
    return RealTimeTransport(device, name, baudrate=baudrate, owns_device=True)


def _made(config: DeviceConfig, timings: Timings, url: str) -> SimulatedDevice:
    try:
        return SimulatedDevice.from_config(config, timings)
    except ValueError as exc:
        raise UrlError(url, str(exc)) from exc
    except OSError as exc:
        raise UrlError(url, f"{exc.filename}: {exc.strerror}") from exc


def _options(url: str, query: str) -> Iterator[tuple[str, str]]:
    for option in query.split("&") if query else ():
        name, equals, value = option.partition("=")
        if not equals or not value:
            raise UrlError(url, f"{option!r} is not OPTION=VALUE")
        yield name, unquote(value)


def _set_flash(config: DeviceConfig, value: str) -> DeviceConfig:
    if value in _WITHOUT_FLASH:
        return attrs.evolve(config, flash_presence=FlashPresence(value))
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError("a size is written 512KB or 4MB, or else it is none or silent")
    return attrs.evolve(config, flash_size=int(match[1]) * _UNITS[match[2]])


def _set_condition(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, flash_condition=choice_of(FlashCondition, value))


def _set_pins(config: DeviceConfig, value: str) -> DeviceConfig:
    if _WORD.fullmatch(value) is None:
        raise ValueError("pins are a number of 32 bits")
    return attrs.evolve(config, flash_pins=int(value, 0))


def _set_attached(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, flash_attached=_yes_or_no(value))


def _set_boot_loop(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, boot_loop=_yes_or_no(value))


def _yes_or_no(value: str) -> bool:
    if value not in _ANSWERS:
        raise ValueError(f"choices are {', '.join(_ANSWERS)}")
    return _ANSWERS[value]


def _set_state(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, state=state_of(value))


def _set_port(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, port=choice_of(PortKind, value))


def _set_mac(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, mac=mac_of(value))


def _set_revision(config: DeviceConfig, value: str) -> DeviceConfig:
    match = _REVISION.fullmatch(value)
    if match is None:
        raise ValueError("a revision is MAJOR.MINOR")
    return attrs.evolve(config, revision=(int(match[1]), int(match[2])))


def _set_file(config: DeviceConfig, value: str) -> DeviceConfig:
    return attrs.evolve(config, flash_file=Path(value))


def _set_crystal(config: DeviceConfig, value: str) -> DeviceConfig:
    if _SEED.fullmatch(value) is None:
        raise ValueError("a crystal is a number of MHz")
    return attrs.evolve(config, crystal_mhz=int(value))


def _set_assumed(config: DeviceConfig, value: str) -> DeviceConfig:
    if _SEED.fullmatch(value) is None:
        raise ValueError("a frequency is a number of Hz")
    return attrs.evolve(config, assumed_crystal_hz=int(value))


def _set_efuses(config: DeviceConfig, value: str) -> DeviceConfig:
    efuses: dict[str, int] = {}
    for part in value.split(","):
        match = _EFUSE.fullmatch(part)
        if match is None or match[1] in efuses:
            raise ValueError("eFuses are NAME:VALUE, each once, with commas between")
        if match[1] not in efuse_fields(config.chip):
            raise ValueError(f"{config.chip.name} has no field {match[1]!r}")
        efuses[match[1]] = int(match[2], 0)
    return attrs.evolve(config, efuses=efuses)


def _set_seed(config: DeviceConfig, value: str) -> DeviceConfig:
    if _SEED.fullmatch(value) is None:
        raise ValueError("a seed is a number of up to nine digits")
    return attrs.evolve(config, seed=int(value))


_OPTIONS: Final[dict[str, Callable[[DeviceConfig, str], DeviceConfig]]] = {
    "flash": _set_flash,
    "condition": _set_condition,
    "pins": _set_pins,
    "attached": _set_attached,
    "state": _set_state,
    "boot-loop": _set_boot_loop,
    "port": _set_port,
    "mac": _set_mac,
    "revision": _set_revision,
    "file": _set_file,
    "efuses": _set_efuses,
    "seed": _set_seed,
    "crystal": _set_crystal,
    "assumed": _set_assumed,
}
