"""Finding a browser for tests, and bringing one where there is none.

``python -m tests.web.chromium`` says nothing where one is found, else installs one: by apt as root
on Debian, else Playwright's own. ``--dry-run`` shows what it would do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VARIABLE = "AQE_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_CACHES = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
# Playwright's own, the whole browser or the one without windows.
_OWN = ("chromium*/chrome-*/chrome", "chromium*/chrome-*/*headless*shell", "chromium*/**/Chromium")
HOW = (
    "no Chromium was found for the tests of the console: install one (on Debian: apt-get install "
    f"chromium; anywhere: python -m playwright install chromium), or name one by ${VARIABLE}"
)


class NoBrowserError(RuntimeError):
    """There is no browser, and none can be had."""


def find(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return a Chromium: that of $AQE_CHROMIUM, one on PATH, Playwright's own; None without one."""
    named = environment.get(VARIABLE)
    if named:
        return Path(named)
    for name in _NAMES:
        found = shutil.which(name, path=environment.get("PATH", ""))
        if found is not None:
            return Path(found)
    places = [Path(each) for each in _APPLICATIONS]
    caches = [environment.get("PLAYWRIGHT_BROWSERS_PATH"), *_CACHES]
    for cache in filter(None, caches):
        folder = Path(cache.replace("~", environment.get("HOME", "~"), 1))
        places += [each for pattern in _OWN for each in sorted(folder.glob(pattern))]
    return next((each for each in places if each.is_file() and os.access(each, os.X_OK)), None)


def require() -> Path:
    """Return a Chromium.

    Raises:
        NoBrowserError: there is none; it says how to get one.

    """
    found = find()
    if found is None:
        raise NoBrowserError(HOW)
    return found


def ways(*, is_root: bool, has_apt: bool) -> list[list[list[str]]]:
    """Return the ways to bring one, the best first: each some commands."""
    own = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if not (is_root and has_apt):
        return [own]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    return [[install], [["apt-get", "update", "-qq"], install], own]


def bring(*, is_dry: bool = False) -> Path | None:
    """Install one by the first way that works, unless one is found.

    Raises:
        NoBrowserError: no way works.

    """
    found = find()
    if found is not None:
        return found
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    for way in ways(is_root=is_root, has_apt=shutil.which("apt-get") is not None):
        for command in way:
            print(f"no Chromium found: {' '.join(command)}", flush=True)
        if not is_dry and _run(way):
            found = find()
            if found is not None:
                return found
    if is_dry:
        return None
    raise NoBrowserError(HOW)


def _run(commands: Iterable[list[str]]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return all(
        subprocess.run(command, env=environment, check=False).returncode == 0
        for command in commands
    )


if __name__ == "__main__":
    try:
        bring(is_dry="--dry-run" in sys.argv)
    except NoBrowserError as error:
        sys.exit(str(error))
