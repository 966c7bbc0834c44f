"""Makes docs/chips.md of the registry; run it after a change to a chip.

``PYTHONPATH=src python tests/support/chips_page.py``
"""

# ruff: noqa: E501 - a row of a table in Markdown is one line

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esploader.chips.model.chip import KIB
from esploader.chips.model.quirks import Quirk
from esploader.chips.reading.efuses import efuse_fields
from esploader.chips.reading.security import SIZE_WITHOUT_CHIP_ID
from esploader.chips.registry import CHIPS
from esploader.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from esploader.chips.model.chip import Chip
    from esploader.chips.model.labels import Label

PAGE: Final = Path(__file__).parents[2] / "docs" / "chips.md"

NONE: Final = ""
UNKNOWN: Final = "?"

INTRODUCTION: Final = """\
# Chips

<!-- Made by tests/support/chips_page.py of the modules in src/esploader/chips; change those. -->

Every chip is a module of numbers in `esploader.chips`, and one line in its registry. The rest of the
library asks for the numbers and never for the name. A `?` is a fact that nobody who could be asked
knows; whatever needs it is refused (`UnsupportedError`).

"""

DISAGREEMENTS: Final = """\
## Where others say something else

The numbers were held against esptool 5.6.0, and what it prints for given eFuses against what this
library says (`tests/chips/recorded`). Where they disagree, this was found:

| Chip | esptool 5.6.0 | Here | Why |
|---|---|---|---|
| ESP32-E22 | revision v0.0 | no revision | where it is in the eFuses has not been said; zero is a guess |
| ESP32-E22 | purposes of six key blocks, in the reverse order of the other chips | none | neither how many there are nor their order has been said |
| ESP8266 | with `--no-stub` neither verifies nor reads flash | both | its ROM loader has no command for it; the registers in front of the flash will do ([Flash](flash.md#the-rom-loader-of-the-esp8266)) |
| ESP32-C6 | "Unknown Embedded Flash" with a capacity of 0 | the same | 0 means that there is none, so it is wrong there; others look for the words |
| ESP32-S31 | "unknown ESP32-S31", in lower case | the same | others look for the words |
| ESP32-S31 | no EUI-64 | no EUI-64 | the eFuse MAC_EXT is in the table of ESP-IDF; no tool makes an EUI-64 of it yet |
| ESP32-C2, ESP32-C5 | crystals of 26, 40 and 48 MHz, with a warning | only those that the chip works with | ESP-IDF supports no others |
| ESP32-C5, ESP32-C6, ESP32-C61, ESP32-H2 | UART_DATE at 0x7C | at 0x8C | `uart_reg.h`; what is at the other address is written with a mask of 0, which harms nobody |
| ESP32-S3 | UART_DATE at 0x80 | at 0x7C | `uart_reg.h`; UART_ID is at 0x80, and it is written with a mask of 0 as well |
| ESP32, ESP32-S2 | UART_DATE at 0x60000078, as on the ESP8266 | at 0x3FF40078 and 0x3F400074 | `reg_base.h` and `uart_reg.h`; at 0x60000000 the UART is only for another bus (AHB), and UART_ID of the ESP32-S2 is at 0x78; written with a mask of 0 as well |
| ESP32-E22 | the bit for a forced download at the address of the ESP32-S2 | unknown | nobody has said where it is |
| ESP32-P4 | purposes of keys of four bits; espefuse has a fifth of each (KEY_PURPOSE_n_H) from revision 3.0 on | four bits | before revision 3.0 those eFuses are parts of DCDC_VSET and PXA0_TIEH_SEL_2, so no one field is right for all revisions; from there on 16 and more are shown as what is 16 less (ECDSA_KEY_P384_H, 18, as XTS_AES_256_KEY_1), and `--encrypt` takes a purpose of 20 for a key of flash encryption |
| ESP32-P4, ESP32-S31 | the UART's divider at the address of another chip | at that of its own UART | `reg_base.h`; neither asks it: there is one crystal |
| ESP32-C5, ESP32-C61, ESP32-H2, ESP32-P4, ESP32-S31 | memory maps of test chips and of relatives | those of ESP-IDF | `soc.h`; listed one by one in `tests/chips/test_numbers.py` |

"""

SOURCES: Final = """\
## Sources

Each number has its source in the docstring of its module:

"""


