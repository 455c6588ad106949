"""Writes the pages of a run into a directory."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lionagi_qe import __version__
from lionagi_qe.agents.coverage.line_ranges import as_ranges, of_text
from lionagi_qe.display import spelled_out, unit_of
from lionagi_qe.files import filling_directory
from lionagi_qe.fleet.report.failure_words import since_words
from lionagi_qe.fleet.report.html import views
from lionagi_qe.fleet.report.html.charts import trend
from lionagi_qe.fleet.report.html.source_lines import as_items
from lionagi_qe.fleet.report.html.source_pages import SourcePages
from lionagi_qe.fleet.report.html.tests_script import as_script
from lionagi_qe.fleet.report.sections import added_by
from lionagi_qe.fleet.report.untested import changed_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.fleet.project_past import ProjectPast
    from lionagi_qe.fleet.run_record import RunRecord

# What tells that a directory holds pages of ours, which later ones may replace.
MARKER = ".aqe-report"
_ASSETS = ("style.css", "report.js", "test_history.js")
_SOURCE_PAGE = re.compile(r"source/\d{4,}-[A-Za-z0-9._-]+\.html")
_PAGES = {
    "index": "Overview",
    "tests": "Tests",
    "coverage": "Coverage",
    "mutants": "Mutants",
    "flaky": "Flaky",
    "findings": "Findings",
    "generated": "Generated",
    "provenance": "Provenance",
}


def write_pages(
    record: RunRecord, past: ProjectPast, texts: Mapping[str, str], directory: Path
) -> Path:
    """Write the pages of a run, in the place of earlier ones; return the first page.

    Args:
        record: of the run.
        past: of the project, with this run; empty where nobody knows it.
        texts: file -> the source that was examined, where it is to be had.
        directory: is made, or filled anew if it holds earlier pages.

    Raises:
        OSError: the directory holds other files alone, or can't be written.

    """
    environment = _environment()
    sources = SourcePages.of(record, texts)
    shared: dict[str, Any] = {
        "record": record,
        "past": past,
        "pages": _PAGES,
        "root": "",
        "links": sources.links,
        "version": __version__,
    }
    with filling_directory(directory, MARKER, _is_ours) as target:
        for asset in _ASSETS:
            text = (
                files(__name__.rpartition(".")[0])
                .joinpath("assets", asset)
                .read_text(encoding="utf-8")
            )
            _write(target / asset, text)
        _write(target / ".gitignore", "*\n")
        _write(target / "tests.js", as_script(record, past))
        for page, title in (*_PAGES.items(), ("test", "Test")):
            template = environment.get_template(f"{page}.html")
            own = views.of_page(page, record, past, sources)
            _write(target / f"{page}.html", template.render(shared, page=page, title=title, **own))
        (target / "source").mkdir()
        template = environment.get_template("source.html")
        changed = changed_lines(record)
        missed = {} if changed is None else changed["missed"]
        for each in sources.pages:
            lines = as_items(each.text, each.marks, is_python=each.is_python)
            text = template.render(
                shared | {"root": "../", "page": "source", "title": each.file},
                source=each,
                lines=lines,
                changed=changed,
                untested=as_ranges(of_text(missed.get(each.file, ""))),
            )
            _write(target / each.path, text)
    return directory / "index.html"


def _is_ours(path: str) -> bool:
    """Whether a file in the directory is a page that a report of fewer pages leaves behind."""
    return _SOURCE_PAGE.fullmatch(path) is not None


def _write(path: Path, text: str) -> None:
    # What is no text after all, as in names of files, has been spelled out.
    path.write_text(text, encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lionagi_qe.fleet.report.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_finalized,
    )
    environment.filters |= {
        "added_by": added_by,
        "value": value,
        "unit": unit,
        "percent": views.percent,
        "moment": moment,
        "trend": trend,
        "since_words": since_words,
    }
    return environment


def _finalized(value: Any) -> Any:  # noqa: ANN401 - whatever a template prints
    """Spell out what can't be seen in a text; markup is ours, and done with."""
    return spelled_out(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def value(metric: Metric) -> str:
    """Return a figure as text; a list counts by its length."""
    shown = len(metric.value) if isinstance(metric.value, list) else metric.value
    if isinstance(shown, float):
        return f"{shown:.2f}"
    return f"{shown:,}" if isinstance(shown, int) else str(shown)


def unit(metric: Metric) -> str:
    """Return the unit that is told after a figure; a verdict has none, and one thing is one."""
    if isinstance(metric.value, str):
        return ""
    shown = len(metric.value) if isinstance(metric.value, list) else metric.value
    return unit_of(shown, metric.unit)


def moment(text: str) -> str:
    """Return a time of ISO 8601 in UTC as people write it, to the second."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
