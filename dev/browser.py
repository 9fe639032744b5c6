"""A real Chromium for tests and pictures: Debian's, or the one that CHROMIUM names."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
_SECONDS = 20


class NoBrowser(Exception):
    """There is no Chromium here, or no driver for it; the message says what to do."""


class Browser:
    """A browser with one window, `width` pixels wide, in light or dark, with JavaScript or without."""

    def __init__(self, driver: webdriver.Chrome, *, script: bool) -> None:
        self.driver, self.script = driver, script

    @classmethod
    @contextmanager
    def started(cls, *, script: bool = True) -> Iterator[Self]:
        """A browser that is closed at the end. Raises NoBrowser."""
        options = webdriver.ChromeOptions()
        options.binary_location = _found("CHROMIUM", _NAMES)
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"):
            options.add_argument(argument)
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(_found("CHROMEDRIVER", ("chromedriver",)))
        driver = webdriver.Chrome(options, service)
        try:
            yield cls(driver, script=script)
        finally:
            driver.quit()

    def look(self, width: int = 1280, height: int = 800, *, dark: bool = False) -> None:
        """Set how wide the window is, and whether the person prefers dark pages."""
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})

    def open(self, address: str) -> None:
        """Go to an address."""
        self.driver.get(address)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save a picture of the page, or of what is seen of it."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole, "format": "png"})
        path.write_bytes(base64.b64decode(shot["data"]))

    def find(self, selector: str) -> WebElement:
        """The element that a CSS selector finds, waited for."""
        return WebDriverWait(self.driver, _SECONDS).until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector))

    def all(self, selector: str) -> list[WebElement]:
        """Every element that a CSS selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait_for(self, text: str) -> None:
        """Wait until the page shows a text."""
        try:
            self.until(lambda: text in self.text)
        except TimeoutException:
            raise AssertionError(f"{text!r} does not come up in:\n{self.text}") from None

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        WebDriverWait(self.driver, _SECONDS, ignored_exceptions=(WebDriverException,)).until(lambda _: holds())

    def value(self, name: str) -> str:
        """What is in the field with this name."""
        return self.find(f"main [name={name}]").get_attribute("value") or ""

    @property
    def text(self) -> str:
        """What the page shows."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def press(self, text: str) -> None:
        """Click the button or the link with this text."""
        for element in self.all("button, a, summary"):
            if element.is_displayed() and element.text.strip() == text:
                self.driver.execute_cdp_cmd("Runtime.enable", {})
                element.click()
                return
        raise AssertionError(f"there is nothing to press with the text {text!r} in:\n{self.text}")

    def fill(self, name: str, text: str) -> None:
        """Write into the field with this name, in place of what is there."""
        field = self.find(f"main [name={name}]:not([type=hidden])")
        field.clear()
        field.send_keys(text)

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self._evaluate(width))

    def axe(self) -> list[str]:
        """What axe-core finds serious on the page, a line for each element."""
        self._evaluate(_AXE.read_text(encoding="utf-8") + "; true")
        found = self._evaluate("axe.run().then((r) => r.violations)", promise=True)
        return [
            f"{one['impact']} {one['id']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def complaints(self) -> list[str]:
        """What the browser's console complains of since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def _evaluate(self, script: str, *, promise: bool = False) -> Any:
        asked = {"expression": script, "returnByValue": True, "awaitPromise": promise}
        answer = self.driver.execute_cdp_cmd("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            raise AssertionError(str(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")


def _found(setting: str, names: tuple[str, ...]) -> str:
    named = os.environ.get(setting, "")
    path = shutil.which(named) if named else next(filter(None, map(shutil.which, names)), None)
    if path is None:
        wanted = named or " or ".join(names)
        raise NoBrowser(f"{wanted} is not here: apt-get install chromium chromium-driver, or name one with {setting}.")
    return path
