"""What a simulated chip needs to know beyond the facts in :mod:`esploader.chips`.

Sources: boot logs as chips print them (Espressif, "Boot Mode Selection", esptool
documentation) and as users have published them: "ESP-ROM:" and the name of the chip finds many;
recorded answers (``tests/vectors``). What nobody has published yet is like that of the relatives of
a chip, and its banner says "simulated".
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from esploader.chips.model.chip import MIB, Architecture, Region
from esploader.classes import frozen
from esploader.protocol.opcodes import Opcode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.chips.model.chip import Chip


ROM_WORD_ADDRESS: Final = 0x4000_1000
"""A word of the ROM that differs from chip to chip."""


@enum.unique
class ResetCause(enum.Enum):
    """Why a chip boots."""

    POWER_ON = enum.auto()
    """It got its power."""

    EXTERNAL = enum.auto()
    """EN was released (RST of the ESP8266). Only the ESP8266 tells that from power."""

    SOFTWARE = enum.auto()
    """Its program asked for it."""

    WATCHDOG = enum.auto()
    """A watchdog that its ROM or its bootloader had set bit."""

    USB = enum.auto()
    """The chip's own USB port asked for it: straps are not looked at again."""

    RTC_WATCHDOG = enum.auto()
    """Only chips with watchdogs that a client has to know of have this one."""


POWER_CAUSES: Final = frozenset({ResetCause.POWER_ON, ResetCause.EXTERNAL})
"""After these nothing is left of what ran before."""


@frozen
class Code:
    """A number and its name in the boot log."""

    number: int
    name: str


_NEW_CAUSES: Final = MappingProxyType(
    {
        ResetCause.POWER_ON: Code(0x1, "POWERON"),
        ResetCause.EXTERNAL: Code(0x1, "POWERON"),
        ResetCause.SOFTWARE: Code(0x3, "RTC_SW_SYS_RST"),
        ResetCause.WATCHDOG: Code(0x7, "TG0WDT_SYS_RST"),
        ResetCause.USB: Code(0x15, "USB_UART_CHIP_RESET"),
        ResetCause.RTC_WATCHDOG: Code(0x10, "RTCWDT_RTC_RST"),
    }
)

_NEW_SAVED_PC: Final = "Core0 Saved PC:0x40048b82\r\n"

_RISCV_CRASH_REPORT: Final = "".join(
    (
        "\r\nGuru Meditation Error: Core  0 panic'ed (Load access fault)\r\n",
        "Simulated core dump:\r\n",
        *(f"x{number:<3}: 0x{number * 0x0101_0101:08x}\r\n" for number in range(32)),
        "Stack memory:\r\n",
        *(f"{0x3FCD_F000 + 32 * row:08x}: " + "0xa5a5a5a5 " * 8 + "\r\n" for row in range(32)),
    )
).encode("ascii")


@frozen(kw_only=True)
class LoadLog:
    """What a ROM prints while it loads an image, as texts to be filled in."""

    # A real ROM goes on for ever; the watchdog boots it again and again.
    invalid_header: str = "invalid header: 0x{word:08x}\r\n" * 4
    preamble: str = "SPIWP:0xee\r\nmode:{mode}, clock div:{divider}\r\n"
    segment: str = "load:0x{address:08x},len:{size:#x}\r\n"
    bad_segments: str = "ets_loader.c 78\r\n"
    checksum: str = ""
    bad_checksum: str = (
        "Checksum failure. Calculated 0x{computed:02x} stored 0x{stored:02x}\r\nets_main.c 329\r\n"
    )
    bad_digest: str | None = (
        "SHA-256 comparison failed:\r\nCalculated: {computed}\r\nExpected: {stored}\r\n"
        "Attempting to boot anyway...\r\n"
    )
    """``None`` where the ROM does not look at the digest."""
    entry: str = "entry 0x{entry:08x}\r\n"


_ESP32_LOAD_LOG: Final = LoadLog(
    preamble=(
        "configsip: 0, SPIWP:0xee\r\n"
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\r\n"
        "mode:{mode}, clock div:{divider}\r\n"
    ),
    segment="load:0x{address:08x},len:{size}\r\n",
    bad_segments="ets_main.c 371\r\n",
    bad_checksum="csum err:0x{computed:02x}!=0x{stored:02x}\r\nets_main.c 371\r\n",
    bad_digest=None,
)

