"""A run for people: every figure beside the tool that measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lionagi_qe.display import visible
from lionagi_qe.fleet.report import sections
from lionagi_qe.fleet.report.changes import changes
from lionagi_qe.fleet.report.failure_groups import failure_groups, last_lines
from lionagi_qe.fleet.report.figures import not_measured, source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from lionagi_qe.fleet.run import Outcome

_MOST_LISTED = 10
_MOST_ALIKE = 3
_ALWAYS = ("tests_passed", "tests_failed")
_COUNTS = (
    "tests_passed",
    "tests_failed",
    "tests_errors",
    "tests_interrupted",
    "tests_not_run",
    "tests_skipped",
    "tests_xfailed",
    "tests_xpassed",
    "collection_errors",
)
_SUBTESTS = ("subtests_passed", "subtests_failed", "subtests_skipped")
STYLES = {"passed": "bold green", "failed": "bold red", "not measured": "bold yellow"}


def write(outcome: Outcome, console: Console) -> None:
    """Write the report; plain lines where the console is no terminal."""
    _print(console, _lines(outcome))
    gaps = outcome.detail("coverage-analyzer", "gaps")
    if gaps:
        shown = gaps[:_MOST_LISTED]
        measured = outcome.metric("gaps")
        tools = "" if measured is None else f"  {source(measured)}"
        title = f"[bold]largest coverage gaps[/], {len(shown)} of {len(gaps)}{tools}"
        _print(console, ["", title])
        if console.is_terminal:
            console.print(_gap_table(shown))
        else:
            _print(console, _gap_lines(shown))
    _print(
        console,
        (
            *sections.static(outcome),
            *sections.selection(outcome),
            *sections.flaky(outcome),
            *sections.mutation(outcome),
            *sections.generated(outcome),
            *sections.others(outcome),
            *_comparison(outcome),
            *_gate(outcome),
            *_left_out(outcome),
        ),
    )


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        show(console, line)


def show(console: Console, line: str) -> None:
    """Write a line of rich's markup, whatever the texts in it say."""
    text = Text.from_markup(visible(line), emoji=False)
    # Without its markup it may begin with what a CI server obeys; that costs it its colours.
    plain = visible(text.plain)
    shown = text if plain == text.plain else Text(plain)
    console.print(shown, soft_wrap=True, highlight=False)


def _lines(outcome: Outcome) -> Iterator[str]:
    commit = f" at {escape(outcome.commit)}" if outcome.commit else ""
    yield f"[bold]{escape(outcome.project)}[/]{commit}  ({escape(str(outcome.path))})"
    yield f"Python {escape(outcome.environment.version)}  {escape(outcome.environment.origin)}"
    if outcome.unkept is None and outcome.shard is None:
        yield f"run {outcome.run}  (aqe report shows it in a browser)"
    if scope := outcome.environment.layout.scope:
        more = "" if len(scope) <= _MOST_LISTED else f" and {len(scope) - _MOST_LISTED} more"
        named = f"{', '.join(scope[:_MOST_LISTED])}{more}"
        yield f"product code: {escape(named)}  ({escape(outcome.environment.scope_origin)})"
    yield ""
    yield from _tests(outcome)
    yield from _coverage(outcome)
    for note in outcome.notes:
        yield f"[dim]note[/]      {escape(note)}"


def _tests(outcome: Outcome) -> Iterator[str]:
    if "test-executor" not in outcome.findings:
        return
    first = outcome.metric("tests_collected")
    if first is None or not first.measured:
        yield f"tests     {not_measured(first)}"
        return
    counts = _counts(outcome, _COUNTS, "tests_")
    subtests = _counts(outcome, _SUBTESTS, "subtests_")
    aside = f" (subtests apart: {subtests})" if subtests else ""
    seconds = outcome.metric("test_seconds")
    took = f" in {seconds.value:.2f} s" if seconds is not None and seconds.measured else ""
    sessions = outcome.metric("test_sessions")
    beside = (
        "" if sessions is None or sessions.value in {None, 1} else f" in {sessions.value} sessions"
    )
    yield f"tests     {counts}{aside}{took}{beside}  {source(first)}"
    yield from _failures(outcome.detail("test-executor", "tests"))
    for file, text in dict(outcome.detail("test-executor", "uncollectable")).items():
        yield f"[red]uncollectable[/] {escape(file)}"
        yield from _lines_of(last_lines(text))


