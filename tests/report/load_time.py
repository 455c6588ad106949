"""``make report-speed``: how large the pages of a large run are, and how soon a browser shows them.

A page's time is that from its address until its load event in a browser without a window: reading
it and its scripts, running these, and laying it out. It is printed, never asserted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.report.browser import Browser
from tests.report.recorded_run import Size, recorded_run

from lionagi_qe.fleet.report.html import write_pages

SIZE = Size(tests=5000, files=500, functions=60, runs=50, mutants=500, findings=1000)
MOST_BYTES = 20_000_000
_ROUNDS = 5
_PAGES = ("index", "tests", "test", "coverage", "mutants", "flaky", "findings", "provenance")
# Milliseconds from the address until all of the page is there, and has been painted.
_LOADED = """new Promise((done) => requestAnimationFrame(() => setTimeout(() => {
  const [page] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  done(Math.max(page.loadEventEnd, paint ? paint.startTime : 0));
})))"""


def main() -> None:
    """Write a report of a large run, and print how large it is and how long its pages take."""
    with tempfile.TemporaryDirectory(prefix="aqe-report-") as folder:
        place = Path(folder) / "report"
        recorded = recorded_run(SIZE)
        began = time.perf_counter()
        write_pages(recorded.record, recorded.past, recorded.texts, place)
        seconds = time.perf_counter() - began
        sizes = {path.relative_to(place): path.stat().st_size for path in place.rglob("*.*")}
        total = sum(sizes.values())
        lines = sum(text.count("\n") for text in recorded.texts.values())
        sys.stdout.write(
            f"{SIZE.tests} tests of {SIZE.runs} runs, {SIZE.files} files with {lines} lines: "
            f"{total / 1e6:.1f} MB in {len(sizes)} files, written in {seconds:.1f} s\n"
        )
        for path, size in sorted(sizes.items(), key=lambda each: -each[1])[:6]:
            sys.stdout.write(f"  {size / 1e6:5.2f} MB  {path}\n")
        pages = [*(f"{name}.html" for name in _PAGES), *_largest_source(sizes)]
        for page, milliseconds in _times(place, pages).items():
            sys.stdout.write(f"  {milliseconds:5.0f} ms  {page}\n")
        if total > MOST_BYTES:
            sys.exit(f"larger than {MOST_BYTES / 1e6:.0f} MB")


def _largest_source(sizes: dict[Path, int]) -> list[str]:
    source = [path for path in sizes if path.parts[0] == "source" and path.suffix == ".html"]
    return [path.as_posix() for path in sorted(source, key=sizes.__getitem__)[-1:]]


def _times(place: Path, pages: list[str]) -> dict[str, float]:
    """Return page -> median of its milliseconds until its load event, in several rounds."""
    times: dict[str, list[float]] = {page: [] for page in pages}
    with Browser() as browser:
        browser.resize(1280, 900)
        for _ in range(_ROUNDS):
            for page in pages:
                test = "#tests/test_0.py::test_0%5B%5D" if page == "test.html" else ""
                browser.show((place / page).as_uri() + test)
                times[page].append(browser.evaluate(_LOADED))
    return {page: median(found) for page, found in times.items()}


if __name__ == "__main__":
    main()
