"""A run for people: every figure beside the tool that measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lionagi_qe.display import counted, visible
from lionagi_qe.fleet.new_gaps import named
from lionagi_qe.fleet.report import sections
from lionagi_qe.fleet.report.changes import UNCHANGED, UNCOMPARED, changes, since
from lionagi_qe.fleet.report.failure_groups import UNCOLLECTABLE, failure_groups, outcomes
from lionagi_qe.fleet.report.failure_words import before, message_lines, since_words
from lionagi_qe.fleet.report.figures import common_reason, not_measured, source
from lionagi_qe.fleet.report.untested import changed_lines, untested_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from lionagi_qe.fleet.comparison import Since
    from lionagi_qe.fleet.run import Outcome

_NO_GATE = "not asked for: quality-gate in --agents judges, and sets the exit code"
_MOST_LISTED = 10
_MOST_ALIKE = 3
_MARGIN_OF_CODE = 4
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
        since = {} if outcome.comparison is None else outcome.comparison.untested_since
        table = _gap_table(shown, since)
        if console.is_terminal and console.measure(table).maximum <= console.width:
            console.print(table)
        else:
            _print(console, _gap_lines(shown, since))
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
        # One in a name, of a file say, begins no line of ours.
        show(console, line.replace("\n", r"\u000a"))


def show(console: Console, line: str) -> None:
    """Write a line of rich's markup, whatever the texts in it say."""
    text = Text.from_markup(visible(line), emoji=False)
    for part in _wrapped(console, text):
        # What stood within the line, or behind markup, may begin a part of it.
        console.print(_shown(part), soft_wrap=True, highlight=False)


def _shown(text: Text) -> Text:
    """Return text that commands no CI server; what began with a command loses its colours."""
    plain = visible(text.plain)
    return text if plain == text.plain else Text(plain)


def _wrapped(console: Console, text: Text) -> Iterable[Text]:
    """Break a line that is too wide for the terminal between words; code and commands stay whole.

    Whoever pipes the output gets each line as one.
    """
    margin = len(text.plain) - len(text.plain.lstrip())
    is_prose = margin < _MARGIN_OF_CODE and "aqe " not in text.plain
    if not (console.is_terminal and is_prose and text.cell_len > console.width):
        return (text,)
    indent = " " * (margin + 2)
    first, *rest = text.wrap(console, console.width - len(indent))
    return (first, *(Text(indent).append_text(part) for part in rest))


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
    yield from _failures(outcome)


def _failures(outcome: Outcome) -> Iterator[str]:
    """Yield the tests that failed, those together that are one failure."""
    groups, ended = failure_groups(outcome), outcomes(outcome)
    if groups:
        counted = outcome.metric("failure_groups")
        told = "" if counted is None else f"  {source(counted)}"
        yield f"failures  {len(groups)} {'kind' if len(groups) == 1 else 'kinds'}{told}"
    since = {} if outcome.comparison is None else outcome.comparison.failing_since
    for group in groups[:_MOST_LISTED]:
        tests: Sequence[str] = group["tests"]
        for test in tests[:_MOST_ALIKE]:
            label = ended.get(test, UNCOLLECTABLE)
            yield f"[red]{label:<11} [/]{escape(test)}"
            if test in since:
                yield f"    [dim]failing {escape(since_words(since[test]))}[/]"
        if len(tests) > _MOST_ALIKE:
            yield f"            and {len(tests) - _MOST_ALIKE} more that fail alike:"
        yield from _lines_of(message_lines(group))
        if (past := before(group)) is not None:
            yield f"    [dim]{escape(past)}[/]"
    left = sum(len(group["tests"]) for group in groups[_MOST_LISTED:])
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
            label = label.removesuffix("s") if metric.value == 1 else label
            parts.append(f"{metric.value} {label}")
    return ", ".join(parts)


def _coverage(outcome: Outcome) -> Iterator[str]:
    if "coverage-analyzer" not in outcome.findings:
        return
    names = ("line_coverage", "branch_coverage")
    if (reason := common_reason([outcome.metric(name) for name in names])) is not None:
        yield f"{'coverage':<9} {reason}"
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
    yield from _change(outcome)


def _change(outcome: Outcome) -> Iterator[str]:
    """Yield how much of the change was run, and what was not."""
    changed, share = changed_lines(outcome), outcome.metric("diff_coverage")
    if changed is None:
        return
    if share is None or not share.measured:
        yield f"{'diff':<9} {not_measured(share)}"
        return
    counts = f"{changed['covered']} of {changed['total']} lines changed since {changed['ref']}"
    yield f"{'diff':<9} {share.value:.2f} % ({escape(counts)})  {source(share)}"
    places = untested_places(changed)
    yield from (f"  untested {escape(place)}" for place in places[:_MOST_LISTED])
    if len(places) > _MOST_LISTED:
        yield f"  and in {len(places) - _MOST_LISTED} more files: --json"


def _gap_table(gaps: Sequence[Mapping[str, Any]], since: Mapping[str, Since]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("missed lines", "of", "missed branches", "complexity"):
        table.add_column(name, justify="right")
    table.add_column("function")
    table.add_column("where")
    if since:
        table.add_column("untested for", justify="right")
    for gap in gaps:
        table.add_row(
            str(len(gap["missed_lines"])),
            str(gap["lines"]),
            str(gap["missed_branches"]),
            _complexity(gap),
            escape(visible(gap["function"])),
            escape(visible(_place(gap))),
            *([_untested_for(gap, since)] if since else []),
        )
    return table


def _untested_for(gap: Mapping[str, Any], since: Mapping[str, Since]) -> str:
    found = since.get(named(gap))
    return "" if found is None else counted(found.runs, "runs")


def _gap_lines(gaps: Sequence[Mapping[str, Any]], since: Mapping[str, Since]) -> Iterator[str]:
    for gap in gaps:
        missed = f"{len(gap['missed_lines'])} of {counted(gap['lines'], 'lines')}"
        branches = counted(gap["missed_branches"], "branches")
        yield escape(
            f"  {_place(gap)} {gap['function']}: missed {missed}, {branches}; "
            f"complexity {_complexity(gap)}{_untested_since(gap, since)}"
        )


def _untested_since(gap: Mapping[str, Any], since: Mapping[str, Since]) -> str:
    found = since.get(named(gap))
    return "" if found is None or found.runs == 1 else f"; untested {since_words(found)}"


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
        collected = outcome.metric("tests_collected")
        ran = collected is not None and collected.measured and collected.value
        yield f"[dim]{'no earlier run to compare with' if ran else UNCOMPARED}[/]"
        return
    yield f"[bold]since {escape(since(comparison))}[/]"
    told = [f"  {label:<14} {escape(how)}" for label, how in changes(comparison)]
    yield from told or [f"  {UNCHANGED}"]


def _gate(outcome: Outcome) -> Iterator[str]:
    if "quality-gate" not in outcome.findings:
        if outcome.findings and outcome.shard is None:
            yield ""
            yield f"[dim]gate      {_NO_GATE}[/]"
        return
    yield ""
    for ruling in outcome.detail("quality-gate", "rulings"):
        style = STYLES[ruling["verdict"]]
        says = escape(f"{ruling['rule']}: {ruling['detail']}")
        yield f"  [{style}]{ruling['verdict']:<13}[/]{says}"
    gate = outcome.metric("gate")
    verdict = gate.value if gate is not None and gate.measured else "not measured"
    yield f"[bold]gate[/]      [{STYLES[verdict]}]{verdict}[/]"
