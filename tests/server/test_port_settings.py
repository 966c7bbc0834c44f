"""Every RFC 2217 request has an answer, and the answer is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.errors import CapabilityError, TransportError
from esploader.server.port_settings import MODEM_PERIOD, MODEM_STATE, PortSettings
from esploader.server.served_port import ServedPort
from esploader.transport.com_port import Code, Control, Purge, Setting
from esploader.transport.line_format import FlowControl, InputLines, LineFormat, Parity
from fake_transport import IMPOSSIBLE_RATE, FakeTransport

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake() -> Iterator[FakeTransport]:
    with FakeTransport() as transport:
        yield transport


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Setting(Code.SET_BAUDRATE, 921600), 921600),
        (Setting(Code.SET_BAUDRATE, 0), 115200),
        (Setting(Code.SET_BAUDRATE, IMPOSSIBLE_RATE), 115200),
        (Setting(Code.SET_DATASIZE, 8), 8),
        (Setting(Code.SET_DATASIZE, 7), 8),
        (Setting(Code.SET_DATASIZE, 0), 8),
        (Setting(Code.SET_PARITY, 3), 1),
        (Setting(Code.SET_STOPSIZE, 2), 1),
        (Setting(Code.SET_CONTROL, Control.ASK_FLOW_CONTROL), Control.NO_FLOW_CONTROL),
        (Setting(Code.SET_CONTROL, Control.RTS_CTS), Control.RTS_CTS),
        (Setting(Code.SET_CONTROL, Control.XON_XOFF), Control.XON_XOFF),
        (Setting(Code.SET_CONTROL, 19), Control.NO_FLOW_CONTROL),
        (Setting(Code.SET_CONTROL, Control.BREAK_ON), Control.BREAK_OFF),
        (Setting(Code.SET_CONTROL, Control.ASK_DTR), Control.DTR_OFF),
        (Setting(Code.SET_CONTROL, Control.DTR_ON), Control.DTR_ON),
        (Setting(Code.SET_CONTROL, Control.ASK_RTS), Control.RTS_OFF),
        (Setting(Code.SET_CONTROL, Control.RTS_ON), Control.RTS_ON),
        (Setting(Code.SET_CONTROL, 15), Control.NO_INBOUND_FLOW_CONTROL),
        (Setting(Code.SET_CONTROL, 200), Control.NO_INBOUND_FLOW_CONTROL),
        (Setting(Code.NOTIFY_MODEMSTATE), MODEM_STATE),
        (Setting(Code.NOTIFY_LINESTATE), 0),
        (Setting(Code.SET_LINESTATE_MASK, 5), 5),
        (Setting(Code.SET_MODEMSTATE_MASK, 255), 255),
        (Setting(Code.PURGE_DATA, Purge.BOTH), Purge.BOTH),
    ],
)
def test_requests_are_answered_with_how_the_port_is_set(
    fake: FakeTransport, request_: Setting, answer: int
) -> None:
    assert PortSettings(ServedPort(fake)).apply(request_) == Setting(request_.code, answer)


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.SIGNATURE])
def test_every_value_of_every_request_has_an_answer(fake: FakeTransport, code: Code) -> None:
    settings = PortSettings(ServedPort(fake))
    for value in range(256):
        assert settings.apply(Setting(code, value)).code is code


def test_lines_that_were_set_are_told(fake: FakeTransport) -> None:
    settings = PortSettings(ServedPort(fake))
    settings.apply(Setting(Code.SET_CONTROL, Control.DTR_ON))
    settings.apply(Setting(Code.SET_CONTROL, Control.RTS_ON))
    settings.apply(Setting(Code.SET_CONTROL, Control.RTS_OFF))

    for ask, told in (
        (Control.ASK_DTR, Control.DTR_ON),
        (Control.ASK_RTS, Control.RTS_OFF),
    ):
        assert settings.apply(Setting(Code.SET_CONTROL, ask)).value == told


def test_a_port_without_lines_answers_as_asked_so_that_clients_go_on() -> None:
    with FakeTransport(set_lines=False) as fake:
        settings = PortSettings(ServedPort(fake))
        answer = settings.apply(Setting(Code.SET_CONTROL, Control.DTR_ON))
        settings.restore()

        assert answer == Setting(Code.SET_CONTROL, Control.DTR_ON)
        assert fake.happenings.empty()


def test_flow_control_that_the_port_does_not_do_is_acknowledged_and_told_once_in_the_log(
    fake: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    """A pyserial that asks for it when it opens a port would give up otherwise."""
    settings = PortSettings(ServedPort(fake))
    for _ in range(3):
        settings.apply(Setting(Code.SET_CONTROL, Control.RTS_CTS))
    assert settings.apply(Setting(Code.SET_CONTROL, Control.ASK_FLOW_CONTROL)).value == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{fake.name}: a client asked for flow control by RTS/CTS, which the port does not do"
    ]


def test_only_a_rate_that_a_client_set_is_taken_back(fake: FakeTransport) -> None:
    settings = PortSettings(ServedPort(fake))
    fake.set_baudrate(230400)
    settings.restore()
    assert fake.baudrate == 230400

    settings.apply(Setting(Code.SET_BAUDRATE, 921600))
    settings.restore()
    assert fake.baudrate == 230400


class AbleTransport(FakeTransport):
    """A port that can be set beyond 8N1, but for five bits, and has input lines."""

    def __init__(self) -> None:
        super().__init__()
        self.line_format = LineFormat()
        self.lines = InputLines(cts=False, dsr=False, ri=False, dcd=False)

    def set_line_format(self, line_format: LineFormat) -> None:
        if line_format.data_size == 5:
            raise TransportError(self.name, "no five bits")
        if line_format.flow_control is FlowControl.DTR_DSR:
            raise CapabilityError(self.name, "hold bytes back by DSR")
        self.line_format = line_format

    def set_break(self, *, asserted: bool) -> None:
        self.happenings.put(("break", asserted))

    def input_lines(self) -> InputLines:
        return self.lines


@pytest.fixture
def able() -> Iterator[AbleTransport]:
    with AbleTransport() as transport:
        yield transport


def test_everything_is_set_on_a_port_that_can_and_taken_back_in_the_end(
    able: AbleTransport,
) -> None:
    settings = PortSettings(ServedPort(able))
    for request in (
        Setting(Code.SET_DATASIZE, 7),
        Setting(Code.SET_PARITY, 3),
        Setting(Code.SET_STOPSIZE, 2),
        Setting(Code.SET_CONTROL, Control.XON_XOFF),
        Setting(Code.SET_CONTROL, Control.BREAK_ON),
    ):
        assert settings.apply(request) == request
    assert able.line_format == LineFormat(
        data_size=7, parity=Parity.EVEN, stop_size=2.0, flow_control=FlowControl.XON_XOFF
    )
    for code, value in ((Code.SET_DATASIZE, 7), (Code.SET_PARITY, 3), (Code.SET_STOPSIZE, 2)):
        assert settings.apply(Setting(code)) == Setting(code, value)
    for ask, told in (
        (Control.ASK_FLOW_CONTROL, Control.XON_XOFF),
        (Control.ASK_INBOUND_FLOW_CONTROL, Control.INBOUND_XON_XOFF),
        (Control.ASK_BREAK, Control.BREAK_ON),
    ):
        assert settings.apply(Setting(Code.SET_CONTROL, ask)).value == told

    settings.restore()
    assert able.line_format == LineFormat()
    assert able.happened(2) == [("break", True), ("break", False)]
    assert able.happenings.empty()


@pytest.mark.parametrize("first", [Control.NO_FLOW_CONTROL, Control.XON_XOFF, Control.RTS_CTS])
def test_every_value_of_flow_control_has_an_answer_that_is_true(
    able: AbleTransport, first: Control
) -> None:
    for value in range(256):
        settings = PortSettings(ServedPort(able))
        settings.apply(Setting(Code.SET_CONTROL, first))
        answer = settings.apply(Setting(Code.SET_CONTROL, value)).value
        told = {
            **dict.fromkeys((1, 14), FlowControl.NONE),
            **dict.fromkeys((2, 15), FlowControl.XON_XOFF),
            **dict.fromkeys((3, 16), FlowControl.RTS_CTS),
        }
        if answer in told:
            assert able.line_format.flow_control is told[answer], value
        else:
            assert answer in {5, 6, 8, 9, 11, 12}, value


def test_a_format_that_the_port_refuses_is_answered_with_the_old_one(able: AbleTransport) -> None:
    settings = PortSettings(ServedPort(able))
    assert settings.apply(Setting(Code.SET_DATASIZE, 5)).value == 8
    assert settings.apply(Setting(Code.SET_CONTROL, Control.DSR)).value == 1


def test_the_state_of_the_input_lines_is_told_when_asked(able: AbleTransport) -> None:
    able.lines = InputLines(cts=True, dsr=False, ri=False, dcd=True)
    settings = PortSettings(ServedPort(able))
    assert settings.apply(Setting(Code.NOTIFY_MODEMSTATE)).value == 0x90


@pytest.mark.parametrize(
    ("before", "after", "mask", "told"),
    [
        ({}, {"cts": True}, 0xFF, [0x11]),
        ({"cts": True}, {}, 0xFF, [0x01]),
        ({}, {"dsr": True, "dcd": True}, 0xFF, [0xAA]),
        ({}, {"ri": True}, 0xFF, [0x40]),
        ({"ri": True}, {}, 0xFF, [0x04]),
        ({}, {"cts": True}, 0x10, [0x10]),
        ({}, {"cts": True}, 0x01, [0x01]),
        ({}, {"cts": True}, 0xEE, []),
        ({"cts": True}, {"cts": True}, 0xFF, []),
        ({}, {"cts": True}, 0x00, []),
    ],
)
def test_changes_of_the_input_lines_are_told_under_the_mask(
    able: AbleTransport, before: dict[str, bool], after: dict[str, bool], mask: int, told: list[int]
) -> None:
    nothing = {"cts": False, "dsr": False, "ri": False, "dcd": False}
    settings = PortSettings(ServedPort(able))
    able.lines = InputLines(**(nothing | before))
    settings.watch(0.0)
    assert settings.apply(Setting(Code.SET_MODEMSTATE_MASK, mask)).value == mask
    able.lines = InputLines(**(nothing | after))
    assert settings.changes(MODEM_PERIOD / 2) == []
    changes = settings.changes(MODEM_PERIOD)
    assert changes == [Setting(Code.NOTIFY_MODEMSTATE, state) for state in told]
    assert settings.changes(10.0) == []


def test_nobody_looks_at_input_lines_without_a_client_or_without_lines(
    able: AbleTransport, fake: FakeTransport
) -> None:
    settings = PortSettings(ServedPort(able))
    assert settings.next_at == float("inf")
    settings.watch(0.0)
    assert settings.next_at == MODEM_PERIOD
    settings.restore()
    assert settings.next_at == float("inf")

    settings = PortSettings(ServedPort(fake))
    settings.watch(0.0)
    assert settings.next_at == float("inf")
