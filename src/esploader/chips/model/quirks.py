"""What loaders do unlike others."""

from __future__ import annotations

import enum


@enum.unique
class Quirk(enum.Enum):
    """Behaviour no number can express. Ask for the quirk, never for the chip."""

    ECO0_READS_AS_LATER_REVISION = enum.auto()
    """Devices of revision 0.0 carry another one in their eFuses.

    They are known by eFuse block version 1.1 together with a minor revision whose lower
    three bits are 0. ESP-IDF, components/hal/esp32s3/efuse_hal.c.
    """

    SECURE_BOOT_BLOCKS_STUB = enum.auto()
    """With secure boot on, the ROM loader does not jump into what was uploaded.

    Where there is a :attr:`Chip.stub_hook`, it can be made to. esptool documentation, "Flasher
    Stub", and its notes on the ESP32-C3.
    """

    FIRST_MAJOR_REVISION_BLOCKS_STUB = enum.auto()
    """Devices of a revision before 1.0 do not run what was uploaded.

    esptool documentation, "Flasher Stub", and what esptool 5.6.0 does.
    """

    LEGACY_IMAGE_REVISION_IS_MINOR = enum.auto()
    """The minimum revision in the header of old images is the minor part, not the major.

    ESP-IDF, components/bootloader_support/include/esp_app_format.h, ``min_chip_rev``.
    """

    SHORT_LAST_PAGE_IS_NOT_MAPPED = enum.auto()
    """A bootloader may miss the last page of a segment that has less than 36 bytes there.

    So images are made to have as many. What esptool 5.6.0 does.
    """

    BEGIN_ERASES_HEAD_TWICE = enum.auto()
    """FLASH_BEGIN of the ROM loader erases more sectors than it is told.

    Those in front of the first boundary of 64 KiB are counted once more: it erases them one
    by one, and then as many sectors as if it had not. esptool documentation, "Serial
    Protocol", "Erase Size Bug".
    """

    STUB_RESTARTS_UART = enum.auto()
    """The stub listens at 115200 baud at first, whatever rate the ROM was changed to.

    It changes the clock of the UART and then sets the rate that the ROM remembers, which is
    the one from the reset. esp-flasher-stub, src/main.c; read off a run in an emulator.
    """

    WATCHDOG_RESET_HANGS_USB = enum.auto()
    """A reset by the RTC watchdog can leave the chip's own USB port dead.

    esptool 5.6.0 refuses it for that.
    """

    OTG_RESET_KEEPS_STRAPS = enum.auto()
    """A reset by the lines of USB-OTG comes back to the straps as they were.

    A device that its strap put into download mode stays there; the RTC watchdog has it look at
    its straps again. What esptool 5.6.0 does with the ESP32-S2; the ESP32-S3 has the same port.
    """

    OTG_LINES_DO_NOT_RESET = enum.auto()
    """The loader takes no notice of the lines of USB-OTG; only the RTC watchdog resets it.

    What esptool 5.6.0 does.
    """

    FORCED_DOWNLOAD_OUTLASTS_RESET = enum.auto()
    """The bit that sends the next boot to download mode stays set until it is cleared.

    So it has to be, before a reset by the lines of USB. What esptool 5.6.0 does.
    """
