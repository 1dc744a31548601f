"""A headless Chromium, driven over its DevTools pipe: no package and no port is needed."""

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
from collections.abc import Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
PATIENCE = 60  # seconds for an answer
PATH = next((path for path in map(shutil.which, NAMES) if path), None)


@contextlib.contextmanager
def tab(profile: pathlib.Path) -> Iterator["Page"]:
    """Start a browser with an empty profile in a folder, and end it."""
    # It reads from 3 and writes to 4.
    command = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh", PATH, *FLAGS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [*command, f"--user-data-dir={profile}", "about:blank"], **pipes
    ) as browser:
        try:
            page = Page(browser)
            yield page
            page.close()
        finally:
            browser.terminate()


class Page:
    """A tab that remembers all that was asked of the network and all that was complained of."""

    def __init__(self, browser: subprocess.Popen):
        self._to, self._from = browser.stdin, browser.stdout
        self._half, self._calls, self._session = b"", 0, None
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """Let the browser end by itself."""
        self._session = None
        self.call("Browser.close")

    def call(self, method: str, **params) -> dict:
        """Call a method of the DevTools protocol and return its result."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> dict:
        while b"\0" not in self._half:
            ready, _, _ = select.select([self._from], [], [], PATIENCE)
            assert ready, "Chromium does not answer"
            read = os.read(self._from.fileno(), 1 << 16)
            assert read, "Chromium is gone"
            self._half += read
        text, _, self._half = self._half.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, path: pathlib.Path, width: int, *, dark: bool = False, media: str = "") -> None:
        """Open a file in a window of a width, in pixels, and wait until it is there."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def value(self, expression: str):
        """Return what a JavaScript expression gives."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def requests(self) -> list[str]:
        """Return the addresses that were asked for, without what the page has in itself."""
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [x["request"]["url"] for x in sent if not x["request"]["url"].startswith("data:")]

    def complaints(self) -> list[dict]:
        """Return errors, warnings and whatever was said on the console."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event["method"] in kinds]

    def screenshot(self, path: pathlib.Path) -> None:
        """Write the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
