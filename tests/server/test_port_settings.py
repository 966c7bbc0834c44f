"""Every RFC 2217 request has an answer, and the answer is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esploader.server.port_settings import MODEM_STATE, PortSettings
from esploader.server.served_port import ServedPort
from esploader.transport.com_port import Code, Control, Purge, Setting
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
        (Setting(Code.SET_CONTROL, Control.RTS_CTS), Control.NO_FLOW_CONTROL),
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


def test_only_a_rate_that_a_client_set_is_taken_back(fake: FakeTransport) -> None:
    settings = PortSettings(ServedPort(fake))
    fake.set_baudrate(230400)
    settings.restore()
    assert fake.baudrate == 230400

    settings.apply(Setting(Code.SET_BAUDRATE, 921600))
    settings.restore()
    assert fake.baudrate == 230400
