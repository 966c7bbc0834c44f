"""Every exception esploader raises on purpose, on one page.

* :exc:`EsploaderError`
    * :exc:`UrlError`: the port URL cannot be understood
        * :exc:`UnknownSchemeError`
    * :exc:`NoPortError`: no port was named, and there is no single sensible one
    * :exc:`ConfigError`: a server, or a run over many boards, cannot be set up as asked
    * :exc:`ListenError`: the server cannot have a TCP port
    * :exc:`TransportError`: the byte pipe failed
        * :exc:`PortNotFoundError`
        * :exc:`PortPermissionError`
        * :exc:`PortBusyError`
        * :exc:`PortTakenOverError`: it is somebody else's now
        * :exc:`HostUnreachableError`
        * :exc:`NegotiationError`: the host answered, but not as a port server
            * :exc:`TlsError`: one end does not speak TLS, or does not trust the other
            * :exc:`SshError`: ssh failed, or did not find what it should run at the far end
        * :exc:`TransportClosedError`: the other end went away
        * :exc:`TransportTimeoutError`: the pipe accepted no bytes for too long
        * :exc:`BaudrateError`: the port cannot do that baud rate
        * :exc:`FlashFileError`: what a simulated flash holds cannot be written to its file
    * :exc:`CapabilityError`: this kind of port cannot do that
    * :exc:`ProtocolError`: the bytes made no sense
    * :exc:`CommandError`: a command did not succeed
        * :exc:`CommandFailedError`: the loader refused it
            * :exc:`UnsupportedCommandError`: because it does not know it
        * :exc:`NoResponseError`: the loader stayed silent
    * :exc:`ConnectError`: no loader answered
        * :exc:`SilentDeviceError`: nothing was received
        * :exc:`WrongBootModeError`: the chip is running something else
        * :exc:`NoSyncError`: download mode was reached, SYNC was not answered
        * :exc:`NoisyLineError`: only noise was received
    * :exc:`UnknownChipError`: a loader answered, from a chip we do not know
    * :exc:`WrongChipError`: a loader answered, from another chip than asked for
    * :exc:`StubError`: no stub could be found, or it did not start
        * :exc:`StubInstallError`: files are no stubs that may be installed, or cannot be
            * :exc:`StubDownloadError`: they cannot be downloaded
    * :exc:`PlanError`: what should be written or read cannot be
    * :exc:`FlashError`: the flash could not be made to hold, or to tell, what it should
    * :exc:`FlashLostError`: the loader says that it has erased everything, unasked
    * :exc:`VerifyError`: the flash holds something else
    * :exc:`UnsupportedError`: the chip, its loader or its state cannot do that
    * :exc:`ImageError`: the data are no intact firmware image
        * :exc:`ElfError`: they are an ELF file, of which none can be made
    * :exc:`PartitionTableError`: the data are no partition table, or none that can be
    * :exc:`FileError`: a file that is no input is not what it should be
        * :exc:`RecordingError`: it is no recording
        * :exc:`RecordError`: what became of boards cannot be written down, or read
        * :exc:`DebugInfoError`: it tells nothing of the lines of a program
    * :exc:`UnexpectedOutputError`: a device has not said what it should, or what it should not

Branch on the class and on the fields; the wording of ``str()`` may change.
"""

from __future__ import annotations

from esploader.classes import override
from esploader.errors import telling


class EsploaderError(telling.TellingError):
    """Base class of all the exceptions above."""


class UrlError(EsploaderError):
    """The port URL cannot be understood."""

    url: str
    """The URL, as given."""
    reason: str
    """What is wrong with it."""

    _wording = "cannot use {url!r} as a port: {reason}"


class UnknownSchemeError(UrlError):
    """The scheme of the port URL is not known."""


class NoPortError(EsploaderError):
    """No port was named, and there is not exactly one sensible choice."""

    candidates: tuple[str, ...]
    """Names of the ports that were found, the most sensible first."""
    filtered: bool
    """Only those were looked at that match a filter."""

    @override
    def __str__(self) -> str:
        found = ", ".join(self.candidates)
        if self.filtered:
            several = f"more than one port matches the filter: {found}"
            return several if found else "no serial port matches the filter"
        several = f"no port was named and none of these is the obvious one: {found}"
        return several if found else "no port was named and no serial port was found"