def page() -> str:
    """Return the page."""
    parts = [
        INTRODUCTION,
        section("What tells them apart", IDENTITY),
        section("Loaders and flash", LOADERS),
        section("Features", FEATURES),
        section("eFuses", EFUSES),
        section("Security", SECURITY),
        section("Pins and ports", PORTS),
        quirks(),
        DISAGREEMENTS,
        SOURCES,
        *(sources(chip) for chip in CHIPS),
    ]
    return "".join(parts).rstrip("\n") + "\n"


def section(title: str, columns: Mapping[str, Callable[[Chip], str]]) -> str:
    """Return a table of one line a chip."""
    names = {"Chip": lambda chip: chip.name, **columns}
    rows = [tuple(names), ("---",) * len(names)]
    rows += [tuple(said(chip, cell) for cell in names.values()) for chip in CHIPS]
    lines = ("| " + " | ".join(row) + " |" for row in rows)
    return (
        f"## {title}\n\n"
        + "\n".join(lines).replace("| --- ", "|---").replace("|--- |", "|---|")
        + "\n\n"
    )


def said(chip: Chip, cell: Callable[[Chip], str]) -> str:
    """Return what ``cell`` says of a chip, if what it needs is known."""
    try:
        return cell(chip)
    except UnsupportedError:
        return UNKNOWN


def quirks() -> str:
    """Return what no number expresses, and who has it."""
    lines = [
        f"| `{quirk.name}` | {', '.join(c.name for c in CHIPS if quirk in c.quirks)} | {text} |"
        for quirk, text in meanings().items()
    ]
    return (
        "## Quirks\n\n| Quirk | Chips | What it means |\n|---|---|---|\n"
        + "\n".join(lines)
        + "\n\n"
    )


