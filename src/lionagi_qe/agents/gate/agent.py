"""Decides whether a run is good enough, by rules that can be read and from figures that exist."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from lionagi_qe import __version__
from lionagi_qe.agents.base import Agent, Findings
from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.flaky.quarantine import read_quarantine
from lionagi_qe.agents.gate.rules import Rule, parse_rules
from lionagi_qe.agents.metric import Metric, Source
from lionagi_qe.display import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.project.settings import Settings

Verdict = Literal["passed", "failed", "not measured"]
_MOST_NAMED = 3
_TESTS_FAILED = 1


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one rule says of this run."""

    rule: str
    verdict: Verdict
    detail: str


class QualityGate(Agent):
    """Tests pass, figures keep to the project's rules, and what is required was measured."""

    name: ClassVar[str] = "quality-gate"
    after: ClassVar[tuple[str, ...]] = (
        "test-executor",
        "coverage-analyzer",
        "static-analyzer",
        "flaky-test-hunter",
        "regression-selector",
        "mutation-tester",
        "test-generator",
        "type-checker",
        "package-checker",
        "docs-tester",
        "dependency-auditor",
        "performance-tester",
        "api-contract-tester",
    )
    instant: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {"gate": "verdict"}

    async def examine(self, examination: Examination) -> Findings:
        """Apply every rule; one failed rule fails the gate, whatever was not measured."""
        quarantined: frozenset[str] = frozenset()
        listed = examination.settings.quarantine
        if listed is not None:
            quarantined = read_quarantine(examination.workspace.pristine / listed)
        return judge(
            examination.settings,
            examination.findings,
            quarantined,
            Source("aqe", __version__, "aqe run", examination.workspace.commit),
        )


def judge(
    settings: Settings,
    findings: Mapping[str, Findings],
    quarantined: frozenset[str],
    source: Source,
) -> Findings:
    """Apply every rule to what agents found.

    Args:
        settings: the rules.
        findings: by agent.
        quarantined: tests whose failures pass.
        source: of the verdict.

    """
    rulings = list(_rulings(settings, findings, quarantined))
    verdicts = {ruling.verdict for ruling in rulings}
    if "failed" in verdicts:
        metric = source.measured("gate", "failed", "verdict")
    elif "not measured" in verdicts:
        first = next(ruling for ruling in rulings if ruling.verdict == "not measured")
        metric = source.unmeasured("gate", "verdict", f"{first.rule}: {first.detail}")
    else:
        metric = source.measured("gate", "passed", "verdict")
    return Findings(
        QualityGate.name, (metric,), details={"rulings": [asdict(ruling) for ruling in rulings]}
    )


def _rulings(
    settings: Settings, findings: Mapping[str, Findings], quarantined: frozenset[str]
) -> Iterator[Ruling]:
    figures = {metric.name: metric for each in findings.values() for metric in each.metrics}
    yield _tests_pass(findings.get("test-executor"), figures, quarantined)
    for name, least in (
        ("line_coverage", settings.min_coverage),
        ("branch_coverage", settings.min_branch_coverage),
    ):
        if least is not None:
            yield _at_least(name, least, figures.get(name))
    for rule in parse_rules(settings.fail_on):
        yield _kept(rule, figures.get(rule.metric))
    for name in settings.required:
        yield _measured(name, figures.get(name))


def _tests_pass(
    tests: Findings | None, figures: Mapping[str, Metric], quarantined: frozenset[str]
) -> Ruling:
    rule = "all tests pass"
    collected = figures.get("tests_collected")
    if tests is None or collected is None or not collected.measured:
        return Ruling(rule, "not measured", _reason(collected))
    failing = [test["id"] for test in tests.details["tests"] if test["outcome"] in BAD]
    excused = [test for test in failing if test in quarantined]
    lacking = {place for places in tests.details["missing"].values() for place in places}
    bad = [test for test in failing if test not in quarantined]
    bad += [file for file in tests.details["uncollectable"] if file not in lacking]
    if bad:
        return Ruling(rule, "failed", f"{len(bad)} did not: {_named(bad)}")
    if tests.details["missing"]:
        return Ruling(rule, "not measured", f"incomplete: {tests.details['incomplete']}")
    exits = {0, _TESTS_FAILED} if excused else {0}
    if not tests.details["complete"] or tests.details["exit_code"] not in exits:
        return Ruling(rule, "failed", f"pytest {tests.details['ended']}")
    aside = f"; failing in quarantine: {_named(excused)}" if excused else ""
    return Ruling(rule, "passed", f"{figures['tests_passed'].value} passed{aside}")


def _named(tests: Sequence[str]) -> str:
    return ", ".join(tests[:_MOST_NAMED]) + (", ..." if len(tests) > _MOST_NAMED else "")


def _at_least(name: str, least: float, metric: Metric | None) -> Ruling:
    rule = f"{name} is at least {least:g} %"
    if metric is None or not metric.measured:
        return Ruling(rule, "not measured", _reason(metric))
    return Ruling(rule, "passed" if metric.value >= least else "failed", f"{metric.value:.2f} %")


def _kept(rule: Rule, metric: Metric | None) -> Ruling:
    if metric is None or not metric.measured:
        return Ruling(str(rule), "not measured", _reason(metric))
    value = len(metric.value) if isinstance(metric.value, list) else metric.value
    if isinstance(value, str):
        return Ruling(str(rule), "not measured", f"{metric.name} is {value!r}, which is no number")
    verdict = "failed" if rule.fails(value) else "passed"
    evidence = f"{value:g} {unit_of(value, metric.unit)} by {metric.measured_by}"
    return Ruling(str(rule), verdict, evidence)


def _measured(name: str, metric: Metric | None) -> Ruling:
    rule = f"{name} is measured"
    if metric is None or not metric.measured:
        return Ruling(rule, "not measured", _reason(metric))
    return Ruling(rule, "passed", f"by {metric.measured_by}")


def _reason(metric: Metric | None) -> str:
    return "no agent of this run measures it" if metric is None else str(metric.reason)
