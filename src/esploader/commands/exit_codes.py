"""What an error means to whoever sits in front of the device: a code and a hint."""

from __future__ import annotations

from typing import Final

import attrs

from esploader import errors
from esploader.classes import frozen

FAILED: Final = 2

REMOTE_SCHEMES: Final = ("rfc2217:", "rfc2217+tls:", "socket:")
"""How the URLs of ports begin that belong to a server."""

SSH_SCHEME: Final = "ssh:"
"""The same of those at the far end of ``ssh``, where the server is started for each client."""


@frozen
class Explanation:
    """How the command line ends for one class of error."""

    code: int
    """The exit code under ``--exit-codes detailed``."""

    hint: str
    """What to try; empty where the message says it all."""


EXPLANATIONS: Final[dict[type[errors.EsploaderError], Explanation]] = {
    errors.EsploaderError: Explanation(FAILED, ""),
    errors.UrlError: Explanation(
        3,
        "A port is a device name, rfc2217://HOST:PORT, socket://HOST:PORT, "
        "ssh://USER@HOST/dev/ttyUSB0 or sim://CHIP.",
    ),
    errors.UnknownSchemeError: Explanation(
        4,
        "Known schemes: rfc2217, socket, ssh, sim, and those of pyserial (loop, spy, hwgrep, alt).",
    ),
    errors.NoPortError: Explanation(
        5, "Name one with --port or in ESPTOOL_PORT; 'esploader ports' lists them."
    ),
    errors.ConfigError: Explanation(6, ""),
    errors.ListenError: Explanation(
        7,
        "End the program that has the TCP port, or choose another one; an address to listen at is "
        "one of this machine.",
    ),
    errors.BaudrateError: Explanation(8, "Try another --baud."),
    errors.FlashFileError: Explanation(
        9, "Make room on the disk; the device then takes up what the file holds."
    ),
    errors.TransportError: Explanation(10, "Check the cable; unplug the device and plug it in."),
    errors.PortNotFoundError: Explanation(
        11, "Check the name ('esploader ports' lists them), the cable and the driver."
    ),
    errors.PortPermissionError: Explanation(
        12, "On Linux add yourself to the group of the port, usually dialout or uucp."
    ),
    errors.PortBusyError: Explanation(
        13,
        "Close the other program: a serial monitor, perhaps. If it was killed just now, or its "
        "network broke, a port server may need up to half a minute to notice: try again.",
    ),
    errors.PortTakenOverError: Explanation(
        60,
        "Ask whoever has it now, or wait in line for it: rfc2217://HOST:PORT?wait=SECONDS. What "
        "was being written is incomplete.",
    ),
    errors.HostUnreachableError: Explanation(
        14, "Check host and port number, that the port server runs, and the firewall."
    ),
    errors.NegotiationError: Explanation(
        15,
        "Is it an RFC 2217 server? A raw TCP port is socket://HOST:PORT, a server with TLS "
        "rfc2217+tls://HOST:PORT. Most servers serve one client at a time: is another one there?",
    ),
    errors.TlsError: Explanation(
        19,
        "Check ca=, cert= and key= of the URL. A server with TLS is rfc2217+tls://HOST:PORT, one "
        "without it rfc2217://HOST:PORT.",
    ),
    errors.SshError: Explanation(
        28,
        "'ssh HOST' by itself has to get you in without a question, and esploader to be installed "
        "there, or named in the URL: ?command=venv/bin/esploader.",
    ),
    errors.TransportClosedError: Explanation(
        16, "The cable or the network broke, or the port server ended; try again."
    ),
    errors.TransportTimeoutError: Explanation(
        17, "Is flow control on at the other end, or the port server stuck?"
    ),
    errors.CapabilityError: Explanation(
        18,
        "Raw TCP has no baud rate and no DTR and RTS, a pseudo-terminal lacks the lines; "
        "RFC 2217 has all of them.",
    ),
    errors.ConnectError: Explanation(20, ""),
    errors.SilentDeviceError: Explanation(
        21,
        "Is it the right port, is the device powered, are TX and RX connected and not swapped? "
        "Without DTR and RTS: hold BOOT, press RESET, release BOOT.",
    ),
    errors.WrongBootModeError: Explanation(
        22,
        "The reset did not reach download mode: hold BOOT, press RESET, release BOOT, and use "
        "--before no-reset; or check that DTR and RTS are wired.",
    ),
    errors.NoSyncError: Explanation(
        23, "The device sends and does not hear: check the line from the host's TX to its RX."
    ),
    errors.NoisyLineError: Explanation(
        24, "Is something else talking, is the baud rate of an intermediate device wrong?"
    ),
    errors.UnknownChipError: Explanation(30, "A newer version of esploader may know it."),
    errors.WrongChipError: Explanation(31, "Leave out --chip, or connect the other device."),
    errors.UnsupportedError: Explanation(32, ""),
    errors.StubError: Explanation(
        33,
        "'esploader stub install' gets Espressif's; --no-stub does without one, by the slower ROM "
        "loader.",
    ),
    errors.StubInstallError: Explanation(38, ""),
    errors.StubDownloadError: Explanation(
        39,
        "On a machine without a network: get esptool's source archive on another one ('pip "
        "download --no-deps --no-binary esptool esptool'), and use --from esptool-VERSION.tar.gz.",
    ),
    errors.PlanError: Explanation(34, ""),
    errors.FlashError: Explanation(
        35,
        "Run it again: what is in place is skipped, but in Secure Download Mode. Try a lower "
        "--baud, check the supply.",
    ),
    errors.VerifyError: Explanation(36, ""),
    errors.FlashLostError: Explanation(
        37, "One bit of a request that flips on a bad line does that: write the flash anew."
    ),
    errors.ProtocolError: Explanation(40, "The line may be bad: try a shorter cable."),
    errors.CommandError: Explanation(41, ""),
    errors.CommandFailedError: Explanation(42, ""),
    errors.UnsupportedCommandError: Explanation(43, ""),
    errors.NoResponseError: Explanation(
        44, "The device stopped answering: check power and cable, then try again."
    ),
    errors.ImageError: Explanation(
        50, "Is it the right file, made for this chip? If so, build or download it again."
    ),
    errors.ElfError: Explanation(53, "Is it what the linker made for this chip, and all of it?"),
    errors.FileError: Explanation(56, ""),
    errors.RecordingError: Explanation(51, ""),
    errors.RecordError: Explanation(
        54,
        "Make room on the disk, or name another file; boards that are not recorded are not done.",
    ),
    errors.DebugInfoError: Explanation(
        55, "Is it the ELF file that the linker made, with debug information, and all of it?"
    ),
    errors.UnexpectedOutputError: Explanation(61, ""),
    errors.PartitionTableError: Explanation(
        52,
        "Is it the right file, is the table at --partition-table-offset? 'partition-table' shows "
        "that of a device.",
    ),
}