_NEW_LOAD_LOG: Final = LoadLog(preamble="SPI mode:{mode}, clock div:{divider}\r\n")

_ESP8266_LOAD_LOG: Final = LoadLog(
    invalid_header="ets_main.c\r\n",
    preamble="",
    segment=(
        "load 0x{address:08x}, len {size}, room {room} \r\n"
        "tail {tail}\r\nchksum 0x{checksum:02x}\r\n"
    ),
    bad_segments="ets_main.c\r\n",
    checksum="csum 0x{stored:02x}\r\n",
    bad_checksum="csum err\r\nets_main.c\r\n",
    bad_digest=None,
    entry="",
)


@frozen(kw_only=True)
class Rom:
    """In what the ROMs of the revisions of one chip differ.

    Sources: recorded answers (``tests/vectors/sequences``; ``tests/vectors/README.md`` for
    what GET_SECURITY_INFO says); for words that are not recorded the magic values by which
    esptool 4.8 recognises chips.
    """

    since: tuple[int, int] = (0, 0)
    """The first revision, major and minor, that has it."""

    word: int = attrs.field(default=0, repr=hex)
    """What stands at :data:`ROM_WORD_ADDRESS`."""

    api_version: int = 0
    """The last word of GET_SECURITY_INFO."""

    seventh_purpose: int = 0x0C
    """What GET_SECURITY_INFO says of a key block that is not there, as of one without a key."""

    @property
    def words(self) -> dict[int, int]:
        """What the client can read of it, by address."""
        return {ROM_WORD_ADDRESS: self.word}


@frozen(kw_only=True)
class Personality:
    """How one chip model behaves where the chip facts are silent."""

    roms: tuple[Rom, ...] = (Rom(),)
    """By revision, ascending."""

    crystal_mhz: int = 40
    revision: tuple[int, int] = (0, 0)
    """Major and minor revision of a device unless asked otherwise."""

    mac: int = 0x240A_C400_0000
    """MAC address to which a seed is added, unless one is given."""

    efuses: Mapping[str, int] = MappingProxyType({})
    """eFuse fields that are not zero in a usual device."""

    assumed_flash_size: int | None = 2 * MIB
    """Size of flash that the ROM believes in until told otherwise; ``None``: any."""

    attaches_flash: bool = False
    """The ROM finds the flash at its usual pins before anybody says where it is.

    Espressif's own tests of esptool (``test/test_esptool.py``): all but two chips do not.
    """

    erases_head_twice: bool = False
    """FLASH_BEGIN counts the sectors in front of the first 64 KiB block twice."""

    boots_on: bool = False
    """Told to leave, the ROM goes on to boot from flash.

    Those of the ESP32-C3 and the ESP32-C2 do not: they say a last word, and are silent until
    a hardware reset. Where nobody has looked, the worse is taken for granted.
    """

    programs_whole_window: bool = True
    """The last block of a compressed download programs 32 KiB, whatever lies behind the data.

    The ESP32's ROM does. Where nobody has looked, the worse is taken for granted. The others
    that are known program up to three bytes more than the data, to a multiple of four.
    """

    stub_spares_blank_sectors: bool = True
    """The stub looks at sectors before it erases them, until it sees one that is not blank.

    esp-flasher-stub, ``src/command_handler.c``: all but the ESP8266, for want of RAM.
    """

    more_opcodes: frozenset[Opcode] = frozenset()
    """What the ROM knows besides what a client may rely on."""

    more_ram: tuple[Region, ...] = ()
    """RAM that is none once an application runs."""

    crash_report: bytes = b""
    """What the ROM prints when it crashes."""

    boot_baudrate: int | None = None
    """Rate of the boot log where it is not the one of the loader."""

    banner: str
    boot_line: str = "rst:{cause.number:#x} ({cause.name}),boot:{mode.number:#x} ({mode.name})\r\n"
    causes: Mapping[ResetCause, Code] = _NEW_CAUSES
    download_mode: Code = Code(0x5, "DOWNLOAD(USB/UART0/1)")
    flash_mode: Code = Code(0xD, "SPI_FAST_FLASH_BOOT")
    saved_pc: str = "Saved PC:0x40048b82\r\n"
    """Where it was before a reset that did not end everything."""
    load_log: LoadLog = LoadLog()
    prompt: str = "waiting for download\r\n"
    """What the ROM prints when it starts to listen."""

    def rom_of(self, revision: tuple[int, int] | None) -> Rom:
        """Return the ROM of devices of that revision; ``None`` stands for the usual one."""
        wanted = self.revision if revision is None else revision
        return next((rom for rom in reversed(self.roms) if rom.since <= wanted), self.roms[0])


