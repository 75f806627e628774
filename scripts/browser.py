"""Opens a page in Chromium without a window, by its own protocol over a pipe: for tests and for pictures of pages.

The browser has a profile of its own that is thrown away, and no network: every name is unknown to it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

#: Names of the program, the first that is there being taken.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--disable-gpu", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
_TIMEOUT_S = 60.0


def program() -> str | None:
    """The browser's path; None where there is none."""
    return next((found for found in map(shutil.which, PROGRAMS) if found), None)


class Browser:
    """One page in a browser.

    Args:
        width: of the window, in pixels.
        height: likewise.

    Attributes:
        complaints: texts of errors and warnings that the pages opened so far gave.
        requests: addresses that they asked for, the pages' own left out.
    """

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._profile = Path(tempfile.mkdtemp(prefix="browser-"))
        self._number, self._rest, self._loaded, self._page = 0, b"", 0, ""
        # Above the descriptors that the browser has, which are set one after the other.
        reads, self._to = map(_high, os.pipe())
        self._from, writes = map(_high, os.pipe())
        options = [*_OPTIONS, f"--window-size={width},{height}", f"--user-data-dir={self._profile}", "about:blank"]
        nothing = os.open(os.devnull, os.O_RDWR)
        places = [(nothing, 1), (nothing, 2), (reads, 3), (writes, 4)]  # it reads from 3 and writes to 4
        actions = [(os.POSIX_SPAWN_DUP2, *each) for each in places]
        self._process = os.posix_spawn(str(program()), [str(program()), *options], os.environ, file_actions=actions)
        os.close(nothing)
        os.close(reads)
        os.close(writes)
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        (target,) = [each["targetId"] for each in targets if each["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, path: Path) -> None:
        """Loads a page from a file, and returns when that is done."""
        before, self._page = self._loaded, path.resolve().as_uri()
        self.call("Page.navigate", url=self._page)
        while self._loaded == before:
            self._take()

    def value(self, script: str) -> Any:
        """What a script within the page gives."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']['exception']['description']}")
        return result["result"].get("value")

    def media(self, kind: str = "", scheme: str = "light") -> None:
        """Shows the page as on "print" or "screen", in "light" or "dark" colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def picture(self, selector: str = "body") -> bytes:
        """A PNG of a part of the page, however long that is."""
        x, y, width, height = self.value(
            f"(b => [b.x + scrollX, b.y + scrollY, b.width, b.height])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def printed(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls the browser and gives its answer.

        Raises:
            RuntimeError: it refused.
            TimeoutError: no answer within a minute.
        """
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        words = json.dumps({"id": self._number, "method": method, "params": parameters, **session})
        os.write(self._to, words.encode() + b"\0")
        while (answer := self._take()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def _take(self) -> dict[str, Any]:
        """The next message; what a page complains of is noted."""
        end = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser did not answer")
            found = os.read(self._from, 1 << 20)
            if not found:
                raise RuntimeError("the browser died")
            self._rest += found
        first, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(first)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, what: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Network.requestWillBeSent":
            self._note_request(what["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(what["exceptionDetails"]["text"]))
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.complaints.append(_texts(what["args"]))
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(what["entry"]["text"]))

    def _note_request(self, url: str) -> None:
        if url != self._page and not url.startswith("data:"):
            self.requests.append(url)


def _high(descriptor: int) -> int:
    """The same pipe by a number from 10 on."""
    found = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return found


def _texts(arguments: Sequence[dict[str, Any]]) -> str:
    return " ".join(str(each.get("value", each.get("description", ""))) for each in arguments)