def meanings() -> dict[Quirk, str]:
    """Return the first paragraph of what stands below each quirk."""
    (definition,) = ast.parse(inspect.getsource(Quirk)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[Quirk, str] = {}
    for member, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            assert isinstance(member.targets[0], ast.Name)
            assert isinstance(text.value, ast.Constant)
            first = inspect.cleandoc(str(text.value.value)).split("\n\n")[0]
            found[Quirk[member.targets[0].id]] = " ".join(first.split())
    assert set(found) == set(Quirk)
    return found


def sources(chip: Chip) -> str:
    """Return the sources of one chip."""
    text = importlib.import_module(f"esploader.chips.{chip.key}").__doc__ or ""
    listed = text.split("Sources:\n\n", 1)[1].strip("\n").replace("``", "`")
    return f"### {chip.name}\n\n{listed}\n\n"


def told_by(chip: Chip) -> str:
    """Return what its loader says of itself that no other says."""
    if chip.magic is not None:
        return f"{chip.magic:#010x} at 0x40001000"
    return f"chip id {chip.image_chip_id} in GET_SECURITY_INFO"


def number(value: int | None) -> str:
    return NONE if value is None else f"{value}"


def code(value: int | None) -> str:
    return NONE if value is None else f"0x{value:X}"


def listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def mark(*, applies: bool) -> str:
    return "yes" if applies else NONE


def ring(chip: Chip) -> str:
    size = chip.rom.receive_ring_size
    return "one command at a time" if size is None else f"{size} bytes"


def page_sizes(chip: Chip) -> str:
    return listed(f"{size // KIB}K" for size in chip.mmu_page_sizes)


def usb(chip: Chip) -> str:
    ports = ["Serial/JTAG"] if chip.has_usb_serial_jtag else []
    if chip.usb_otg_pid is not None:
        ports.append(f"OTG (303a:{chip.usb_otg_pid:04x})")
    return listed(ports)


def tells_revision(chip: Chip) -> str:
    return mark(applies=chip.major_revision is not None)


def stub(chip: Chip) -> str:
    """Return the files of the stubs, and for which devices each is."""
    return listed(
        f"`{name.text}.json`"
        + "".join(f" ({when.field} revision {listed(when.values)})" for when in name.when)
        for name in chip.stub_files
    )


def watchdogs(chip: Chip) -> str:
    """Return which watchdogs a client has to quieten on the chip's own USB-Serial/JTAG port."""
    if not chip.has_usb_serial_jtag:
        return NONE
    known = {"RTC": chip.rtc_watchdog, "super": chip.super_watchdog}
    return listed(name for name, registers in known.items() if registers is not None)


def texts(labels: Iterable[Label]) -> str:
    """Return all that is said in place of each other."""
    return " / ".join(dict.fromkeys(label.text for label in labels))


def keys(chip: Chip) -> str:
    if chip.fixed_flash_key is not None:
        return chip.fixed_flash_key.block.name
    return number(len(chip.key_purposes) or None)


def hidden_blocks(chip: Chip) -> Iterable[str]:
    protection = chip.efuse_read_protection
    names = [] if protection is None else [span.block for _, span in protection.covers]
    return dict.fromkeys(names)


def secure_boot(chip: Chip) -> str:
    versions = {"V1": chip.secure_boot_v1, "V2": chip.secure_boot_v2}
    return listed(name for name, bits in versions.items() if bits is not None)


def flash_key(chip: Chip) -> str:
    """Return where it can be."""
    places: list[str] = []
    if chip.fixed_flash_key is not None:
        places.append(chip.fixed_flash_key.block.name)
    names = dict(chip.key_purpose_names)
    places += [
        "a block for " + " and one for ".join(names[purpose] for purpose in sorted(purposes))
        for purposes in chip.flash_key_purposes
    ]
    if chip.flash_key_in_manager is not None:
        places.append("the key manager")
    return listed(places)


def security_info(chip: Chip) -> str:
    if chip.security_info_size is None:
        return NONE
    has_id = chip.security_info_size > SIZE_WITHOUT_CHIP_ID
    return "with chip id" if has_id else "without chip id"


IDENTITY: Final[Mapping[str, Callable[[Chip], str]]] = {
    "Told by": told_by,
    "Image chip id": lambda chip: number(chip.image_chip_id),
    "Instructions": lambda chip: chip.architecture.value,
    "Crystal in MHz": lambda chip: listed(chip.crystal.choices_mhz),
    "Revision": tells_revision,
    "EUI-64": lambda chip: mark(applies=chip.mac_extension is not None),
    "UF2 family": lambda chip: code(chip.uf2_family),
}

LOADERS: Final[Mapping[str, Callable[[Chip], str]]] = {
    "ROM loader": lambda chip: chip.rom.name,
    "Receive ring": ring,
    "Compression through the ROM": lambda chip: mark(applies=chip.rom_inflates_safely),
    "Stub": stub,
    "Bootloader at": lambda chip: code(chip.bootloader_offset),
    "Flash frequencies": lambda chip: listed(name for name, _ in chip.flash_frequencies),
    "Beyond 16 MiB": lambda chip: mark(applies=chip.supports_4_byte_addresses),
    "Pages": page_sizes,
}

SECURITY: Final[Mapping[str, Callable[[Chip], str]]] = {
    "Secure boot": secure_boot,
    "Secure Download Mode": lambda chip: mark(applies=chip.secure_download is not None),
    "Key of flash encryption": flash_key,
    "Encrypts units of": lambda chip: number(chip.encrypted_write_alignment),
    "Security info": security_info,
}

PORTS: Final[Mapping[str, Callable[[Chip], str]]] = {
    "Boot strap": lambda chip: f"GPIO{chip.boot_strap_gpio}",
    "Flash at other pins": lambda chip: mark(applies=chip.flash_pin_choices is not None),
    "Supply of the flash told": lambda chip: mark(applies=chip.flash_supply is not None),
    "USB": usb,
    "Watchdogs quietened": watchdogs,
    "ROM starts the application": lambda chip: mark(applies=chip.rom_boots_on),
    "Watchdog reset": lambda chip: mark(applies=chip.watchdog_resets),
    "ROM assumes a crystal": lambda chip: mark(applies=chip.assumed_crystal is not None),
}


FEATURES: Final[Mapping[str, Callable[[Chip], str]]] = {
    "Called; `{name}`: what the eFuse of that name means": lambda chip: texts(chip.descriptions),
    "Features, each if the eFuses say so": lambda chip: "; ".join(map(texts, chip.features)),
}

EFUSES: Final[Mapping[str, Callable[[Chip], str]]] = {
    "Blocks": lambda chip: number(len(chip.efuse_blocks)),
    "Bits": lambda chip: number(32 * sum(block.word_count for block in chip.efuse_blocks)),
    "Key blocks": keys,
    "Fields known": lambda chip: number(len(efuse_fields(chip))),
    "Can be write-protected": lambda chip: mark(applies=chip.efuse_write_protection is not None),
    "Can be read-protected": lambda chip: listed(hidden_blocks(chip)),
}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