def _failures(tests: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the tests that failed, those that say the same together: one cause may fail all."""
    groups = failure_groups(tests)
    for message, found in groups[:_MOST_LISTED]:
        for test in found[:_MOST_ALIKE]:
            yield f"[red]{test['outcome']:<12}[/]{escape(test['id'])}"
        if len(found) > _MOST_ALIKE:
            yield f"            and {len(found) - _MOST_ALIKE} more that say the same:"
        yield from _lines_of(message)
    left = sum(len(found) for _, found in groups[_MOST_LISTED:])
    if left:
        yield f"            and {left} more: --json, or --report junit=FILE"


def _lines_of(message: Iterable[str]) -> Iterator[str]:
    yield from (f"    {escape(line)}" for line in message)


def _counts(outcome: Outcome, names: Sequence[str], prefix: str) -> str:
    parts: list[str] = []
    for name in names:
        metric = outcome.metric(name)
        if metric is not None and metric.measured and (metric.value or name in _ALWAYS):
            label = name.removeprefix(prefix).replace("_", " ")
            parts.append(f"{metric.value} {label}")
    return ", ".join(parts)


def _coverage(outcome: Outcome) -> Iterator[str]:
    if "coverage-analyzer" not in outcome.findings:
        return
    for label, name, covered, total in (
        ("lines", "line_coverage", "lines_covered", "lines"),
        ("branches", "branch_coverage", "branches_covered", "branches"),
    ):
        share = outcome.metric(name)
        if share is None or not share.measured:
            yield f"{label:<9} {not_measured(share)}"
            continue
        of = [outcome.metric(part) for part in (covered, total)]
        counts = " of ".join(str(metric.value) for metric in of if metric is not None)
        yield f"{label:<9} {share.value:.2f} % ({counts})  {source(share)}"


def _gap_table(gaps: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("missed lines", "of", "missed branches", "complexity"):
        table.add_column(name, justify="right")
    table.add_column("function", overflow="fold")
    table.add_column("where", overflow="fold")
    for gap in gaps:
        table.add_row(
            str(len(gap["missed_lines"])),
            str(gap["lines"]),
            str(gap["missed_branches"]),
            _complexity(gap),
            escape(visible(gap["function"])),
            escape(visible(_place(gap))),
        )
    return table


def _gap_lines(gaps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for gap in gaps:
        missed = f"{len(gap['missed_lines'])} of {gap['lines']} lines"
        branches = f"{gap['missed_branches']} branches"
        yield escape(
            f"  {_place(gap)} {gap['function']}: missed {missed}, {branches}; "
            f"complexity {_complexity(gap)}"
        )


def _place(gap: Mapping[str, Any]) -> str:
    return f"{gap['file']}:{gap['line']}"


def _complexity(gap: Mapping[str, Any]) -> str:
    """Return it; a module's top level is no function and has none."""
    return "-" if gap["complexity"] is None else str(gap["complexity"])


def _left_out(outcome: Outcome) -> Iterator[str]:
    if outcome.left_out and "quality-gate" in outcome.findings:
        names = ", ".join(outcome.left_out)
        yield f"[dim]not run: {names}; with --agents NAMES or --agents all[/]"


def _comparison(outcome: Outcome) -> Iterator[str]:
    comparison = outcome.comparison
    yield ""
    if outcome.shard is not None:
        return
    if outcome.unkept is not None:
        yield "[bold red]not kept[/]: the memory failed, so there is nothing to compare with"
        return
    if "test-executor" not in outcome.findings:
        return
    if comparison is None:
        yield "[dim]no earlier run to compare with[/]"
        return
    yield f"[bold]since run {escape(comparison.previous)}[/]"
    told = [f"  {label:<14} {escape(how)}" for label, how in changes(comparison)]
    yield from told or ["  nothing changed"]


def _gate(outcome: Outcome) -> Iterator[str]:
    if "quality-gate" not in outcome.findings:
        return
    yield ""
    for ruling in outcome.detail("quality-gate", "rulings"):
        style = STYLES[ruling["verdict"]]
        says = escape(f"{ruling['rule']}: {ruling['detail']}")
        yield f"  [{style}]{ruling['verdict']:<13}[/]{says}"
    gate = outcome.metric("gate")
    verdict = gate.value if gate is not None and gate.measured else "not measured"
    yield f"[bold]gate[/]      [{STYLES[verdict]}]{verdict}[/]"