class ConfigError(EsploaderError):
    """A port server, or a run over many boards, cannot be set up as asked."""

    source: str
    """The file or the option that asks for it."""
    reason: str
    """What is wrong with it."""


class ListenError(EsploaderError):
    """The port server cannot have a TCP port."""

    address: str
    """Address and TCP port."""
    reason: str
    """Why not."""
    is_taken: bool
    """Somebody else has it."""

    _wording = "cannot listen on {address}: {reason}"


class TransportError(EsploaderError):
    """The byte pipe failed."""

    port: str
    """Name or URL of the port."""
    reason: str
    """What happened."""


class PortNotFoundError(TransportError):
    """There is no such port."""


class PortPermissionError(TransportError):
    """The operating system, or a port server, does not let us open the port."""


class PortBusyError(TransportError):
    """Somebody else has the port."""


class PortTakenOverError(TransportError):
    """A port server has given our port to somebody else. It may be the cause of another error."""


class HostUnreachableError(TransportError):
    """No connection to the host could be made."""


class NegotiationError(TransportError):
    """The host accepted the connection, but did not behave as a port server."""


class TlsError(NegotiationError):
    """One end does not speak TLS, or does not trust the other."""


class SshError(NegotiationError):
    """``ssh`` failed, or did not find what it should run at the far end."""


class TransportClosedError(TransportError):
    """The other end of the pipe went away."""


class TransportTimeoutError(TransportError):
    """The pipe accepted no bytes for too long."""


class BaudrateError(TransportError):
    """The port, or the server in front of it, cannot do a baud rate."""


class FlashFileError(TransportError):
    """What the flash of a simulated device holds cannot be written to its file."""


class CapabilityError(EsploaderError):
    """This kind of port cannot do what was asked."""

    port: str
    """Name or URL of the port."""
    operation: str
    """What was asked: ``set the baud rate``, ``set DTR and RTS``."""

    _wording = "{port}: this kind of port cannot {operation}"


class ProtocolError(EsploaderError):
    """The bytes made no sense."""

    reason: str
    """What rule they broke."""


class CommandError(EsploaderError):
    """A command did not succeed."""


class CommandFailedError(CommandError):
    """The loader answered a command with a failure status."""

    command: str
    """Name of the command, as in the serial protocol document."""
    code: int
    """The error byte, as received."""
    meaning: str
    """What the protocol document says the error byte means."""

    _wording = "{command} failed: {meaning} (error {code:#04x})"


class UnsupportedCommandError(CommandFailedError):
    """The loader does not know this command."""


class NoResponseError(CommandError):
    """The loader did not answer a command in time."""

    command: str
    """Name of the command, as in the serial protocol document."""
    waited: float
    """For how long, in seconds."""
    noise: bytes
    """Bytes that arrived meanwhile and were no response, at most the last 1 KiB of them."""

    @override
    def __str__(self) -> str:
        what = f"; {len(self.noise)} bytes of noise came instead" if self.noise else ""
        return f"{self.command}: no response within {self.waited:.1f} s{what}"


class ConnectError(EsploaderError):
    """No loader answered."""

    port: str
    """Name or URL of the port."""
    attempts: int
    """How many attempts were made."""
    received: bytes
    """What came instead of a response, at most the last 4 KiB of it."""

    _wording = "{port}: no loader answered in {attempts} attempts"


class SilentDeviceError(ConnectError):
    """Nothing at all was received."""

    _wording = "{port}: nothing was received in {attempts} attempts"


class WrongBootModeError(ConnectError):
    """The chip is not in download mode: it runs the application in its flash."""

    boot_mode: int | None
    """The strapping value that the boot log shows; ``None`` without a boot log."""

    @override
    def __str__(self) -> str:
        mode = "" if self.boot_mode is None else f" (boot mode {self.boot_mode:#x})"
        return f"{self.port}: the chip is running its application, not the loader{mode}"


class NoSyncError(ConnectError):
    """The chip says it is in download mode, but SYNC was not answered."""

    _wording = "{port}: the chip is in download mode but did not answer SYNC in {attempts} attempts"


class NoisyLineError(ConnectError):
    """Only noise was received."""

    _wording = "{port}: only noise was received in {attempts} attempts"


