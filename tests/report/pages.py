"""The pages of a report as a browser reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tinyhtml5.parser import HTMLParser

from lionagi_qe.fleet.report.html import write_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from tests.report.recorded_run import Recorded

_XHTML = "{http://www.w3.org/1999/xhtml}"
# What a source page marks in its lines: it depends on the text what that is.
_WORDS = frozenset({"b", "i", "u"})


@dataclass(frozen=True)
class Page:
    """A page: its path within the report, its elements, and what is wrong with it."""

    path: str
    root: Element
    errors: list[Any]

    def elements(self) -> Iterator[tuple[str, Element]]:
        """Yield the names of elements with them."""
        for element in self.root.iter():
            if isinstance(element.tag, str):
                yield element.tag.removeprefix(_XHTML), element

    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return names of elements and of their attributes: what no text may change."""
        return [
            (name, tuple(sorted(each.attrib)))
            for name, each in self.elements()
            if name not in _WORDS
        ]

    def text(self) -> str:
        """Return all of its text."""
        return "".join(self.root.itertext())

    def addresses(self) -> Iterator[str]:
        """Yield where its links and files are."""
        for _, element in self.elements():
            yield from (element.attrib[name] for name in ("href", "src") if name in element.attrib)

    def ids(self) -> list[str]:
        """Return the names that links within it may have."""
        return [element.attrib["id"] for _, element in self.elements() if "id" in element.attrib]

    def figures(self) -> dict[str, str]:
        """Return the figures of the page of provenance by name."""
        return {
            element.attrib["id"]: "".join(next(element.iter(f"{_XHTML}td")).itertext())
            for name, element in self.elements()
            if name == "tr" and "id" in element.attrib
        }

    def missed_lines(self) -> list[int]:
        """Return the lines of a page of source that are marked as not run."""
        return [
            int(element.attrib["id"].removeprefix("L"))
            for name, element in self.elements()
            if name == "li" and element.attrib.get("class") == "m"
        ]


@dataclass(frozen=True)
class Report:
    """A report in its directory."""

    directory: Path
    pages: dict[str, Page]

    @property
    def tests(self) -> dict[str, Any]:
        """What the pages of tests read."""
        text = (self.directory / "tests.js").read_text(encoding="utf-8")
        return json.loads(text.partition("AQE_TESTS = ")[2].removesuffix(";\n"))


def written(recorded: Recorded, directory: Path) -> Report:
    """Write a report and read it."""
    write_pages(recorded.record, recorded.past, recorded.texts, directory)
    return read(directory)


def read(directory: Path) -> Report:
    """Read the pages of a report."""
    paths = sorted(directory.rglob("*.html"))
    return Report(
        directory, {page.path: page for page in (_page(path, directory) for path in paths)}
    )


def target(page: Page, address: str) -> tuple[str, str]:
    """Return the path within the report, and the fragment, that an address of a page leads to."""
    parts = urlsplit(address)
    folder = page.path.rpartition("/")[0]
    path = page.path if not parts.path else f"{folder}/{parts.path}".lstrip("/")
    while "/../" in f"/{path}":
        before, _, after = f"/{path}".partition("/../")
        path = f"{before.rpartition('/')[0]}/{after}".lstrip("/")
    return unquote(path), unquote(parts.fragment)


def _page(path: Path, directory: Path) -> Page:
    parser = HTMLParser()
    root = parser.parse(path.read_text(encoding="utf-8"))
    return Page(path.relative_to(directory).as_posix(), root, parser.errors)
