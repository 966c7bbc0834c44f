"""Chromium of the distribution, as a person would use it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from peers import require_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.remote.webelement import WebElement

PATIENCE = 30.0
"""When something on a page is given up, in seconds."""

CONTRAST = """
const luminance = (colour) => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const backOf = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
return [...document.querySelectorAll("h1,h2,h3,p,dt,dd,button:enabled,label,a,li,pre,span")]
  .filter((element) => element.offsetParent !== null && element.textContent.trim() !== "")
  .map((element) => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(backOf(element))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 200)];
  })
  .filter(([ratio]) => ratio < 4.5)
  .map(([ratio, html]) => `${ratio.toFixed(2)}: ${html}`);
"""
"""The texts that are hard to read: WCAG 2.1, 1.4.3, level AA."""


class Browser:
    """A window, and what is seen in it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Open a page."""
        self.driver.get(url)

    def look_like(self, width: int, height: int, scheme: str) -> None:
        """Be as wide and high, in pixels, on a system that is ``light`` or ``dark``."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that a selector of CSS names."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """Return the only one, once it is there."""
        self.wait(lambda: len(self.all(selector)) == 1, f"one {selector}")
        return self.all(selector)[0]

    def text(self, selector: str) -> str:
        """Return the text of the only one, shown or not."""
        return str(self.one(selector).get_attribute("textContent"))

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(
            lambda _: condition(), f"{what} did not come; there was {self.source[:2000]}"
        )

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until there is a text in the only element of that kind."""
        self.wait(lambda: text in self.text(selector), repr(text))

    @property
    def source(self) -> str:
        """The document as it is now."""
        return self.driver.page_source

    def ask(self, script: str) -> object:
        """Return what a script returns."""
        found: object = self.driver.execute_script(script)
        return found

    @property
    def overflow(self) -> object:
        """By how much the page is wider than its window, in pixels."""
        return self.ask(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    @property
    def faults(self) -> list[str]:
        """What the console has said since it was last asked: errors, and what a policy forbids."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [json.dumps(entry) for entry in entries if entry["level"] != "INFO"]

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        return bytes(self.driver.get_screenshot_as_png())


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium meanwhile; skip the test where it is missing."""
    options = webdriver.ChromeOptions()
    options.binary_location = require_program("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--force-prefers-reduced-motion",
        "--lang=en-GB",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(require_program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield Browser(driver)
    finally:
        driver.quit()