_PERSONALITIES: Final[Mapping[str, Personality]] = {
    "esp8266": Personality(
        roms=(Rom(word=0xFFF0_C101),),
        crystal_mhz=26,
        mac=0x18FE_3400_0000,
        assumed_flash_size=None,
        boots_on=True,
        erases_head_twice=True,
        stub_spares_blank_sectors=False,
        # Likely: a client says so (esp-serial-flasher), and nobody has seen it refused.
        more_opcodes=frozenset({Opcode.SPI_SET_PARAMS}),
        # Of the instruction cache; Espressif's stub is put there.
        more_ram=(Region("cache", 0x4010_8000, 0x4011_0000),),
        # The ROM sets its divider for a crystal of 40 MHz.
        boot_baudrate=74880,
        banner="\r\n ets Jan  8 2013,",
        boot_line="rst cause:{cause.number}, boot mode:({mode.number},6)\r\n\r\n",
        causes=MappingProxyType(
            {
                ResetCause.POWER_ON: Code(1, "POWER"),
                ResetCause.EXTERNAL: Code(2, "EXT"),
                ResetCause.SOFTWARE: Code(2, "EXT"),
                ResetCause.WATCHDOG: Code(4, "WDT"),
            }
        ),
        download_mode=Code(1, "UART"),
        flash_mode=Code(3, "FLASH"),
        saved_pc="",
        prompt="",
        load_log=_ESP8266_LOAD_LOG,
    ),
    "esp32": Personality(
        roms=(Rom(word=0x00F0_1D83),),
        revision=(3, 1),
        boots_on=True,
        banner="ets Jul 29 2019 12:21:46\r\n\r\n",
        causes=MappingProxyType(
            {
                ResetCause.POWER_ON: Code(0x1, "POWERON_RESET"),
                ResetCause.EXTERNAL: Code(0x1, "POWERON_RESET"),
                ResetCause.SOFTWARE: Code(0xC, "SW_CPU_RESET"),
                ResetCause.WATCHDOG: Code(0x10, "RTCWDT_RTC_RESET"),
            }
        ),
        download_mode=Code(0x3, "DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2)"),
        flash_mode=Code(0x13, "SPI_FAST_FLASH_BOOT"),
        saved_pc="",
        load_log=_ESP32_LOAD_LOG,
    ),
    "esp32s2": Personality(
        roms=(Rom(word=0x0000_07C6),),
        attaches_flash=True,
        revision=(1, 0),
        programs_whole_window=False,
        banner="ESP-ROM:esp32s2-rc4-20191025\r\nBuild:Oct 25 2019\r\n",
        download_mode=Code(0x0, "DOWNLOAD(USB/UART0/1)"),
        flash_mode=Code(0x8, "SPI_FAST_FLASH_BOOT"),
    ),
    "esp32s3": Personality(
        revision=(0, 2),
        programs_whole_window=False,
        banner="ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n",
        download_mode=Code(0x0, "DOWNLOAD(USB/UART0)"),
        flash_mode=Code(0x8, "SPI_FAST_FLASH_BOOT"),
    ),
    "esp32c3": Personality(
        roms=(
            Rom(word=0x6921_506F),
            Rom(since=(0, 3), word=0x1B31_506F, api_version=3),
            Rom(since=(1, 0), word=0x4881_606F, api_version=7),
            Rom(since=(1, 1), word=0x4361_606F, api_version=7),
        ),
        revision=(0, 4),
        programs_whole_window=False,
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n",
    ),
    "esp32c2": Personality(
        roms=(Rom(word=0x7C41_A06F, api_version=1, seventh_purpose=0x00),),
        crystal_mhz=26,
        revision=(1, 0),
        programs_whole_window=False,
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp8684-api2-20220127\r\nBuild:Jan 27 2022\r\n",
    ),
    "esp32c5": Personality(
        roms=(Rom(word=0x5FD1_406F, api_version=2, seventh_purpose=0x13),),
        crystal_mhz=48,
        revision=(1, 0),
        programs_whole_window=False,
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp32c5-eco2-20250121\r\nBuild:Jan 21 2025\r\n",
        download_mode=Code(0x8, "DOWNLOAD(USB/UART0)"),
        flash_mode=Code(0x18, "SPI_FAST_FLASH_BOOT"),
        saved_pc=_NEW_SAVED_PC,
        load_log=_NEW_LOAD_LOG,
    ),
    "esp32c6": Personality(
        programs_whole_window=False,
        roms=(Rom(word=0x2CE0_806F),),
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp32c6-20220919\r\nBuild:Sep 19 2022\r\n",
        download_mode=Code(0x4, "DOWNLOAD(USB/UART0/SDIO_FEI_FEO)"),
        flash_mode=Code(0xC, "SPI_FAST_FLASH_BOOT"),
    ),
    "esp32c61": Personality(
        programs_whole_window=False,
        roms=(Rom(word=0x7211_606F, api_version=3, seventh_purpose=0x10),),
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp32c61-eco3-20250228\r\nBuild:Feb 28 2025\r\n",
        download_mode=Code(0x4, "DOWNLOAD(USB/UART0)"),
        flash_mode=Code(0xC, "SPI_FAST_FLASH_BOOT"),
        saved_pc=_NEW_SAVED_PC,
        load_log=_NEW_LOAD_LOG,
    ),
    "esp32s31": Personality(
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp32s31-20251218\r\nBuild:Dec 18 2025\r\n",
        download_mode=Code(0x69, "DOWNLOAD(USB/UART0/SPI)"),
        flash_mode=Code(0x58, "SPI_FAST_FLASH_BOOT"),
        saved_pc=_NEW_SAVED_PC,
        load_log=_NEW_LOAD_LOG,
    ),
    "esp32h2": Personality(
        roms=(Rom(word=0xD7B7_3E80),),
        crystal_mhz=32,
        programs_whole_window=False,
        crash_report=_RISCV_CRASH_REPORT,
        banner="ESP-ROM:esp32h2-20221101\r\nBuild:Nov  1 2022\r\n",
        download_mode=Code(0x4, "DOWNLOAD(USB/UART0)"),
        flash_mode=Code(0xC, "SPI_FAST_FLASH_BOOT"),
    ),
    "esp32p4": Personality(
        roms=(
            Rom(word=0x0000_001E),
            Rom(since=(3, 0), word=0x0000_1000, api_version=5, seventh_purpose=0x13),
        ),
        attaches_flash=True,
        revision=(3, 0),
        programs_whole_window=False,
        crash_report=_RISCV_CRASH_REPORT,
        # Of a device of revision 1; those of the others have not been published.
        banner="ESP-ROM:esp32p4-eco2-20240710\r\nBuild:Jul 10 2024\r\n",
        download_mode=Code(0x307, "DOWNLOAD(USB/UART0/SPI)"),
        flash_mode=Code(0x30F, "SPI_FAST_FLASH_BOOT"),
        saved_pc=_NEW_SAVED_PC,
        load_log=_NEW_LOAD_LOG,
    ),
}


def personality_of(chip: Chip) -> Personality:
    """Return the personality of a chip model."""
    known = _PERSONALITIES.get(chip.key)
    if known is not None:
        return known
    return Personality(
        roms=(Rom(word=chip.magic or 0),),
        crystal_mhz=chip.crystal.choices_mhz[0],
        crash_report=_RISCV_CRASH_REPORT if chip.architecture is Architecture.RISCV else b"",
        banner=f"ESP-ROM:{chip.key}-simulated\r\n",
    )
