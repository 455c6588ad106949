"""Ratios over commits, in the terminal and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lionagi_qe.bench.chart import new_figure, save
from lionagi_qe.fleet.report.trend import sparkline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from lionagi_qe.agents.performance.change_points import Change
    from lionagi_qe.bench.history import Course

# Characters of a course in the terminal.
_WIDTH = 40


def show_courses(courses: Sequence[Course], console: Console) -> None:
    """Write a line a course, and one for each change, with the commit after which it came."""
    table = Table(title="ratios to the plain driver", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "row", "course", "last", "runs"):
        table.add_column(heading, no_wrap=True)
    for course in courses:
        values = course.values
        line = sparkline(values[-_WIDTH:])
        table.add_row(course.backend, course.row, line, f"{values[-1]:.2f}", str(len(values)))
    console.print(table)
    told = [
        line for course in courses for change in course.changes for line in _told(course, change)
    ]
    for line in told or ["No ratio changed beyond what chance explains."]:
        console.print(line, highlight=False, soft_wrap=True)


def _told(course: Course, change: Change) -> Iterator[str]:
    what = "fell" if change in course.falls else "changed" if change.shift.ratio < 1 else "rose"
    shift = change.shift
    before, after = course.runs[change.at - 1].label, course.runs[change.at].label
    yield (
        f"{course.backend} {course.row} {what} to {shift.ratio:.2f} times what it was "
        f"(95 % interval {shift.low:.2f} to {shift.high:.2f}) at {after}, after {before}"
    )
    if also := course.also_changed(change):
        yield f"  also changed: {', '.join(also)}"


def as_json(courses: Sequence[Course]) -> list[dict[str, Any]]:
    """Return the courses as JSON data."""
    return [
        {
            "backend": course.backend,
            "row": course.row,
            "machine": course.machine,
            "ratios": course.values,
            "commits": [run.commit for run in course.runs],
            "changes": [
                {
                    "commit": course.runs[each.at].commit,
                    "after": course.runs[each.at - 1].commit,
                    "ratio": each.shift.ratio,
                    "low": each.shift.low,
                    "high": each.shift.high,
                    "is_fall": each in course.falls,
                    "is_new": course.is_new(each),
                    "also_changed": course.also_changed(each),
                }
                for each in course.changes
            ],
        }
        for course in courses
    ]


def draw_courses(courses: Sequence[Course], path: Path) -> None:
    """Draw a panel a course, a line where it changed: PNG or SVG, by the file's suffix.

    Raises:
        ConfigurationError: matplotlib is not installed, or the file can't be written.

    """
    figure = new_figure(8.5, 0.6 + 1.3 * len(courses))
    panels = figure.subplots(len(courses), 1, squeeze=False)[:, 0]
    for axes, course in zip(panels, courses, strict=True):
        axes.plot(course.values, marker="o", markersize=3, color="#1f6feb")
        for change in course.changes:
            axes.axvline(change.at - 0.5, color="#cf222e", linewidth=1)
            label = f" {course.runs[change.at].label}: {change.shift.ratio:.2f}x"
            # Where the course is not: it goes down to the right of a fall.
            place = (change.at - 0.5, 0.88 if change.shift.ratio < 1 else 0.04)
            axes.annotate(label, place, xycoords=axes.get_xaxis_transform(), fontsize=7)
        axes.set_title(f"{course.backend}, {course.row} ({course.machine})", fontsize=8, loc="left")
        axes.set_ylabel("to driver", fontsize=7)
        axes.tick_params(labelsize=7)
    panels[-1].set_xlabel("run, the newest on the right", fontsize=8)
    save(figure, path)
