"""Finding a browser, and how one is brought where there is none."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.web import chromium

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def test_one_that_is_named_goes_before_one_on_path_and_that_before_playwrights(
    tmp_path: Path,
) -> None:
    home = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}
    assert chromium.find(home) is None
    own = program(tmp_path / ".cache/ms-playwright/chromium-1234/chrome-linux64", "chrome")
    assert chromium.find(home) == own
    chrome = program(tmp_path / "bin", "google-chrome")
    assert chromium.find(home) == chrome
    assert chromium.find({**home, "AQE_CHROMIUM": "/opt/chrome"}).__str__() == "/opt/chrome"


def test_without_one_the_tests_say_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "find", lambda: None)
    with pytest.raises(chromium.NoBrowserError, match="apt-get install chromium"):
        chromium.require()
    monkeypatch.setattr(chromium, "_run", lambda _: False)
    with pytest.raises(chromium.NoBrowserError, match="AQE_CHROMIUM"):
        chromium.bring()


def test_debian_brings_one_as_root_and_playwright_does_elsewhere() -> None:
    first, second, last = chromium.ways(is_root=True, has_apt=True)
    assert first[0][:3] == ["apt-get", "install", "-y"]
    assert second[0][:2] == ["apt-get", "update"]
    own = [sys.executable, "-m", "playwright", "install", "chromium"]
    assert last == [own]
    for is_root, has_apt in ((True, False), (False, True), (False, False)):
        assert chromium.ways(is_root=is_root, has_apt=has_apt) == [[own]]


@pytest.mark.parametrize("hidden", [False, True])
def test_it_is_quiet_where_one_is_there_and_tells_what_it_does_where_none_is(
    tmp_path: Path, *, hidden: bool
) -> None:
    if not hidden:
        program(tmp_path, "chromium")
    done = subprocess.run(
        [sys.executable, "-m", "tests.web.chromium", "--dry-run"],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("playwright install chromium" in done.stdout) == hidden
    assert hidden or not done.stdout
