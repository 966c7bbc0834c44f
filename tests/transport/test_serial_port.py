"""Ports of this machine, and objects of pyserial, as transports."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import serial
from serial.urlhandler import protocol_loop
from typing_extensions import override

from esploader.errors import (
    BaudrateError,
    CapabilityError,
    PortBusyError,
    PortNotFoundError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
    UnknownSchemeError,
    UrlError,
)
from esploader.transport import modem_lines
from esploader.transport.line_format import FlowControl, InputLines, LineFormat, Parity
from esploader.transport.serial_port import SerialPortTransport
from pseudo_terminal import PseudoTerminal
from tcp_host import read_until_closed, tcp_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

termios = pytest.importorskip("termios", reason="pseudo-terminals are POSIX")

ALL_BYTES = bytes(range(256)) * 8


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    opened = PseudoTerminal()
    yield opened
    opened.close()


def read(transport: SerialPortTransport, size: int) -> bytes:
    data = b""
    deadline = transport.clock.now() + 10
    while len(data) < size and transport.clock.now() < deadline:
        data += transport.read(deadline)
    return data


def test_bytes_pass_unchanged_both_ways(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        transport.write(ALL_BYTES)
        assert terminal.read(len(ALL_BYTES)) == ALL_BYTES
        terminal.write(ALL_BYTES)
        assert read(transport, len(ALL_BYTES)) == ALL_BYTES
        assert transport.name == terminal.path


def test_reading_ends_at_its_deadline_and_a_past_one_polls(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        assert transport.read(transport.clock.now() + 0.01) == b""
        assert transport.read(0.0) == b""


def test_the_baud_rate_reaches_the_system(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path, baudrate=9600) as transport:
        assert transport.baudrate == 9600
        assert termios.tcgetattr(terminal)[5] == termios.B9600
        transport.set_baudrate(921600)
        assert transport.baudrate == 921600
        assert termios.tcgetattr(terminal)[5] == termios.B921600


@pytest.mark.parametrize("rate", [-1, 2**32 - 1, 2**40])
def test_an_impossible_rate_is_refused_and_the_old_one_stays(
    terminal: PseudoTerminal, rate: int
) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        with pytest.raises(BaudrateError, match=f"it cannot do {rate} baud$"):
            transport.set_baudrate(rate)
        assert transport.baudrate == 115200
        transport.write(b"x")
        assert terminal.read(1) == b"x"


def test_a_port_without_lines_says_so_before_anybody_tries(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        assert not transport.capabilities.set_lines
        assert not transport.capabilities.set_lines_at_once
        assert transport.capabilities.usb_vid is None
        with pytest.raises(CapabilityError):
            transport.set_lines(dtr=True)


def test_both_lines_change_in_one_step_and_the_others_stay() -> None:
    dtr, rts, out1 = termios.TIOCM_DTR, termios.TIOCM_RTS, 0x2000

    assert modem_lines.changed(out1 | dtr, dtr=False, rts=True) == out1 | rts
    assert modem_lines.changed(out1 | rts, dtr=True, rts=False) == out1 | dtr
    assert modem_lines.changed(out1 | rts, dtr=None, rts=False) == out1
    assert modem_lines.changed(dtr, dtr=True, rts=None) == dtr


def test_discarding_takes_what_is_there(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        terminal.write(b"stale")
        first = transport.read(transport.clock.now() + 10)
        assert first + transport.discard_input() == b"stale"
        terminal.write(b"fresh")
        assert read(transport, 5) == b"fresh"


def test_a_device_that_is_unplugged_closes_the_transport(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        terminal.unplug()
        with pytest.raises(TransportClosedError):
            transport.read(transport.clock.now() + 10)
        with pytest.raises(TransportClosedError):
            transport.write(b"x")
        with pytest.raises(TransportClosedError):
            transport.set_baudrate(9600)


def test_using_a_closed_transport_is_an_error_and_closing_it_again_is_not(
    terminal: PseudoTerminal,
) -> None:
    transport = SerialPortTransport.open(terminal.path)
    transport.close()
    transport.close()
    with pytest.raises(TransportClosedError, match="is closed"):
        transport.read(0.0)


def test_a_port_that_takes_nothing_ends_in_a_timeout(terminal: PseudoTerminal) -> None:
    with serial.Serial(terminal.path, write_timeout=0.05) as port:
        transport = SerialPortTransport.from_port(port)
        with pytest.raises(TransportTimeoutError):
            transport.write(bytes(1024 * 1024))


@pytest.mark.parametrize("scheme", ["", "spy://", "alt://"])
def test_no_such_port(scheme: str, tmp_path: Path) -> None:
    name = scheme + str(tmp_path / "ttyUSB0")
    with pytest.raises(PortNotFoundError) as caught:
        SerialPortTransport.open(name)
    assert caught.value.port == name
    # Neither the name nor the failure once more, as pyserial has them.
    assert str(caught.value) == f"{name}: there is no such device"


def test_a_busy_port_is_free_again_after_its_user(terminal: PseudoTerminal) -> None:
    with (
        SerialPortTransport.open(terminal.path),
        pytest.raises(PortBusyError, match=r": another program has it$"),
    ):
        SerialPortTransport.open(terminal.path)
    SerialPortTransport.open(terminal.path).close()


def test_a_port_that_this_user_may_not_open(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch(mode=0)
    program = """
        import os, sys
        from esploader.errors import TransportError
        from esploader.transport.serial_port import SerialPortTransport
        if os.geteuid() == 0:
            os.setuid(65534)  # nobody: root may open everything
        try:
            SerialPortTransport.open(sys.argv[1])
        except TransportError as exc:
            print(type(exc).__name__, exc.reason)
    """
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(port)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout == "PortPermissionError permission denied\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/dev/null", "it is no serial port"),
        ("/dev", "Is a directory"),
        ("bad\0name", "embedded null byte"),
    ],
)
def test_what_is_no_serial_port(name: str, reason: str) -> None:
    with pytest.raises(TransportError) as caught:
        SerialPortTransport.open(name)
    assert type(caught.value) is TransportError
    assert caught.value.reason == reason


@pytest.mark.parametrize("rate", [0, -9600])
def test_what_is_no_baud_rate(rate: int) -> None:
    with pytest.raises(TransportError, match="is no baud rate"):
        SerialPortTransport.open("loop://", baudrate=rate)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("hwgrep://nothing-is-called-so", PortNotFoundError),
        ("hwgrep://(", UrlError),
        ("spy:///dev/ttyS0?bogus=1", UrlError),
        ("spy:///dev/null?file=/does/not/exist", UrlError),
        ("loop://?logging=loud", UrlError),
        ("alt:///dev/ttyS0?class=Bogus", UrlError),
        ("no-such://x", UnknownSchemeError),
    ],
)
def test_urls_of_pyserial_that_make_no_sense(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        SerialPortTransport.open(url)


def test_a_scheme_that_pyserial_does_not_know_either() -> None:
    with pytest.raises(UnknownSchemeError, match="carrier"):
        SerialPortTransport.open("carrier://pigeon")


def test_other_urls_of_pyserial_work(
    terminal: PseudoTerminal, capsys: pytest.CaptureFixture[str]
) -> None:
    with SerialPortTransport.open(f"spy://{terminal.path}") as transport:
        transport.write(b"seen")
        assert terminal.read(4) == b"seen"
    assert "seen" in capsys.readouterr().err


class CountingPort(protocol_loop.Serial):
    """A port without a descriptor that counts how often its timeout is set."""

    timeouts_set = 0

    @override
    def __setattr__(self, name: str, value: object) -> None:
        if name == "timeout":
            self.timeouts_set += 1
        super().__setattr__(name, value)


def test_a_port_without_a_descriptor_gets_one_timeout_once() -> None:
    with CountingPort("loop://") as port:
        transport = SerialPortTransport.from_port(port)
        assert transport.fileno() is None
        set_so_far = port.timeouts_set
        for _ in range(3):
            assert transport.read(0.0) == b""
            assert transport.read(transport.clock.now() + 0.03) == b""
            transport.write(ALL_BYTES)
            assert read(transport, len(ALL_BYTES)) == ALL_BYTES
        assert port.timeouts_set == set_so_far
        transport.write(b"stale")
        assert transport.discard_input() == b"stale"


def test_lines_of_a_port_without_a_descriptor_are_set_one_by_one() -> None:
    with CountingPort("loop://") as port:
        transport = SerialPortTransport.from_port(port)
        assert transport.capabilities.set_lines
        assert not transport.capabilities.set_lines_at_once
        # On loop:// RTS is CTS, and DTR is DSR.
        for dtr, rts in ((True, False), (False, True), (True, True), (False, False)):
            transport.set_lines(dtr=dtr, rts=rts)
            assert (port.dsr, port.cts) == (dtr, rts)


def test_a_port_that_was_handed_over_is_given_back_as_it_was(terminal: PseudoTerminal) -> None:
    with serial.Serial(terminal.path, timeout=7, write_timeout=8) as port:
        with SerialPortTransport.from_port(port) as transport:
            assert port.timeout == 0
            transport.write(b"x")
        assert port.is_open
        assert (port.timeout, port.write_timeout) == (7, 8)


def test_a_port_that_is_not_open_cannot_be_handed_over() -> None:
    port = serial.Serial()
    with pytest.raises(TransportClosedError, match="not open"):
        SerialPortTransport.from_port(port)


def test_a_socket_of_pyserial_has_neither_lines_nor_a_rate() -> None:
    with (
        tcp_host(read_until_closed) as tcp_port,
        serial.serial_for_url(f"socket://127.0.0.1:{tcp_port}") as port,
    ):
        transport = SerialPortTransport.from_port(port)
        assert not transport.capabilities.set_lines
        assert not transport.capabilities.set_baudrate
        assert transport.read(transport.clock.now() + 0.01) == b""


class PromisingPort(protocol_loop.Serial):
    """A port whose descriptor always says that there is something, and there never is."""

    reads = 0

    @override
    def open(self) -> None:
        super().open()
        self._reader, self._writer = os.pipe()
        os.write(self._writer, b"x")

    @override
    def close(self) -> None:
        if self.is_open:
            os.close(self._reader)
            os.close(self._writer)
        super().close()

    @override
    def fileno(self) -> int:
        return self._reader

    @override
    def read(self, size: int = 1) -> bytes:
        self.reads += 1
        return b""


def test_a_descriptor_that_promises_too_much_is_not_polled_without_rest() -> None:
    with PromisingPort("loop://") as port:
        transport = SerialPortTransport.from_port(port)
        assert transport.read(transport.clock.now() + 0.02) == b""
        assert port.reads <= 25


def test_writing_without_waiting_takes_what_there_is_room_for(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        taken = 0
        while written := transport.write_some(bytes(65536)):
            taken += written
            assert taken < 16 * 1024 * 1024
        assert taken > 0

        transport.discard_output()
        assert transport.output_size() == 0


def test_a_port_without_descriptor_takes_all_at_once() -> None:
    with SerialPortTransport.open("loop://") as transport:
        assert transport.write_some(b"abc") == 3
        assert read(transport, 3) == b"abc"


def test_a_port_that_is_gone_fails_whatever_is_done_to_it(terminal: PseudoTerminal) -> None:
    with SerialPortTransport.open(terminal.path) as transport:
        transport.close()
        for action in (
            lambda: transport.write_some(b"x"),
            transport.output_size,
            transport.discard_output,
            lambda: transport.set_line_format(LineFormat()),
            lambda: transport.set_break(asserted=True),
        ):
            with pytest.raises(TransportClosedError):
                action()


@pytest.mark.parametrize(
    "line_format",
    [
        LineFormat(),
        LineFormat(data_size=7, parity=Parity.EVEN, stop_size=2.0),
        LineFormat(parity=Parity.MARK, flow_control=FlowControl.XON_XOFF),
        LineFormat(flow_control=FlowControl.RTS_CTS),
    ],
)
def test_the_format_of_the_line_is_what_was_set(line_format: LineFormat) -> None:
    with SerialPortTransport.open("loop://") as transport:
        assert transport.line_format == LineFormat()
        transport.set_line_format(line_format)
        assert transport.line_format == line_format


class Pedantic(protocol_loop.Serial):
    """A port that refuses seven bits when it is told so."""

    # The type stubs leave it out.
    def _reconfigure_port(self) -> None:
        if self.bytesize == 7:
            raise ValueError("no such size")


def test_a_format_that_the_port_refuses_leaves_the_one_before() -> None:
    with (
        Pedantic("loop://", 115200) as port,
        SerialPortTransport.from_port(port) as transport,
    ):
        with pytest.raises(TransportError, match="no such size"):
            transport.set_line_format(LineFormat(data_size=7, parity=Parity.ODD))
        assert transport.line_format == LineFormat()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has it")
def test_flow_control_by_dsr_does_not_exist_here() -> None:
    with (
        SerialPortTransport.open("loop://") as transport,
        pytest.raises(CapabilityError, match="DSR"),
    ):
        transport.set_line_format(LineFormat(flow_control=FlowControl.DTR_DSR))


def test_the_lines_of_the_other_end_are_told_where_there_are_any(
    terminal: PseudoTerminal,
) -> None:
    with SerialPortTransport.open("loop://") as transport:
        transport.set_lines(dtr=False, rts=True)
        assert transport.input_lines() == InputLines(cts=True, dsr=False, ri=False, dcd=True)
        transport.set_break(asserted=True)
    with SerialPortTransport.open(terminal.path) as transport:
        assert transport.input_lines() is None


class WithoutWriteTimeout(protocol_loop.Serial):
    """A port that refuses a write timeout and keeps it all the same, as ``rfc2217://`` does."""

    # The type stubs leave it out.
    def _reconfigure_port(self) -> None:
        if self.write_timeout is not None:
            raise NotImplementedError


def test_settings_of_a_port_without_write_timeout_can_be_changed() -> None:
    with WithoutWriteTimeout("loop://", 115200) as port:
        with SerialPortTransport.from_port(port) as transport:
            transport.set_baudrate(9600)
        assert port.baudrate == 9600
