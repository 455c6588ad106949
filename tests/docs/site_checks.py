"""What the built site promises, for ``make docs``: it is read from ``$AQE_DOCS_OUT``.

Its name keeps it out of the suite, which builds no site.
"""

from __future__ import annotations

import importlib
import inspect
import os
import runpy
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from lxml import html

ROOT = Path(__file__).parents[2]
SITE = (ROOT / os.environ["AQE_DOCS_OUT"]).resolve()
PAGES = {path: html.parse(path).getroot() for path in sorted(SITE.rglob("*.html"))}
DOCUMENTED = runpy.run_path(str(ROOT / "docs" / "conf.py"))["DOCUMENTED"]
# What browsers load by themselves.
LOADED = (("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "src"))


def test_pages_load_nothing_from_elsewhere() -> None:
    for path, page in PAGES.items():
        for element, attribute in LOADED:
            for address in page.xpath(f"//{element}/@{attribute}"):
                assert not urlsplit(address).scheme, f"{path}: {element} {address}"
    for style in SITE.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert "url(http" not in text.replace('"', "").replace("'", ""), style
        assert "@import" not in text, style


def test_links_within_the_site_lead_to_pages_and_places() -> None:
    places = {
        path: {*page.xpath("//@id"), *page.xpath("//a/@name"), ""} for path, page in PAGES.items()
    }
    followed = 0
    for path, page in PAGES.items():
        for address in page.xpath("//a/@href"):
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path}: {address}"
            assert target.is_relative_to(SITE), f"{path}: {address}"
            if target in places:
                assert unquote(parts.fragment) in places[target], f"{path}: {address}"
            followed += 1
    assert followed > len(PAGES)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_class_and_function_is_in_the_reference(name: str) -> None:
    # Four lines of text, then name, domain:role, priority, place and title, compressed.
    packed = (SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = [line.split(" ", 2) for line in zlib.decompress(packed).decode().splitlines()]
    described = {of.rpartition(".")[2] for of, role, _ in entries if role.startswith("py:")}
    module = importlib.import_module(name)
    public = {
        each
        for each in module.__all__
        if inspect.isclass(found := getattr(module, each)) or inspect.isfunction(found)
    }
    assert public - described == set()


def test_each_page_of_the_documents_is_reached_from_the_first() -> None:
    first = SITE / "index.html"
    linked = {
        (first.parent / urlsplit(address).path).resolve()
        for address in PAGES[first].xpath("//nav//a/@href | //aside//a/@href")
    }
    pages = {SITE / f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    assert pages - linked - {first} == set()
