"""A real Chromium, driven over its own debugging pipe: keys, clicks, screenshots, the accessibility tree."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip


class Tab:
    """One page. Every call waits for Chromium's answer and raises AssertionError where that is an error."""

    def __init__(self, out: int, answers: Iterator[dict[str, Any]]) -> None:
        self._out, self._answers = out, answers
        self._last = 0
        self._session: str | None = None
        self.messages: list[str] = []
        """What the page logged, threw, or was refused."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        for answer in self._answers:
            self._note(answer)
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
        raise AssertionError("chromium went away")

    def _note(self, answer: dict[str, Any]) -> None:
        match answer.get("method"):
            case "Runtime.exceptionThrown":
                self.messages.append(str(answer["params"]["exceptionDetails"]))
            case "Log.entryAdded":
                self.messages.append(answer["params"]["entry"]["text"])

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scripts(self, *, run: bool) -> None:
        """Whether the page's own scripts run; `value` works either way."""
        self.call("Emulation.setScriptExecutionDisabled", value=not run)

    def open(self, page: Path | str) -> None:
        """A file, or a URL; returns when all of it is loaded."""
        url = page if isinstance(page, str) else page.as_uri()
        self.call("Page.navigate", url=url)
        self.until(f"location.href == {json.dumps(url)} && document.readyState == 'complete'")

    def value(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 20) -> Any:
        """Wait until the expression is true; returns its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.value(expression)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"never true: {expression}; the page says {self.messages}")

    def press(self, key: str, *, code: int, text: str = "") -> None:
        """One key, by its DOM name and its virtual key code."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def click(self, selector: str, share: float = 0.5) -> None:
        """The left button on an element, at this share of its width."""
        box = self.value(
            f"(e => {{ e.scrollIntoView({{block: 'center', behavior: 'instant'}}); const b = e.getBoundingClientRect();"
            f" return [b.x, b.y, b.width, b.height]; }})(document.querySelector({json.dumps(selector)}))"
        )
        x, y = box[0] + share * box[2], box[1] + box[3] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """The whole page, not only what is in the window."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium_tab(program: str, profile: Path) -> Iterator[Tab]:
    """Chromium with one empty tab, ended with the block."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()

    command = f'exec 3<&{from_us} 4>&{to_us}; exec "$@"'
    words = ["bash", "-c", command, "chromium", program, *FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(words, pass_fds=(from_us, to_us), stderr=subprocess.DEVNULL) as browser:
        os.close(from_us)
        os.close(to_us)
        try:
            with os.fdopen(from_browser, "rb") as answers:
                tab = Tab(to_browser, _messages(answers))
                yield tab
                tab._session = None
                tab.call("Browser.close")
        finally:
            os.close(to_browser)
            browser.terminate()


def _messages(stream: Any) -> Iterator[dict[str, Any]]:
    waiting = b""
    while chunk := stream.read1(1 << 16):
        *whole, waiting = (waiting + chunk).split(b"\0")
        yield from map(json.loads, whole)
