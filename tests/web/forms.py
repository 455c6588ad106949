"""Sending the forms of pages, as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


class _Hidden(HTMLParser):
    """Collects the hidden fields of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("type") == "hidden":
            self.fields[str(found["name"])] = found.get("value") or ""


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's forms."""
    parser = _Hidden()
    parser.feed(page)
    return parser.fields


async def form_key(client: httpx.AsyncClient) -> str:
    """Return what this session's forms carry."""
    return hidden((await client.get("/entry?key=aqe/plans/v00")).text)["form_key"]
