"""Drives a page in headless Chromium, by its DevTools protocol."""

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar, cast

import websocket

from dev import browser

_PATIENCE = 30.0
_Value = TypeVar("_Value")


class Page:
    """The one page of a browser."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        """Take over a page."""
        self._connection = connection
        self._calls = 0

    def open(self, address: str) -> None:
        """Load an address, and wait until the page's scripts have run."""
        self._call("Page.navigate", url="about:blank")
        self._call("Page.navigate", url=address)
        self.wait(f"location.href == {json.dumps(address)} && document.readyState == 'complete'")

    def type(self, text: str) -> None:
        """Insert text where the focus is."""
        self._call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press and release a key, named as browsers name it, with its Windows code."""
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": chr(code)}
        self._call("Input.dispatchKeyEvent", type="keyDown", **given)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def wait(self, expression: str) -> None:
        """Wait until a script's value is true for JavaScript."""
        deadline = time.monotonic() + _PATIENCE
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < deadline, expression
            time.sleep(0.02)

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - what a script returns
        """Return the value of a script."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._calls += 1
        call = {"id": self._calls, "method": method, "params": parameters}
        self._connection.send(json.dumps(call))
        while (answer := json.loads(self._connection.recv())).get("id") != self._calls:
            pass
        assert "error" not in answer, answer
        return cast("dict[str, Any]", answer["result"])


@contextlib.contextmanager
def chromium(profile: Path) -> Generator[Page]:
    """Start Chromium and yield its page."""
    program = browser.find()
    assert program
    command = [program, *browser.FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    with subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            port = _wait(lambda: (profile / "DevToolsActivePort").read_text("utf-8").split()[0])
            pages = _wait(lambda: _pages(port))
            address = pages[0]["webSocketDebuggerUrl"]
            with contextlib.closing(
                websocket.create_connection(address, suppress_origin=True, timeout=_PATIENCE)
            ) as connection:
                yield Page(connection)
        finally:
            process.terminate()


def _pages(port: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        targets = json.load(answer)
    return [target for target in targets if target["type"] == "page"]


def _wait(find: Callable[[], _Value]) -> _Value:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(OSError, IndexError):
            if found := find():
                return found
        assert time.monotonic() < deadline
        time.sleep(0.02)
