"""Pages from templates: what isn't markup of ours is escaped, and shown without secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse

from lionagi_qe import __version__
from lionagi_qe.display import unit_of, visible
from lionagi_qe.persistence.values.glob import escape_glob
from lionagi_qe.persistence.values.redacted_text import redact_text
from lionagi_qe.web.console import console_of
from lionagi_qe.web.refusals import refused_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"
_LONGEST_PREVIEW = 160
_LONGEST_VALUE = 200_000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def link(request: Request, path: str, **query: str | list[str] | None) -> str:
    """Return the address of a page of ours, wherever the console is mounted."""
    asked = {name: value for name, value in query.items() if value is not None}
    root = request.scope.get("root_path", "").rstrip("/")
    return f"{root}{path}{f'?{urlencode(asked, doseq=True)}' if asked else ''}"


def render(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """Return a page.

    Args:
        request: whose it is.
        template: its file in ``templates``.
        status: of the answer.
        values: what the template names.

    """
    console = console_of(request)
    access = console.access
    root = request.scope.get("root_path", "").rstrip("/")

    def linked(path: str, **query: str | list[str] | None) -> Markup:
        return escape(link(request, path, **query))

    page = _ENVIRONMENT.get_template(template).render(
        console=console,
        here=request.scope["path"].removeprefix(root),
        link=linked,
        may_change=access.may_change(request),
        is_signed_in=access.has_session(request),
        can_sign_in=access.token is not None,
        form_key=access.form_key(request),
        now=datetime.now(UTC),
        version=__version__,
        refused=list(dict.fromkeys(refused_of(request))),
        **values,
    )
    return HTMLResponse(page, status_code=status, headers={"cache-control": "no-store"})


def go_to(request: Request, path: str, **query: str | None) -> Response:
    """Return a redirection to a page of ours, after a form."""
    return RedirectResponse(link(request, path, **query), status_code=303)


def shown(text: str) -> str:
    """Return text of others as people may see it: nothing that acts, no passwords of URLs."""
    return visible(redact_text(text))


def as_json(value: object) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def as_text(value: object) -> str:
    """Return a text as it is, else indented JSON; the end of a very long one is left out."""
    text = value if isinstance(value, str) else as_json(value)
    left = len(text) - _LONGEST_VALUE
    return text if left <= 0 else f"{text[:_LONGEST_VALUE]}\n... and {left:,} more characters"


def preview(value: object) -> str:
    """Return the beginning of a value in one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    # Before it is cut, since half of a secret is told by no pattern.
    text = redact_text(" ".join(text[: 4 * _LONGEST_PREVIEW].split()))
    return text if len(text) <= _LONGEST_PREVIEW else f"{text[:_LONGEST_PREVIEW]}…"


def reason(error: object) -> str:
    """Return the line of an error that says the most: its last."""
    lines = str("" if error is None else error).strip().splitlines()
    return preview(lines[-1]) if lines else ""


def moment(time: datetime) -> str:
    """Return a time as people read it, UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """Return a duration as people read it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"


def relative(time: datetime, now: datetime) -> str:
    """Return how long ago something was, or in how long it will be."""
    seconds = (now - time).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def later(time: datetime, seconds: float) -> datetime:
    """Return the time so many seconds after another."""
    return time + timedelta(seconds=seconds)


def run_moment(run: str) -> str:
    """Return when a run began, which its id tells."""
    try:
        return moment(datetime.strptime(run[:16], "%Y%m%dT%H%M%S.").replace(tzinfo=UTC))
    except ValueError:
        return run


def number(value: float | None) -> str:
    """Return a figure as people read it."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2g}" if 0 < abs(value) < 1 else f"{value:,.2f}".rstrip("0").rstrip(".")


def figure(value: float | None, unit: str) -> str:
    """Return a figure; shares with two places, as reports have them."""
    return number(value) if value is None or unit != "%" else f"{value:.2f}"


def counting(unit: str, value: float | None) -> str:
    """Return a unit as it stands behind a figure."""
    return unit_of(value, unit)


def seconds(value: float | None) -> str:
    """Return a duration in seconds: thousandths are the least that anybody reads."""
    return "-" if value is None else f"{value:,.3f}"


def curve(values: Sequence[float | None]) -> Mapping[str, Any] | None:
    """Return the points of a small chart, 100 wide and 24 high; None without two figures."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line needs two
        return None
    low, extent = min(known), max(known) - min(known)
    step = 100 / (len(values) - 1)
    points = [
        # What never changed runs through the middle.
        f"{at * step:.1f},{22 - 20 * (value - low) / extent if extent else 12:.1f}"
        for at, value in enumerate(values)
        if value is not None
    ]
    return {"points": " ".join(points), "low": low, "high": max(known)}


def _finalized(value: object) -> object:
    return shown(value) if type(value) is str else value


_FILTERS: dict[str, Any] = {
    "glob": escape_glob,
    # What people edit, and what forms send back: escaped, and otherwise as it is.
    "raw": escape,
    "text": as_text,
    "preview": preview,
    "reason": reason,
    "moment": moment,
    "relative": relative,
    "run_moment": run_moment,
    "number": number,
    "figure": figure,
    "counting": counting,
    "seconds": seconds,
    "later": later,
    "curve": curve,
}
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_finalized,
)
_ENVIRONMENT.filters.update(_FILTERS)
