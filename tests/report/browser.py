"""Chromium without a window, by its DevTools protocol, to measure and draw reports."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# Names the program where it is called otherwise.
VARIABLE = "AQE_CHROMIUM"
_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
# The browser reads messages from its file 3 and writes to its file 4.
_WITH_PIPES = 'read=$1 write=$2; shift 2; eval "exec \\"\\$@\\" 3<&$read 4>&$write"'


def find() -> str:
    """Return the browser's path; ends the program where there is none, and says what to do."""
    found = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        sys.exit(
            f"No Chromium or Chrome found; name one by {VARIABLE}, or install one (on Debian: "
            "apt-get install chromium)."
        )
    return found


class Browser:
    """A browser with one page; ``with`` ends it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._number = 0
        self._session: str | None = None

    def __enter__(self) -> Self:
        profile = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="aqe-browser-", ignore_cleanup_errors=True)
        )
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        process = subprocess.Popen(
            [
                *("sh", "-c", _WITH_PIPES, "sh", str(theirs_in), str(theirs_out), find()),
                *_OPTIONS,
                *("--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        os.close(theirs_in)
        os.close(theirs_out)
        self._in = self._stack.enter_context(os.fdopen(ours_in, "rb"))
        self._out = self._stack.enter_context(os.fdopen(ours_out, "wb", buffering=0))
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return what the browser answers to a command; ends the program if that is an error."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        answer = self._next(lambda each: each.get("id") == self._number)
        if "error" in answer:
            sys.exit(f"{find()}: {method}: {answer['error']}")
        return answer["result"]

    def show(self, address: str) -> None:
        """Load a page, and wait until it has loaded."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self._wait_until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            sys.exit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def draw(self, file: Path, width: int, height: int, *, dark: bool = False) -> None:
        """Draw what a window of that size shows of the page into a PNG file."""
        self.resize(width, height)
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._wait_until("new Promise((done) => requestAnimationFrame(() => done(true)))")
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def resize(self, width: int, height: int) -> None:
        """Have the page in a window of that size; a narrow one is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def _wait_until(self, condition: str) -> None:
        while not self.evaluate(condition):
            pass

    def _next(self, wanted: Any) -> dict[str, Any]:
        while True:
            message = b"".join(iter(lambda: self._in.read(1), b"\0"))
            answer = json.loads(message)
            if wanted(answer):
                return answer