REMOTE_HINTS: Final[dict[type[errors.EsploaderError], str]] = {
    errors.TransportError: "The log of the port server may say more.",
    errors.PortNotFoundError: (
        "Where the server runs: plug the device in, check the name of the port ('esploader ports' "
        "lists them there, 'esploader ports --at HOST' what a server calls its own), the cable "
        "and the driver."
    ),
    errors.PortBusyError: (
        "Close the other program: a serial monitor, perhaps; or wait in line for the port: "
        "rfc2217://HOST:PORT?wait=SECONDS. If it was killed just now, or its network broke, a port "
        "server may need up to half a minute to notice."
    ),
    errors.PortPermissionError: (
        "Where the server runs: let your address in, as with --allow; let the port be taken over, "
        "as with --takeover and --token-file; on Linux add the user of the server to the group of "
        "the port, usually dialout or uucp."
    ),
}
"""Where the port is at another machine and has to be seen to there."""

SSH_HINTS: Final[dict[type[errors.EsploaderError], str]] = {
    errors.TransportError: "'serve -v' at the far end, with the name of the port, may say more.",
    errors.PortNotFoundError: (
        "At the far end: plug the device in, check the name of the port ('esploader ports' lists "
        "them there), the cable and the driver."
    ),
    errors.PortPermissionError: (
        "At the far end: on Linux add the user to the group of the port, usually dialout or uucp."
    ),
    errors.PortBusyError: (
        "At the far end: close the other program. If its ssh broke off just now, sshd there may "
        "need a while to notice."
    ),
    errors.HostUnreachableError: (
        "Check host and port number, that sshd runs there, and the firewall: try 'ssh HOST'."
    ),
    errors.NegotiationError: "Is the esploader at the far end as new as this one?",
    errors.SshError: EXPLANATIONS[errors.SshError].hint,
}
"""The same where ``ssh`` leads there."""


def explain(error: errors.EsploaderError) -> Explanation:
    """Return the explanation of the closest class that has one.

    What broke off because the port was taken over is explained by that.
    """
    error = _taking_over(error) or error
    port = error.port if isinstance(error, errors.TransportError) else ""
    hints = REMOTE_HINTS if port.startswith(REMOTE_SCHEMES) else {}
    if port.startswith(SSH_SCHEME):
        hints = SSH_HINTS
    for error_class in type(error).__mro__:
        explanation = EXPLANATIONS.get(error_class)
        if explanation is not None:
            hint = hints.get(error_class)
            return explanation if hint is None else attrs.evolve(explanation, hint=hint)
    return EXPLANATIONS[errors.EsploaderError]


def _taking_over(error: errors.EsploaderError) -> errors.PortTakenOverError | None:
    """Return what among the causes of ``error`` says that the port was taken over."""
    # What was raised once more because of what came of it is among its own causes.
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, errors.PortTakenOverError):
            return cause
        seen.append(cause)
        cause = cause.__cause__
    return None
