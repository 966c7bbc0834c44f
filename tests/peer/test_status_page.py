"""The status page in a real browser: what is seen at each width, what moves, what is refused.

``ESPLOADER_PICTURES=1 ESPLOADER_FULL=1 python -m pytest tests/peer/test_status_page.py`` makes the
picture in the documentation anew.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from selenium.webdriver.common.keys import Keys

from browsers import CONTRAST, Browser, browser
from esploader.connector import connect
from esploader.errors import TransportError
from esploader.server.config import PortConfig, Protocol, ServerConfig
from esploader.server.status_address import StatusAddress
from eventually import eventually
from pseudo_terminal import PseudoTerminal
from served import attached
from status_pages import BENCH, CONFIG, TOKEN, status_page, token_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from status_pages import Page

pytestmark = [pytest.mark.peer, pytest.mark.slow]

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "status-page.png"
MAX_PICTURE_SIZE = 200 * 1024

MARKUP = "<img src=x onerror=\"alert('caught')\"><script>alert(1)</script>"
LONG = "a-name-that-is-much-too-long-for-a-phone-" * 4

LOOKS = [(360, 740, "light"), (360, 740, "dark"), (1280, 900, "light"), (1280, 900, "dark")]


@pytest.fixture(name="window", scope="module")
def _window() -> Iterator[Browser]:
    with browser() as window:
        yield window


@pytest.fixture(name="device")
def _device() -> Iterator[PseudoTerminal]:
    with contextlib.closing(PseudoTerminal()) as device:
        yield device


@pytest.fixture(name="page")
def _page(tmp_path: Path, device: PseudoTerminal) -> Iterator[Page]:
    """A server whose ports are called what nobody should call them."""
    config = ServerConfig(
        ports=(
            BENCH,
            PortConfig(source=device.path, name=MARKUP, protocol=Protocol.RAW),
            PortConfig(source="/dev/" + LONG, name=LONG),
        ),
        tcp_port=0,
        status=StatusAddress(port=0),
        token_file=token_file(tmp_path),
    )
    with status_page(config) as page:
        yield page


def shown(window: Browser, page: Page) -> Browser:
    """Open the page, and wait until it lives."""
    window.open("about:blank")
    assert isinstance(window.faults, list)
    window.open(f"http://127.0.0.1:{page.number}/")
    window.wait_for_text("#connection", "live")
    window.wait(lambda: len(window.all("#ports > li")) == len(page.server.server.places), "ports")
    return window


def card(name: str) -> str:
    """Return the selector of a port, which is at that place in the list."""
    return f"#ports > li:nth-child({name})"


@pytest.mark.parametrize(("width", "height", "scheme"), LOOKS)
def test_it_is_readable_at_every_width_and_in_both_schemes(
    window: Browser, page: Page, width: int, height: int, scheme: str
) -> None:
    window.look_like(width, height, scheme)
    shown(window, page)
    window.one(f"{card('1')} .listen").click()
    window.one("#board-section:not([hidden])")
    assert window.overflow == 0
    assert window.ask(CONTRAST) == []
    back = window.ask("return getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(244, 246, 248)" if scheme == "light" else "rgb(18, 24, 29)")
    window.one(f"{card('1')} .reset").click()
    window.one("#change[open]")
    assert window.overflow == 0
    assert window.ask(CONTRAST) == []
    assert window.faults == []


def test_what_comes_from_outside_stays_text(
    window: Browser, page: Page, device: PseudoTerminal
) -> None:
    window.look_like(1280, 900, "light")
    shown(window, page)
    assert window.text(f"{card('2')} h3") == MARKUP
    window.one(f"{card('2')} .listen").click()
    window.wait_for_text("#board-title", MARKUP)
    device.write(MARKUP.encode() + b"\x1b[31mred\x1b[0m\0 end")
    window.wait_for_text("#board", " end")
    assert window.text("#board").endswith(f"{MARKUP}red\u00b7 end")
    url = page.server.place(MARKUP).url
    with attached(url):
        window.wait_for_text("#log", "client-came")
    assert MARKUP.replace('"', '\\"') in window.text("#log")
    assert window.all("#ports img, #log img, #board img, main script") == []
    assert window.faults == []


def test_the_log_and_the_board_move_while_somebody_looks(window: Browser, page: Page) -> None:
    window.look_like(1280, 900, "light")
    shown(window, page)
    window.one(f"{card('1')} .listen").click()
    url = page.server.place("bench-1").url
    with eventually(lambda: connect(url, stub=False), TransportError):
        window.wait_for_text("#log", "client-came port=bench-1")
        window.wait_for_text("#board", "waiting for download")
        window.wait_for_text(f"{card('1')} .state", "in use")
        window.wait_for_text(f"{card('1')} dl", "127.0.0.1:")
    window.wait_for_text(f"{card('1')} .state", "free")
    window.wait_for_text("#log", "client-left port=bench-1")
    window.one("#board-close").click()
    window.wait(lambda: not window.one("#board-section").is_displayed(), "closed")
    assert window.faults == []


def test_a_port_is_released_with_the_token_and_with_no_other(window: Browser, page: Page) -> None:
    window.look_like(360, 740, "light")
    shown(window, page)
    url = page.server.place("bench-1").url
    with eventually(lambda: connect(url, stub=False), TransportError):
        window.wait_for_text(f"{card('1')} .state", "in use")
        window.wait(lambda: window.one(f"{card('1')} .release").is_enabled(), "the button")
        assert window.faults == []
        window.one(f"{card('1')} .release").click()
        window.one("#token").send_keys("wrong")
        window.one("#change-do").click()
        window.wait_for_text("#change-result", "this is not the token of the server")
        assert window.text(f"{card('1')} .state") == "in use"
        # The browser says so in its console, too.
        assert all("401" in fault for fault in window.faults)
        window.one("#token").clear()
        window.one("#token").send_keys(TOKEN, Keys.ENTER)
        window.wait(lambda: not window.one("#change").is_displayed(), "the end of the dialogue")
        window.wait_for_text(f"{card('1')} .state", "free")
    assert window.faults == []


def test_a_board_in_use_is_reset_by_force_alone(window: Browser, page: Page) -> None:
    shown(window, page)
    url = page.server.place("bench-1").url
    with eventually(lambda: connect(url, stub=False), TransportError):
        window.wait_for_text(f"{card('1')} .state", "in use")
        window.one(f"{card('1')} .reset").click()
        window.one("#token").clear()
        window.one("#token").send_keys(TOKEN)
        window.one("#change-do").click()
        window.wait_for_text("#change-result", "has it")
        window.one("#force").click()
        window.one("#change-do").click()
        window.wait(lambda: not window.one("#change").is_displayed(), "the end of the dialogue")
        window.wait_for_text("#log", "reset-asked")


def test_it_can_be_used_by_keys_alone(window: Browser, page: Page) -> None:
    window.look_like(1280, 900, "light")
    shown(window, page)
    body = window.one("body")
    body.send_keys(Keys.TAB)
    assert window.ask("return document.activeElement.id") == "filter"
    window.driver.switch_to.active_element.send_keys("bench-1")
    window.wait(lambda: len(displayed(window, "#ports > li")) == 1, "one port")
    window.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert window.ask("return document.activeElement.getAttribute('aria-label')") == (
        "Listen to bench-1"
    )
    window.driver.switch_to.active_element.send_keys(Keys.SPACE)
    window.wait_for_text("#board-title", "What bench-1 says")
    reset = window.one(f"{card('1')} .reset")
    reset.send_keys(Keys.ENTER)
    window.one("#change[open]")
    assert window.ask("return document.activeElement.id") == "token"
    window.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    window.wait(lambda: not window.one("#change").is_displayed(), "the end of the dialogue")
    unnamed = window.ask(
        "return [...document.querySelectorAll('button,input')].filter((each) => "
        "!each.textContent.trim() && !each.labels?.length && !each.ariaLabel)"
        ".map((each) => each.outerHTML)"
    )
    assert unnamed == []


def displayed(window: Browser, selector: str) -> list[object]:
    return [each for each in window.all(selector) if each.is_displayed()]


def test_it_says_that_it_has_lost_the_server_and_comes_back_by_itself(
    window: Browser, tmp_path: Path
) -> None:
    window.look_like(1280, 900, "light")
    with status_page() as page:
        shown(window, page)
        number = page.number
    window.wait_for_text("#connection", "lost the server")
    again = attrs.evolve(CONFIG, status=StatusAddress(port=number))
    with status_page(attrs.evolve(again, token_file=token_file(tmp_path))):
        window.wait_for_text("#connection", "live")
        window.wait(lambda: window.one(f"{card('1')} .reset").is_enabled(), "the token file")


def test_the_picture_of_the_documentation(window: Browser, tmp_path: Path) -> None:
    names = ("bench 1", "bench 2", "bench 3", "rack, upper left")
    chips = ("esp32c3", "esp32s3", "esp32c6", "esp32")
    ports = tuple(
        PortConfig(source=f"sim://{chip}", name=name)
        for chip, name in zip(chips, names, strict=True)
    )
    missing = PortConfig(source="/dev/ttyUSB3", name="bench 5")
    config = attrs.evolve(CONFIG, ports=(*ports, missing), token_file=token_file(tmp_path))
    window.look_like(1000, 1150, "light")
    with status_page(config) as page, contextlib.ExitStack() as stack:
        shown(window, page)
        for name in names[:2]:
            url = page.server.place(name).url
            device = eventually(lambda url=url: connect(url, stub=False), TransportError)  # type: ignore[misc]
            stack.enter_context(device)
            device.flash.write([(0x10000, bytes(20_000))])
        window.wait(lambda: len(window.all('[data-state="in use"]')) == 2, "two in use")
        window.one(f"{card('3')} .listen").click()
        assert page.change("reset", wish={"port": "bench 3"}).status == 200
        window.wait_for_text("#board", "ESP-ROM:esp32c6")
        picture = window.picture()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < MAX_PICTURE_SIZE
    if os.environ.get("ESPLOADER_PICTURES") == "1":
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(picture)
    assert PICTURE.read_bytes().startswith(b"\x89PNG")
