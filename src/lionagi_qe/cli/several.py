"""Several projects in one directory: which they are, and one run for each with one summary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lionagi_qe.agents.project.monorepo import projects_below, stands_for_itself
from lionagi_qe.cli.examination import directory, exit_code_of_run, tell
from lionagi_qe.cli.exits import Exit, exit_code_of, explain
from lionagi_qe.cli.output import say
from lionagi_qe.errors import AqeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lionagi_qe.fleet.run import Outcome

# The gravest first.
_GRAVITY = (Exit.INFRASTRUCTURE, Exit.USAGE, Exit.GATE_FAILED, Exit.NOT_MEASURED, Exit.PASSED)


def check_is_one(path: Path) -> None:
    """Raise UsageError for a directory that holds projects and is none; it lists them."""
    root = directory(path)
    if stands_for_itself(root):
        return
    below = [place.relative_to(root).as_posix() for place in projects_below(root)]
    if below:
        raise click.UsageError(
            f"{path}: is no project itself, but holds {len(below)}: {', '.join(below)}; name one "
            "of them, or run all with --all"
        )


def places(path: Path) -> list[Path]:
    """Return the projects in a directory, itself first if it is one; UsageError for none."""
    root = directory(path)
    own = [root] if stands_for_itself(root) else []
    found = [*own, *projects_below(root)]
    if not found:
        raise click.UsageError(f"{path}: there is no project in it; name a project's directory")
    return found


def run_each(
    root: Path, examine: Callable[[Path], Outcome], *, as_document: bool, found: list[Path]
) -> Exit:
    """Examine one project after the other, tell each result, and a line for each at the end.

    Args:
        root: the directory that holds them.
        examine: runs one.
        as_document: print one JSON document of all instead.
        found: the projects.

    Returns:
        The gravest of their exit codes. A project whose run fails doesn't keep others from theirs.

    """
    codes: list[Exit] = []
    lines: list[str] = []
    documents: list[dict[str, Any]] = []
    for place in found:
        name = place.relative_to(directory(root)).as_posix()
        try:
            outcome = examine(place)
        except AqeError as error:
            code = exit_code_of(error) or Exit.INFRASTRUCTURE
            documents.append({"path": str(place), "error": explain(error), "exit_code": code})
            lines.append(f"{name}: could not be examined: {explain(error)}")
        else:
            code = exit_code_of_run(outcome)
            if as_document:
                documents.append(_document(outcome, code))
            else:
                code = tell(outcome, code, as_document=False)
                say()
            lines.append(f"{name}: {_summary(outcome)}")
        codes.append(code)
    worst = min(codes, key=_GRAVITY.index)
    if as_document:
        say(json.dumps({"projects": documents, "exit_code": worst}, indent=2))
    else:
        say("\n".join([f"{len(found)} projects", *(f"  {line}" for line in lines)]))
    return worst


def _document(outcome: Outcome, code: Exit) -> dict[str, Any]:
    from lionagi_qe.fleet.report.json import as_json

    return json.loads(as_json(outcome, code))


def _summary(outcome: Outcome) -> str:
    parts: list[str] = []
    for name, text in (
        ("tests_passed", "{} passed"),
        ("tests_failed", "{} failed"),
        ("line_coverage", "{:.2f} % of lines"),
        ("gate", "gate {}"),
    ):
        metric = outcome.metric(name)
        if metric is not None:
            value = text.format(metric.value) if metric.measured else f"{name} not measured"
            parts.append(value)
    return ", ".join(parts)
