"""Pages from templates: everything that isn't markup of ours is escaped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from lionagi_qe.display import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from lionagi_qe.web.console import Console

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"
_LONGEST_PREVIEW = 160
_LONGEST_VALUE = 200_000


def link(request: Request, path: str, **query: str | None) -> str:
    """Return the address of a page of ours, wherever the console is mounted."""
    asked = {name: value for name, value in query.items() if value is not None}
    root = request.scope.get("root_path", "").rstrip("/")
    return f"{root}{path}{f'?{urlencode(asked)}' if asked else ''}"


def render(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """Return a page.

    Args:
        request: whose it is.
        template: its file in ``templates``.
        status: of the answer.
        values: what the template names.

    """
    console: Console = request.app.state.console
    access = console.access
    page = _ENVIRONMENT.get_template(template).render(
        console=console,
        here=request.url.path,
        link=lambda path, **query: link(request, path, **query),
        may_change=access.has_session(request),
        can_sign_in=access.token is not None,
        form_key=access.form_key(request),
        **values,
    )
    return HTMLResponse(page, status_code=status, headers={"cache-control": "no-store"})


def go_to(request: Request, path: str, **query: str | None) -> Response:
    """Return a redirection to a page of ours, after a form."""
    return RedirectResponse(link(request, path, **query), status_code=303)


def as_text(value: object) -> str:
    """Return a value as indented JSON; the end of a very long one is left out."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    left = len(text) - _LONGEST_VALUE
    return text if left <= 0 else f"{text[:_LONGEST_VALUE]}\n... and {left:,} more characters"


def preview(value: object) -> str:
    """Return the beginning of a value in one line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_PREVIEW else f"{text[:_LONGEST_PREVIEW]}…"


def moment(time: datetime) -> str:
    """Return a time as people read it, UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def run_moment(run: str) -> str:
    """Return when a run began, which its id tells."""
    try:
        return moment(datetime.strptime(run[:16], "%Y%m%dT%H%M%S.").replace(tzinfo=UTC))
    except ValueError:
        return run


def curve(values: list[float | None]) -> Mapping[str, Any] | None:
    """Return the points of a small chart, 100 wide and 24 high; None without two figures."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line needs two
        return None
    low, span = min(known), (max(known) - min(known)) or 1.0
    step = 100 / (len(values) - 1)
    points = [
        f"{at * step:.1f},{22 - 20 * (value - low) / span:.1f}"
        for at, value in enumerate(values)
        if value is not None
    ]
    return {"points": " ".join(points), "low": low, "high": max(known)}


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: visible(value) if type(value) is str else value,
)
_ENVIRONMENT.filters.update(
    json=as_text, preview=preview, moment=moment, run_moment=run_moment, curve=curve
)
