"""``make screenshots``: the pages of a report of the example project, drawn for the documents.

The example is run four times, the last time with all agents, on a commit that breaks two of its
rules: so there is a past, and something to see. Costs two or three minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.report.browser import Browser
from tests.report.pages import read

ROOT = Path(__file__).parents[2]
AQE = Path(sys.executable).with_name("aqe")
MOST_BYTES = 150_000
# File, text, and what the change makes of it: one that a test sees, and one that hides nothing.
_CHANGES = (
    ("src/storefront/shipping.py", "weight > 2000", "weight > 2500"),
    ("src/storefront/basket.py", "quantity < 1", "quantity < 0"),
)
_DESKTOP, _LIST, _PHONE = (1180, 860), (1180, 640), (400, 860)


@dataclass(frozen=True)
class Shot:
    """A picture: of which page, in which window and colours."""

    name: str
    page: str
    size: tuple[int, int] = _DESKTOP
    dark: bool = False


def main(directory: Path, pages: Path | None = None) -> None:
    """Draw all pictures into a directory: of pages that are there, else of the example's."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aqe-screenshots-") as folder:
        pages = pages or _examined(Path(folder))
        with Browser() as browser:
            for shot in _shots(pages):
                file = directory / f"{shot.name}.png"
                browser.resize(*shot.size)
                browser.show(f"{pages.as_uri()}/{shot.page}")
                browser.draw(file, *shot.size, dark=shot.dark)
                size = file.stat().st_size
                sys.stdout.write(f"{size / 1000:6.1f} kB  {file}\n")
                if size > MOST_BYTES:
                    sys.exit(f"{file}: larger than {MOST_BYTES / 1000:.0f} kB")


def _shots(pages: Path) -> list[Shot]:
    report = read(pages)
    failing = next(
        test[0] for test in report.tests["tests"] if "basket" in test[0] and test[3] >= 0
    )
    source = next(path for path in report.pages if path.endswith("reports.py.html"))
    test = f"test.html#{failing}"
    return [
        Shot("overview", "index.html"),
        Shot("overview-dark", "index.html", dark=True),
        Shot("overview-phone", "index.html", _PHONE),
        Shot("tests", "tests.html", _LIST),
        Shot("test", test),
        Shot("test-phone-dark", test, _PHONE, dark=True),
        Shot("coverage-dark", "coverage.html", dark=True),
        Shot("source", source),
        Shot("source-phone", f"{source}#L18", _PHONE),
        Shot("mutants", "mutants.html"),
        Shot("mutants-phone-dark", "mutants.html", _PHONE, dark=True),
        Shot("flaky", "flaky.html"),
        Shot("findings-dark", "findings.html", dark=True),
        Shot("provenance", "provenance.html", _LIST),
    ]


def _examined(folder: Path) -> Path:
    """Return the pages of the example's fourth run."""
    shop = folder / "storefront"
    shutil.copytree(ROOT / "examples" / "storefront", shop)
    env = os.environ | {"XDG_STATE_HOME": str(folder / "state")}
    env.pop("LIONAGI_QE_MEMORY", None)
    _commit(shop, "Open the shop")
    for _ in range(3):
        _run(shop, env)
    for file, text, other in _CHANGES:
        path = shop / file
        path.write_text(path.read_text().replace(text, other))
    _commit(shop, "Be generous")
    pages = folder / "pages"
    _run(shop, env, "--base", "HEAD~1", "--budget", "150s", "--report", f"html={pages}")
    return pages


def _run(shop: Path, env: dict[str, str], *options: str) -> None:
    done = subprocess.run([AQE, "run", shop, *options], cwd=shop, env=env, check=False)
    if done.returncode not in {0, 1}:
        sys.exit(f"aqe run ended with {done.returncode}")


def _commit(shop: Path, message: str) -> None:
    git = ("git", "-c", "user.name=Example", "-c", "user.email=example@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", message)):
        subprocess.run([*git, *arguments], cwd=shop, check=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