class UnknownChipError(EsploaderError):
    """A loader answered, but from a chip this library does not know."""

    chip_id: int | None
    """The chip id of GET_SECURITY_INFO; ``None`` where the chip gave none."""
    magic: int | None
    """The word at 0x4000_1000; ``None`` where it was not read."""

    @override
    def __str__(self) -> str:
        values = {"chip id": self.chip_id, "magic value": self.magic}
        known = [f"{name} {value:#x}" for name, value in values.items() if value is not None]
        return f"unknown chip ({', '.join(known) or 'it gave no identity'})"


class WrongChipError(EsploaderError):
    """A loader answered, but from another chip than the caller asked for."""

    expected: str
    """Name of the chip asked for."""
    found: str
    """Name of the chip that answered."""

    _wording = "this chip is {found}, not {expected}"


class StubError(EsploaderError):
    """No stub could be found, or it did not start."""

    name: str
    """The file, its folder or its URL; ``stub`` when it was found; whose it is when it was not."""
    reason: str
    """What is wrong."""


class StubInstallError(StubError):
    """Files are no stubs that may be installed, or cannot be read, written or removed."""


class StubDownloadError(StubInstallError):
    """They cannot be downloaded from the URL :attr:`name`."""


class PlanError(EsploaderError):
    """What should be written, read or erased cannot be; nothing has been done."""

    reason: str
    """Why not."""


class FlashError(EsploaderError):
    """The flash could not be made to hold, or to tell, what it should, after every effort."""

    offset: int
    """The first byte that is not known to be right."""
    confirmed: int
    """Bytes of the region that were seen to be right."""
    total: int
    """Bytes of the region."""
    acknowledged: int
    """The offset up to which the loader had taken or sent data, right or not."""
    reason: str
    """What went wrong at last."""

    @override
    def __str__(self) -> str:
        sure = f"{self.confirmed} of {self.total} bytes confirmed"
        taken = f"acknowledged up to {self.acknowledged:#x}"
        return f"gave up at {self.offset:#x}: {sure}, {taken}; {self.reason}"


class FlashLostError(EsploaderError):
    """The loader says that it has erased the whole flash, and nobody asked it to.

    A stub does that when one bit flips in the request to read flash: nothing protects it. Where
    erasing takes longer than anybody waits for an answer, this is not heard.
    """

    _wording = "the loader says that it has erased the whole flash, which nobody asked for"


class VerifyError(EsploaderError):
    """The flash holds something else than it was compared with."""

    ranges: tuple[tuple[int, int], ...]
    """Where: the first byte of each range that differs, and the one behind its last."""

    @property
    def offset(self) -> int:
        """The first byte that differs."""
        return self.ranges[0][0]

    @property
    def size(self) -> int:
        """How many bytes differ."""
        return sum(end - start for start, end in self.ranges)

    @override
    def __str__(self) -> str:
        return f"{self.size} bytes of flash differ, the first at {self.offset:#x}"


class UnsupportedError(EsploaderError):
    """The chip, its loader or its state cannot do what was asked."""

    operation: str
    """What was asked."""
    reason: str
    """Why it cannot be done."""


class ImageError(EsploaderError):
    """The data are no intact firmware image."""

    reason: str
    """What is wrong with them."""

    _wording = "not an intact firmware image: {reason}"


class ElfError(ImageError):
    """No firmware image can be made of the ELF file."""

    _wording = "no firmware image can be made of the ELF file: {reason}"


class PartitionTableError(EsploaderError):
    """The data are no partition table, or none that can be; or it lacks what is asked for."""

    reason: str
    """What is wrong with it."""


class FileError(EsploaderError):
    """A file that is no input of the flash is not what it should be, or cannot be written."""

    path: str
    """The file."""
    reason: str
    """What is wrong with it."""


class RecordingError(FileError):
    """A file is no recording of a device, or none can be made of it."""


class RecordError(FileError):
    """What became of boards cannot be written to its file, or the file is no record of that."""


class DebugInfoError(FileError):
    """A file cannot be read that should tell which line of a program is at an address."""


class UnexpectedOutputError(EsploaderError):
    """A device has not said in time what was waited for, or has said what it should not."""

    port: str
    """Name or URL of the port."""
    reason: str
    """What it has not said, or has."""
